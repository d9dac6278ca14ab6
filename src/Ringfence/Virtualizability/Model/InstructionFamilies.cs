using Iced.Intel;

namespace Ringfence.Virtualizability.Model;

/// <summary>Names under which forms are reported together: mnemonics, told apart where one mnemonic stands for several instructions.</summary>
internal static class InstructionFamilies
{
    /// <summary>The name of a code's instruction.</summary>
    public static string NameOf(Code code)
    {
        OpCodeInfo info = code.ToOpCode();
        Mnemonic mnemonic = code.Mnemonic();
        switch (mnemonic)
        {
            case Mnemonic.Mov when Has(info, 0, OpCodeOperandKind.seg_reg): return "MOV to Sreg";
            case Mnemonic.Mov when Has(info, 1, OpCodeOperandKind.seg_reg): return "MOV from Sreg";
            case Mnemonic.Mov when Has(info, 0, OpCodeOperandKind.cr_reg): return "MOV to CR";
            case Mnemonic.Mov when Has(info, 1, OpCodeOperandKind.cr_reg): return "MOV from CR";
            case Mnemonic.Mov when Has(info, 0, OpCodeOperandKind.dr_reg): return "MOV to DR";
            case Mnemonic.Mov when Has(info, 1, OpCodeOperandKind.dr_reg): return "MOV from DR";
            case Mnemonic.Push when IsSegment(info): return "PUSH Sreg";
            case Mnemonic.Pop when IsSegment(info): return "POP Sreg";
            case Mnemonic.Call when IsFar(code): return "CALL far";
            case Mnemonic.Jmp when IsFar(code): return "JMP far";
            case Mnemonic.Retf: return "RET far";
            case Mnemonic.Int: return "INT n";
            case Mnemonic.Pushf or Mnemonic.Pushfd or Mnemonic.Pushfq: return "PUSHF";
            case Mnemonic.Popf or Mnemonic.Popfd or Mnemonic.Popfq: return "POPF";
            case Mnemonic.Iret or Mnemonic.Iretd or Mnemonic.Iretq: return "IRET";
            case Mnemonic.Insb or Mnemonic.Insw or Mnemonic.Insd: return "INS";
            case Mnemonic.Outsb or Mnemonic.Outsw or Mnemonic.Outsd: return "OUTS";
            case Mnemonic.Sysret or Mnemonic.Sysretq: return "SYSRET";
            case Mnemonic.Sysexit or Mnemonic.Sysexitq: return "SYSEXIT";
            default: return mnemonic.ToString().ToUpperInvariant();
        }
    }

    private static bool Has(OpCodeInfo info, int operand, OpCodeOperandKind kind) => info.OpCount > operand && info.GetOpKind(operand) == kind;

    private static bool IsSegment(OpCodeInfo info) => info.OpCount == 1 && info.Op0Kind is OpCodeOperandKind.es or OpCodeOperandKind.cs
        or OpCodeOperandKind.ss or OpCodeOperandKind.ds or OpCodeOperandKind.fs or OpCodeOperandKind.gs;

    private static bool IsFar(Code code) => code.IsCallFar() || code.IsCallFarIndirect() || code.IsJmpFar() || code.IsJmpFarIndirect();
}
