using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>The even and the odd elements of two operands, the first operand's in the low half: what horizontal operations combine.</summary>
internal static unsafe class Neighbours
{
    /// <summary>Elements 0, 2, ... of a, then of b.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Even<T>(Vector128<byte> a, Vector128<byte> b)
        where T : unmanaged
    {
        if (sizeof(T) == 8) return Vector128.Create(a.AsUInt64().GetLower(), b.AsUInt64().GetLower()).AsByte();
        if (sizeof(T) == 4)
        {
            return Vector128.Create(
                Vector128.Shuffle(a.AsUInt32(), Vector128.Create(0u, 2, 0, 2)).GetLower(),
                Vector128.Shuffle(b.AsUInt32(), Vector128.Create(0u, 2, 0, 2)).GetLower()).AsByte();
        }

        return Vector128.Narrow(a.AsUInt32(), b.AsUInt32()).AsByte();
    }

    /// <summary>Elements 1, 3, ... of a, then of b.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Odd<T>(Vector128<byte> a, Vector128<byte> b)
        where T : unmanaged
    {
        if (sizeof(T) == 8) return Vector128.Create(a.AsUInt64().GetUpper(), b.AsUInt64().GetUpper()).AsByte();
        if (sizeof(T) == 4)
        {
            return Vector128.Create(
                Vector128.Shuffle(a.AsUInt32(), Vector128.Create(1u, 3, 1, 3)).GetLower(),
                Vector128.Shuffle(b.AsUInt32(), Vector128.Create(1u, 3, 1, 3)).GetLower()).AsByte();
        }

        return Vector128.Narrow(a.AsUInt32() >>> 16, b.AsUInt32() >>> 16).AsByte();
    }
}
