using System.Runtime.Intrinsics;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>A packed shift: all elements by the same count, the low 64 bits of the second operand, not masked.</summary>
internal interface IShiftOperation
{
    /// <summary>Value, count, result.</summary>
    static abstract Vector128<byte> Apply(Vector128<byte> value, Vector128<byte> count);
}
