namespace Ringfence.Devices.Video;

/// <summary>
/// A display adapter's memory: what the linear frame buffer shows, and in its first 256 KiB the four planes of the VGA, byte p of each four
/// being plane p. The adapter reads and writes it under the machine lock; pictures are drawn from it at any time, while the guest writes.
/// </summary>
internal interface IFrameMemory
{
    /// <summary>Bytes a page of <see cref="TakeDirty"/> has.</summary>
    const int PageBytes = 4096;

    /// <summary>Bytes: a power of two, at least 256 KiB.</summary>
    int Length { get; }

    /// <summary>All of it.</summary>
    Span<byte> Bytes { get; }

    /// <summary>Says which bytes pictures are drawn from now, [first, end): <see cref="TakeDirty"/> may leave out all others.</summary>
    void Watch(int first, int end)
    {
    }

    /// <summary>
    /// Adds a bit for each page that was written other than through <see cref="Bytes"/> since the last call. What is written after a page's bit was
    /// taken sets it again. Any thread, one call at a time, not under the machine lock.
    /// </summary>
    /// <param name="pages">A bit for each page, the first in bit 0 of the first element; bits that are set stay set.</param>
    /// <returns>Whether there was any.</returns>
    bool TakeDirty(Span<ulong> pages);
}
