using System.Numerics;
using System.Runtime.CompilerServices;

namespace Ringfence.Processors.FloatingPoint;

/// <summary>
/// 80-bit arithmetic with the x87's rules (Intel SDM 1 4.8.3.5, 4.9, 8.5): precision control shortens results but not the
/// exponent range; of two NaNs the one with the larger significand wins, a quiet one over a signaling one; unmasked
/// overflow and underflow give a result whose exponent is wrapped by 24576; unsupported encodings are invalid.
/// </summary>
internal static partial class Floatx80Math
{
    private const int Bias = Floatx80.Bias;
    private const ulong IntegerBit = Floatx80.IntegerBit;
    private const int Wrap = 24576;

    /// <summary>a + b.</summary>
    public static Floatx80 Add(Floatx80 a, Floatx80 b, ref FloatContext context) => AddSigned(a, b, b.IsNegative, ref context);

    /// <summary>a - b.</summary>
    public static Floatx80 Subtract(Floatx80 a, Floatx80 b, ref FloatContext context) => AddSigned(a, b, !b.IsNegative, ref context);

    /// <summary>a * b.</summary>
    public static Floatx80 Multiply(Floatx80 a, Floatx80 b, ref FloatContext context)
    {
        bool sign = a.IsNegative ^ b.IsNegative;
        if (!a.IsNormal || !b.IsNormal)
        {
            if (TryPropagateNan(a, b, ref context, out Floatx80 nan)) return nan;
            if (a.IsInfinity || b.IsInfinity)
            {
                if (a.IsZero || b.IsZero) return Invalid(ref context);
                RaiseDenormal(a, b, ref context);
                return Floatx80.Infinity(sign);
            }

            RaiseDenormal(a, b, ref context);
            if (a.IsZero || b.IsZero) return Floatx80.Zero(sign);
        }

        ulong sa = a.Unpack(out int ea);
        ulong sb = b.Unpack(out int eb);
        ulong high = Math.BigMul(sa, sb, out ulong low);
        int exponent = ea + eb + 1;
        if ((long)high >= 0)
        {
            high = (high << 1) | (low >> 63);
            low <<= 1;
            exponent--;
        }

        return Round(sign, exponent, high, low, ref context);
    }

    /// <summary>a / b.</summary>
    public static Floatx80 Divide(Floatx80 a, Floatx80 b, ref FloatContext context)
    {
        bool sign = a.IsNegative ^ b.IsNegative;
        if (!a.IsNormal || !b.IsNormal)
        {
            if (TryPropagateNan(a, b, ref context, out Floatx80 nan)) return nan;
            if (a.IsInfinity)
            {
                if (b.IsInfinity) return Invalid(ref context);
                RaiseDenormal(b, b, ref context);
                return Floatx80.Infinity(sign);
            }

            if (b.IsZero)
            {
                if (a.IsZero) return Invalid(ref context);
                context.Raise(FloatExceptions.ZeroDivide);
                return Floatx80.Infinity(sign);
            }

            RaiseDenormal(a, b, ref context);
            if (a.IsZero || b.IsInfinity) return Floatx80.Zero(sign);
        }

        ulong sa = a.Unpack(out int ea);
        ulong sb = b.Unpack(out int eb);
        int exponent = ea - eb;
        ulong low = 0;
        if (sa >= sb)
        {
            low = sa << 63;
            sa >>= 1;
        }
        else
        {
            exponent--;
        }

        ulong quotient = WideMath.Divide(sa, low, sb, out ulong rest);
        return Round(sign, exponent, quotient, Fraction(rest, sb), ref context);
    }

    /// <summary>The square root of a.</summary>
    public static Floatx80 SquareRoot(Floatx80 a, ref FloatContext context)
    {
        if (TryPropagateNan(a, a, ref context, out Floatx80 nan)) return nan;
        if (a.IsZero) return a;
        if (a.IsNegative) return Invalid(ref context);
        if (a.IsInfinity) return a;
        RaiseDenormal(a, a, ref context);
        ulong significand = a.Unpack(out int exponent);
        bool even = (exponent & 1) == 0;
        ulong root = WideMath.SquareRoot(even ? significand >> 1 : significand, even ? significand << 63 : 0, out bool inexact, out bool aboveHalf);
        return Round(false, exponent >> 1, root, aboveHalf ? (1UL << 63) | 1 : inexact ? 1UL : 0, ref context);
    }

