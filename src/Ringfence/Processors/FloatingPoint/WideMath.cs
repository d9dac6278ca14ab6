using System.Runtime.CompilerServices;

namespace Ringfence.Processors.FloatingPoint;

/// <summary>Integer arithmetic of 128 bits, in halves, that floating-point arithmetic is made of.</summary>
internal static class WideMath
{
    /// <summary>Shifts right; every bit shifted out makes bit 0 of the result 1 ("jamming"), which keeps rounding exact.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong ShiftRightJam(ulong value, int count)
    {
        if (count >= 64) return value != 0 ? 1UL : 0;
        return (value >> count) | ((value & ((1UL << count) - 1)) != 0 ? 1UL : 0);
    }

    /// <summary>As <see cref="ShiftRightJam(ulong, int)"/>, for 128 bits.</summary>
    public static void ShiftRightJam(ref ulong high, ref ulong low, int count)
    {
        if (count == 0) return;
        if (count < 64)
        {
            ulong lost = low << (64 - count);
            low = (high << (64 - count)) | (low >> count) | (lost != 0 ? 1UL : 0);
            high >>= count;
        }
        else if (count < 128)
        {
            bool lost = low != 0 || (count > 64 && (high << (128 - count)) != 0);
            low = (high >> (count - 64)) | (lost ? 1UL : 0);
            high = 0;
        }
        else
        {
            low = (high | low) != 0 ? 1UL : 0;
            high = 0;
        }
    }

    /// <summary>Quotient and remainder of (high:low) / divisor; high must be less than divisor, whose bit 63 must be set.</summary>
    public static ulong Divide(ulong high, ulong low, ulong divisor, out ulong remainder)
    {
        // Schoolbook division in base 2^32: each digit is estimated from the divisor's upper half and is at most two too large.
        ulong divisorHigh = divisor >> 32;
        ulong divisorLow = (uint)divisor;
        ulong q1 = DivideDigit(high, low >> 32, divisorHigh, divisorLow);
        ulong rest = unchecked((high << 32) + (low >> 32) - (q1 * divisor));
        ulong q0 = DivideDigit(rest, (uint)low, divisorHigh, divisorLow);
        remainder = unchecked((rest << 32) + (uint)low - (q0 * divisor));
        return (q1 << 32) | q0;
    }

    /// <summary>
    /// Floor of the square root of (high:low), which must be at least 2^126, and whether the rest exceeds zero and the
    /// root (the fraction cut off is then more than a half).
    /// </summary>
    public static ulong SquareRoot(ulong high, ulong low, out bool inexact, out bool aboveHalf)
    {
        UInt128 value = new(high, low);
        ulong root;
        if (high == ulong.MaxValue)
        {
            root = ulong.MaxValue;
        }
        else
        {
            // The host's square root has some 52 right bits; one Newton step makes it right to the last place or next to it.
            double estimate = Math.Sqrt(high) * 4294967296.0;
            root = estimate >= 18446744073709549568.0 ? ulong.MaxValue : (ulong)estimate;
            if (root <= high) root = ulong.MaxValue;
            ulong quotient = Divide(high, low, root, out _);
            root = (root >> 1) + (quotient >> 1) + (root & quotient & 1);
        }

        UInt128 square = Multiply(root, root);
        while (square > value)
        {
            root--;
            square = Multiply(root, root);
        }

        UInt128 rest = value - square;
        while (rest > (UInt128)root << 1)
        {
            rest -= ((UInt128)root << 1) + 1;
            root++;
        }

        inexact = rest != 0;
        aboveHalf = rest > root;
        return root;
    }

    /// <summary>The full product.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static UInt128 Multiply(ulong a, ulong b)
    {
        ulong high = Math.BigMul(a, b, out ulong low);
        return new UInt128(high, low);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong DivideDigit(ulong high, ulong next, ulong divisorHigh, ulong divisorLow)
    {
        ulong digit = high / divisorHigh;
        ulong rest = high - (digit * divisorHigh);
        while (digit >> 32 != 0 || digit * divisorLow > ((rest << 32) | next))
        {
            digit--;
            rest += divisorHigh;
            if (rest >> 32 != 0) break;
        }

        return digit;
    }
}
