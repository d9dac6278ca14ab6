using System.Runtime.CompilerServices;

namespace Ringfence.Processors.FloatingPoint;

/// <summary>
/// A floating-point number with a significand of 128 bits and an unbounded exponent, truncated after each operation: what
/// transcendental functions are computed in, so that rounding to 64 bits is the only error that counts.
/// </summary>
/// <param name="Negative">The sign.</param>
/// <param name="Exponent">Power of two of the significand's bit 127.</param>
/// <param name="Significand">Bit 127 is set, or the value is zero.</param>
internal readonly record struct Extended(bool Negative, int Exponent, UInt128 Significand)
{
    /// <summary>1 in fixed point with 127 fraction bits.</summary>
    public static readonly UInt128 FixedOne = UInt128.One << 127;

    /// <summary>Is it zero?</summary>
    public bool IsZero => Significand == 0;

    /// <summary>The value with the other sign.</summary>
    public Extended Negated => this with { Negative = !Negative };

    /// <inheritdoc/>
    public override string ToString() => $"{(Negative ? '-' : '+')}{Significand:x32}p{Exponent}";

    /// <summary>A finite 80-bit value.</summary>
    public static Extended From(Floatx80 value)
    {
        if (value.IsZero) return default;
        ulong significand = value.Unpack(out int exponent);
        return new(value.IsNegative, exponent, new UInt128(significand, 0));
    }

    /// <summary>A small integer.</summary>
    public static Extended From(int value) => From(Floatx80.FromInteger(value));

    /// <summary>significand * 2^(exponent - 127), in any position.</summary>
    public static Extended Normalize(bool negative, int exponent, UInt128 significand)
    {
        if (significand == 0) return default;
        int shift = (int)UInt128.LeadingZeroCount(significand);
        return new(negative, exponent - shift, significand << shift);
    }

    /// <summary>A magnitude below 2 in fixed point with 127 fraction bits.</summary>
    public UInt128 ToFixed() => Exponent < -127 ? UInt128.Zero : Significand >> -Exponent;

    /// <summary>The upper 128 of 256 product bits.</summary>
    public static UInt128 MultiplyHigh(UInt128 a, UInt128 b)
    {
        ulong a1 = (ulong)(a >> 64), a0 = (ulong)a, b1 = (ulong)(b >> 64), b0 = (ulong)b;
        ulong high = Math.BigMul(a1, b1, out ulong highLow);
        ulong cross1 = Math.BigMul(a1, b0, out ulong cross1Low);
        ulong cross2 = Math.BigMul(a0, b1, out ulong cross2Low);
        ulong lowHigh = Math.BigMul(a0, b0, out _);
        UInt128 middle = (UInt128)lowHigh + cross1Low + cross2Low;
        return new UInt128(high, highLow) + cross1 + cross2 + (ulong)(middle >> 64);
    }

    /// <summary>a * b.</summary>
    public static Extended operator *(Extended a, Extended b) =>
        a.IsZero || b.IsZero ? default : Normalize(a.Negative ^ b.Negative, a.Exponent + b.Exponent + 1, MultiplyHigh(a.Significand, b.Significand));

    /// <summary>a / b; b is not zero.</summary>
    public static Extended operator /(Extended a, Extended b)
    {
        if (a.IsZero) return default;
        int exponent = a.Exponent - b.Exponent;
        UInt128 rest = a.Significand;
        UInt128 quotient = 0;
        for (int i = 0; i < 128; i++)
        {
            // The dividend's first bit stands above the divisor's 128 bits from the second round on.
            bool carry = i != 0 && (rest >> 127) != 0;
            if (i != 0) rest <<= 1;
            quotient <<= 1;
            if (carry || rest >= b.Significand)
            {
                rest -= b.Significand;
                quotient |= 1;
            }
        }

        return Normalize(a.Negative ^ b.Negative, exponent, quotient);
    }

    /// <summary>a - b.</summary>
    public static Extended operator -(Extended a, Extended b) => a + b.Negated;

    /// <summary>a + b.</summary>
    public static Extended operator +(Extended a, Extended b)
    {
        if (a.IsZero) return b;
        if (b.IsZero) return a;
        if (a.Exponent < b.Exponent || (a.Exponent == b.Exponent && a.Significand < b.Significand)) (a, b) = (b, a);
        int distance = a.Exponent - b.Exponent;
        UInt128 other = distance > 127 ? 0 : b.Significand >> distance;
        if (a.Negative != b.Negative)
        {
            // What was cut off must not vanish: the difference is a little less.
            if (distance > 127 || other << distance != b.Significand) other += 1;
            return Normalize(a.Negative, a.Exponent, a.Significand - other);
        }

        UInt128 sum = a.Significand + other;
        return sum >= a.Significand
            ? new(a.Negative, a.Exponent, sum)
            : new(a.Negative, a.Exponent + 1, (sum >> 1) | FixedOne);
    }

    /// <summary>
    /// c0 + c1 z + c2 z^2 + ... in fixed point with 127 fraction bits, z having 128 and below 1; with alternating signs the terms must fall.
    /// </summary>
    public static UInt128 Polynomial(UInt128[] coefficients, UInt128 z, bool alternating)
    {
        UInt128 sum = coefficients[^1];
        for (int i = coefficients.Length - 2; i >= 0; i--)
        {
            UInt128 product = MultiplyHigh(sum, z);
            sum = alternating ? coefficients[i] - product : coefficients[i] + product;
        }

        // A z too small to show makes the sum a little less than 1 nevertheless; directed rounding needs to know.
        return alternating && sum == FixedOne ? sum - 1 : sum;
    }

    /// <summary>The square of a magnitude below 1, in fixed point with 128 fraction bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public UInt128 SquareFixed()
    {
        Extended square = this * this;
        return square.Exponent < -128 ? 0 : square.Significand >> (-1 - square.Exponent);
    }
}