    /// <summary>Compares; FCOM is signaling (any NaN is invalid), FUCOM is quiet.</summary>
    public static FloatRelation Compare(Floatx80 a, Floatx80 b, bool signaling, ref FloatContext context)
    {
        FloatClass classA = a.Class;
        FloatClass classB = b.Class;
        if (classA >= FloatClass.QuietNan || classB >= FloatClass.QuietNan)
        {
            if (signaling || classA > FloatClass.QuietNan || classB > FloatClass.QuietNan) context.Raise(FloatExceptions.Invalid);
            return FloatRelation.Unordered;
        }

        if (classA == FloatClass.Denormal || classB == FloatClass.Denormal) context.Raise(FloatExceptions.Denormal);
        if (classA == FloatClass.Zero && classB == FloatClass.Zero) return FloatRelation.Equal;
        if (a.IsNegative != b.IsNegative) return a.IsNegative ? FloatRelation.Less : FloatRelation.Greater;
        // The exponent of a pseudo-denormal is that of the smallest normal numbers.
        int ea = classA == FloatClass.Denormal ? 1 : a.Exponent;
        int eb = classB == FloatClass.Denormal ? 1 : b.Exponent;
        int order = ea != eb ? ea.CompareTo(eb) : a.Significand.CompareTo(b.Significand);
        if (order == 0) return FloatRelation.Equal;
        return order < 0 != a.IsNegative ? FloatRelation.Less : FloatRelation.Greater;
    }

    /// <summary>To an integral value (FRNDINT).</summary>
    public static Floatx80 RoundToIntegral(Floatx80 a, ref FloatContext context)
    {
        if (TryPropagateNan(a, a, ref context, out Floatx80 nan)) return nan;
        if (a.IsZero || a.Exponent >= Bias + 63) return a;
        RaiseDenormal(a, a, ref context);
        ulong significand = a.Unpack(out int exponent);
        ulong integer = RoundToInteger(significand, exponent, a.IsNegative, ref context);
        return Floatx80FromMagnitude(a.IsNegative, integer);
    }

    /// <summary>FSCALE: a * 2^(b chopped to an integer).</summary>
    public static Floatx80 Scale(Floatx80 a, Floatx80 b, ref FloatContext context)
    {
        if (TryPropagateNan(a, b, ref context, out Floatx80 nan)) return nan;
        if (b.IsInfinity)
        {
            if (b.IsNegative ? a.IsInfinity : a.IsZero) return Invalid(ref context);
            RaiseDenormal(a, a, ref context);
            return b.IsNegative ? Floatx80.Zero(a.IsNegative) : Floatx80.Infinity(a.IsNegative);
        }

        if (a.IsInfinity || a.IsZero)
        {
            RaiseDenormal(b, b, ref context);
            return a;
        }

        RaiseDenormal(a, b, ref context);
        int scale = 0;
        if (b.Exponent >= Bias)
        {
            scale = b.Exponent >= Bias + 17 ? 0x2_0000 : (int)(b.Significand >> (Bias + 63 - b.Exponent));
            if (b.IsNegative) scale = -scale;
        }

        ulong significand = a.Unpack(out int exponent);
        context.Precision = 64;
        return Round(a.IsNegative, exponent + scale, significand, 0, ref context);
    }

    /// <summary>FXTRACT: the exponent as a number, and the significand with the exponent of one.</summary>
    public static Floatx80 Extract(Floatx80 a, ref FloatContext context, out Floatx80 exponent)
    {
        if (TryPropagateNan(a, a, ref context, out Floatx80 nan))
        {
            exponent = nan;
            return nan;
        }

        if (a.IsInfinity)
        {
            exponent = Floatx80.Infinity(false);
            return a;
        }

        if (a.IsZero)
        {
            context.Raise(FloatExceptions.ZeroDivide);
            exponent = Floatx80.Infinity(true);
            return a;
        }

        RaiseDenormal(a, a, ref context);
        ulong significand = a.Unpack(out int power);
        exponent = Floatx80.FromInteger(power);
        return new((ushort)(Bias | (a.IsNegative ? 0x8000 : 0)), significand);
    }

