using Iced.Intel;

namespace Ringfence.Execution.Translation;

/// <summary>
/// What is translated and how, in one place: every instruction that is not listed here is a call-out to its shared definition.
/// </summary>
internal static class TranslationTable
{
    private static readonly TranslationKind[] Kinds = Make();

    /// <summary>How instructions with this encoding are translated.</summary>
    public static TranslationKind KindOf(Code code) => Kinds[(int)code];

    private static TranslationKind[] Make()
    {
        var kinds = new TranslationKind[Enum.GetValues<Code>().Length];
        for (int i = 1; i < kinds.Length; i++) kinds[i] = Classify((Code)i);
        return kinds;
    }

    private static TranslationKind Classify(Code code)
    {
        OpCodeInfo info = code.ToOpCode();
        if (info.Encoding != EncodingKind.Legacy) return TranslationKind.CallOut;
        if (code.IsJccShortOrNear()) return TranslationKind.ConditionalJump;
        if (code.IsJmpShortOrNear()) return TranslationKind.Jump;
        if (code.IsCallNear()) return TranslationKind.Call;
        if (code.IsJmpNearIndirect()) return TranslationKind.JumpIndirect;
        if (code.IsCallNearIndirect()) return TranslationKind.CallIndirect;
        if (X87Table.IsNative(code)) return TranslationKind.X87;
        switch (code.Mnemonic())
        {
            case Mnemonic.Mov:
                return HasSystemOperand(info) ? ClassifySystemMove(code) : TranslationKind.Ident;
            case Mnemonic.Movzx or Mnemonic.Movsx or Mnemonic.Movsxd or Mnemonic.Movbe or Mnemonic.Movnti
                or Mnemonic.Add or Mnemonic.Or or Mnemonic.Adc or Mnemonic.Sbb or Mnemonic.And or Mnemonic.Sub or Mnemonic.Xor or Mnemonic.Cmp
                or Mnemonic.Test or Mnemonic.Inc or Mnemonic.Dec or Mnemonic.Neg or Mnemonic.Not or Mnemonic.Imul or Mnemonic.Mul
                or Mnemonic.Shl or Mnemonic.Sal or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Rol or Mnemonic.Ror or Mnemonic.Rcl or Mnemonic.Rcr
                or Mnemonic.Shld or Mnemonic.Shrd or Mnemonic.Bsf or Mnemonic.Bsr or Mnemonic.Bswap
                or Mnemonic.Xchg or Mnemonic.Xadd or Mnemonic.Cmpxchg or Mnemonic.Cmpxchg8b or Mnemonic.Cmpxchg16b
                or Mnemonic.Cbw or Mnemonic.Cwde or Mnemonic.Cdqe or Mnemonic.Cwd or Mnemonic.Cdq or Mnemonic.Cqo
                or Mnemonic.Lahf or Mnemonic.Sahf or Mnemonic.Clc or Mnemonic.Stc or Mnemonic.Cmc
                or Mnemonic.Popcnt or Mnemonic.Crc32 or Mnemonic.Lfence or Mnemonic.Mfence or Mnemonic.Sfence or Mnemonic.Pause:
            case Mnemonic.Cmova or Mnemonic.Cmovae or Mnemonic.Cmovb or Mnemonic.Cmovbe or Mnemonic.Cmove or Mnemonic.Cmovg or Mnemonic.Cmovge
                or Mnemonic.Cmovl or Mnemonic.Cmovle or Mnemonic.Cmovne or Mnemonic.Cmovno or Mnemonic.Cmovnp or Mnemonic.Cmovns
                or Mnemonic.Cmovo or Mnemonic.Cmovp or Mnemonic.Cmovs:
            case Mnemonic.Seta or Mnemonic.Setae or Mnemonic.Setb or Mnemonic.Setbe or Mnemonic.Sete or Mnemonic.Setg or Mnemonic.Setge
                or Mnemonic.Setl or Mnemonic.Setle or Mnemonic.Setne or Mnemonic.Setno or Mnemonic.Setnp or Mnemonic.Setns
                or Mnemonic.Seto or Mnemonic.Setp or Mnemonic.Sets:
                return TranslationKind.Ident;
            case Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc:
                // With a bit offset in a register the memory operand is a bit string that may reach anywhere.
                return TranslationKind.Ident;
            case Mnemonic.Div or Mnemonic.Idiv:
                return TranslationKind.IdentThatFaults;
            case Mnemonic.Lea:
                return TranslationKind.AddressOf;
            case Mnemonic.Nop or Mnemonic.Reservednop or Mnemonic.Endbr32 or Mnemonic.Endbr64 or Mnemonic.Prefetchnta or Mnemonic.Prefetcht0
                or Mnemonic.Prefetcht1 or Mnemonic.Prefetcht2 or Mnemonic.Prefetchw:
                return TranslationKind.NoOperation;
            case Mnemonic.Jcxz or Mnemonic.Jecxz or Mnemonic.Jrcxz or Mnemonic.Loop:
                return TranslationKind.CounterJump;
            case Mnemonic.Ret:
                return TranslationKind.Return;
            case Mnemonic.Push:
                return HasSystemOperand(info) ? TranslationKind.PushSelector : TranslationKind.Push;
            case Mnemonic.Pop:
                return HasSystemOperand(info) ? TranslationKind.CallOut : TranslationKind.Pop;
            case Mnemonic.Leave:
                return TranslationKind.Leave;
            case Mnemonic.Cli:
                return TranslationKind.ClearInterrupts;
            case Mnemonic.Sti:
                return TranslationKind.SetInterrupts;
            case Mnemonic.Ldmxcsr:
                return TranslationKind.LoadMxcsr;
            case Mnemonic.Pushf or Mnemonic.Pushfd or Mnemonic.Pushfq:
                return TranslationKind.PushFlags;
            case Mnemonic.Popf or Mnemonic.Popfd or Mnemonic.Popfq:
                return TranslationKind.PopFlags;
            case Mnemonic.Cld:
                return TranslationKind.ClearDirection;
            case Mnemonic.Std:
                return TranslationKind.SetDirection;
            case Mnemonic.Swapgs:
                return TranslationKind.SwapGs;
            case Mnemonic.Rdfsbase or Mnemonic.Rdgsbase:
                return TranslationKind.ReadBase;
            case Mnemonic.Wrfsbase or Mnemonic.Wrgsbase:
                return TranslationKind.WriteBase;
            case Mnemonic.Clac:
                return TranslationKind.ClearAccess;
            case Mnemonic.Stac:
                return TranslationKind.SetAccess;
            case Mnemonic.Movsb or Mnemonic.Movsw or Mnemonic.Movsq or Mnemonic.Stosb or Mnemonic.Stosw or Mnemonic.Stosd or Mnemonic.Stosq
                or Mnemonic.Lodsb or Mnemonic.Lodsw or Mnemonic.Lodsd or Mnemonic.Lodsq or Mnemonic.Scasb or Mnemonic.Scasw or Mnemonic.Scasd or Mnemonic.Scasq
                or Mnemonic.Cmpsb or Mnemonic.Cmpsw or Mnemonic.Cmpsq:
                return TranslationKind.String;
            case Mnemonic.Movsd when code == Code.Movsd_m32_m32:
            case Mnemonic.Cmpsd when code == Code.Cmpsd_m32_m32:
                return TranslationKind.String;
            case Mnemonic.Maskmovdqu or Mnemonic.Maskmovq or Mnemonic.Monitor
                or Mnemonic.Mwait or Mnemonic.Clflush:
                return TranslationKind.CallOut;
            default:
                return IsSimd(code, info) ? TranslationKind.Simd : TranslationKind.CallOut;
        }
    }

