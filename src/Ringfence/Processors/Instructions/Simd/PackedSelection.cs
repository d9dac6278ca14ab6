using Iced.Intel;
using static Ringfence.Processors.Instructions.Simd.ControlledOperations;
using static Ringfence.Processors.Instructions.Simd.PackedOperations;
using static Ringfence.Processors.Instructions.Simd.ShuffleOperations;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>Which handler is which packed instruction.</summary>
internal static unsafe class PackedSelection
{
    /// <summary>The handler, or null if the instruction is not here.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing
    {
        Handler handler = SelectArithmetic<TAddressing>(instruction);
        if (handler is null) handler = SelectComparison<TAddressing>(instruction);
        if (handler is null) handler = SelectShuffle<TAddressing>(instruction);
        if (handler is null) handler = SelectWidening<TAddressing>(instruction);
        if (handler is null) handler = SelectShift<TAddressing>(instruction);
        if (handler is null) handler = SelectControlled<TAddressing>(instruction);
        return handler;
    }

    private static Handler SelectArithmetic<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing => instruction.Mnemonic switch
        {
            Mnemonic.Pand or Mnemonic.Andps or Mnemonic.Andpd => Form<And, TAddressing>(instruction),
            Mnemonic.Pandn or Mnemonic.Andnps or Mnemonic.Andnpd => Form<AndNot, TAddressing>(instruction),
            Mnemonic.Por or Mnemonic.Orps or Mnemonic.Orpd => Form<Or, TAddressing>(instruction),
            Mnemonic.Pxor or Mnemonic.Xorps or Mnemonic.Xorpd => Form<Xor, TAddressing>(instruction),
            Mnemonic.Paddb => Form<Add<byte>, TAddressing>(instruction),
            Mnemonic.Paddw => Form<Add<ushort>, TAddressing>(instruction),
            Mnemonic.Paddd => Form<Add<uint>, TAddressing>(instruction),
            Mnemonic.Paddq => Form<Add<ulong>, TAddressing>(instruction),
            Mnemonic.Psubb => Form<Subtract<byte>, TAddressing>(instruction),
            Mnemonic.Psubw => Form<Subtract<ushort>, TAddressing>(instruction),
            Mnemonic.Psubd => Form<Subtract<uint>, TAddressing>(instruction),
            Mnemonic.Psubq => Form<Subtract<ulong>, TAddressing>(instruction),
            Mnemonic.Paddsb => Form<AddSaturated<sbyte>, TAddressing>(instruction),
            Mnemonic.Paddsw => Form<AddSaturated<short>, TAddressing>(instruction),
            Mnemonic.Paddusb => Form<AddSaturated<byte>, TAddressing>(instruction),
            Mnemonic.Paddusw => Form<AddSaturated<ushort>, TAddressing>(instruction),
            Mnemonic.Psubsb => Form<SubtractSaturated<sbyte>, TAddressing>(instruction),
            Mnemonic.Psubsw => Form<SubtractSaturated<short>, TAddressing>(instruction),
            Mnemonic.Psubusb => Form<SubtractSaturated<byte>, TAddressing>(instruction),
            Mnemonic.Psubusw => Form<SubtractSaturated<ushort>, TAddressing>(instruction),
            Mnemonic.Pmullw => Form<MultiplyLow<ushort>, TAddressing>(instruction),
            Mnemonic.Pmulld => Form<MultiplyLow<uint>, TAddressing>(instruction),
            Mnemonic.Pmulhw => Form<MultiplyHigh, TAddressing>(instruction),
            Mnemonic.Pmulhuw => Form<MultiplyHighUnsigned, TAddressing>(instruction),
            Mnemonic.Pmulhrsw => Form<MultiplyHighRounded, TAddressing>(instruction),
            Mnemonic.Pmuludq => Form<MultiplyEvenUnsigned, TAddressing>(instruction),
            Mnemonic.Pmuldq => Form<MultiplyEven, TAddressing>(instruction),
            Mnemonic.Pmaddwd => Form<MultiplyAdd, TAddressing>(instruction),
            Mnemonic.Pmaddubsw => Form<MultiplyAddBytes, TAddressing>(instruction),
            Mnemonic.Psadbw => Form<SumAbsoluteDifferences, TAddressing>(instruction),
            Mnemonic.Pavgb => Form<Average<byte>, TAddressing>(instruction),
            Mnemonic.Pavgw => Form<Average<ushort>, TAddressing>(instruction),
            Mnemonic.Pabsb => Form<Absolute<sbyte>, TAddressing>(instruction),
            Mnemonic.Pabsw => Form<Absolute<short>, TAddressing>(instruction),
            Mnemonic.Pabsd => Form<Absolute<int>, TAddressing>(instruction),
            Mnemonic.Psignb => Form<Sign<sbyte>, TAddressing>(instruction),
            Mnemonic.Psignw => Form<Sign<short>, TAddressing>(instruction),
            Mnemonic.Psignd => Form<Sign<int>, TAddressing>(instruction),
            Mnemonic.Phaddw => Combined<HorizontalAdd<ushort>, TAddressing>(instruction),
            Mnemonic.Phaddd => Combined<HorizontalAdd<uint>, TAddressing>(instruction),
            Mnemonic.Phaddsw => Combined<HorizontalAddSaturated, TAddressing>(instruction),
            Mnemonic.Phsubw => Combined<HorizontalSubtract<ushort>, TAddressing>(instruction),
            Mnemonic.Phsubd => Combined<HorizontalSubtract<uint>, TAddressing>(instruction),
            Mnemonic.Phsubsw => Combined<HorizontalSubtractSaturated, TAddressing>(instruction),
            Mnemonic.Phminposuw => Form<HorizontalMinimum, TAddressing>(instruction),
            _ => null,
        };

