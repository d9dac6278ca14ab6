using Iced.Intel;
using static Ringfence.Processors.Instructions.Simd.Approximations;
using Ops = Ringfence.Processors.Instructions.Simd.FloatingOperations;
using Predicates = Ringfence.Processors.Instructions.Simd.FloatingComparisons;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>Which handler is which floating-point instruction.</summary>
internal static unsafe class FloatingSelection
{
    /// <summary>The handler, or null if the instruction is not here.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing
    {
        Handler handler = SelectArithmetic<TAddressing>(instruction);
        if (handler is null) handler = SelectComparison<TAddressing>(instruction);
        if (handler is null) handler = SelectOthers<TAddressing>(instruction);
        return handler;
    }

    private static Handler SelectArithmetic<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing => instruction.Mnemonic switch
        {
            Mnemonic.Addps => Packed<Ops.Add, uint, TAddressing>(instruction),
            Mnemonic.Addpd => Packed<Ops.Add, ulong, TAddressing>(instruction),
            Mnemonic.Addss => Scalar<Ops.Add, uint, TAddressing>(instruction),
            Mnemonic.Addsd => Scalar<Ops.Add, ulong, TAddressing>(instruction),
            Mnemonic.Subps => Packed<Ops.Subtract, uint, TAddressing>(instruction),
            Mnemonic.Subpd => Packed<Ops.Subtract, ulong, TAddressing>(instruction),
            Mnemonic.Subss => Scalar<Ops.Subtract, uint, TAddressing>(instruction),
            Mnemonic.Subsd => Scalar<Ops.Subtract, ulong, TAddressing>(instruction),
            Mnemonic.Mulps => Packed<Ops.Multiply, uint, TAddressing>(instruction),
            Mnemonic.Mulpd => Packed<Ops.Multiply, ulong, TAddressing>(instruction),
            Mnemonic.Mulss => Scalar<Ops.Multiply, uint, TAddressing>(instruction),
            Mnemonic.Mulsd => Scalar<Ops.Multiply, ulong, TAddressing>(instruction),
            Mnemonic.Divps => Packed<Ops.Divide, uint, TAddressing>(instruction),
            Mnemonic.Divpd => Packed<Ops.Divide, ulong, TAddressing>(instruction),
            Mnemonic.Divss => Scalar<Ops.Divide, uint, TAddressing>(instruction),
            Mnemonic.Divsd => Scalar<Ops.Divide, ulong, TAddressing>(instruction),
            Mnemonic.Sqrtps => Packed<Ops.SquareRoot, uint, TAddressing>(instruction),
            Mnemonic.Sqrtpd => Packed<Ops.SquareRoot, ulong, TAddressing>(instruction),
            Mnemonic.Sqrtss => Scalar<Ops.SquareRoot, uint, TAddressing>(instruction),
            Mnemonic.Sqrtsd => Scalar<Ops.SquareRoot, ulong, TAddressing>(instruction),
            Mnemonic.Minps => Packed<Ops.Minimum, uint, TAddressing>(instruction),
            Mnemonic.Minpd => Packed<Ops.Minimum, ulong, TAddressing>(instruction),
            Mnemonic.Minss => Scalar<Ops.Minimum, uint, TAddressing>(instruction),
            Mnemonic.Minsd => Scalar<Ops.Minimum, ulong, TAddressing>(instruction),
            Mnemonic.Maxps => Packed<Ops.Maximum, uint, TAddressing>(instruction),
            Mnemonic.Maxpd => Packed<Ops.Maximum, ulong, TAddressing>(instruction),
            Mnemonic.Maxss => Scalar<Ops.Maximum, uint, TAddressing>(instruction),
            Mnemonic.Maxsd => Scalar<Ops.Maximum, ulong, TAddressing>(instruction),
            Mnemonic.Haddps => Packed<Ops.HorizontalAdd, uint, TAddressing>(instruction),
            Mnemonic.Haddpd => Packed<Ops.HorizontalAdd, ulong, TAddressing>(instruction),
            Mnemonic.Hsubps => Packed<Ops.HorizontalSubtract, uint, TAddressing>(instruction),
            Mnemonic.Hsubpd => Packed<Ops.HorizontalSubtract, ulong, TAddressing>(instruction),
            Mnemonic.Addsubps => Packed<Ops.AddSubtract, uint, TAddressing>(instruction),
            Mnemonic.Addsubpd => Packed<Ops.AddSubtract, ulong, TAddressing>(instruction),
            _ => null,
        };

    private static Handler SelectComparison<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing
    {
        bool register = instruction.Op1Kind == OpKind.Register;
        switch (instruction.Code)
        {
            case Code.Comiss_xmm_xmmm32 or Code.Ucomiss_xmm_xmmm32:
                return register ? &FloatingCompareFlags<uint, TAddressing>.Register : &FloatingCompareFlags<uint, TAddressing>.Memory;
            case Code.Comisd_xmm_xmmm64 or Code.Ucomisd_xmm_xmmm64:
                return register ? &FloatingCompareFlags<ulong, TAddressing>.Register : &FloatingCompareFlags<ulong, TAddressing>.Memory;
            case Code.Cmpps_xmm_xmmm128_imm8:
                return SelectPredicate<uint, TAddressing>(instruction, scalar: false);
            case Code.Cmppd_xmm_xmmm128_imm8:
                return SelectPredicate<ulong, TAddressing>(instruction, scalar: false);
            case Code.Cmpss_xmm_xmmm32_imm8:
                return SelectPredicate<uint, TAddressing>(instruction, scalar: true);
            case Code.Cmpsd_xmm_xmmm64_imm8:
                return SelectPredicate<ulong, TAddressing>(instruction, scalar: true);
            default:
                return null;
        }
    }

