namespace Ringfence.Memory;

/// <summary>
/// Remembers which linear addresses large pages were filled for: INVLPG of one forgets the whole page, of which the TLB may hold many
/// small pieces. It may say yes where no was right, never the other way round.
/// </summary>
internal sealed class LargePageFilter
{
    private const int Bits = 1 << 13;
    private const int Crowded = Bits / 4;

    private readonly ulong[] _bits = new ulong[Bits / 64];
    private int _set;
    private uint _sizes;

    /// <summary>So much is remembered that most answers are yes: time to forget all translations.</summary>
    public bool IsCrowded => _set > Crowded;

    /// <summary>Notes a page of 2 MiB, 4 MiB or 1 GiB.</summary>
    public void Add(ulong linear, ulong bytes)
    {
        int shift = System.Numerics.BitOperations.Log2(bytes);
        _sizes |= 1U << shift;
        uint bit = HashOf(linear, shift);
        ulong mask = 1UL << (int)(bit & 63);
        if ((_bits[bit >> 6] & mask) != 0) return;
        _bits[bit >> 6] |= mask;
        _set++;
    }

    /// <summary>May a linear address lie in a page that was noted?</summary>
    public bool MayContain(ulong linear)
    {
        for (uint sizes = _sizes; sizes != 0; sizes &= sizes - 1)
        {
            uint bit = HashOf(linear, System.Numerics.BitOperations.TrailingZeroCount(sizes));
            if ((_bits[bit >> 6] & (1UL << (int)(bit & 63))) != 0) return true;
        }

        return false;
    }

    /// <summary>Forgets everything.</summary>
    public void Clear()
    {
        if (_sizes == 0) return;
        Array.Clear(_bits);
        _set = 0;
        _sizes = 0;
    }

    private static uint HashOf(ulong linear, int shift) => (uint)((((linear >> shift) * 0x9e37_79b9_7f4a_7c15UL) + (ulong)shift) >> 40) & (Bits - 1);
}
