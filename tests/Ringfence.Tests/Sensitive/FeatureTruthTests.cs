using Ringfence.Processors;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Sensitive;

/// <summary>CPUID tells the truth: an instruction of every feature offered executes, one of every feature not offered is #UD.</summary>
public sealed unsafe class FeatureTruthTests
{
    [EngineTheory]
    [InlineData("d9e8ddd8")] // FPU: fld1; fstp st0
    [InlineData("0f31")] // TSC
    [InlineData("0fc70b")] // CX8: cmpxchg8b [rbx]
    [InlineData("0f44c1")] // CMOV
    [InlineData("0fae3b")] // CLFSH
    [InlineData("0fefc00f77")] // MMX: pxor mm0, mm0; emms
    [InlineData("0fae03")] // FXSR: fxsave [rbx]
    [InlineData("0f58c1")] // SSE: addps
    [InlineData("660f58c1")] // SSE2: addpd
    [InlineData("0faef0")] // SSE2: mfence
    [InlineData("f20fd0c1")] // SSE3: addsubps
    [InlineData("660f3800c1")] // SSSE3: pshufb
    [InlineData("480fc70b")] // CX16: cmpxchg16b [rbx]
    [InlineData("660f3840c1")] // SSE4.1: pmulld
    [InlineData("660f3837c1")] // SSE4.2: pcmpgtq
    [InlineData("f20f38f1c1")] // SSE4.2: crc32
    [InlineData("0f38f003")] // MOVBE
    [InlineData("f30fb8c1")] // POPCNT
    [InlineData("0fc7f0")] // RDRAND
    [InlineData("f30faec0")] // FSGSBASE
    [InlineData("0f01cb")] // SMAP: stac
    [InlineData("9f9e")] // LAHF in 64-bit mode
    [InlineData("0f01f9")] // RDTSCP
    [InlineData("0f1f4000")] // long NOP
    public void An_instruction_of_every_offered_feature_executes(string code)
    {
        using TestMachine machine = Machine();
        byte[] bytes = Convert.FromHexString(code);
        machine.Emit([.. bytes, 0xcd, 0x44]);
        machine.RunToVector().ShouldBe(0x44);
        machine.Processor.Statistics.Unimplemented.ShouldBeEmpty();
    }

    [EngineTheory]
    [InlineData("660f38dcc1")] // AES: aesenc
    [InlineData("660f3a44c100")] // PCLMULQDQ
    [InlineData("0f01d0")] // XSAVE: xgetbv
    [InlineData("0fae23")] // xsave [rbx]
    [InlineData("c5f858c1")] // AVX: vaddps
    [InlineData("c4e268f2c1")] // BMI1: andn
    [InlineData("0fc7f8")] // RDSEED
    [InlineData("660f38f6c1")] // ADX: adcx
    [InlineData("660f388203")] // INVPCID
    [InlineData("0f38c8c1")] // SHA: sha1nexte
    [InlineData("0f01c8")] // MONITOR
    [InlineData("0f01c9")] // MWAIT
    [InlineData("0f01c1")] // VMX: vmcall
    [InlineData("f30fc733")] // vmxon
    [InlineData("0f37")] // SMX: getsec
    [InlineData("f20f78c10101")] // SSE4a: insertq
    [InlineData("0f0fc19e")] // 3DNow!
    public void An_instruction_of_a_feature_not_offered_is_UD(string code)
    {
        using TestMachine machine = Machine();
        machine.Emit(Convert.FromHexString(code));
        machine.RunToVector().ShouldBe(6);
        machine.Read64(machine.State->Gpr[4]).ShouldBe(TestMachine.Code);
    }

    private static TestMachine Machine()
    {
        var machine = new TestMachine();
        machine.EnterLong(user: false);
        machine.State->Cr4 |= Cr4.Osfxsr | Cr4.Osxmmexcpt | Cr4.Fsgsbase | Cr4.Smap;
        machine.Processor.RefreshMode();
        machine.State->Gpr[3] = TestMachine.Data;
        machine.State->Gpr[0] = TestMachine.Data;
        return machine;
    }
}
