using System.Numerics;
using System.Runtime.Intrinsics;
using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>
/// A floating-point operation on elements, done twice: by the host on whole vectors where that cannot differ from what MXCSR
/// asks for, and exactly, an element at a time. T is <see cref="uint"/> for binary32, <see cref="ulong"/> for binary64.
/// </summary>
internal interface IFloatingOperation
{
    /// <summary>Can a result be inexact? Then the host's is good only in MXCSR's default modes with PE set already.</summary>
    static abstract bool Rounds { get; }

    /// <summary>The first operands of all elements: the destination, unless the operation is horizontal.</summary>
    static virtual Vector128<byte> First<T>(Vector128<byte> a, Vector128<byte> b)
        where T : unmanaged => a;

    /// <summary>The second operands of all elements: the source, unless the operation is horizontal.</summary>
    static virtual Vector128<byte> Second<T>(Vector128<byte> a, Vector128<byte> b)
        where T : unmanaged => b;

    /// <summary>The host's results.</summary>
    static abstract Vector128<byte> Apply<T>(Vector128<byte> a, Vector128<byte> b)
        where T : unmanaged;

    /// <summary>
    /// Sign bits for elements that need the exact way: given are the magnitudes (signs cleared) of both operands and of the
    /// host's result.
    /// </summary>
    static abstract Vector128<T> Suspects<T>(Vector128<T> a, Vector128<T> b, Vector128<T> result)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>;

    /// <summary>One element, exactly.</summary>
    static abstract T Exact<T>(T a, T b, int element, ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>;
}
