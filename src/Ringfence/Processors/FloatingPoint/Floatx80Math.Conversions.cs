using System.Runtime.CompilerServices;

namespace Ringfence.Processors.FloatingPoint;

/// <content>Conversions between 80-bit values and what memory operands hold (Intel SDM 1 4.8.4, 8.1.2).</content>
internal static partial class Floatx80Math
{
    private const long BcdLimit = 1_000_000_000_000_000_000;

    /// <summary>From binary32; exact. Without <paramref name="quiet"/> a signaling NaN stays one, for the operation that follows to find.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floatx80 FromBinary32(uint value, ref FloatContext context, bool quiet = true)
    {
        int exponent = (int)(value >> 23) & 0xff;
        if (exponent is > 0 and < 255)
        {
            return new((ushort)(((value >> 16) & 0x8000) | (uint)(exponent - 127 + Bias)), ((ulong)value << 40) | IntegerBit);
        }

        return FromSpecial(value >> 31 != 0, exponent == 0, (ulong)value << 41 >> 1, 1 - 127 + Bias, ref context, quiet);
    }

    /// <summary>From binary64; exact. Without <paramref name="quiet"/> a signaling NaN stays one, for the operation that follows to find.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floatx80 FromBinary64(ulong value, ref FloatContext context, bool quiet = true)
    {
        int exponent = (int)(value >> 52) & 0x7ff;
        if (exponent is > 0 and < 0x7ff)
        {
            return new((ushort)(((value >> 48) & 0x8000) | (uint)(exponent - 1023 + Bias)), (value << 11) | IntegerBit);
        }

        return FromSpecial(value >> 63 != 0, exponent == 0, value << 12 >> 1, 1 - 1023 + Bias, ref context, quiet);
    }

    /// <summary>To binary32.</summary>
    public static uint ToBinary32(Floatx80 value, ref FloatContext context)
    {
        uint sign = value.IsNegative ? 1U << 31 : 0;
        switch (value.Class)
        {
            case FloatClass.Zero:
                return sign;
            case FloatClass.Infinity:
                return sign | 0x7f80_0000;
            case FloatClass.SignalingNan:
                context.Raise(FloatExceptions.Invalid);
                goto case FloatClass.QuietNan;
            case FloatClass.QuietNan:
                return sign | 0x7fc0_0000 | (uint)(value.Significand << 1 >> 41);
            case FloatClass.Unsupported:
                context.Raise(FloatExceptions.Invalid);
                return SoftFloat.DefaultNan<uint>();
            default:
                ulong significand = value.Unpack(out int exponent);
                return SoftFloat.FromParts<uint>(value.IsNegative, exponent, significand, ref context);
        }
    }

    /// <summary>To binary64.</summary>
    public static ulong ToBinary64(Floatx80 value, ref FloatContext context)
    {
        ulong sign = value.IsNegative ? 1UL << 63 : 0;
        switch (value.Class)
        {
            case FloatClass.Zero:
                return sign;
            case FloatClass.Infinity:
                return sign | 0x7ff0_0000_0000_0000;
            case FloatClass.SignalingNan:
                context.Raise(FloatExceptions.Invalid);
                goto case FloatClass.QuietNan;
            case FloatClass.QuietNan:
                return sign | 0x7ff8_0000_0000_0000 | (value.Significand << 1 >> 12);
            case FloatClass.Unsupported:
                context.Raise(FloatExceptions.Invalid);
                return SoftFloat.DefaultNan<ulong>();
            default:
                ulong significand = value.Unpack(out int exponent);
                return SoftFloat.FromParts<ulong>(value.IsNegative, exponent, significand, ref context);
        }
    }