    /// <summary>
    /// FPREM (chopped quotient) and FPREM1 (nearest quotient). If the exponents differ by 64 or more, reduces the
    /// dividend's exponent by 32 to 63 and reports that the remainder is <paramref name="partial"/> (Intel SDM 2A, FPREM).
    /// </summary>
    /// <param name="a">The dividend.</param>
    /// <param name="b">The divisor.</param>
    /// <param name="nearest">FPREM1.</param>
    /// <param name="context">Control and flags.</param>
    /// <param name="quotient">The quotient's low bits.</param>
    /// <param name="partial">Not finished: C2.</param>
    /// <param name="counted">There is a quotient: no operand was a NaN, no operation invalid.</param>
    public static Floatx80 Remainder(Floatx80 a, Floatx80 b, bool nearest, ref FloatContext context, out ulong quotient, out bool partial, out bool counted)
    {
        quotient = 0;
        partial = false;
        counted = false;
        if (TryPropagateNan(a, b, ref context, out Floatx80 nan)) return nan;
        if (a.IsInfinity || b.IsZero) return Invalid(ref context);
        counted = true;
        RaiseDenormal(a, b, ref context);
        if (a.IsZero) return a;
        context.Precision = 64;
        ulong rest = a.Unpack(out int exponent);
        if (b.IsInfinity) return Round(a.IsNegative, exponent, rest, 0, ref context);
        ulong divisor = b.Unpack(out int divisorExponent);
        int difference = exponent - divisorExponent;
        bool sign = a.IsNegative;
        if (difference < -1 || (difference < 0 && !nearest)) return Round(sign, exponent, rest, 0, ref context);
        if (difference == -1)
        {
            // Less than the divisor; more than half of it?
            if (rest <= divisor) return Round(sign, exponent, rest, 0, ref context);
            quotient = 1;
            ulong difference64 = unchecked(divisor + divisor - rest);
            return RoundNormalized(!sign, exponent, difference64, 0, ref context);
        }

        int count = difference;
        if (difference >= 64)
        {
            partial = true;
            count = (difference & 31) | 32;
        }

        if (rest >= divisor)
        {
            rest -= divisor;
            quotient = 1;
        }

        if (count > 0)
        {
            ulong digits = WideMath.Divide(rest >> (64 - count), rest << count, divisor, out rest);
            quotient = (quotient << count) | digits;
        }

        if (partial)
        {
            quotient = 0;
        }
        else if (nearest && (rest > divisor - rest || (rest == divisor - rest && (quotient & 1) != 0)))
        {
            rest = divisor - rest;
            sign = !sign;
            quotient++;
        }

        return rest == 0 ? Floatx80.Zero(a.IsNegative) : RoundNormalized(sign, exponent - count, rest, 0, ref context);
    }

    private static Floatx80 AddSigned(Floatx80 a, Floatx80 b, bool signB, ref FloatContext context)
    {
        bool signA = a.IsNegative;
        if (!a.IsNormal || !b.IsNormal)
        {
            if (TryPropagateNan(a, b, ref context, out Floatx80 nan)) return nan;
            if (a.IsInfinity || b.IsInfinity)
            {
                if (a.IsInfinity && b.IsInfinity && signA != signB) return Invalid(ref context);
                RaiseDenormal(a, b, ref context);
                return Floatx80.Infinity(a.IsInfinity ? signA : signB);
            }

            RaiseDenormal(a, b, ref context);
            if (a.IsZero && b.IsZero) return Floatx80.Zero(signA == signB ? signA : context.Rounding == FloatRounding.Down);
            if (a.IsZero) return Round(signB, b.Unpack(out int only), only, ref context);
            if (b.IsZero) return Round(signA, a.Unpack(out int only), only, ref context);
        }

        ulong sa = a.Unpack(out int ea);
        ulong sb = b.Unpack(out int eb);
        if (ea < eb || (ea == eb && sa < sb))
        {
            (sa, sb) = (sb, sa);
            (ea, eb) = (eb, ea);
            (signA, signB) = (signB, signA);
        }

        ulong low = 0;
        WideMath.ShiftRightJam(ref sb, ref low, ea - eb);
        if (signA == signB)
        {
            ulong sum = sa + sb;
            if (sum >= sa) return Round(signA, ea, sum, low, ref context);
            low = (low >> 1) | (low & 1) | (sum << 63);
            return Round(signA, ea + 1, (sum >> 1) | IntegerBit, low, ref context);
        }

        ulong high = sa - sb - (low != 0 ? 1UL : 0);
        low = 0 - low;
        if ((high | low) == 0) return Floatx80.Zero(context.Rounding == FloatRounding.Down);
        return RoundNormalized(signA, ea, high, low, ref context);
    }