    private static Handler SelectComparison<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing => instruction.Mnemonic switch
        {
            Mnemonic.Pcmpeqb => Form<Equal<byte>, TAddressing>(instruction),
            Mnemonic.Pcmpeqw => Form<Equal<ushort>, TAddressing>(instruction),
            Mnemonic.Pcmpeqd => Form<Equal<uint>, TAddressing>(instruction),
            Mnemonic.Pcmpeqq => Form<Equal<ulong>, TAddressing>(instruction),
            Mnemonic.Pcmpgtb => Form<Greater<sbyte>, TAddressing>(instruction),
            Mnemonic.Pcmpgtw => Form<Greater<short>, TAddressing>(instruction),
            Mnemonic.Pcmpgtd => Form<Greater<int>, TAddressing>(instruction),
            Mnemonic.Pcmpgtq => Form<Greater<long>, TAddressing>(instruction),
            Mnemonic.Pminub => Form<Minimum<byte>, TAddressing>(instruction),
            Mnemonic.Pminuw => Form<Minimum<ushort>, TAddressing>(instruction),
            Mnemonic.Pminud => Form<Minimum<uint>, TAddressing>(instruction),
            Mnemonic.Pminsb => Form<Minimum<sbyte>, TAddressing>(instruction),
            Mnemonic.Pminsw => Form<Minimum<short>, TAddressing>(instruction),
            Mnemonic.Pminsd => Form<Minimum<int>, TAddressing>(instruction),
            Mnemonic.Pmaxub => Form<Maximum<byte>, TAddressing>(instruction),
            Mnemonic.Pmaxuw => Form<Maximum<ushort>, TAddressing>(instruction),
            Mnemonic.Pmaxud => Form<Maximum<uint>, TAddressing>(instruction),
            Mnemonic.Pmaxsb => Form<Maximum<sbyte>, TAddressing>(instruction),
            Mnemonic.Pmaxsw => Form<Maximum<short>, TAddressing>(instruction),
            Mnemonic.Pmaxsd => Form<Maximum<int>, TAddressing>(instruction),
            _ => null,
        };

    private static Handler SelectShuffle<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing => instruction.Mnemonic switch
        {
            Mnemonic.Punpcklbw => Low<UnpackLow<byte>, TAddressing>(instruction),
            Mnemonic.Punpcklwd => Low<UnpackLow<ushort>, TAddressing>(instruction),
            Mnemonic.Punpckldq => Low<UnpackLow<uint>, TAddressing>(instruction),
            Mnemonic.Unpcklps => Form<UnpackLow<uint>, TAddressing>(instruction),
            Mnemonic.Punpcklqdq or Mnemonic.Unpcklpd => Form<UnpackLow<ulong>, TAddressing>(instruction),
            Mnemonic.Punpckhbw => Form<UnpackHigh<byte>, MmxUnpackHigh<byte>, TAddressing>(instruction),
            Mnemonic.Punpckhwd => Form<UnpackHigh<ushort>, MmxUnpackHigh<ushort>, TAddressing>(instruction),
            Mnemonic.Punpckhdq => Form<UnpackHigh<uint>, MmxUnpackHigh<uint>, TAddressing>(instruction),
            Mnemonic.Unpckhps => Form<UnpackHigh<uint>, TAddressing>(instruction),
            Mnemonic.Punpckhqdq or Mnemonic.Unpckhpd => Form<UnpackHigh<ulong>, TAddressing>(instruction),
            Mnemonic.Packsswb => Combined<PackSignedWords, TAddressing>(instruction),
            Mnemonic.Packssdw => Combined<PackSignedDoublewords, TAddressing>(instruction),
            Mnemonic.Packuswb => Combined<PackUnsignedWords, TAddressing>(instruction),
            Mnemonic.Packusdw => Form<PackUnsignedDoublewords, TAddressing>(instruction),
            Mnemonic.Pshufb => Form<ShuffleBytes, MmxShuffleBytes, TAddressing>(instruction),
            _ => null,
        };

