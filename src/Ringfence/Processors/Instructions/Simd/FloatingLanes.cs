using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>Tests on vectors of magnitudes (floating-point bits without the sign), whose answers are the elements' sign bits.</summary>
internal static unsafe class FloatingLanes
{
    private const uint ModesAndPrecision = 0xffe0;
    private const uint DefaultWithPrecision = 0x1fa0;

    /// <summary>
    /// Rounding to nearest, no DAZ, no FTZ, everything masked, and PE already set: an inexact normal result changes nothing but the
    /// destination.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsDefault(VcpuState* s) => (s->Mxcsr & ModesAndPrecision) == DefaultWithPrecision;

    /// <summary>Clears the signs.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<T> Magnitude<T>(Vector128<byte> value)
        where T : unmanaged
    {
        if (sizeof(T) == 4) return (value.AsUInt32() & Vector128.Create(0x7fff_ffffu)).As<uint, T>();
        return (value.AsUInt64() & Vector128.Create(0x7fff_ffff_ffff_ffffUL)).As<ulong, T>();
    }

    /// <summary>The smallest normal number, plus an offset.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<T> LeastNormal<T>(int offset)
        where T : unmanaged
    {
        if (sizeof(T) == 4) return Vector128.Create(0x0080_0000u + (uint)offset).As<uint, T>();
        return Vector128.Create(0x0010_0000_0000_0000UL + (ulong)(long)offset).As<ulong, T>();
    }

    /// <summary>Denormal and not zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<T> IsDenormal<T>(Vector128<T> magnitude)
        where T : unmanaged => (magnitude - LeastNormal<T>(0)) & (Vector128<T>.Zero - magnitude);

    /// <summary>Infinite or NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<T> IsSpecial<T>(Vector128<T> magnitude)
        where T : unmanaged => magnitude + LeastNormal<T>(0);

    /// <summary>NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<T> IsNan<T>(Vector128<T> magnitude)
        where T : unmanaged => magnitude + LeastNormal<T>(-1);

    /// <summary>Zero, denormal, or the smallest normal number, which may be a tiny value rounded up.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<T> IsTiny<T>(Vector128<T> magnitude)
        where T : unmanaged => magnitude - LeastNormal<T>(1);

    /// <summary>Not zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<T> IsNotZero<T>(Vector128<T> magnitude)
        where T : unmanaged => Vector128<T>.Zero - magnitude;

    /// <summary>
    /// Records the flags of an instruction whose elements are all done, and tells whether it completes (Intel SDM 1 11.5.2). If not, the
    /// handler raises #XM and leaves its destination alone.
    /// </summary>
    public static bool TryFinish(VcpuState* s, in FloatContext context)
    {
        s->Mxcsr |= (uint)context.Reported;
        return context.Unmasked == 0;
    }

    /// <summary>The element at <paramref name="index"/> of two words.</summary>
    public static T Element<T>(ulong* words, int index)
        where T : unmanaged, IBinaryInteger<T> => ((T*)words)[index];
}
