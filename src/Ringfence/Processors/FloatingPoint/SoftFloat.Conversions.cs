using System.Numerics;

namespace Ringfence.Processors.FloatingPoint;

/// <content>Conversions to, from and between integers and formats (Intel SDM 1 4.8.4, 11.5.2).</content>
internal static partial class SoftFloat
{
    /// <summary>To a signed 32-bit integer; out of range or NaN: invalid, and the integer indefinite 80000000h.</summary>
    public static int ToInt32<T>(T value, FloatRounding rounding, ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => (int)ToInteger(value, 32, rounding, ref context);

    /// <summary>To a signed 64-bit integer; out of range or NaN: invalid, and the integer indefinite.</summary>
    public static long ToInt64<T>(T value, FloatRounding rounding, ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => ToInteger(value, 64, rounding, ref context);

    /// <summary>From a signed integer, rounded as the context says.</summary>
    public static T FromInteger<T>(long value, ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        if (value == 0) return default;
        bool sign = value < 0;
        return RoundNormalized<T>(sign, 63, sign ? (ulong)-value : (ulong)value, ref context);
    }

    /// <summary>
    /// Rounds significand * 2^(exponent - 63), bit 63 of the significand being set, and tells in the context whether that
    /// increased the magnitude (C1 of x87 stores).
    /// </summary>
    public static T FromParts<T>(bool sign, int exponent, ulong significand, ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        T result = Round<T>(sign, exponent, significand, ref context);
        context.RoundedUp = (context.Flags & FloatExceptions.Precision) != 0 && IsLargerThan(result, exponent, significand);
        return result;
    }

    /// <summary>binary32 to binary64: exact.</summary>
    public static ulong Widen(uint value, ref FloatContext context)
    {
        ulong sign = (ulong)(value >> 31) << 63;
        if (IsNan(value))
        {
            if (IsSignalingNan(value)) context.Raise(FloatExceptions.Invalid);
            return sign | Infinity<ulong>() | QuietBit<ulong>() | ((ulong)(value & 0x7f_ffff) << 29);
        }

        value = FlushOperand(value, ref context);
        if (IsZero(value)) return sign;
        if (IsInfinite(value)) return sign | Infinity<ulong>();
        RaiseDenormal(value, value, ref context);
        ulong significand = Unpack(value, out int exponent);
        return Round<ulong>(sign != 0, exponent, significand, ref context);
    }

    /// <summary>binary64 to binary32.</summary>
    public static uint Narrow(ulong value, ref FloatContext context)
    {
        uint sign = (uint)(value >> 63) << 31;
        if (IsNan(value))
        {
            if (IsSignalingNan(value)) context.Raise(FloatExceptions.Invalid);
            return sign | 0x7fc0_0000 | ((uint)(value >> 29) & 0x7f_ffff);
        }

        value = FlushOperand(value, ref context);
        if (IsZero(value)) return sign;
        if (IsInfinite(value)) return sign | 0x7f80_0000;
        RaiseDenormal(value, value, ref context);
        ulong significand = Unpack(value, out int exponent);
        return Round<uint>(sign != 0, exponent, significand, ref context);
    }

    /// <summary>
    /// To an integral value in the same format (ROUNDSS and its kin): denormal operands raise nothing but PE, which
    /// <paramref name="suppressPrecision"/> (imm8 bit 3) keeps away.
    /// </summary>
    public static T RoundToIntegral<T>(T value, FloatRounding rounding, bool suppressPrecision, ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        if (IsNan(value)) return PropagateNan(value, value, ref context);
        value = FlushOperand(value, ref context);
        if (IsZero(value) || Exponent(value) - Bias<T>() >= FractionBits<T>()) return value;
        ulong significand = Unpack(value, out int exponent);
        ulong integer = RoundToInteger(significand, exponent, IsNegative(value), rounding, out bool inexact);
        if (inexact && !suppressPrecision) context.Raise(FloatExceptions.Precision);
        if (integer == 0) return Make<T>(Bits(value) & SignBit<T>());
        int shift = BitOperations.LeadingZeroCount(integer);
        ulong fraction = (integer << shift) & ~(1UL << 63);
        return Signed<T>(IsNegative(value), ((ulong)(63 - shift + Bias<T>()) << FractionBits<T>()) | (fraction >> (63 - FractionBits<T>())));
    }

    private static bool IsLargerThan<T>(T value, int exponent, ulong significand)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        if (IsInfinite(value)) return true;
        if (IsZero(value)) return false;
        ulong own = Unpack(value, out int ownExponent);
        return ownExponent != exponent ? ownExponent > exponent : own > significand;
    }

    private static long ToInteger<T>(T value, int width, FloatRounding rounding, ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        long indefinite = long.MinValue >> (64 - width);
        value = FlushOperand(value, ref context);
        if (IsZero(value)) return 0;
        if (Exponent(value) - Bias<T>() >= 64)
        {
            context.Raise(FloatExceptions.Invalid);
            return indefinite;
        }

        bool sign = IsNegative(value);
        ulong significand = Unpack(value, out int exponent);
        ulong integer = RoundToInteger(significand, exponent, sign, rounding, out bool inexact);
        if (integer > (1UL << (width - 1)) - (sign ? 0UL : 1))
        {
            context.Raise(FloatExceptions.Invalid);
            return indefinite;
        }

        if (inexact) context.Raise(FloatExceptions.Precision);
        return sign ? -(long)integer : (long)integer;
    }

    /// <summary>Rounds significand * 2^(exponent - 63) to an integer; the exponent is at most 63.</summary>
    private static ulong RoundToInteger(ulong significand, int exponent, bool sign, FloatRounding rounding, out bool inexact)
    {
        int discarded = 63 - exponent;
        if (discarded == 0)
        {
            inexact = false;
            return significand;
        }

        if (discarded > 64)
        {
            discarded = 64;
            significand = 1;
        }

        return RoundAt(significand, discarded, sign, rounding, out inexact);
    }
}
