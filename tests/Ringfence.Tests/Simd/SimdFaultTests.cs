using Iced.Intel;
using Ringfence.Memory;
using Ringfence.Processors;
using Ringfence.Tests.Support;
using Cr0 = Ringfence.Processors.Cr0;

namespace Ringfence.Tests.Simd;

public sealed unsafe class SimdFaultTests : IDisposable
{
    private static readonly Instruction Sse = Instruction.Create(Code.Addps_xmm_xmmm128, Register.XMM0, Register.XMM1);
    private static readonly Instruction MmxOnly = Instruction.Create(Code.Paddb_mm_mmm64, Register.MM0, Register.MM1);
    private readonly SimdGuest _guest = new();

    [EngineFact]
    public void Cr0_em_makes_sse_and_mmx_undefined()
    {
        Set(Cr0.Em | Cr0.Ts, Cr4.Osfxsr);
        Fault(Sse).ShouldBe(ExceptionVector.InvalidOpcode);
        Fault(MmxOnly).ShouldBe(ExceptionVector.InvalidOpcode);
    }

    [EngineFact]
    public void Cr4_osfxsr_clear_makes_sse_undefined_but_not_mmx()
    {
        Set(0, 0);
        Fault(Sse).ShouldBe(ExceptionVector.InvalidOpcode);
        Fault(MmxOnly).ShouldBeNull();
    }

    [EngineFact]
    public void Cr0_ts_makes_the_device_not_available()
    {
        Set(Cr0.Ts, Cr4.Osfxsr);
        Fault(Sse).ShouldBe(ExceptionVector.DeviceNotAvailable);
        Fault(MmxOnly).ShouldBe(ExceptionVector.DeviceNotAvailable);
        Fault(Memory(Code.Fxsave_m512byte, Register.None, 0)).ShouldBe(ExceptionVector.DeviceNotAvailable);
    }

    [EngineFact]
    public void A_pending_x87_exception_is_taken_before_an_mmx_instruction()
    {
        _guest.State->X87Status = 0x80;
        Fault(MmxOnly).ShouldBe(ExceptionVector.FloatingPoint);
        Fault(Sse).ShouldBeNull();
    }

    [EngineTheory]
    [InlineData(Code.Movaps_xmm_xmmm128)]
    [InlineData(Code.Addps_xmm_xmmm128)]
    [InlineData(Code.Pxor_xmm_xmmm128)]
    [InlineData(Code.Cvtps2dq_xmm_xmmm128)]
    [InlineData(Code.Movntdqa_xmm_m128)]
    [InlineData(Code.Movshdup_xmm_xmmm128)]
    public void A_misaligned_operand_of_16_bytes_is_general_protection(Code code)
    {
        Fault(Memory(code, Register.XMM1, 8)).ShouldBe(ExceptionVector.GeneralProtection);
        _guest.Fault!.Value.ErrorCode.ShouldBe(0u);
        Fault(Memory(code, Register.XMM1, 16)).ShouldBeNull();
    }

    [EngineTheory]
    [InlineData(Code.Movups_xmm_xmmm128)]
    [InlineData(Code.Movdqu_xmm_xmmm128)]
    [InlineData(Code.Lddqu_xmm_m128)]
    [InlineData(Code.Addsd_xmm_xmmm64)]
    [InlineData(Code.Pmovsxbw_xmm_xmmm64)]
    [InlineData(Code.Movddup_xmm_xmmm64)]
    public void Unaligned_moves_and_narrow_operands_need_no_alignment(Code code) =>
        Fault(Memory(code, Register.XMM1, 1)).ShouldBeNull();

    [EngineTheory]
    [InlineData(Code.Movaps_xmmm128_xmm, ExceptionVector.GeneralProtection)]
    [InlineData(Code.Movntdq_m128_xmm, ExceptionVector.GeneralProtection)]
    [InlineData(Code.Movups_xmmm128_xmm, null)]
    public void Stores_follow_the_same_rule(Code code, ExceptionVector? expected)
    {
        Instruction instruction = Instruction.Create(code, Operand(8), Register.XMM3);
        Fault(instruction).ShouldBe(expected);
    }

    [EngineFact]
    public void An_unmasked_invalid_operation_raises_xm_and_leaves_the_destination_alone()
    {
        Divide(0, 0, 0x1f00);
        Fault(Instruction.Create(Code.Divsd_xmm_xmmm64, Register.XMM0, Register.XMM1)).ShouldBe(ExceptionVector.SimdFloatingPoint);
        _guest.State->Xmm[0].ShouldBe(0UL);
        (_guest.State->Mxcsr & 63).ShouldBe(1u);
    }

