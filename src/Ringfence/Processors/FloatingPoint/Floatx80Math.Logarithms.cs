namespace Ringfence.Processors.FloatingPoint;

/// <content>F2XM1, FYL2X and FYL2XP1 (Intel SDM 1 8.3.9, 8.3.10).</content>
internal static partial class Floatx80Math
{
    private const ulong SquareRootOfTwo = 0xb504_f333_f9de_6484;

    /// <summary>F2XM1: 2^a - 1 for -1 &lt;= a &lt;= 1. Beyond, where the manual leaves it undefined, the operand comes back.</summary>
    public static Floatx80 ExponentialMinusOne(Floatx80 a, ref FloatContext context)
    {
        context.Precision = 64;
        if (TryPropagateNan(a, a, ref context, out Floatx80 nan)) return nan;
        if (a.IsInfinity) return a.IsNegative ? Floatx80.One.Negated : a;
        if (a.IsZero) return a;
        RaiseDenormal(a, a, ref context);
        context.Raise(FloatExceptions.Precision);        // processors report it for exact results too
        if (a.Exponent >= Bias) return a == Floatx80.One.Negated ? new Floatx80(0xbffe, IntegerBit) : a;
        Extended power = Extended.From(a) * TranscendentalTables.LnTwo;
        UInt128 argument = power.Exponent < -128 ? 0 : power.Significand >> (-1 - power.Exponent);
        UInt128 series = Extended.Polynomial(TranscendentalTables.Exponential, argument, a.IsNegative);
        return RoundInexact(power * Extended.Normalize(false, 0, series), ref context);
    }

    /// <summary>FYL2X: y * log2 x (Intel SDM 2A, table 3-56).</summary>
    public static Floatx80 LogarithmTimes(Floatx80 y, Floatx80 x, ref FloatContext context)
    {
        context.Precision = 64;
        if (TryPropagateNan(y, x, ref context, out Floatx80 nan)) return nan;
        if (x.IsNegative && !x.IsZero) return Invalid(ref context);
        if (x.IsZero)
        {
            if (y.IsZero) return Invalid(ref context);
            if (y.IsInfinity) return y.Negated;
            context.Raise(FloatExceptions.ZeroDivide);
            return Floatx80.Infinity(!y.IsNegative);
        }

        if (x.IsInfinity)
        {
            if (y.IsZero) return Invalid(ref context);
            RaiseDenormal(y, y, ref context);
            return Floatx80.Infinity(y.IsNegative);
        }

        bool isOne = x == Floatx80.One;
        bool belowOne = x.Exponent < Bias;
        if (y.IsInfinity)
        {
            if (isOne) return Invalid(ref context);
            RaiseDenormal(x, x, ref context);
            return Floatx80.Infinity(y.IsNegative ^ belowOne);
        }

        RaiseDenormal(y, x, ref context);
        if (y.IsZero || isOne) return Floatx80.Zero(y.IsNegative ^ belowOne);
        ulong significand = x.Unpack(out int exponent);
        if (significand == IntegerBit)
        {
            // A power of two: the logarithm is an integer, and the product may be exact. Processors report PE all the
            // same, and with it UE where the product is tiny.
            context.Raise(FloatExceptions.Precision);
            Floatx80 product = Multiply(Unbounded(y, out int scale), Floatx80.FromInteger(exponent), scale, ref context);
            if (product.Class == FloatClass.Denormal) context.Raise(FloatExceptions.Underflow);
            return product;
        }

        return RoundInexact(Extended.From(y) * LogarithmBaseTwo(new(false, exponent, new UInt128(significand, 0))), ref context);
    }

    /// <summary>
    /// FYL2XP1: y * log2(x + 1). The manual defines it for |x| up to 1 - sqrt(2) / 2; here any x above -1 gives the
    /// logarithm, and the others are invalid.
    /// </summary>
    public static Floatx80 LogarithmOfOnePlusTimes(Floatx80 y, Floatx80 x, ref FloatContext context)
    {
        context.Precision = 64;
        if (TryPropagateNan(y, x, ref context, out Floatx80 nan)) return nan;
        if (x.IsInfinity)
        {
            if (x.IsNegative || y.IsZero) return Invalid(ref context);
            RaiseDenormal(y, y, ref context);
            return Floatx80.Infinity(y.IsNegative);
        }

        if (x.IsNegative && x.Exponent >= Bias) return Invalid(ref context);
        if (y.IsInfinity)
        {
            if (x.IsZero) return Invalid(ref context);
            RaiseDenormal(x, x, ref context);
            return Floatx80.Infinity(y.IsNegative ^ x.IsNegative);
        }

        RaiseDenormal(y, x, ref context);
        if (x.IsZero || y.IsZero) return Floatx80.Zero(y.IsNegative ^ x.IsNegative);
        Extended ex = Extended.From(x);
        Extended logarithm = ex.Exponent < -2
            ? FromInverseTangent(ex / (Extended.From(2) + ex))
            : LogarithmBaseTwo(Extended.From(1) + ex);
        if (logarithm.IsZero) return Floatx80.Zero(y.IsNegative ^ x.IsNegative);
        return RoundInexact(Extended.From(y) * logarithm, ref context);
    }

    /// <summary>log2 of a positive value: the exponent plus the logarithm of a significand between sqrt(1/2) and sqrt(2).</summary>
    private static Extended LogarithmBaseTwo(Extended value)
    {
        int exponent = value.Exponent;
        UInt128 significand = value.Significand;
        Extended difference, sum;
        if ((ulong)(significand >> 64) >= SquareRootOfTwo)
        {
            exponent++;
            difference = Extended.Normalize(true, -1, UInt128.Zero - significand);
            sum = Extended.From(1) + new Extended(false, -1, significand);
        }
        else
        {
            difference = Extended.Normalize(false, 0, significand - Extended.FixedOne);
            sum = Extended.From(1) + new Extended(false, 0, significand);
        }

        return Extended.From(exponent) + FromInverseTangent(difference / sum);
    }

    /// <summary>2 log2(e) atanh s = log2((1 + s) / (1 - s)).</summary>
    private static Extended FromInverseTangent(Extended s) => s.IsZero
        ? default
        : Times(s * Extended.Normalize(false, 0, Extended.Polynomial(TranscendentalTables.Odd, s.SquareFixed(), false)) * TranscendentalTables.LogTwoE, 1);

    /// <summary>Brings a denormal or normal value near one, so that a product with it cannot leave the range.</summary>
    private static Floatx80 Unbounded(Floatx80 value, out int scale)
    {
        ulong significand = value.Unpack(out scale);
        return new((ushort)(Bias | (value.IsNegative ? 0x8000 : 0)), significand);
    }

    /// <summary>a * b * 2^scale, rounded once.</summary>
    private static Floatx80 Multiply(Floatx80 a, Floatx80 b, int scale, ref FloatContext context)
    {
        ulong sa = a.Unpack(out int ea);
        ulong sb = b.Unpack(out int eb);
        UInt128 product = WideMath.Multiply(sa, sb);
        return RoundNormalized(a.IsNegative ^ b.IsNegative, ea + eb + scale + 1, (ulong)(product >> 64), (ulong)product, ref context);
    }
}
