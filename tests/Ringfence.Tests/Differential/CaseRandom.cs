using System.Numerics;

namespace Ringfence.Tests.Differential;

/// <summary>A small reproducible generator (SplitMix64) with a liking for the values that find errors.</summary>
internal sealed class CaseRandom(ulong seed)
{
    private static readonly ulong[] Integers =
    [
        0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 63, 64, 0x7f, 0x80, 0x81, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000,
        0x8000_0001, 0xffff_ffff, 0x1_0000_0000, 0x7fff_ffff_ffff_ffff, 0x8000_0000_0000_0000, 0x8000_0000_0000_0001,
        0xffff_ffff_ffff_fffe, 0xffff_ffff_ffff_ffff, 0xffff_ffff_ffff_ff80, 0xffff_ffff_ffff_8000, 0xffff_ffff_8000_0000,
        0x5555_5555_5555_5555, 0xaaaa_aaaa_aaaa_aaaa, 0x0123_4567_89ab_cdef, 0x0909_0909_0909_0909, 0x9999_9999_9999_9999,
    ];

    private static readonly uint[] Singles =
    [
        0, 0x8000_0000, 0x3f80_0000, 0xbf80_0000, 0x4000_0000, 0x3f00_0000, 0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0xffc0_0000, 0x7f80_0001,
        0xffa0_0000, 1, 0x8000_0001, 0x007f_ffff, 0x0080_0000, 0x7f7f_ffff, 0xff7f_ffff, 0x4f00_0000, 0xcf00_0000, 0x5f00_0000, 0x3fc0_0000,
        0x4020_0000, 0x4b00_0000, 0x4b80_0001, 0x3eaa_aaab,
    ];

    private static readonly ulong[] Doubles =
    [
        0, 1UL << 63, 0x3ff0_0000_0000_0000, 0xbff0_0000_0000_0000, 0x4000_0000_0000_0000, 0x3fe0_0000_0000_0000, 0x7ff0_0000_0000_0000,
        0xfff0_0000_0000_0000, 0x7ff8_0000_0000_0000, 0xfff8_0000_0000_0000, 0x7ff0_0000_0000_0001, 0xfff4_0000_0000_0000, 1,
        0x8000_0000_0000_0001, 0x000f_ffff_ffff_ffff, 0x0010_0000_0000_0000, 0x7fef_ffff_ffff_ffff, 0xffef_ffff_ffff_ffff,
        0x41e0_0000_0000_0000, 0xc1e0_0000_0000_0000, 0x43e0_0000_0000_0000, 0xc3e0_0000_0000_0000, 0x3ff8_0000_0000_0000,
        0x4004_0000_0000_0000, 0x4330_0000_0000_0001, 0x3fd5_5555_5555_5555, 0x36a0_0000_0000_0000, 0x47ef_ffff_ffff_ffff,
    ];

    private ulong _state = seed;

    /// <summary>64 random bits.</summary>
    public ulong Next()
    {
        ulong z = _state += 0x9e37_79b9_7f4a_7c15;
        z = (z ^ (z >> 30)) * 0xbf58_476d_1ce4_e5b9;
        z = (z ^ (z >> 27)) * 0x94d0_49bb_1331_11eb;
        return z ^ (z >> 31);
    }

    /// <summary>A number from 0 to <paramref name="limit"/> - 1.</summary>
    public int Below(int limit) => (int)((UInt128)Next() * (ulong)limit >> 64);

    /// <summary>True once in <paramref name="n"/> times.</summary>
    public bool OneIn(int n) => Below(n) == 0;

    /// <summary>One of the items.</summary>
    public T Pick<T>(ReadOnlySpan<T> items) => items[Below(items.Length)];

    /// <summary>An integer.</summary>
    public ulong Integer() => Below(8) switch
    {
        0 or 1 or 2 => Pick<ulong>(Integers),
        3 => (ulong)Below(256),
        4 => (ulong)-(long)Below(256),
        5 => Next() >> Below(64),
        _ => Next(),
    };

    /// <summary>A binary32 pattern.</summary>
    public uint Single() => Below(5) switch
    {
        0 or 1 => Pick<uint>(Singles),
        2 => BitConverter.SingleToUInt32Bits(Below(2000) - 1000),
        3 => (uint)(Next() & 0x807f_ffff) | ((uint)(127 + Below(80) - 40) << 23),
        _ => (uint)Next(),
    };

    /// <summary>A binary64 pattern.</summary>
    public ulong Double() => Below(5) switch
    {
        0 or 1 => Pick<ulong>(Doubles),
        2 => BitConverter.DoubleToUInt64Bits(Below(2000) - 1000),
        3 => (Next() & 0x800f_ffff_ffff_ffff) | ((ulong)(1023 + Below(160) - 80) << 52),
        _ => Next(),
    };

    /// <summary>A double extended pattern: significand, sign and exponent, also of forms no arithmetic makes.</summary>
    public (ulong Significand, ushort SignExponent) Extended()
    {
        ushort sign = (ushort)(OneIn(2) ? 0x8000 : 0);
        const ulong Integer = 1UL << 63;
        return Below(16) switch
        {
            0 => (0, sign),
            1 => (Integer, (ushort)(sign | 0x3fff)),
            2 => (Integer, (ushort)(sign | 0x7fff)),
            3 => (Integer | (1UL << 62) | (Next() >> 2), (ushort)(sign | 0x7fff)),
            4 => (Integer | ((Next() >> 2) | 1), (ushort)(sign | 0x7fff)),
            5 => (Next() >> (1 + Below(63)), sign),
            6 => (Integer | Next(), sign),
            7 => OneIn(4) ? (Next() & ~Integer, (ushort)(sign | Below(0x8000))) : (Integer | Next(), (ushort)(sign | 0x3fff)),
            8 or 9 => FromInteger(sign, (ulong)Below(1000) + 1),
            10 => FromInteger(sign, Next() | 1),
            11 or 12 => (Integer | Next(), (ushort)(sign | (0x3fff + Below(128) - 64))),
            13 => (Integer | (Next() << Below(64)), (ushort)(sign | (0x3fff + Below(10) - 5))),
            14 => (Integer | Next(), (ushort)(sign | (OneIn(2) ? 1 + Below(100) : 0x7ffe - Below(100)))),
            _ => (Integer | Next(), (ushort)(sign | Below(0x7fff))),
        };
    }

    /// <summary>Fills memory with values of mixed kinds.</summary>
    public unsafe void Fill(byte* bytes, int count)
    {
        for (int i = 0; i < count;)
        {
            int size = count - i >= 10 && OneIn(4) ? 10 : count - i >= 8 ? 8 : 1;
            switch (size)
            {
                case 10:
                    (*(ulong*)(bytes + i), *(ushort*)(bytes + i + 8)) = Extended();
                    break;
                case 8:
                    *(ulong*)(bytes + i) = Lane();
                    break;
                default:
                    bytes[i] = (byte)Next();
                    break;
            }

            i += size;
        }
    }

    /// <summary>64 bits of integers, singles or a double.</summary>
    public ulong Lane() => Below(3) switch
    {
        0 => Integer(),
        1 => Single() | ((ulong)Single() << 32),
        _ => Double(),
    };

    private static (ulong Significand, ushort SignExponent) FromInteger(ushort sign, ulong value)
    {
        int shift = BitOperations.LeadingZeroCount(value);
        return (value << shift, (ushort)(sign | (0x3fff + 63 - shift)));
    }
}
