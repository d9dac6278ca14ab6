using Iced.Intel;

namespace Ringfence.Execution.Translation;

/// <summary>
/// Which instructions touch x87 and MMX registers, and which of them the host's own unit executes. Not executed by it:
/// <list type="bullet">
/// <item>The transcendental ones (FSIN, FPATAN, FYL2X and so on): both vendors promise an error below one unit in the last place, no
/// bit pattern, and a guest's results must not depend on the host.</item>
/// <item>What moves the whole environment or state (FNSTENV, FNSAVE, FXSAVE, FLDENV, FRSTOR, FXRSTOR, FNINIT): the state must be in memory for
/// them anyway.</item>
/// <item>Conversions between MMX and XMM registers, which are rare.</item>
/// </list>
/// </summary>
internal static class X87Table
{
    private static readonly bool[] Users = Make(TouchesRegisters);
    private static readonly bool[] Natives = Make(RunsOnHost);

    /// <summary>Does the shared definition of instructions with this encoding read or write the x87 state?</summary>
    public static bool UsesX87(Code code) => Users[(int)code];

    /// <summary>Does the host's unit execute instructions with this encoding?</summary>
    public static bool IsNative(Code code) => Natives[(int)code];

    /// <summary>Does a native instruction become the last one that the instruction pointer, data pointer and opcode registers name? Control instructions and MMX do not.</summary>
    public static bool SetsPointers(in Instruction instruction)
    {
        if (instruction.Mnemonic is Mnemonic.Fldcw or Mnemonic.Fnstcw or Mnemonic.Fnstsw or Mnemonic.Fnclex or Mnemonic.Wait or Mnemonic.Emms) return false;
        return IsNative(instruction.Code) && !IsMmx(instruction.Code);
    }

    private static bool[] Make(Func<Code, bool> predicate)
    {
        var result = new bool[Enum.GetValues<Code>().Length];
        for (int i = 1; i < result.Length; i++) result[i] = predicate((Code)i);
        return result;
    }

    private static bool TouchesRegisters(Code code)
    {
        if (code.Mnemonic() is Mnemonic.Wait or Mnemonic.Emms or Mnemonic.Femms or Mnemonic.Fisttp or Mnemonic.Fxsave or Mnemonic.Fxsave64
            or Mnemonic.Fxrstor or Mnemonic.Fxrstor64) return true;
        return IsX87(code) || IsMmx(code);
    }

    private static bool RunsOnHost(Code code)
    {
        OpCodeInfo info = code.ToOpCode();
        if (info.Encoding != EncodingKind.Legacy) return false;
        switch (code.Mnemonic())
        {
            case Mnemonic.Fadd or Mnemonic.Faddp or Mnemonic.Fiadd or Mnemonic.Fmul or Mnemonic.Fmulp or Mnemonic.Fimul
                or Mnemonic.Fsub or Mnemonic.Fsubp or Mnemonic.Fsubr or Mnemonic.Fsubrp or Mnemonic.Fisub or Mnemonic.Fisubr
                or Mnemonic.Fdiv or Mnemonic.Fdivp or Mnemonic.Fdivr or Mnemonic.Fdivrp or Mnemonic.Fidiv or Mnemonic.Fidivr
                or Mnemonic.Fsqrt or Mnemonic.Frndint or Mnemonic.Fabs or Mnemonic.Fchs or Mnemonic.Fscale or Mnemonic.Fxtract
                or Mnemonic.Fprem or Mnemonic.Fprem1:
            case Mnemonic.Fcom or Mnemonic.Fcomp or Mnemonic.Fcompp or Mnemonic.Fucom or Mnemonic.Fucomp or Mnemonic.Fucompp
                or Mnemonic.Fcomi or Mnemonic.Fcomip or Mnemonic.Fucomi or Mnemonic.Fucomip or Mnemonic.Ficom or Mnemonic.Ficomp
                or Mnemonic.Ftst or Mnemonic.Fxam:
            case Mnemonic.Fld or Mnemonic.Fst or Mnemonic.Fstp or Mnemonic.Fstpnce or Mnemonic.Fild or Mnemonic.Fist or Mnemonic.Fistp
                or Mnemonic.Fisttp or Mnemonic.Fbld or Mnemonic.Fbstp or Mnemonic.Fxch
                or Mnemonic.Fcmovb or Mnemonic.Fcmove or Mnemonic.Fcmovbe or Mnemonic.Fcmovu
                or Mnemonic.Fcmovnb or Mnemonic.Fcmovne or Mnemonic.Fcmovnbe or Mnemonic.Fcmovnu
                or Mnemonic.Fld1 or Mnemonic.Fldl2t or Mnemonic.Fldl2e or Mnemonic.Fldpi or Mnemonic.Fldlg2 or Mnemonic.Fldln2 or Mnemonic.Fldz
                or Mnemonic.Fincstp or Mnemonic.Fdecstp or Mnemonic.Ffree or Mnemonic.Ffreep or Mnemonic.Fnop:
                return true;
            case Mnemonic.Fldcw or Mnemonic.Fnstcw or Mnemonic.Fnclex or Mnemonic.Wait or Mnemonic.Emms:
                return true;
            case Mnemonic.Fnstsw:
                return code is Code.Fnstsw_AX or Code.Fnstsw_m2byte;
            case Mnemonic.Maskmovq or Mnemonic.Femms:
                return false;
            default:
                return IsMmx(code) && !HasXmm(info);
        }
    }

    private static bool IsX87(Code code) => code.CpuidFeatures().Any(feature => feature is CpuidFeature.FPU or CpuidFeature.FPU287
        or CpuidFeature.FPU287XL_ONLY or CpuidFeature.FPU387 or CpuidFeature.FPU387SL_ONLY);

    private static bool IsMmx(Code code)
    {
        OpCodeInfo info = code.ToOpCode();
        for (int i = 0; i < info.OpCount; i++)
        {
            if (info.GetOpKind(i) is OpCodeOperandKind.mm_reg or OpCodeOperandKind.mm_rm or OpCodeOperandKind.mm_or_mem) return true;
        }

        return false;
    }

    private static bool HasXmm(OpCodeInfo info)
    {
        for (int i = 0; i < info.OpCount; i++)
        {
            if (info.GetOpKind(i) is OpCodeOperandKind.xmm_reg or OpCodeOperandKind.xmm_rm or OpCodeOperandKind.xmm_or_mem) return true;
        }

        return false;
    }
}