    private static Handler SelectWidening<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing => instruction.Mnemonic switch
        {
            Mnemonic.Pmovzxbw => Element<WidenBytesToWords, ulong, TAddressing>(instruction),
            Mnemonic.Pmovzxbd => Element<WidenBytesToDoublewords, uint, TAddressing>(instruction),
            Mnemonic.Pmovzxbq => Element<WidenBytesToQuadwords, ushort, TAddressing>(instruction),
            Mnemonic.Pmovzxwd => Element<WidenWordsToDoublewords, ulong, TAddressing>(instruction),
            Mnemonic.Pmovzxwq => Element<WidenWordsToQuadwords, uint, TAddressing>(instruction),
            Mnemonic.Pmovzxdq => Element<WidenDoublewordsToQuadwords, ulong, TAddressing>(instruction),
            Mnemonic.Pmovsxbw => Element<ExtendBytesToWords, ulong, TAddressing>(instruction),
            Mnemonic.Pmovsxbd => Element<ExtendBytesToDoublewords, uint, TAddressing>(instruction),
            Mnemonic.Pmovsxbq => Element<ExtendBytesToQuadwords, ushort, TAddressing>(instruction),
            Mnemonic.Pmovsxwd => Element<ExtendWordsToDoublewords, ulong, TAddressing>(instruction),
            Mnemonic.Pmovsxwq => Element<ExtendWordsToQuadwords, uint, TAddressing>(instruction),
            Mnemonic.Pmovsxdq => Element<ExtendDoublewordsToQuadwords, ulong, TAddressing>(instruction),
            _ => null,
        };

    private static Handler SelectShift<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing => instruction.Mnemonic switch
        {
            Mnemonic.Psllw => Shift<ShiftLeft<ushort>, TAddressing>(instruction),
            Mnemonic.Pslld => Shift<ShiftLeft<uint>, TAddressing>(instruction),
            Mnemonic.Psllq => Shift<ShiftLeft<ulong>, TAddressing>(instruction),
            Mnemonic.Psrlw => Shift<ShiftRight<ushort>, TAddressing>(instruction),
            Mnemonic.Psrld => Shift<ShiftRight<uint>, TAddressing>(instruction),
            Mnemonic.Psrlq => Shift<ShiftRight<ulong>, TAddressing>(instruction),
            Mnemonic.Psraw => Shift<ShiftRightArithmetic<short>, TAddressing>(instruction),
            Mnemonic.Psrad => Shift<ShiftRightArithmetic<int>, TAddressing>(instruction),
            _ => null,
        };

