using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Tests.X87;

/// <summary>80-bit values to try: every class of encoding, and random ones with neighbouring exponents.</summary>
internal static class Floatx80Samples
{
    public static readonly Floatx80[] Special =
    [
        new(0, 0), new(0x8000, 0), new(0, 1), new(0x8000, 1), new(0, 0x7fff_ffff_ffff_ffff), new(0x8000, 0x4000_0000_0000_0000),
        new(0, 0x8000_0000_0000_0000), new(0x8000, 0xffff_ffff_ffff_ffff), new(0, 0xc000_0000_0000_0001),
        new(1, 0x8000_0000_0000_0000), new(0x8001, 0x8000_0000_0000_0001), new(1, 0xffff_ffff_ffff_ffff), new(2, 0x8000_0000_0000_0000),
        new(0x3fff, 0x8000_0000_0000_0000), new(0xbfff, 0x8000_0000_0000_0000), new(0x3fff, 0x8000_0000_0000_0001), new(0x3ffe, 0xffff_ffff_ffff_ffff),
        new(0x4000, 0x8000_0000_0000_0000), new(0x3ffe, 0x8000_0000_0000_0000), new(0x4000, 0xc000_0000_0000_0000), new(0x3fff, 0xc000_0000_0000_0000),
        new(0x4000, 0xa000_0000_0000_0000), new(0xc000, 0xe000_0000_0000_0000), new(0x3fff, 0xffff_ffff_ffff_fc00), new(0x3fff, 0xffff_ffff_ffff_f800),
        new(0x3fff, 0xffff_ff80_0000_0000), new(0x3fff, 0xffff_ff00_0000_0000), new(0x3fff, 0x8000_0080_0000_0000), new(0x3fff, 0x8000_0000_0000_0400),
        new(0x403e, 0x8000_0000_0000_0000), new(0xc03e, 0x8000_0000_0000_0000), new(0x403d, 0xffff_ffff_ffff_ffff), new(0x403e, 0x8000_0000_0000_0001),
        new(0xc03e, 0x8000_0000_0000_0001), new(0x403d, 0xffff_ffff_ffff_fffe), new(0xc03d, 0xffff_ffff_ffff_ffff), new(0x401d, 0xffff_ffff_0000_0000),
        new(0x401e, 0x8000_0000_0000_0000), new(0xc01e, 0x8000_0000_0000_0000), new(0x400d, 0xffff_0000_0000_0000), new(0x400d, 0xfffe_8000_0000_0000),
        new(0xc00e, 0x8000_0000_0000_0000), new(0xc00e, 0x8000_8000_0000_0000), new(0x403a, 0xde0b_6b3a_763f_fff0), new(0x403a, 0xde0b_6b3a_7640_0000),
        new(0xc03a, 0xde0b_6b3a_763f_fff8), new(0x403f, 0x8000_0000_0000_0000), new(0x7ffe, 0xffff_ffff_ffff_ffff), new(0xfffe, 0xffff_ffff_ffff_ffff),
        new(0x7ffe, 0x8000_0000_0000_0000), new(0x7ffe, 0xffff_ff00_0000_0000), new(0x7ffe, 0xffff_ffff_ffff_f800), new(0x7ffe, 0xffff_ffff_ffff_f900),
        new(0x7fff, 0x8000_0000_0000_0000), new(0xffff, 0x8000_0000_0000_0000), new(0x7fff, 0xc000_0000_0000_0000), new(0xffff, 0xc000_0000_0000_0000),
        new(0x7fff, 0xffff_ffff_ffff_ffff), new(0xffff, 0xd123_4567_89ab_cdef), new(0x7fff, 0x8000_0000_0000_0001), new(0xffff, 0xbfff_ffff_ffff_ffff),
        new(0x7fff, 0xa123_4567_89ab_cdef), new(0x7fff, 0), new(0xffff, 1), new(0x7fff, 0x4000_0000_0000_0000), new(0x3fff, 0x4000_0000_0000_0000),
        new(1, 0), new(0xc000, 0x7fff_ffff_ffff_ffff), new(0x7ffe, 0), new(0x3fff, 0),
        new(0x43fe, 0xffff_ffff_ffff_f800), new(0x43fe, 0xffff_ffff_ffff_fc00), new(0x43ff, 0x8000_0000_0000_0000), new(0x407e, 0xffff_ff00_0000_0000),
        new(0x407e, 0xffff_ff80_0000_0000), new(0x407f, 0x8000_0000_0000_0000), new(0x3f81, 0x8000_0000_0000_0000), new(0x3f80, 0xffff_ffff_0000_0000),
        new(0x3f80, 0xffff_fe00_0000_0000), new(0x3f6a, 0x8000_0000_0000_0000), new(0x3f69, 0x8000_0000_0000_0000), new(0x3f69, 0x8000_0000_0000_0001),
        new(0x3c01, 0x8000_0000_0000_0000), new(0x3c00, 0xffff_ffff_ffff_ffff), new(0x3c00, 0xffff_ffff_ffff_f000), new(0x3bcd, 0x8000_0000_0000_0000),
        new(0x3bcc, 0x8000_0000_0000_0001), new(0x4000, 0xc90f_daa2_2168_c235), new(0x3fff, 0xc90f_daa2_2168_c235), new(0x3ffd, 0xaaaa_aaaa_aaaa_aaab),
    ];

    public static Floatx80 Next(Random random)
    {
        if (random.Next(4) == 0) return Special[random.Next(Special.Length)];
        ulong significand = (ulong)random.NextInt64() << random.Next(2) | 1UL << 63;
        if (random.Next(3) == 0) significand &= ~0UL << random.Next(64);
        if (random.Next(8) == 0) significand = ~(significand << 1) | 1UL << 63;
        if (random.Next(40) == 0) significand = (ulong)random.NextInt64();
        int exponent = random.Next(8) switch
        {
            0 => random.Next(0x8000),
            1 => random.Next(4),
            2 => 0x7ffe - random.Next(4),
            3 => 0x3fff + random.Next(-1100, 1100),
            4 => 0x3fff + random.Next(-160, 160),
            _ => 0x3fff + random.Next(-40, 70),
        };
        return new((ushort)(exponent | (random.Next(2) << 15)), significand);
    }
}
