using System.Runtime.InteropServices;

namespace Ringfence.Host;

/// <summary>What the host knows about our memory (Linux).</summary>
internal static unsafe partial class HostMemory
{
    private const nuint PageSize = 4096;

    /// <summary>Bytes of [address, address + length) that are in memory.</summary>
    public static ulong ResidentBytes(byte* address, nuint length)
    {
        const int Chunk = 65536;
        Span<byte> pages = stackalloc byte[Chunk];
        ulong resident = 0;
        for (nuint done = 0; done < length; done += Chunk * PageSize)
        {
            nuint part = Math.Min(length - done, Chunk * PageSize);
            fixed (byte* vector = pages)
            {
                if (InCore(address + done, part, vector) != 0) continue;
            }

            foreach (byte page in pages[..(int)((part + PageSize - 1) / PageSize)]) resident += (ulong)(page & 1);
        }

        return resident * PageSize;
    }

    [LibraryImport("libc", EntryPoint = "mincore", SetLastError = true)]
    private static partial int InCore(byte* address, nuint length, byte* vector);
}
