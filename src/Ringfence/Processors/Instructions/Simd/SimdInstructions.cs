using Iced.Intel;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>MMX and SSE to SSE4.2 (Intel SDM 1 chapters 9 to 12).</summary>
internal static unsafe class SimdInstructions
{
    /// <summary>The handler of an MMX or SSE instruction, or null if it is none.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing => null;
}
