namespace Ringfence.Devices.Virtio;

/// <summary>A chain of buffers of a <see cref="VirtQueue"/>: what the device may read, then what it may write.</summary>
internal sealed class VirtChain
{
    private readonly IGuestMemory _memory;
    private readonly List<(ulong Address, uint Length)> _readable = [];
    private readonly List<(ulong Address, uint Length)> _writable = [];

    internal VirtChain(IGuestMemory memory, ushort head)
    {
        _memory = memory;
        Head = head;
    }

    /// <summary>Index of the first descriptor.</summary>
    public ushort Head { get; }

    /// <summary>Bytes the device may read.</summary>
    public long ReadableLength { get; private set; }

    /// <summary>Bytes the device may write.</summary>
    public long WritableLength { get; private set; }

    /// <summary>Reads from the readable part; bytes behind its end are left alone.</summary>
    public void Read(long offset, Span<byte> data) => Copy(_readable, offset, data.Length, data, default, false);

    /// <summary>Writes into the writable part; bytes behind its end are dropped.</summary>
    public void Write(long offset, ReadOnlySpan<byte> data) => Copy(_writable, offset, data.Length, default, data, true);

    /// <summary>Adds a buffer. False: a readable one behind a writable one.</summary>
    internal bool TryAdd(ulong address, uint length, bool writable)
    {
        if (writable)
        {
            _writable.Add((address, length));
            WritableLength += length;
            return true;
        }

        if (_writable.Count > 0) return false;
        _readable.Add((address, length));
        ReadableLength += length;
        return true;
    }

    private void Copy(List<(ulong Address, uint Length)> parts, long offset, int length, Span<byte> read, ReadOnlySpan<byte> written, bool write)
    {
        int done = 0;
        foreach ((ulong address, uint partLength) in parts)
        {
            if (done == length) return;
            if (offset >= partLength)
            {
                offset -= partLength;
                continue;
            }

            int count = (int)Math.Min(partLength - offset, length - done);
            if (write) _memory.Write(address + (ulong)offset, written.Slice(done, count));
            else _memory.Read(address + (ulong)offset, read.Slice(done, count));
            done += count;
            offset = 0;
        }
    }
}