    private static Floatx80 Round(bool sign, ulong significand, int exponent, ref FloatContext context) =>
        Round(sign, exponent, significand, 0, ref context);

    private static Floatx80 RoundNormalized(bool sign, int exponent, ulong high, ulong low, ref FloatContext context)
    {
        if (high == 0)
        {
            high = low;
            low = 0;
            exponent -= 64;
        }

        int shift = BitOperations.LeadingZeroCount(high);
        if (shift != 0)
        {
            high = (high << shift) | (low >> (64 - shift));
            low <<= shift;
            exponent -= shift;
        }

        return Round(sign, exponent, high, low, ref context);
    }

    /// <summary>Rounds and packs (high:low) * 2^(exponent - 127), bit 63 of high being set and bit 0 of low sticky.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Floatx80 Round(bool sign, int exponent, ulong high, ulong low, ref FloatContext context)
    {
        int biased = exponent + Bias;
        if (context.Precision == 64 && context.Rounding == FloatRounding.Nearest && biased is > 0 and < Floatx80.SpecialExponent - 1)
        {
            if (low == 0) return new((ushort)(sign ? biased | 0x8000 : biased), high);
            context.Flags |= FloatExceptions.Precision;
            if (low > 1UL << 63 || (low == 1UL << 63 && (high & 1) != 0))
            {
                context.RoundedUp = true;
                if (++high == 0)
                {
                    high = IntegerBit;
                    biased++;
                }
            }

            return new((ushort)(sign ? biased | 0x8000 : biased), high);
        }

        return RoundSlow(sign, biased, high, low, ref context);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Floatx80 RoundSlow(bool sign, int biased, ulong high, ulong low, ref FloatContext context)
    {
        int signBit = sign ? 0x8000 : 0;
        bool inexact, up;
        if (biased <= 0)
        {
            ulong trial = RoundAt(high, low, sign, ref context, out _, out _);
            bool tiny = biased < 0 || trial != 0;
            bool masked = (context.Masks & FloatExceptions.Underflow) != 0;
            if (tiny && !masked)
            {
                context.Raise(FloatExceptions.Underflow);
                biased += Wrap;
                if (biased <= 0) return WrapTwice(Floatx80.Zero(sign), ref context);
            }
            else
            {
                WideMath.ShiftRightJam(ref high, ref low, 1 - biased);
                ulong fraction = RoundAt(high, low, sign, ref context, out inexact, out up);
                if (inexact) context.Raise(tiny ? FloatExceptions.Precision | FloatExceptions.Underflow : FloatExceptions.Precision);
                context.RoundedUp = up;
                return new((ushort)(signBit | ((long)fraction < 0 ? 1 : 0)), fraction);
            }
        }

        ulong kept = RoundAt(high, low, sign, ref context, out inexact, out up);
        if (kept == 0)
        {
            kept = IntegerBit;
            biased++;
        }

        if (biased >= Floatx80.SpecialExponent)
        {
            bool masked = (context.Masks & FloatExceptions.Overflow) != 0;
            context.Raise(FloatExceptions.Overflow);
            bool infinite = context.Rounding switch
            {
                FloatRounding.Nearest => true,
                FloatRounding.Down => sign,
                FloatRounding.Up => !sign,
                _ => false,
            };
            if (masked)
            {
                context.Raise(FloatExceptions.Precision);
                context.RoundedUp = infinite;
                return infinite ? Floatx80.Infinity(sign) : new((ushort)(signBit | 0x7ffe), ulong.MaxValue << (64 - context.Precision));
            }

            biased -= Wrap;
            if (biased >= Floatx80.SpecialExponent) return WrapTwice(Floatx80.Infinity(sign), ref context);
        }

        if (inexact) context.Raise(FloatExceptions.Precision);
        context.RoundedUp = up;
        return new((ushort)(signBit | biased), kept);
    }

    /// <summary>FSCALE went so far that wrapping the exponent is not enough (Intel SDM 1 8.5.4, 8.5.5).</summary>
    private static Floatx80 WrapTwice(Floatx80 result, ref FloatContext context)
    {
        context.Raise(FloatExceptions.Precision);
        context.RoundedUp = result.IsInfinity;
        return result;
    }

    /// <summary>Keeps the bits of the context's precision; 0 means a carry out of bit 63.</summary>
    private static ulong RoundAt(ulong high, ulong low, bool sign, ref FloatContext context, out bool inexact, out bool up)
    {
        int precision = context.Precision;
        ulong unit = 1UL << (64 - precision);
        ulong rest = precision == 64 ? low : (high << precision) | (low != 0 ? 1UL : 0);
        ulong kept = high & ~(unit - 1);
        inexact = rest != 0;
        up = context.Rounding switch
        {
            FloatRounding.Nearest => rest > 1UL << 63 || (rest == 1UL << 63 && (kept & unit) != 0),
            FloatRounding.Down => sign && inexact,
            FloatRounding.Up => !sign && inexact,
            _ => false,
        };
        return up ? kept + unit : kept;
    }

    /// <summary>rest / divisor as a binary fraction of which only "less than, equal to, more than a half" counts.</summary>
    private static ulong Fraction(ulong rest, ulong divisor)
    {
        if (rest == 0) return 0;
        ulong other = divisor - rest;
        return rest < other ? 1 : rest == other ? 1UL << 63 : (1UL << 63) | 1;
    }

    private static Floatx80 Floatx80FromMagnitude(bool sign, ulong magnitude)
    {
        if (magnitude == 0) return Floatx80.Zero(sign);
        int shift = BitOperations.LeadingZeroCount(magnitude);
        return new((ushort)((Bias + 63 - shift) | (sign ? 0x8000 : 0)), magnitude << shift);
    }

    private static void RaiseDenormal(Floatx80 a, Floatx80 b, ref FloatContext context)
    {
        if (a.Class == FloatClass.Denormal || b.Class == FloatClass.Denormal) context.Raise(FloatExceptions.Denormal);
    }

    private static Floatx80 Invalid(ref FloatContext context)
    {
        context.Raise(FloatExceptions.Invalid);
        return Floatx80.DefaultNan;
    }

    /// <summary>The result if an operand is a NaN or unsupported (Intel SDM 1 table 4-7).</summary>
    private static bool TryPropagateNan(Floatx80 a, Floatx80 b, ref FloatContext context, out Floatx80 result)
    {
        result = default;
        FloatClass classA = a.Class;
        FloatClass classB = b.Class;
        if (classA < FloatClass.QuietNan && classB < FloatClass.QuietNan) return false;
        if (classA > FloatClass.QuietNan || classB > FloatClass.QuietNan) context.Raise(FloatExceptions.Invalid);
        if (classA == FloatClass.Unsupported || classB == FloatClass.Unsupported)
        {
            result = Floatx80.DefaultNan;
            return true;
        }

        bool first;
        if (classB < FloatClass.QuietNan) first = true;
        else if (classA < FloatClass.QuietNan) first = false;
        else if (classA != classB) first = classA == FloatClass.QuietNan;
        else if (a.Significand != b.Significand) first = a.Significand > b.Significand;
        else first = !a.IsNegative;
        Floatx80 chosen = first ? a : b;
        result = new(chosen.SignExponent, chosen.Significand | Floatx80.QuietBit);
        return true;
    }
}
