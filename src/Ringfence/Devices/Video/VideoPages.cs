namespace Ringfence.Devices.Video;

/// <summary>The pages of the frame memory that were written since something was drawn last.</summary>
/// <param name="length">Bytes of the frame memory.</param>
internal sealed class VideoPages(int length)
{
    private readonly ulong[] _bits = new ulong[length / IFrameMemory.PageBytes / 64];

    /// <summary>A bit for each page.</summary>
    public Span<ulong> Bits => _bits;

    /// <summary>Was anything of [first, end) written? What lies outside the memory was not.</summary>
    public bool Touches(long first, long end)
    {
        if (first >= end) return false;
        int lastPage = (int)Math.Min((end - 1) / IFrameMemory.PageBytes, (_bits.Length * 64L) - 1);
        for (int page = (int)(first / IFrameMemory.PageBytes); page <= lastPage; page++)
            if ((_bits[page >> 6] >> page & 1) != 0) return true;
        return false;
    }
}
