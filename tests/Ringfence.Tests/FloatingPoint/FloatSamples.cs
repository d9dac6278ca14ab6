using System.Numerics;

namespace Ringfence.Tests.FloatingPoint;

/// <summary>Values to try: the special ones of a format, and random ones with neighbouring exponents.</summary>
internal static class FloatSamples
{
    public static readonly uint[] Special32 =
    [
        0, 0x8000_0000, 1, 0x8000_0001, 2, 0x007f_ffff, 0x0040_0000, 0x807f_ffff, 0x0080_0000, 0x8080_0000, 0x0080_0001, 0x00ff_ffff,
        0x0100_0000, 0x3f80_0000, 0xbf80_0000, 0x3f80_0001, 0x3f7f_ffff, 0x4000_0000, 0x3f00_0000, 0x3fc0_0000, 0x4020_0000,
        0x4b00_0000, 0x4b7f_ffff, 0xcb00_0001, 0x4eff_ffff, 0x4f00_0000, 0xcf00_0000, 0xcf00_0001, 0x5eff_ffff, 0x5f00_0000, 0xdf00_0000,
        0x7f7f_ffff, 0xff7f_ffff, 0x7f00_0000, 0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0xffc0_0000, 0x7fc1_2345, 0xffff_ffff,
        0x7f80_0001, 0xff80_0001, 0x7fa5_5555, 0x3eaa_aaab, 0x4049_0fdb, 0x2000_0000, 0x1fff_ffff, 0x3400_0000, 0x3380_0000, 0x3380_0001,
    ];

    public static readonly ulong[] Special64 =
    [
        0, 1UL << 63, 1, 0x8000_0000_0000_0001, 2, 0x000f_ffff_ffff_ffff, 0x0008_0000_0000_0000, 0x800f_ffff_ffff_ffff, 0x0010_0000_0000_0000,
        0x8010_0000_0000_0000, 0x0010_0000_0000_0001, 0x001f_ffff_ffff_ffff, 0x0020_0000_0000_0000, 0x3ff0_0000_0000_0000,
        0xbff0_0000_0000_0000, 0x3ff0_0000_0000_0001, 0x3fef_ffff_ffff_ffff, 0x4000_0000_0000_0000, 0x3fe0_0000_0000_0000,
        0x3ff8_0000_0000_0000, 0x4004_0000_0000_0000, 0x4330_0000_0000_0000, 0x433f_ffff_ffff_ffff, 0xc330_0000_0000_0001,
        0x41df_ffff_ffc0_0000, 0x41df_ffff_ffe0_0000, 0xc1e0_0000_0000_0000, 0xc1e0_0000_0010_0000, 0xc1e0_0000_0020_0000,
        0x43df_ffff_ffff_ffff, 0x43e0_0000_0000_0000, 0xc3e0_0000_0000_0000, 0xc3e0_0000_0000_0001,
        0x7fef_ffff_ffff_ffff, 0xffef_ffff_ffff_ffff, 0x7fe0_0000_0000_0000, 0x7ff0_0000_0000_0000, 0xfff0_0000_0000_0000,
        0x7ff8_0000_0000_0000, 0xfff8_0000_0000_0000, 0x7ff8_1234_5678_9abc, 0xffff_ffff_ffff_ffff, 0x7ff0_0000_0000_0001,
        0xfff0_0000_0000_0001, 0x7ff5_5555_5555_5555, 0x47ef_ffff_e000_0000, 0x47ef_ffff_f000_0000, 0x47ef_ffff_efff_ffff,
        0x3810_0000_0000_0000, 0x380f_ffff_f000_0000, 0x380f_ffff_e000_0000, 0x3690_0000_0000_0000, 0x36a0_0000_0000_0000,
        0x3680_0000_0000_0000, 0x3fd5_5555_5555_5555, 0x4009_21fb_5444_2d18, 0x1ff0_0000_0000_0000, 0x3ca0_0000_0000_0000, 0x3ca0_0000_0000_0001,
    ];

    /// <summary>A special value one time in four, else random bits with an exponent near one, near the ends, or anywhere.</summary>
    public static T Next<T>(Random random)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        bool single = typeof(T) == typeof(uint);
        if (random.Next(4) == 0)
        {
            return single
                ? T.CreateTruncating(Special32[random.Next(Special32.Length)])
                : T.CreateTruncating(Special64[random.Next(Special64.Length)]);
        }

        int fractionBits = single ? 23 : 52;
        int limit = single ? 255 : 2047;
        int exponent = random.Next(5) switch
        {
            0 => random.Next(limit),
            1 => random.Next(3),
            2 => limit - 1 - random.Next(3),
            _ => (limit >> 1) + random.Next(-30, 70),
        };
        ulong fraction = (ulong)random.NextInt64() & ((1UL << fractionBits) - 1);
        if (random.Next(3) == 0) fraction &= ~0UL << random.Next(fractionBits);
        if (random.Next(6) == 0) fraction = ~fraction & ((1UL << fractionBits) - 1);
        return T.CreateTruncating(((ulong)random.Next(2) << (single ? 31 : 63)) | ((ulong)exponent << fractionBits) | fraction);
    }
}
