using System.Numerics;
using System.Runtime.CompilerServices;

namespace Ringfence.Processors.FloatingPoint;

/// <summary>
/// IEEE 754 binary32 and binary64 arithmetic on bit patterns, exact in result and flags as SSE defines them: portable and
/// independent of the host's floating-point environment. <c>T</c> is <see cref="uint"/> for binary32 and
/// <see cref="ulong"/> for binary64.
/// <para>
/// Rules (Intel SDM 1 4.8.3.5, 4.9, 11.5.2 and appendix E): a NaN result is the first operand if that is a NaN, else the second,
/// made quiet; the default NaN is negative ("real indefinite"); a NaN or invalid operand hides denormal operands; tininess
/// is detected after rounding; masked underflow is raised only with an inexact result.
/// </para>
/// <para>
/// A fast path on the host's own arithmetic is allowed where no flag but PE can arise: rounding to nearest, PE masked
/// and already set, <see cref="IsPlain{T}"/> for all operands and for the host's result (operands may also be zero for
/// addition and multiplication by a plain value, if the result is plain). NaN, tiny, denormal and overflowing cases are then here.
/// </para>
/// </summary>
internal static partial class SoftFloat
{
    /// <summary>
    /// A normal number above the smallest binade: as a host result, it was neither tiny nor overflowed; as an operand, it is no special case.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsPlain<T>(T value)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> =>
        (uint)(Exponent(value) - 2) < (uint)(SpecialExponent<T>() - 2);

    /// <summary>Is the value a NaN?</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsNan<T>(T value)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => (Bits(value) & ~SignBit<T>()) > Infinity<T>();

    /// <summary>Is the value a signaling NaN?</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsSignalingNan<T>(T value)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => IsNan(value) && (Bits(value) & QuietBit<T>()) == 0;

    /// <summary>The "real floating-point indefinite": a negative quiet NaN.</summary>
    public static T DefaultNan<T>()
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => Make<T>(SignBit<T>() | Infinity<T>() | QuietBit<T>());

