using System.Runtime.Intrinsics;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>
/// A packed operation of two operands; one that has only a source ignores the first. For MMX the operands stand in the low half and
/// only the low half of the result counts.
/// </summary>
internal interface IPackedOperation
{
    /// <summary>Destination operand, source operand, result.</summary>
    static abstract Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b);
}
