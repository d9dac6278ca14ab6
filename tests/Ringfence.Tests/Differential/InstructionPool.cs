using Iced.Intel;

namespace Ringfence.Tests.Differential;

/// <summary>Which of Iced's codes the differential test can run, by family.</summary>
internal static class InstructionPool
{
    private static readonly HashSet<CpuidFeature> IntegerFeatures =
    [
        CpuidFeature.INTEL8086, CpuidFeature.INTEL186, CpuidFeature.INTEL286, CpuidFeature.INTEL386, CpuidFeature.INTEL486, CpuidFeature.X64,
        CpuidFeature.CMOV, CpuidFeature.POPCNT, CpuidFeature.MOVBE, CpuidFeature.CX8, CpuidFeature.CMPXCHG16B, CpuidFeature.CLFSH,
        CpuidFeature.MULTIBYTENOP, CpuidFeature.PAUSE, CpuidFeature.PREFETCHW,
    ];

    private static readonly HashSet<CpuidFeature> X87Features =
        [CpuidFeature.FPU, CpuidFeature.FPU287, CpuidFeature.FPU387];

    private static readonly HashSet<CpuidFeature> SimdFeatures =
    [
        CpuidFeature.MMX, CpuidFeature.SSE, CpuidFeature.SSE2, CpuidFeature.SSE3, CpuidFeature.SSSE3, CpuidFeature.SSE4_1, CpuidFeature.SSE4_2,
        CpuidFeature.FXSR,
    ];

    // What cannot be compared with a process of the host: it depends on the host's kernel (segment loads, system calls, counters,
    // descriptor tables, gates, I/O), or leaves the test's control (far transfers, debug traps).
    private static readonly HashSet<Mnemonic> Excluded =
    [
        Mnemonic.Lds, Mnemonic.Les, Mnemonic.Lfs, Mnemonic.Lgs, Mnemonic.Lss, Mnemonic.Int1, Mnemonic.Syscall, Mnemonic.Sysenter,
        Mnemonic.Sysexit, Mnemonic.Sysexitq, Mnemonic.Sysret, Mnemonic.Sysretq, Mnemonic.Cpuid, Mnemonic.Sgdt, Mnemonic.Sidt, Mnemonic.Sldt, Mnemonic.Str, Mnemonic.Smsw,
        Mnemonic.Lar, Mnemonic.Lsl, Mnemonic.Verr, Mnemonic.Verw, Mnemonic.Insb, Mnemonic.Insw, Mnemonic.Insd, Mnemonic.Outsb,
        Mnemonic.Outsw, Mnemonic.Outsd, Mnemonic.Iret, Mnemonic.Iretd, Mnemonic.Iretq, Mnemonic.Retf, Mnemonic.Int, Mnemonic.Ud0, Mnemonic.Ud1,
        Mnemonic.Rsm, Mnemonic.Wbinvd, Mnemonic.Loadall,
    ];

    /// <summary>The codes of a family in 64-bit or 32-bit code.</summary>
    public static Code[] Of(InstructionFamily family, int bitness) =>
        [.. Enum.GetValues<Code>().Where(code => IsIncluded(code, bitness) && FamilyOf(code) == family)];

    private static bool IsIncluded(Code code, int bitness)
    {
        OpCodeInfo info = code.ToOpCode();
        if (!info.IsInstruction || info.Encoding != EncodingKind.Legacy || info.Fwait) return false;
        if (!(bitness == 64 ? info.Mode64 : info.Mode32) || !info.IntelDecoder64 && bitness == 64) return false;
        if (FamilyOf(code) is null || Excluded.Contains(code.Mnemonic())) return false;
        if (Enumerable.Range(0, info.OpCount).Any(i => IsFar(info.GetOpKind(i)))) return false;
        if (VendorDifferences.IsExcluded(code)) return false;
        string name = code.ToString();
        if (name.StartsWith("Mov_Sreg", StringComparison.Ordinal) || name.StartsWith("Pop", StringComparison.Ordinal) && IsSegment(info)) return false;
        if (name.StartsWith("Jmp_m16", StringComparison.Ordinal) || name.StartsWith("Call_m16", StringComparison.Ordinal)) return false;
        bool branch = info.OpCount > 0 && info.Op0Kind is OpCodeOperandKind.br16_1 or OpCodeOperandKind.br16_2;
        bool wordBranch = code is Code.Jmp_rm16 or Code.Call_rm16 or Code.Retnw or Code.Retnw_imm16;
        return !branch && !wordBranch;
    }

    private static bool IsSegment(OpCodeInfo info) => info.OpCount == 1 && info.Op0Kind is OpCodeOperandKind.es or OpCodeOperandKind.cs
        or OpCodeOperandKind.ss or OpCodeOperandKind.ds or OpCodeOperandKind.fs or OpCodeOperandKind.gs;

    private static bool IsFar(OpCodeOperandKind kind) => kind is OpCodeOperandKind.farbr2_2 or OpCodeOperandKind.farbr4_2;

    private static InstructionFamily? FamilyOf(Code code)
    {
        CpuidFeature[] features = code.CpuidFeatures();
        if (features.Any(X87Features.Contains)) return InstructionFamily.X87;
        if (features.Length != 1) return null;
        return IntegerFeatures.Contains(features[0]) ? InstructionFamily.Integer
            : SimdFeatures.Contains(features[0]) ? InstructionFamily.Simd : null;
    }
}

/// <summary>The families the differential test is run for, each a test.</summary>
public enum InstructionFamily
{
    /// <summary>General-purpose instructions.</summary>
    Integer,

    /// <summary>x87 floating point.</summary>
    X87,

    /// <summary>MMX and SSE to SSE4.2.</summary>
    Simd,
}
