using System.Security.Cryptography;

namespace Ringfence.Machines;

/// <summary>The guest's random numbers: the host's generator, or a sequence made from a seed (SplitMix64).</summary>
internal sealed class RandomSource(ulong? seed)
{
    private ulong _state = seed.GetValueOrDefault();

    /// <summary>The next number. Any thread.</summary>
    public ulong Next()
    {
        if (seed is null)
        {
            Span<byte> bytes = stackalloc byte[sizeof(ulong)];
            RandomNumberGenerator.Fill(bytes);
            return BitConverter.ToUInt64(bytes);
        }

        ulong z = Interlocked.Add(ref _state, 0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)) * 0xbf58_476d_1ce4_e5b9;
        z = (z ^ (z >> 27)) * 0x94d0_49bb_1331_11eb;
        return z ^ (z >> 31);
    }
}
