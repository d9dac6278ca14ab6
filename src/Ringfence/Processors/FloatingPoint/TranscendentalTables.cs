namespace Ringfence.Processors.FloatingPoint;

/// <summary>Constants and series coefficients of the transcendental functions, in fixed point with 127 fraction bits; made once.</summary>
internal static class TranscendentalTables
{
    /// <summary>Number of steps of the arctangent table between 0 and 1.</summary>
    public const int ArctangentSteps = 32;

    /// <summary>1 / (2k + 1)!: sin x / x in x^2.</summary>
    public static readonly UInt128[] Sine = Factorials(18, k => 2 * k * ((2 * k) + 1));

    /// <summary>1 / (2k)!: cos x in x^2.</summary>
    public static readonly UInt128[] Cosine = Factorials(18, k => 2 * k * ((2 * k) - 1));

    /// <summary>1 / (k + 1)!: (e^x - 1) / x in x.</summary>
    public static readonly UInt128[] Exponential = Factorials(34, k => k + 1);

    /// <summary>1 / (2k + 1): atanh x / x, and with alternating signs atan x / x, in x^2.</summary>
    public static readonly UInt128[] Odd = [.. Enumerable.Range(0, 26).Select(k => Extended.FixedOne / (UInt128)((2 * k) + 1))];

    /// <summary>As <see cref="Odd"/>, as long as arguments up to 1/32 need.</summary>
    public static readonly UInt128[] ShortOdd = Odd[..14];

    /// <summary>ln 2.</summary>
    public static readonly Extended LnTwo = new(false, -1, new UInt128(0xb172_17f7_d1cf_79ab, 0xc9e3_b398_03f2_f6af));

    /// <summary>log2 e.</summary>
    public static readonly Extended LogTwoE = new(false, 0, new UInt128(0xb8aa_3b29_5c17_f0bb, 0xbe87_fed0_691d_3e88));

    /// <summary>Pi to 128 bits, for results; arguments are reduced by the x87's own 66-bit pi.</summary>
    public static readonly Extended Pi = new(false, 1, new UInt128(0xc90f_daa2_2168_c234, 0xc4c6_628b_80dc_1cd1));

    /// <summary>atan(k / 32).</summary>
    public static readonly UInt128[] Arctangents = MakeArctangents();

    /// <summary>atan u for |u| up to 1/32.</summary>
    public static Extended SmallArctangent(Extended u) =>
        u * Extended.Normalize(false, 0, Extended.Polynomial(ShortOdd, u.SquareFixed(), true));

    private static UInt128[] Factorials(int count, Func<int, int> ratio)
    {
        var coefficients = new UInt128[count];
        coefficients[0] = Extended.FixedOne;
        for (int k = 1; k < count; k++) coefficients[k] = coefficients[k - 1] / (UInt128)ratio(k);
        return coefficients;
    }

    private static UInt128[] MakeArctangents()
    {
        // atan((k + 1) / n) - atan(k / n) = atan(n / (n^2 + k (k + 1))).
        var table = new UInt128[ArctangentSteps + 1];
        for (int k = 0; k < ArctangentSteps; k++)
        {
            Extended step = Extended.From(ArctangentSteps) / Extended.From((ArctangentSteps * ArctangentSteps) + (k * (k + 1)));
            table[k + 1] = table[k] + SmallArctangent(step).ToFixed();
        }

        return table;
    }
}