    private static Handler SelectOthers<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing
    {
        bool register = instruction.Op1Kind == OpKind.Register;
        return instruction.Mnemonic switch
        {
            Mnemonic.Roundps => register ? &FloatingRound<uint, TAddressing>.PackedRegister : &FloatingRound<uint, TAddressing>.PackedMemory,
            Mnemonic.Roundpd => register ? &FloatingRound<ulong, TAddressing>.PackedRegister : &FloatingRound<ulong, TAddressing>.PackedMemory,
            Mnemonic.Roundss => register ? &FloatingRound<uint, TAddressing>.ScalarRegister : &FloatingRound<uint, TAddressing>.ScalarMemory,
            Mnemonic.Roundsd => register ? &FloatingRound<ulong, TAddressing>.ScalarRegister : &FloatingRound<ulong, TAddressing>.ScalarMemory,
            Mnemonic.Dpps => register ? &FloatingDotProduct<uint, TAddressing>.Register : &FloatingDotProduct<uint, TAddressing>.Memory,
            Mnemonic.Dppd => register ? &FloatingDotProduct<ulong, TAddressing>.Register : &FloatingDotProduct<ulong, TAddressing>.Memory,
            Mnemonic.Rcpps => PackedSelection.Form<Reciprocal, TAddressing>(instruction),
            Mnemonic.Rsqrtps => PackedSelection.Form<ReciprocalSquareRoot, TAddressing>(instruction),
            Mnemonic.Rcpss => PackedSelection.Element<Lowest<Reciprocal>, uint, TAddressing>(instruction),
            Mnemonic.Rsqrtss => PackedSelection.Element<Lowest<ReciprocalSquareRoot>, uint, TAddressing>(instruction),
            Mnemonic.Ptest => register ? &PackedTest<TAddressing>.Register : &PackedTest<TAddressing>.Memory,
            Mnemonic.Pcmpestri or Mnemonic.Pcmpestri64 or Mnemonic.Pcmpestrm or Mnemonic.Pcmpestrm64 or Mnemonic.Pcmpistri or Mnemonic.Pcmpistrm =>
                register ? &PackedStrings<TAddressing>.Register : &PackedStrings<TAddressing>.Memory,
            _ => null,
        };
    }

    /// <summary>Legacy encodings use bits 2:0 of the immediate.</summary>
    private static Handler SelectPredicate<T, TAddressing>(in Instruction instruction, bool scalar)
        where T : unmanaged, System.Numerics.IBinaryInteger<T>, System.Numerics.IUnsignedNumber<T>
        where TAddressing : struct, IAddressing => (instruction.Immediate8 & 7) switch
        {
            0 => Either<Predicates.Equal, T, TAddressing>(instruction, scalar),
            1 => Either<Predicates.LessThan, T, TAddressing>(instruction, scalar),
            2 => Either<Predicates.LessThanOrEqual, T, TAddressing>(instruction, scalar),
            3 => Either<Predicates.Unordered, T, TAddressing>(instruction, scalar),
            4 => Either<Predicates.Opposite<Predicates.Equal>, T, TAddressing>(instruction, scalar),
            5 => Either<Predicates.Opposite<Predicates.LessThan>, T, TAddressing>(instruction, scalar),
            6 => Either<Predicates.Opposite<Predicates.LessThanOrEqual>, T, TAddressing>(instruction, scalar),
            _ => Either<Predicates.Opposite<Predicates.Unordered>, T, TAddressing>(instruction, scalar),
        };

    private static Handler Either<TOperation, T, TAddressing>(in Instruction instruction, bool scalar)
        where TOperation : struct, IFloatingOperation
        where T : unmanaged, System.Numerics.IBinaryInteger<T>, System.Numerics.IUnsignedNumber<T>
        where TAddressing : struct, IAddressing => scalar
            ? Scalar<TOperation, T, TAddressing>(instruction)
            : Packed<TOperation, T, TAddressing>(instruction);

    private static Handler Packed<TOperation, T, TAddressing>(in Instruction instruction)
        where TOperation : struct, IFloatingOperation
        where T : unmanaged, System.Numerics.IBinaryInteger<T>, System.Numerics.IUnsignedNumber<T>
        where TAddressing : struct, IAddressing => instruction.Op1Kind == OpKind.Register
            ? &FloatingArithmetic<TOperation, T, TAddressing>.PackedRegister
            : &FloatingArithmetic<TOperation, T, TAddressing>.PackedMemory;

    private static Handler Scalar<TOperation, T, TAddressing>(in Instruction instruction)
        where TOperation : struct, IFloatingOperation
        where T : unmanaged, System.Numerics.IBinaryInteger<T>, System.Numerics.IUnsignedNumber<T>
        where TAddressing : struct, IAddressing => instruction.Op1Kind == OpKind.Register
            ? &FloatingArithmetic<TOperation, T, TAddressing>.ScalarRegister
            : &FloatingArithmetic<TOperation, T, TAddressing>.ScalarMemory;
}
