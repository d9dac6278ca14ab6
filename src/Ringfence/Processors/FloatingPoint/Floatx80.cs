using System.Numerics;
using System.Runtime.CompilerServices;

namespace Ringfence.Processors.FloatingPoint;

/// <summary>A double extended-precision value as x87 registers hold it (Intel SDM 1 4.2.2): 64 significand bits, the integer bit explicit.</summary>
/// <param name="SignExponent">Sign in bit 15, exponent with bias 16383 below.</param>
/// <param name="Significand">Significand with the integer bit in bit 63.</param>
internal readonly record struct Floatx80(ushort SignExponent, ulong Significand)
{
    /// <summary>Bias of the exponent.</summary>
    public const int Bias = 16383;

    /// <summary>The exponent field of infinities and NaNs.</summary>
    public const int SpecialExponent = 0x7fff;

    /// <summary>The significand's integer bit.</summary>
    public const ulong IntegerBit = 1UL << 63;

    /// <summary>The significand's bit that makes a NaN quiet.</summary>
    public const ulong QuietBit = 1UL << 62;

    /// <summary>The real floating-point indefinite: a negative quiet NaN.</summary>
    public static Floatx80 DefaultNan => new(0xffff, IntegerBit | QuietBit);

    /// <summary>1.0.</summary>
    public static Floatx80 One => new(Bias, IntegerBit);

    /// <summary>The exponent field.</summary>
    public int Exponent => SignExponent & SpecialExponent;

    /// <summary>The sign bit.</summary>
    public bool IsNegative => (SignExponent & 0x8000) != 0;

    /// <summary>Is it plus or minus zero?</summary>
    public bool IsZero => Exponent == 0 && Significand == 0;

    /// <summary>Is it an infinity?</summary>
    public bool IsInfinity => Exponent == SpecialExponent && Significand == IntegerBit;

    /// <summary>A normal number: no operand of a special case.</summary>
    public bool IsNormal
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (long)Significand < 0 && (uint)(Exponent - 1) < SpecialExponent - 1;
    }

    /// <summary>What the encoding means.</summary>
    public FloatClass Class
    {
        get
        {
            if (IsNormal) return FloatClass.Normal;
            int exponent = Exponent;
            if (exponent == 0) return Significand == 0 ? FloatClass.Zero : FloatClass.Denormal;
            if ((long)Significand >= 0) return FloatClass.Unsupported;
            return Significand == IntegerBit ? FloatClass.Infinity
                : (Significand & QuietBit) != 0 ? FloatClass.QuietNan : FloatClass.SignalingNan;
        }
    }

    /// <summary>The value with the other sign.</summary>
    public Floatx80 Negated => new((ushort)(SignExponent ^ 0x8000), Significand);

    /// <summary>The value with a sign of the caller's.</summary>
    public Floatx80 WithSign(bool negative) => new((ushort)((SignExponent & 0x7fff) | (negative ? 0x8000 : 0)), Significand);

    /// <summary>A zero.</summary>
    public static Floatx80 Zero(bool negative) => new((ushort)(negative ? 0x8000 : 0), 0);

    /// <summary>An infinity.</summary>
    public static Floatx80 Infinity(bool negative) => new((ushort)(negative ? 0xffff : 0x7fff), IntegerBit);

    /// <inheritdoc/>
    public override string ToString() => $"{SignExponent:x4}:{Significand:x16}";

    /// <summary>An integer; always exact.</summary>
    public static Floatx80 FromInteger(long value)
    {
        if (value == 0) return default;
        ulong magnitude = value < 0 ? (ulong)-value : (ulong)value;
        int shift = BitOperations.LeadingZeroCount(magnitude);
        return new((ushort)((Bias + 63 - shift) | (value < 0 ? 0x8000 : 0)), magnitude << shift);
    }

    /// <summary>
    /// The significand of a finite value other than zero with its first 1 at bit 63, and the unbiased exponent of that bit.
    /// A pseudo-denormal has the exponent that a denormal's integer bit stands for (1 - bias).
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong Unpack(out int exponent)
    {
        exponent = Exponent - Bias;
        if (exponent != -Bias) return Significand;
        int shift = BitOperations.LeadingZeroCount(Significand);
        exponent = 1 - Bias - shift;
        return Significand << shift;
    }
}
