using Microsoft.Win32.SafeHandles;
using Ringfence.Firmware;

namespace Ringfence.Storage;

/// <summary>
/// A disk whose changes are forgotten at the end: they go to a sparse temporary file, at the same offsets as on the disk, and a bit for each
/// block of 4 KiB says which of the two is read. The file has no name from the start, so that nothing is left even if the monitor is killed.
/// </summary>
internal sealed class OverlayStore : BlockStore
{
    private const int BlockBytes = 4096;

    // One page of the map: 32768 blocks, 128 MiB of the disk.
    private const int PageWords = 512;
    private const int PageBlocks = PageWords * 64;

    private readonly BlockStore _below;
    private readonly FileStream _stream;
    private readonly SafeFileHandle _file;
    private readonly Dictionary<long, ulong[]> _pages = [];
    private readonly Lock _lock = new();

    /// <summary>Begins without changes.</summary>
    /// <param name="below">What is read where nothing has changed; the overlay closes it.</param>
    /// <exception cref="BlockImageException">There is no temporary file to be had.</exception>
    public OverlayStore(BlockStore below)
    {
        _below = below;
        try
        {
            string path = Path.Combine(Path.GetTempPath(), $"ringfence-{Guid.NewGuid():N}");
            FileStreamOptions options = new()
            {
                Mode = FileMode.CreateNew,
                Access = FileAccess.ReadWrite,
                Share = FileShare.ReadWrite | FileShare.Delete,
                Options = FileOptions.DeleteOnClose,
                BufferSize = 0,
            };
            if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            _stream = new FileStream(path, options);
            _file = _stream.SafeFileHandle;
            if (!OperatingSystem.IsWindows()) File.Delete(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new BlockImageException($"{Path.GetTempPath()}: no temporary file for the changes of a snapshot: {HostErrors.OneLine(error)}", error);
        }
    }

    /// <inheritdoc/>
    public override long Length => _below.Length;

    /// <inheritdoc/>
    public override bool IsReadOnly => false;

    /// <inheritdoc/>
    public override void Read(long offset, Span<byte> data)
    {
        CheckRange(offset, data.Length);
        lock (_lock)
        {
            while (data.Length > 0)
            {
                bool changed = IsChanged(offset / BlockBytes);
                int length = (int)Math.Min(data.Length, RunEnd(offset, offset + data.Length, changed) - offset);
                if (changed) ReadChanges(offset, data[..length]);
                else _below.Read(offset, data[..length]);
                offset += length;
                data = data[length..];
            }
        }
    }

    /// <inheritdoc/>
    public override void Write(long offset, ReadOnlySpan<byte> data)
    {
        CheckRange(offset, data.Length);
        if (data.Length == 0) return;
        lock (_lock)
        {
            CompleteEdges(offset, data.Length);
            RandomAccess.Write(_file, data, offset);
            SetChanged(offset, data.Length);
        }
    }

    /// <inheritdoc/>
    public override void WriteZeroes(long offset, long length)
    {
        CheckRange(offset, length);
        if (length == 0) return;
        lock (_lock)
        {
            CompleteEdges(offset, length);
            long fileLength = RandomAccess.GetLength(_file);
            if (offset < fileLength && !(Host.NativeFile.IsSupported && Host.NativeFile.TryPunchHole(_file, offset, length)))
            {
                byte[] zeros = new byte[(int)Math.Min(length, 1 << 20)];
                for (long done = 0; done < length; done += zeros.Length)
                    RandomAccess.Write(_file, zeros.AsSpan(0, (int)Math.Min(zeros.Length, length - done)), offset + done);
            }

            SetChanged(offset, length);
        }
    }

    /// <summary>Nothing is to survive, so nothing has to reach the disk.</summary>
    public override void Flush()
    {
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (!disposing) return;
        _stream.Dispose();
        _below.Dispose();
    }

    // A block that becomes changed in part gets the rest of its contents from below.
    private void CompleteEdges(long offset, long length)
    {
        long end = offset + length;
        if (offset % BlockBytes != 0) Complete(offset / BlockBytes);
        if (end % BlockBytes != 0 && end < Length) Complete(end / BlockBytes);
    }

    private void Complete(long block)
    {
        if (IsChanged(block)) return;
        Span<byte> contents = stackalloc byte[BlockBytes];
        contents = contents[..(int)Math.Min(BlockBytes, Length - block * BlockBytes)];
        _below.Read(block * BlockBytes, contents);
        RandomAccess.Write(_file, contents, block * BlockBytes);
        SetChanged(block * BlockBytes, 1);
    }

    private void ReadChanges(long offset, Span<byte> data)
    {
        while (data.Length > 0)
        {
            int length = RandomAccess.Read(_file, data, offset);
            if (length == 0) break;
            offset += length;
            data = data[length..];
        }

        data.Clear();
    }

    private long RunEnd(long offset, long end, bool changed)
    {
        long block = offset / BlockBytes + 1;
        while (block * BlockBytes < end && IsChanged(block) == changed) block++;
        return Math.Min(block * BlockBytes, end);
    }

    private bool IsChanged(long block) =>
        _pages.TryGetValue(block / PageBlocks, out ulong[]? page) && (page[block % PageBlocks / 64] >> (int)(block % 64) & 1) != 0;

    private void SetChanged(long offset, long length)
    {
        for (long block = offset / BlockBytes; block <= (offset + length - 1) / BlockBytes; block++)
        {
            long number = block / PageBlocks;
            if (!_pages.TryGetValue(number, out ulong[]? page)) _pages.Add(number, page = new ulong[PageWords]);
            page[block % PageBlocks / 64] |= 1UL << (int)(block % 64);
        }
    }
}
