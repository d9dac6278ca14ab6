using Ringfence.Devices.Video;
using Ringfence.Memory;

namespace Ringfence.Machines;

/// <summary>
/// Frame memory that processors write without anybody noticing: what was written is found by comparing what is shown with a copy, and only when
/// somebody looks at the screen.
/// </summary>
/// <param name="memory">The memory.</param>
internal sealed class ComparedFrameMemory(FrameBufferMemory memory) : IFrameMemory
{
    private byte[] _copy = [];
    private int _first;
    private int _end;

    /// <inheritdoc/>
    public int Length => memory.Length;

    /// <inheritdoc/>
    public Span<byte> Bytes => memory.Bytes;

    /// <inheritdoc/>
    public void Watch(int first, int end)
    {
        _first = first / IFrameMemory.PageBytes;
        _end = (end + IFrameMemory.PageBytes - 1) / IFrameMemory.PageBytes;
    }

    /// <inheritdoc/>
    public bool TakeDirty(Span<ulong> pages)
    {
        if (_first == _end) return false;
        if (_copy.Length == 0) _copy = new byte[memory.Length];
        bool any = false;
        ReadOnlySpan<byte> bytes = memory.Bytes;
        for (int page = _first; page < _end; page++)
        {
            // Copied before the picture is drawn: what the guest writes from here on differs from the copy next time.
            ReadOnlySpan<byte> now = bytes.Slice(page * IFrameMemory.PageBytes, IFrameMemory.PageBytes);
            Span<byte> then = _copy.AsSpan(page * IFrameMemory.PageBytes, IFrameMemory.PageBytes);
            if (now.SequenceEqual(then)) continue;
            now.CopyTo(then);
            pages[page >> 6] |= 1UL << page;
            any = true;
        }

        return any;
    }
}