    private static TranslationKind ClassifySystemMove(Code code) => code switch
    {
        Code.Mov_r32_cr or Code.Mov_r64_cr => TranslationKind.ReadControl,
        Code.Mov_rm16_Sreg or Code.Mov_r32m16_Sreg or Code.Mov_r64m16_Sreg => TranslationKind.ReadSelector,
        _ => TranslationKind.CallOut,
    };

    /// <summary>Segment, control and debug registers.</summary>
    private static bool HasSystemOperand(OpCodeInfo info)
    {
        for (int i = 0; i < info.OpCount; i++)
        {
            switch (info.GetOpKind(i))
            {
                case OpCodeOperandKind.seg_reg or OpCodeOperandKind.cr_reg or OpCodeOperandKind.dr_reg
                    or OpCodeOperandKind.tr_reg or OpCodeOperandKind.es or OpCodeOperandKind.cs or OpCodeOperandKind.ss
                    or OpCodeOperandKind.ds or OpCodeOperandKind.fs or OpCodeOperandKind.gs:
                    return true;
            }
        }

        return false;
    }

    private static bool IsSimd(Code code, OpCodeInfo info)
    {
        bool any = false;
        foreach (CpuidFeature feature in code.CpuidFeatures())
        {
            if (feature is not (CpuidFeature.SSE or CpuidFeature.SSE2 or CpuidFeature.SSE3 or CpuidFeature.SSSE3 or CpuidFeature.SSE4_1
                or CpuidFeature.SSE4_2)) return false;
            any = true;
        }

        for (int i = 0; i < info.OpCount; i++)
        {
            switch (info.GetOpKind(i))
            {
                case OpCodeOperandKind.mm_reg or OpCodeOperandKind.mm_rm or OpCodeOperandKind.mm_or_mem:
                    return false;
            }
        }

        return any;
    }
}
