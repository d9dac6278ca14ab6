using System.Runtime.Intrinsics;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>A packed operation whose immediate says which elements it takes; operands lie in the state.</summary>
internal unsafe interface IControlledOperation
{
    /// <summary>State, destination operand, source operand (may be <see cref="VcpuState.Transfer"/>), immediate, result.</summary>
    static abstract Vector128<byte> Apply(VcpuState* s, byte* a, byte* b, int immediate);
}