    /// <summary>
    /// To a signed integer of 16, 32 or 64 bits; out of range, NaN or unsupported: invalid, and the integer indefinite.
    /// A denormal operand raises only PE.
    /// </summary>
    public static long ToInteger(Floatx80 value, int width, ref FloatContext context)
    {
        long indefinite = long.MinValue >> (64 - width);
        FloatClass kind = value.Class;
        if (kind == FloatClass.Zero) return 0;
        if (kind >= FloatClass.Infinity || value.Exponent > Bias + 63)
        {
            context.Raise(FloatExceptions.Invalid);
            return indefinite;
        }

        ulong significand = value.Unpack(out int exponent);
        FloatContext attempt = context;
        ulong integer = RoundToInteger(significand, exponent, value.IsNegative, ref attempt);
        if (integer > (1UL << (width - 1)) - (value.IsNegative ? 0UL : 1))
        {
            context.Raise(FloatExceptions.Invalid);
            return indefinite;
        }

        context = attempt;
        return value.IsNegative ? -(long)integer : (long)integer;
    }

    /// <summary>From packed BCD: 18 digits in <paramref name="low"/> and the low byte of <paramref name="high"/>, sign in bit 15. Digits are not checked.</summary>
    public static Floatx80 FromBcd(ulong low, ushort high)
    {
        ulong magnitude = (ulong)((high >> 4) & 15) * 10 + (ulong)(high & 15);
        for (int shift = 60; shift >= 0; shift -= 4) magnitude = unchecked(magnitude * 10) + ((low >> shift) & 15);
        return Floatx80FromMagnitude((high & 0x8000) != 0, magnitude);
    }

    /// <summary>To packed BCD, rounded as the context says; more than 18 digits are invalid and give the packed BCD indefinite.</summary>
    public static ulong ToBcd(Floatx80 value, ref FloatContext context, out ushort high)
    {
        FloatContext attempt = context;
        long integer = ToInteger(value, 64, ref attempt);
        long magnitude = Math.Abs(integer == long.MinValue ? long.MaxValue : integer);
        if (magnitude >= BcdLimit)
        {
            context.Raise(FloatExceptions.Invalid);
            high = 0xffff;
            return 0xc000_0000_0000_0000;
        }

        context = attempt;
        ulong low = 0;
        for (int shift = 0; shift < 64; shift += 4)
        {
            low |= (ulong)(magnitude % 10) << shift;
            magnitude /= 10;
        }

        high = (ushort)((int)(magnitude % 10) | ((int)(magnitude / 10) << 4) | (value.IsNegative ? 0x8000 : 0));
        return low;
    }

    private static Floatx80 FromSpecial(bool sign, bool small, ulong fraction, int smallestExponent, ref FloatContext context, bool quiet)
    {
        int signBit = sign ? 0x8000 : 0;
        if (small)
        {
            if (fraction == 0) return Floatx80.Zero(sign);
            context.Raise(FloatExceptions.Denormal);
            int shift = System.Numerics.BitOperations.LeadingZeroCount(fraction);
            return new((ushort)(signBit | (smallestExponent - shift)), fraction << shift);
        }

        if (fraction == 0) return Floatx80.Infinity(sign);
        if (!quiet) return new((ushort)(signBit | Floatx80.SpecialExponent), fraction | IntegerBit);
        if ((fraction & Floatx80.QuietBit) == 0) context.Raise(FloatExceptions.Invalid);
        return new((ushort)(signBit | Floatx80.SpecialExponent), fraction | IntegerBit | Floatx80.QuietBit);
    }

    /// <summary>Rounds significand * 2^(exponent - 63) to an integer; the exponent is at most 63.</summary>
    private static ulong RoundToInteger(ulong significand, int exponent, bool sign, ref FloatContext context)
    {
        ulong low = 0;
        WideMath.ShiftRightJam(ref significand, ref low, Math.Min(63 - exponent, 127));
        if (low == 0) return significand;
        context.Raise(FloatExceptions.Precision);
        bool up = context.Rounding switch
        {
            FloatRounding.Nearest => low > 1UL << 63 || (low == 1UL << 63 && (significand & 1) != 0),
            FloatRounding.Down => sign,
            FloatRounding.Up => !sign,
            _ => false,
        };
        context.RoundedUp = up;
        return up ? significand + 1 : significand;
    }
}
