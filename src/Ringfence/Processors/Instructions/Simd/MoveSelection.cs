using System.Runtime.Intrinsics;
using Iced.Intel;
using static Ringfence.Processors.Instructions.Simd.PackedOperations;
using static Ringfence.Processors.Instructions.Simd.ShuffleOperations;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>Which handler is which move.</summary>
internal static unsafe class MoveSelection
{
    /// <summary>The handler, or null if the instruction is not here.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing
    {
        Handler handler = SelectVector<TAddressing>(instruction);
        if (handler is null) handler = SelectScalar<TAddressing>(instruction);
        if (handler is null) handler = SelectTransfer<TAddressing>(instruction);
        if (handler is null) handler = SelectElement<TAddressing>(instruction);
        if (handler is null) handler = SelectMasked<TAddressing>(instruction, op);
        return handler;
    }

    private static Handler SelectVector<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Movaps or Mnemonic.Movapd or Mnemonic.Movdqa or Mnemonic.Movntps or Mnemonic.Movntpd or Mnemonic.Movntdq
                or Mnemonic.Movntdqa:
                return instruction.Op0Kind == OpKind.Memory
                    ? &Moves<TAddressing>.StoreAligned
                    : PackedSelection.Form<Move, TAddressing>(instruction);
            case Mnemonic.Movups or Mnemonic.Movupd or Mnemonic.Movdqu or Mnemonic.Lddqu:
                if (instruction.Op0Kind == OpKind.Memory) return &Moves<TAddressing>.Store<Vector128<byte>>;
                return instruction.Op1Kind == OpKind.Memory
                    ? &Packed<Move, TAddressing>.XmmUnaligned
                    : &Packed<Move, TAddressing>.XmmRegister;
            case Mnemonic.Movsldup:
                return PackedSelection.Form<DuplicateEven, TAddressing>(instruction);
            case Mnemonic.Movshdup:
                return PackedSelection.Form<DuplicateOdd, TAddressing>(instruction);
            case Mnemonic.Movddup:
                return PackedSelection.Element<DuplicateLowQuadword, ulong, TAddressing>(instruction);
            case Mnemonic.Movhlps:
                return &Packed<ReplaceLowByHigh, TAddressing>.XmmRegister;
            case Mnemonic.Movlhps:
                return &Packed<UnpackLow<ulong>, TAddressing>.XmmRegister;
            case Mnemonic.Movlps or Mnemonic.Movlpd:
                return instruction.Op0Kind == OpKind.Memory
                    ? &Moves<TAddressing>.Store<ulong>
                    : &Packed<ReplaceLow, TAddressing>.XmmElement<ulong>;
            case Mnemonic.Movhps or Mnemonic.Movhpd:
                return instruction.Op0Kind == OpKind.Memory
                    ? &Moves<TAddressing>.StoreHigh
                    : &Packed<UnpackLow<ulong>, TAddressing>.XmmElement<ulong>;
            default:
                return null;
        }
    }

    /// <summary>By code, for MOVSD is also a string instruction's mnemonic.</summary>
    private static Handler SelectScalar<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing
    {
        bool register = instruction.Op1Kind == OpKind.Register && instruction.Op0Kind == OpKind.Register;
        switch (instruction.Code)
        {
            case Code.Movss_xmm_xmmm32:
                return register ? &Packed<ReplaceLowDoubleword, TAddressing>.XmmRegister : &Packed<Move, TAddressing>.XmmElement<uint>;
            case Code.Movsd_xmm_xmmm64:
                return register ? &Packed<ReplaceLow, TAddressing>.XmmRegister : &Packed<Move, TAddressing>.XmmElement<ulong>;
            case Code.Movss_xmmm32_xmm:
                return register ? &Packed<ReplaceLowDoubleword, TAddressing>.XmmRegister : &Moves<TAddressing>.Store<uint>;
            case Code.Movsd_xmmm64_xmm:
                return register ? &Packed<ReplaceLow, TAddressing>.XmmRegister : &Moves<TAddressing>.Store<ulong>;
            case Code.Movq_xmm_xmmm64:
                return register ? &Packed<MoveLowQuadword, TAddressing>.XmmRegister : &Packed<Move, TAddressing>.XmmElement<ulong>;
            case Code.Movq_xmmm64_xmm:
                return register ? &Packed<MoveLowQuadword, TAddressing>.XmmRegister : &Moves<TAddressing>.Store<ulong>;
            case Code.Movq_mm_mmm64:
                return register ? &Packed<Move, TAddressing>.MmxRegister : &Packed<Move, TAddressing>.MmxMemory<ulong>;
            case Code.Movq_mmm64_mm:
                return register ? &Packed<Move, TAddressing>.MmxRegister : &Moves<TAddressing>.StoreMmx<ulong>;
            case Code.Movntq_m64_mm:
                return &Moves<TAddressing>.StoreMmx<ulong>;
            default:
                return null;
        }
    }

    private static Handler SelectTransfer<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing
    {
        bool register = instruction.Op1Kind == OpKind.Register && instruction.Op0Kind == OpKind.Register;
        switch (instruction.Code)
        {
            case Code.Movd_xmm_rm32:
                return register ? &RegisterMoves.XmmFromGeneral<uint> : &Packed<Move, TAddressing>.XmmElement<uint>;
            case Code.Movq_xmm_rm64:
                return register ? &RegisterMoves.XmmFromGeneral<ulong> : &Packed<Move, TAddressing>.XmmElement<ulong>;
            case Code.Movd_rm32_xmm:
                return register ? &RegisterMoves.DoublewordFromXmm : &Moves<TAddressing>.Store<uint>;
            case Code.Movq_rm64_xmm:
                return register ? &RegisterMoves.QuadwordFromXmm : &Moves<TAddressing>.Store<ulong>;
            case Code.Movd_mm_rm32:
                return register ? &RegisterMoves.MmxFromDoubleword : &Packed<Move, TAddressing>.MmxMemory<uint>;
            case Code.Movq_mm_rm64:
                return register ? &RegisterMoves.MmxFromQuadword : &Packed<Move, TAddressing>.MmxMemory<ulong>;
            case Code.Movd_rm32_mm:
                return register ? &RegisterMoves.DoublewordFromMmx : &Moves<TAddressing>.StoreMmx<uint>;
            case Code.Movq_rm64_mm:
                return register ? &RegisterMoves.QuadwordFromMmx : &Moves<TAddressing>.StoreMmx<ulong>;
            case Code.Movq2dq_xmm_mm:
                return &RegisterMoves.XmmFromMmx;
            case Code.Movdq2q_mm_xmm:
                return &RegisterMoves.MmxFromXmm;
            case Code.Movmskps_r32_xmm or Code.Movmskps_r64_xmm:
                return &RegisterMoves.SignMask<uint>;
            case Code.Movmskpd_r32_xmm or Code.Movmskpd_r64_xmm:
                return &RegisterMoves.SignMask<ulong>;
            case Code.Pmovmskb_r32_xmm or Code.Pmovmskb_r64_xmm:
                return &RegisterMoves.SignMask<byte>;
            case Code.Pmovmskb_r32_mm or Code.Pmovmskb_r64_mm:
                return &RegisterMoves.SignMaskMmx;
            default:
                return null;
        }
    }

    private static Handler SelectElement<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing
    {
        bool register = instruction.Op1Kind == OpKind.Register && instruction.Op0Kind == OpKind.Register;
        switch (instruction.Code)
        {
            case Code.Pextrb_r32m8_xmm_imm8 or Code.Pextrb_r64m8_xmm_imm8:
                return register ? &RegisterMoves.Extract<byte> : &RegisterMoves.ExtractToMemory<byte, TAddressing>;
            case Code.Pextrw_r32_xmm_imm8 or Code.Pextrw_r64_xmm_imm8 or Code.Pextrw_r32m16_xmm_imm8 or Code.Pextrw_r64m16_xmm_imm8:
                return register ? &RegisterMoves.Extract<ushort> : &RegisterMoves.ExtractToMemory<ushort, TAddressing>;
            case Code.Pextrd_rm32_xmm_imm8 or Code.Extractps_rm32_xmm_imm8 or Code.Extractps_r64m32_xmm_imm8:
                return register ? &RegisterMoves.Extract<uint> : &RegisterMoves.ExtractToMemory<uint, TAddressing>;
            case Code.Pextrq_rm64_xmm_imm8:
                return register ? &RegisterMoves.Extract<ulong> : &RegisterMoves.ExtractToMemory<ulong, TAddressing>;
            case Code.Pextrw_r32_mm_imm8 or Code.Pextrw_r64_mm_imm8:
                return &RegisterMoves.ExtractMmx;
            case Code.Pinsrb_xmm_r32m8_imm8 or Code.Pinsrb_xmm_r64m8_imm8:
                return register ? &RegisterMoves.Insert<byte> : &RegisterMoves.InsertFromMemory<byte, TAddressing>;
            case Code.Pinsrw_xmm_r32m16_imm8 or Code.Pinsrw_xmm_r64m16_imm8:
                return register ? &RegisterMoves.Insert<ushort> : &RegisterMoves.InsertFromMemory<ushort, TAddressing>;
            case Code.Pinsrd_xmm_rm32_imm8:
                return register ? &RegisterMoves.Insert<uint> : &RegisterMoves.InsertFromMemory<uint, TAddressing>;
            case Code.Pinsrq_xmm_rm64_imm8:
                return register ? &RegisterMoves.Insert<ulong> : &RegisterMoves.InsertFromMemory<ulong, TAddressing>;
            case Code.Pinsrw_mm_r32m16_imm8 or Code.Pinsrw_mm_r64m16_imm8:
                return register ? &RegisterMoves.InsertMmx : &RegisterMoves.InsertMmxFromMemory<TAddressing>;
            default:
                return null;
        }
    }

    /// <summary>MASKMOVx: the address is (E/R)DI in DS or an override; data and mask are the explicit operands.</summary>
    private static Handler SelectMasked<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (instruction.Code is not (Code.Maskmovdqu_rDI_xmm_xmm or Code.Maskmovq_rDI_mm_mm)) return null;
        bool xmm = instruction.Code == Code.Maskmovdqu_rDI_xmm_xmm;
        Iced.Intel.Register first = xmm ? Iced.Intel.Register.XMM0 : Iced.Intel.Register.MM0;
        op->Destination = (byte)(instruction.Op1Register - first);
        op->Source = (byte)(instruction.Op2Register - first);
        op->Base = 7 * 8;
        op->Index = VcpuState.ZeroSlot * 8;
        op->Scale = 0;
        op->Displacement = 0;
        op->AddressMask = instruction.Op0Kind switch
        {
            OpKind.MemorySegRDI => ulong.MaxValue,
            OpKind.MemorySegEDI => uint.MaxValue,
            _ => ushort.MaxValue,
        };
        return xmm ? &Moves<TAddressing>.MaskedStore : &Moves<TAddressing>.MaskedStoreMmx;
    }
}
