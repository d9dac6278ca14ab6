using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>
/// RCPPS, RCPSS, RSQRTPS, RSQRTSS: relative error at most 1.5 * 2^-12, no exceptions, denormals are zeros, MXCSR is not looked at
/// (Intel SDM 2B). The host's own approximation where it has one.
/// </summary>
internal static class Approximations
{
    /// <summary>RCPPS.</summary>
    internal readonly struct Reciprocal : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Sse.IsSupported ? Sse.Reciprocal(b.AsSingle()).AsByte() : Portable(b, squareRoot: false);
    }

    /// <summary>RSQRTPS.</summary>
    internal readonly struct ReciprocalSquareRoot : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Sse.IsSupported ? Sse.ReciprocalSqrt(b.AsSingle()).AsByte() : Portable(b, squareRoot: true);
    }

    /// <summary>The scalar form of one of them: the destination's other elements stay.</summary>
    internal readonly struct Lowest<TOperation> : IPackedOperation
        where TOperation : struct, IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            ShuffleOperations.ReplaceLowDoubleword.Apply(a, TOperation.Apply(a, b));
    }

    private static Vector128<byte> Portable(Vector128<byte> source, bool squareRoot)
    {
        Vector128<float> result = default;
        for (int i = 0; i < 4; i++)
        {
            float value = source.AsSingle().GetElement(i);
            if (float.IsSubnormal(value)) value = float.CopySign(0, value);
            float estimate = 1 / (squareRoot ? MathF.Sqrt(value) : value);
            if (float.IsNaN(value)) estimate = BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(value) | 0x40_0000);
            else if (float.IsNaN(estimate)) estimate = BitConverter.UInt32BitsToSingle(0xffc0_0000);
            else if (float.IsSubnormal(estimate)) estimate = float.CopySign(0, estimate);
            result = result.WithElement(i, estimate);
        }

        return result.AsByte();
    }
}