    [EngineFact]
    public void Without_cr4_osxmmexcpt_it_is_an_undefined_opcode()
    {
        Set(0, Cr4.Osfxsr);
        Divide(1, 0, 0x1d80);
        Fault(Instruction.Create(Code.Divsd_xmm_xmmm64, Register.XMM0, Register.XMM1)).ShouldBe(ExceptionVector.InvalidOpcode);
        (_guest.State->Mxcsr & 63).ShouldBe(4u);
    }

    [EngineFact]
    public void An_unmasked_invalid_operation_in_one_element_hides_the_inexact_result_of_another()
    {
        VcpuState* s = _guest.State;
        Divide(1, 3, 0x1f00);
        s->Xmm[1] = s->Xmm[3] = 0;
        Fault(Instruction.Create(Code.Divpd_xmm_xmmm128, Register.XMM0, Register.XMM1)).ShouldBe(ExceptionVector.SimdFloatingPoint);
        (s->Mxcsr & 63).ShouldBe(1u);
    }

    [EngineFact]
    public void An_unmasked_inexact_result_raises_xm()
    {
        Divide(1, 3, 0x0f80);
        Fault(Instruction.Create(Code.Divsd_xmm_xmmm64, Register.XMM0, Register.XMM1)).ShouldBe(ExceptionVector.SimdFloatingPoint);
        (_guest.State->Mxcsr & 63).ShouldBe(0x20u);
    }

    [EngineFact]
    public void Sticky_flags_of_the_past_raise_nothing()
    {
        Divide(1, 4, 0x003f);
        Fault(Instruction.Create(Code.Divsd_xmm_xmmm64, Register.XMM0, Register.XMM1)).ShouldBeNull();
        BitConverter.UInt64BitsToDouble(_guest.State->Xmm[0]).ShouldBe(0.25);
    }

    [EngineFact]
    public void Reserved_bits_of_mxcsr_are_general_protection()
    {
        _guest.Memory.Write(new GuestPhysical(SimdGuest.Data), [0x80, 0x1f, 0x01, 0]);
        Fault(Memory(Code.Ldmxcsr_m32, Register.None, 0)).ShouldBe(ExceptionVector.GeneralProtection);
        _guest.State->Mxcsr.ShouldBe(0x1f80u);
        _guest.Memory.Write(new GuestPhysical(SimdGuest.Data), [0xff, 0xff, 0, 0]);
        Fault(Memory(Code.Ldmxcsr_m32, Register.None, 0)).ShouldBeNull();
        _guest.State->Mxcsr.ShouldBe(0xffffu);
    }

    [EngineFact]
    public void Maskmovdqu_writes_only_the_bytes_whose_mask_bit_7_is_set()
    {
        VcpuState* s = _guest.State;
        _guest.Memory.Write(new GuestPhysical(SimdGuest.Data), new byte[32]);
        s->Gpr[7] = SimdGuest.Data + 3;
        s->Xmm[2] = 0x0807_0605_0403_0201;
        s->Xmm[3] = 0x100f_0e0d_0c0b_0a09;
        s->Xmm[4] = 0x8000_0000_0000_ff7f;
        s->Xmm[5] = 0x0000_0000_0000_0080;
        Instruction instruction = Instruction.CreateMaskmovdqu(64, Register.XMM1, Register.XMM2);
        Fault(instruction).ShouldBeNull();
        byte[] memory = new byte[20];
        _guest.Memory.Read(new GuestPhysical(SimdGuest.Data), memory);
        memory.ShouldBe([0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 8, 9, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    public void Dispose() => _guest.Dispose();

    private static MemoryOperand Operand(int displacement) => new(Register.RDI, (long)displacement, 8);

    private static Instruction Memory(Code code, Register register, int displacement) => register == Register.None
        ? Instruction.Create(code, Operand(displacement))
        : Instruction.Create(code, register, Operand(displacement));

    private void Divide(double a, double b, uint mxcsr)
    {
        _guest.State->Xmm[0] = BitConverter.DoubleToUInt64Bits(a);
        _guest.State->Xmm[2] = BitConverter.DoubleToUInt64Bits(b);
        _guest.State->Mxcsr = mxcsr;
    }

    private void Set(ulong cr0, ulong cr4)
    {
        VcpuState* s = _guest.State;
        s->Cr0 = (s->Cr0 & ~(Cr0.Em | Cr0.Ts)) | cr0;
        s->Cr4 = (s->Cr4 & ~(Cr4.Osfxsr | Cr4.Osxmmexcpt)) | cr4;
        _guest.Processor.RefreshMode();
    }

    private ExceptionVector? Fault(Instruction instruction)
    {
        _guest.Load(instruction);
        if (_guest.State->Gpr[7] == 0) _guest.State->Gpr[7] = SimdGuest.Data;
        return _guest.Execute() ? null : _guest.Fault!.Value.Vector;
    }
}
