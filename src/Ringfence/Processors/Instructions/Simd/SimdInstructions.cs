using Iced.Intel;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>MMX and SSE to SSE4.2 (Intel SDM 1 chapters 9 to 12).</summary>
internal static unsafe class SimdInstructions
{
    /// <summary>The handler of an MMX or SSE instruction, or null if it is none.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (instruction.Encoding != EncodingKind.Legacy) return null;
        Handler handler;
        if (!HasVectorRegister(instruction))
        {
            handler = GeneralSelection.Select<TAddressing>(instruction);
            return handler is null ? ConversionSelection.SelectScalar<TAddressing>(instruction) : handler;
        }

        handler = MoveSelection.Select<TAddressing>(instruction, op);
        if (handler is null) handler = PackedSelection.Select<TAddressing>(instruction);
        if (handler is null) handler = FloatingSelection.Select<TAddressing>(instruction);
        if (handler is null) handler = ConversionSelection.Select<TAddressing>(instruction);
        return handler;
    }

    private static bool HasVectorRegister(in Instruction instruction) =>
        IsVectorRegister(instruction.Op0Register) || IsVectorRegister(instruction.Op1Register);

    private static bool IsVectorRegister(Iced.Intel.Register register) => register.IsXMM() || register.IsMM();
}