    private static Handler SelectControlled<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing => instruction.Mnemonic switch
        {
            Mnemonic.Pshufd => Controlled<ShuffleDoublewords, TAddressing>(instruction),
            Mnemonic.Pshuflw => Controlled<ShuffleLowWords, TAddressing>(instruction),
            Mnemonic.Pshufhw => Controlled<ShuffleHighWords, TAddressing>(instruction),
            Mnemonic.Pshufw => Controlled<MmxShuffleWords, TAddressing>(instruction),
            Mnemonic.Shufps => Controlled<ShuffleSingles, TAddressing>(instruction),
            Mnemonic.Shufpd => Controlled<ShuffleDoubles, TAddressing>(instruction),
            Mnemonic.Pslldq => Controlled<ShiftLeftBytes, TAddressing>(instruction),
            Mnemonic.Psrldq => Controlled<ShiftRightBytes, TAddressing>(instruction),
            Mnemonic.Palignr => instruction.Op0Register.IsMM()
                ? Controlled<MmxAlignRight, TAddressing>(instruction) : Controlled<AlignRight, TAddressing>(instruction),
            Mnemonic.Blendps => Controlled<Blend<uint>, TAddressing>(instruction),
            Mnemonic.Blendpd => Controlled<Blend<ulong>, TAddressing>(instruction),
            Mnemonic.Pblendw => Controlled<Blend<ushort>, TAddressing>(instruction),
            Mnemonic.Blendvps => Controlled<VariableBlend<uint>, TAddressing>(instruction),
            Mnemonic.Blendvpd => Controlled<VariableBlend<ulong>, TAddressing>(instruction),
            Mnemonic.Pblendvb => Controlled<VariableBlend<byte>, TAddressing>(instruction),
            Mnemonic.Mpsadbw => Controlled<MultipleSums, TAddressing>(instruction),
            Mnemonic.Insertps => instruction.Op1Kind == OpKind.Register
                ? &PackedControlled<InsertSingle, TAddressing>.XmmRegister
                : &PackedControlled<InsertSingleFromMemory, TAddressing>.XmmElement<uint>,
            _ => null,
        };

    /// <summary>xmm, xmm/m128 or mm, mm/m64.</summary>
    public static Handler Form<TOperation, TAddressing>(in Instruction instruction)
        where TOperation : struct, IPackedOperation
        where TAddressing : struct, IAddressing => Form<TOperation, TOperation, TAddressing>(instruction);

    /// <summary>xmm, xmm/m of an element's size.</summary>
    public static Handler Element<TOperation, T, TAddressing>(in Instruction instruction)
        where TOperation : struct, IPackedOperation
        where T : unmanaged
        where TAddressing : struct, IAddressing => instruction.Op1Kind == OpKind.Register
            ? &Packed<TOperation, TAddressing>.XmmRegister
            : &Packed<TOperation, TAddressing>.XmmElement<T>;

    private static Handler Form<TOperation, TMmx, TAddressing>(in Instruction instruction)
        where TOperation : struct, IPackedOperation
        where TMmx : struct, IPackedOperation
        where TAddressing : struct, IAddressing
    {
        bool register = instruction.Op1Kind == OpKind.Register;
        if (instruction.Op0Register.IsMM())
            return register ? &Packed<TMmx, TAddressing>.MmxRegister : &Packed<TMmx, TAddressing>.MmxMemory<ulong>;
        return register ? &Packed<TOperation, TAddressing>.XmmRegister : &Packed<TOperation, TAddressing>.XmmMemory;
    }

    private static Handler Combined<TOperation, TAddressing>(in Instruction instruction)
        where TOperation : struct, IPackedOperation
        where TAddressing : struct, IAddressing => Form<TOperation, MmxCombined<TOperation>, TAddressing>(instruction);

    /// <summary>The low unpacks read only 32 bits of memory for an MMX destination.</summary>
    private static Handler Low<TOperation, TAddressing>(in Instruction instruction)
        where TOperation : struct, IPackedOperation
        where TAddressing : struct, IAddressing
    {
        if (instruction.Op0Register.IsMM() && instruction.Op1Kind != OpKind.Register)
            return &Packed<TOperation, TAddressing>.MmxMemory<uint>;
        return Form<TOperation, TAddressing>(instruction);
    }

    private static Handler Shift<TOperation, TAddressing>(in Instruction instruction)
        where TOperation : struct, IShiftOperation, IPackedOperation
        where TAddressing : struct, IAddressing
    {
        if (instruction.Op1Kind == OpKind.Immediate8)
        {
            return instruction.Op0Register.IsMM()
                ? &PackedShift<TOperation>.MmxImmediate
                : &PackedShift<TOperation>.XmmImmediate;
        }

        return Form<TOperation, TAddressing>(instruction);
    }

    private static Handler Controlled<TOperation, TAddressing>(in Instruction instruction)
        where TOperation : struct, IControlledOperation
        where TAddressing : struct, IAddressing
    {
        bool memory = instruction.Op1Kind == OpKind.Memory;
        if (instruction.Op0Register.IsMM())
            return memory ? &PackedControlled<TOperation, TAddressing>.MmxMemory : &PackedControlled<TOperation, TAddressing>.MmxRegister;
        return memory ? &PackedControlled<TOperation, TAddressing>.XmmMemory : &PackedControlled<TOperation, TAddressing>.XmmRegister;
    }
}