    /// <summary>a + b.</summary>
    public static T Add<T>(T a, T b, ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => AddSigned(a, b, false, ref context);

    /// <summary>a - b.</summary>
    public static T Subtract<T>(T a, T b, ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => AddSigned(a, b, true, ref context);

    /// <summary>a * b.</summary>
    public static T Multiply<T>(T a, T b, ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        if (IsNan(a) || IsNan(b)) return PropagateNan(a, b, ref context);
        a = FlushOperand(a, ref context);
        b = FlushOperand(b, ref context);
        bool sign = IsNegative(a) ^ IsNegative(b);
        if (IsInfinite(a) || IsInfinite(b))
        {
            if (IsZero(a) || IsZero(b)) return Invalid<T>(ref context);
            RaiseDenormal(a, b, ref context);
            return Signed<T>(sign, Infinity<T>());
        }

        RaiseDenormal(a, b, ref context);
        if (IsZero(a) || IsZero(b)) return Signed<T>(sign, 0);
        ulong sa = Unpack(a, out int ea);
        ulong sb = Unpack(b, out int eb);
        ulong high = Math.BigMul(sa, sb, out ulong low);
        int exponent = ea + eb + 1;
        if ((long)high >= 0)
        {
            high = (high << 1) | (low >> 63);
            low <<= 1;
            exponent--;
        }

        return Round<T>(sign, exponent, high | (low != 0 ? 1UL : 0), ref context);
    }

    /// <summary>a / b.</summary>
    public static T Divide<T>(T a, T b, ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        if (IsNan(a) || IsNan(b)) return PropagateNan(a, b, ref context);
        a = FlushOperand(a, ref context);
        b = FlushOperand(b, ref context);
        bool sign = IsNegative(a) ^ IsNegative(b);
        if (IsInfinite(a))
        {
            if (IsInfinite(b)) return Invalid<T>(ref context);
            RaiseDenormal(b, b, ref context);
            return Signed<T>(sign, Infinity<T>());
        }

        if (IsZero(b))
        {
            if (IsZero(a)) return Invalid<T>(ref context);
            context.Raise(FloatExceptions.ZeroDivide);
            return Signed<T>(sign, Infinity<T>());
        }

        RaiseDenormal(a, b, ref context);
        if (IsZero(a) || IsInfinite(b)) return Signed<T>(sign, 0);
        ulong sa = Unpack(a, out int ea);
        ulong sb = Unpack(b, out int eb);
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

        ulong quotient = WideMath.Divide(sa, low, sb, out ulong remainder);
        return Round<T>(sign, exponent, quotient | (remainder != 0 ? 1UL : 0), ref context);
    }

    /// <summary>The square root of a.</summary>
    public static T SquareRoot<T>(T a, ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        if (IsNan(a)) return PropagateNan(a, a, ref context);
        a = FlushOperand(a, ref context);
        if (IsZero(a)) return a;
        if (IsNegative(a)) return Invalid<T>(ref context);
        if (IsInfinite(a)) return a;
        RaiseDenormal(a, a, ref context);
        ulong significand = Unpack(a, out int exponent);
        bool even = (exponent & 1) == 0;
        ulong root = WideMath.SquareRoot(even ? significand >> 1 : significand, even ? significand << 63 : 0, out bool inexact, out _);
        return Round<T>(false, exponent >> 1, root | (inexact ? 1UL : 0), ref context);
    }

    /// <summary>
    /// Compares (COMISS and the ordered predicates are signaling: any NaN is invalid; UCOMISS and the others quiet: only signaling ones).
    /// </summary>
    public static FloatRelation Compare<T>(T a, T b, bool signaling, ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        if (IsNan(a) || IsNan(b))
        {
            if (signaling || IsSignalingNan(a) || IsSignalingNan(b)) context.Raise(FloatExceptions.Invalid);
            return FloatRelation.Unordered;
        }

        a = FlushOperand(a, ref context);
        b = FlushOperand(b, ref context);
        RaiseDenormal(a, b, ref context);
        long x = Ordered(a);
        long y = Ordered(b);
        return x < y ? FloatRelation.Less : x > y ? FloatRelation.Greater : FloatRelation.Equal;
    }

    /// <summary>MIN: the second operand if one is a NaN or both are zeros.</summary>
    public static T Minimum<T>(T a, T b, ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> =>
        Compare(a, b, true, ref context) == FloatRelation.Less ? FlushOperand(a, ref context) : FlushOperand(b, ref context);

    /// <summary>MAX: the second operand if one is a NaN or both are zeros.</summary>
    public static T Maximum<T>(T a, T b, ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> =>
        Compare(a, b, true, ref context) == FloatRelation.Greater ? FlushOperand(a, ref context) : FlushOperand(b, ref context);

    private static T AddSigned<T>(T a, T b, bool subtract, ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        if (IsNan(a) || IsNan(b)) return PropagateNan(a, b, ref context);
        a = FlushOperand(a, ref context);
        b = FlushOperand(b, ref context);
        bool signA = IsNegative(a);
        bool signB = IsNegative(b) ^ subtract;
        if (IsInfinite(a) || IsInfinite(b))
        {
            if (IsInfinite(a) && IsInfinite(b) && signA != signB) return Invalid<T>(ref context);
            RaiseDenormal(a, b, ref context);
            return Signed<T>(IsInfinite(a) ? signA : signB, Infinity<T>());
        }

        RaiseDenormal(a, b, ref context);
        if (IsZero(a) && IsZero(b)) return Signed<T>(signA == signB ? signA : context.Rounding == FloatRounding.Down, 0);
        ulong sa = 0, sb = 0;
        int ea = int.MinValue / 2, eb = int.MinValue / 2;
        if (!IsZero(a)) sa = Unpack(a, out ea) >> 1;
        if (!IsZero(b)) sb = Unpack(b, out eb) >> 1;
        int exponent = Math.Max(ea, eb);
        sa = WideMath.ShiftRightJam(sa, exponent - ea);
        sb = WideMath.ShiftRightJam(sb, exponent - eb);
        if (signA == signB) return RoundNormalized<T>(signA, exponent + 1, sa + sb, ref context);
        if (sa == sb) return Signed<T>(context.Rounding == FloatRounding.Down, 0);
        return sa > sb
            ? RoundNormalized<T>(signA, exponent + 1, sa - sb, ref context)
            : RoundNormalized<T>(signB, exponent + 1, sb - sa, ref context);
    }

    /// <summary>Rounds significand * 2^(exponent - 63) after moving the significand's first 1 to bit 63.</summary>
    private static T RoundNormalized<T>(bool sign, int exponent, ulong significand, ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        int shift = BitOperations.LeadingZeroCount(significand);
        return Round<T>(sign, exponent - shift, significand << shift, ref context);
    }

    /// <summary>Rounds and packs significand * 2^(exponent - 63), bit 63 of the significand being set and bit 0 sticky.</summary>
    private static T Round<T>(bool sign, int exponent, ulong significand, ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        int biased = exponent + Bias<T>();
        int discarded = 64 - PrecisionOf<T>();
        if (biased <= 0) return RoundTiny<T>(sign, biased, significand, ref context);
        ulong kept = RoundAt(significand, discarded, sign, context.Rounding, out bool inexact);
        if (biased >= SpecialExponent<T>()) return Overflow<T>(sign, inexact, ref context);
        // A carry out of the fraction increments the exponent field by itself.
        ulong packed = ((ulong)biased << FractionBits<T>()) + (kept - (1UL << FractionBits<T>()));
        if (packed >= Infinity<T>()) return Overflow<T>(sign, inexact, ref context);
        if (inexact) context.Raise(FloatExceptions.Precision);
        return Signed<T>(sign, packed);
    }

    private static T Overflow<T>(bool sign, bool inexact, ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        bool masked = (context.Masks & FloatExceptions.Overflow) != 0;
        context.Raise(FloatExceptions.Overflow | (masked || inexact ? FloatExceptions.Precision : 0));
        bool infinite = context.Rounding switch
        {
            FloatRounding.Nearest => true,
            FloatRounding.Down => sign,
            FloatRounding.Up => !sign,
            _ => false,
        };
        return Signed<T>(sign, infinite ? Infinity<T>() : Infinity<T>() - 1);
    }

    private static T RoundTiny<T>(bool sign, int biased, ulong significand, ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        int discarded = 64 - PrecisionOf<T>();
        // Not tiny after all if rounding with an unbounded exponent reaches the smallest normal number.
        bool tiny = RoundAt(significand, discarded, sign, context.Rounding, out bool inexactUnbounded) >> PrecisionOf<T>() == 0 || biased < 0;
        bool masked = (context.Masks & FloatExceptions.Underflow) != 0;
        if (tiny && masked && context.FlushToZero)
        {
            context.Raise(FloatExceptions.Underflow | FloatExceptions.Precision);
            return Signed<T>(sign, 0);
        }

        discarded += 1 - biased;
        if (discarded > 64)
        {
            discarded = 64;
            significand = 1;
        }

        ulong packed = RoundAt(significand, discarded, sign, context.Rounding, out bool inexact);
        // Unmasked underflow delivers no result: precision is then that of the result with an unbounded exponent.
        if (tiny && !masked ? inexactUnbounded : inexact) context.Raise(FloatExceptions.Precision);
        if (tiny && (inexact || !masked)) context.Raise(FloatExceptions.Underflow);
        return Signed<T>(sign, packed);
    }

    /// <summary>Discards the low 1 to 64 bits, rounding.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong RoundAt(ulong significand, int discarded, bool sign, FloatRounding rounding, out bool inexact)
    {
        ulong rest = significand << (64 - discarded);
        ulong kept = discarded == 64 ? 0 : significand >> discarded;
        inexact = rest != 0;
        bool up = rounding switch
        {
            FloatRounding.Nearest => rest > 1UL << 63 || (rest == 1UL << 63 && (kept & 1) != 0),
            FloatRounding.Down => sign && inexact,
            FloatRounding.Up => !sign && inexact,
            _ => false,
        };
        return up ? kept + 1 : kept;
    }

    private static T PropagateNan<T>(T a, T b, ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        if (IsSignalingNan(a) || IsSignalingNan(b)) context.Raise(FloatExceptions.Invalid);
        return Make<T>(Bits(IsNan(a) ? a : b) | QuietBit<T>());
    }

    private static T Invalid<T>(ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        context.Raise(FloatExceptions.Invalid);
        return DefaultNan<T>();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T FlushOperand<T>(T value, ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> =>
        context.DenormalsAreZero && Exponent(value) == 0 ? Make<T>(Bits(value) & SignBit<T>()) : value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void RaiseDenormal<T>(T a, T b, ref FloatContext context)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        if (IsDenormal(a) || IsDenormal(b)) context.Raise(FloatExceptions.Denormal);
    }

    /// <summary>The significand of a finite value other than zero with its first 1 at bit 63, and the exponent of that bit.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Unpack<T>(T value, out int exponent)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        ulong fraction = Bits(value) & ((1UL << FractionBits<T>()) - 1);
        exponent = Exponent(value) - Bias<T>();
        if (exponent != -Bias<T>()) return (fraction << (63 - FractionBits<T>())) | (1UL << 63);
        int shift = BitOperations.LeadingZeroCount(fraction);
        exponent = 64 - FractionBits<T>() - Bias<T>() - shift;
        return fraction << shift;
    }

    /// <summary>An integer that orders as the value does.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static long Ordered<T>(T value)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        long magnitude = (long)(Bits(value) & ~SignBit<T>());
        return IsNegative(value) ? -magnitude : magnitude;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int PrecisionOf<T>() => typeof(T) == typeof(uint) ? 24 : 53;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int FractionBits<T>() => typeof(T) == typeof(uint) ? 23 : 52;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Bias<T>() => typeof(T) == typeof(uint) ? 127 : 1023;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int SpecialExponent<T>() => typeof(T) == typeof(uint) ? 255 : 2047;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong SignBit<T>() => typeof(T) == typeof(uint) ? 1UL << 31 : 1UL << 63;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong QuietBit<T>() => typeof(T) == typeof(uint) ? 1UL << 22 : 1UL << 51;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Infinity<T>() => typeof(T) == typeof(uint) ? 0x7f80_0000UL : 0x7ff0_0000_0000_0000UL;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Bits<T>(T value)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => ulong.CreateTruncating(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Make<T>(ulong bits)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => T.CreateTruncating(bits);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Signed<T>(bool sign, ulong magnitude)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => Make<T>(sign ? magnitude | SignBit<T>() : magnitude);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Exponent<T>(T value)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => (int)(Bits(value) >> FractionBits<T>()) & SpecialExponent<T>();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsNegative<T>(T value)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => (Bits(value) & SignBit<T>()) != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsZero<T>(T value)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => (Bits(value) & ~SignBit<T>()) == 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsInfinite<T>(T value)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => (Bits(value) & ~SignBit<T>()) == Infinity<T>();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsDenormal<T>(T value)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => Exponent(value) == 0 && !IsZero(value);
}
