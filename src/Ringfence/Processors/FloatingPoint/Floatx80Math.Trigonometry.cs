namespace Ringfence.Processors.FloatingPoint;

/// <content>
/// FSIN, FCOS, FSINCOS, FPTAN and FPATAN (Intel SDM 1 8.3.7, 8.3.8, 8.3.10). Arguments are reduced exactly by the
/// 66-bit pi that the manual gives; the functions of the reduced argument err by less than 2^-50 units in the last place
/// before they are rounded.
/// </content>
internal static partial class Floatx80Math
{
    /// <summary>The x87's pi / 2 (0.C90FDAA22168C234C times 2), in units of 2^-65.</summary>
    private static readonly UInt128 HalfPi = new(3, 0x243f_6a88_85a3_08d3);

    /// <summary>
    /// Sine and cosine. False: the magnitude is 2^63 or more, nothing is computed, and C2 is to be set.
    /// </summary>
    public static bool TrySineCosine(Floatx80 a, ref FloatContext context, bool wantSine, bool wantCosine, out Floatx80 sine, out Floatx80 cosine)
    {
        context.Precision = 64;
        if (!TryPrepareAngle(a, ref context, out sine, out cosine, out bool special)) return false;
        if (special) return true;
        Reduce(a, out Extended angle, out int quadrant);
        SineCosine(angle, out Extended s, out Extended c);
        bool negative = a.IsNegative;
        if ((quadrant & 1) != 0) (s, c) = (c, s.Negated);
        if ((quadrant & 2) != 0) (s, c) = (s.Negated, c.Negated);
        if (negative) s = s.Negated;
        if (wantSine) sine = RoundInexact(s, ref context);
        if (wantCosine) cosine = RoundInexact(c, ref context);
        return true;
    }

    /// <summary>Tangent. False: as <see cref="TrySineCosine"/>.</summary>
    public static bool TryTangent(Floatx80 a, ref FloatContext context, out Floatx80 tangent)
    {
        context.Precision = 64;
        if (!TryPrepareAngle(a, ref context, out tangent, out _, out bool special)) return false;
        if (special) return true;
        Reduce(a, out Extended angle, out int quadrant);
        SineCosine(angle, out Extended s, out Extended c);
        Extended ratio = (quadrant & 1) != 0 ? (c / s).Negated : s / c;
        tangent = RoundInexact(a.IsNegative ? ratio.Negated : ratio, ref context);
        return true;
    }

    /// <summary>FPATAN: the angle of the point (x, y), in all four quadrants (Intel SDM 2A, table 3-30).</summary>
    public static Floatx80 Arctangent(Floatx80 y, Floatx80 x, ref FloatContext context)
    {
        context.Precision = 64;
        if (TryPropagateNan(y, x, ref context, out Floatx80 nan)) return nan;
        RaiseDenormal(y, x, ref context);
        bool negative = y.IsNegative;
        Extended angle;
        if (y.IsInfinity && x.IsInfinity)
        {
            angle = Times(TranscendentalTables.Pi, -2);
            if (x.IsNegative) angle = TranscendentalTables.Pi - angle;
        }
        else if (x.IsZero || y.IsInfinity)
        {
            if (y.IsZero)
            {
                if (!x.IsNegative) return y;
                angle = TranscendentalTables.Pi;
            }
            else
            {
                angle = Times(TranscendentalTables.Pi, -1);
            }
        }
        else if (y.IsZero || x.IsInfinity)
        {
            if (!x.IsNegative) return Floatx80.Zero(negative);
            angle = TranscendentalTables.Pi;
        }
        else
        {
            Extended ex = Extended.From(x.WithSign(false));
            Extended ey = Extended.From(y.WithSign(false));
            bool steep = ey.Exponent > ex.Exponent || (ey.Exponent == ex.Exponent && ey.Significand > ex.Significand);
            angle = ArctangentOfRatio(steep ? ex / ey : ey / ex);
            if (steep) angle = Times(TranscendentalTables.Pi, -1) - angle;
            if (x.IsNegative) angle = TranscendentalTables.Pi - angle;
        }

        return RoundInexact(negative ? angle.Negated : angle, ref context);
    }

    /// <summary>atan of a ratio between 0 and 1.</summary>
    private static Extended ArctangentOfRatio(Extended ratio)
    {
        if (ratio.Exponent < -6) return TranscendentalTables.SmallArctangent(ratio);
        // atan t = atan c + atan((t - c) / (1 + t c)), c being the nearest value with a known arctangent.
        UInt128 t = ratio.ToFixed();
        int k = (int)((t + (UInt128.One << 121)) >> 122);
        UInt128 c = (UInt128)k << 122;
        bool below = t < c;
        Extended denominator = Extended.From(1) + (ratio * Extended.Normalize(false, 0, c));
        Extended u = Extended.Normalize(false, 0, below ? c - t : t - c) / denominator;
        UInt128 rest = TranscendentalTables.SmallArctangent(u).ToFixed();
        UInt128 known = TranscendentalTables.Arctangents[k];
        return Extended.Normalize(false, 0, below ? known - rest : known + rest);
    }

    /// <summary>NaNs, zeros, infinities and angles that are too large.</summary>
    private static bool TryPrepareAngle(Floatx80 a, ref FloatContext context, out Floatx80 sine, out Floatx80 cosine, out bool special)
    {
        special = true;
        if (TryPropagateNan(a, a, ref context, out sine))
        {
            cosine = sine;
            return true;
        }

        if (a.IsInfinity)
        {
            sine = cosine = Invalid(ref context);
            return true;
        }

        sine = a;
        cosine = Floatx80.One;
        if (a.Exponent >= Bias + 63) return false;
        RaiseDenormal(a, a, ref context);
        special = a.IsZero;
        return true;
    }

    /// <summary>|a| = quadrant * pi / 2 + angle, with |angle| at most pi / 4; exact with the x87's pi.</summary>
    private static void Reduce(Floatx80 a, out Extended angle, out int quadrant)
    {
        ulong significand = a.Unpack(out int exponent);
        quadrant = 0;
        angle = new(false, exponent, new UInt128(significand, 0));
        if (exponent < -2) return;
        UInt128 rest = significand;
        int quotient = 0;
        for (int i = 0; i < exponent + 2; i++)
        {
            rest <<= 1;
            quotient <<= 1;
            if (rest < HalfPi) continue;
            rest -= HalfPi;
            quotient |= 1;
        }

        bool negative = rest > HalfPi >> 1;
        if (negative)
        {
            rest = HalfPi - rest;
            quotient++;
        }

        quadrant = quotient & 3;
        angle = Extended.Normalize(negative, 127 - 65, rest);
    }

    private static void SineCosine(Extended angle, out Extended sine, out Extended cosine)
    {
        UInt128 square = angle.SquareFixed();
        sine = angle * Extended.Normalize(false, 0, Extended.Polynomial(TranscendentalTables.Sine, square, true));
        cosine = Extended.Normalize(false, 0, Extended.Polynomial(TranscendentalTables.Cosine, square, true));
    }

    private static Extended Times(Extended value, int power) => value with { Exponent = value.Exponent + power };

    /// <summary>Rounds a result that is never exact.</summary>
    private static Floatx80 RoundInexact(Extended value, ref FloatContext context) => value.IsZero
        ? Floatx80.Zero(value.Negative)
        : Round(value.Negative, value.Exponent, (ulong)(value.Significand >> 64), (ulong)value.Significand | 1, ref context);
}
