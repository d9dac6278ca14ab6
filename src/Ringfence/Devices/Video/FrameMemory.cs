namespace Ringfence.Devices.Video;

/// <summary>Frame memory that is reached over the bus, one access at a time.</summary>
internal sealed class FrameMemory : IFrameMemory, IBusDevice, IStateful
{
    private readonly byte[] _bytes;
    private readonly ulong[] _dirty;
    private int _anyDirty;

    /// <summary>Makes memory of zeros.</summary>
    /// <param name="length">Bytes: a power of two, at least 256 KiB.</param>
    public FrameMemory(int length)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 1 << 18);
        if ((length & (length - 1)) != 0) throw new ArgumentOutOfRangeException(nameof(length));
        _bytes = new byte[length];
        _dirty = new ulong[length / IFrameMemory.PageBytes / 64];
    }

    /// <inheritdoc/>
    public int Length => _bytes.Length;

    /// <inheritdoc/>
    public Span<byte> Bytes => _bytes;

    /// <inheritdoc/>
    public string StateName => "video-memory";

    /// <inheritdoc/>
    public int StateVersion => 1;

    /// <inheritdoc/>
    public bool TakeDirty(Span<ulong> pages)
    {
        if (Interlocked.Exchange(ref _anyDirty, 0) == 0) return false;
        for (int i = 0; i < _dirty.Length; i++) pages[i] |= Interlocked.Exchange(ref _dirty[i], 0);
        return true;
    }

    /// <inheritdoc/>
    public void Read(ulong offset, Span<byte> data) => _bytes.AsSpan((int)offset, data.Length).CopyTo(data);

    /// <inheritdoc/>
    public void Write(ulong offset, ReadOnlySpan<byte> data)
    {
        data.CopyTo(_bytes.AsSpan((int)offset));
        MarkDirty((int)offset);
        MarkDirty((int)offset + data.Length - 1);
    }

    /// <inheritdoc/>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Bytes("bytes", _bytes);
        for (int i = 0; i < _dirty.Length; i++) Interlocked.Exchange(ref _dirty[i], ulong.MaxValue);
        Volatile.Write(ref _anyDirty, 1);
    }

    private void MarkDirty(int offset)
    {
        int page = offset / IFrameMemory.PageBytes;
        Interlocked.Or(ref _dirty[page >> 6], 1UL << page);
        Volatile.Write(ref _anyDirty, 1);
    }
}
