using System.Runtime.Intrinsics;
using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>A conversion of all elements. What the result does not fill is 0.</summary>
internal unsafe interface IPackedConversion
{
    /// <summary>The host's result.</summary>
    static abstract Vector128<byte> Apply(Vector128<byte> source);

    /// <summary>Is the host's result what MXCSR asks for, without a new flag?</summary>
    static abstract bool IsFast(VcpuState* s, Vector128<byte> source, Vector128<byte> result);

    /// <summary>The exact way.</summary>
    static abstract Vector128<byte> Exact(Vector128<byte> source, ref FloatContext context);
}
