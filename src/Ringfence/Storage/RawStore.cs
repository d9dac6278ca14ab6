using System.Buffers;

namespace Ringfence.Storage;

/// <summary>
/// A disk that is the bytes of a file or block device. Holes of the file stay holes; a last sector that is not complete reads as if it
/// were filled up with zeros, and becomes complete when it is written. Other writes never make the file longer.
/// </summary>
internal sealed class RawStore : BlockStore
{
    private const int SectorBytes = 512;
    private const int ZeroBytes = 1 << 20;

    private readonly ImageFile _file;
    private readonly bool _keepsFormat;

    /// <summary>Uses a file, which it closes.</summary>
    /// <param name="file">The file.</param>
    /// <param name="keepsFormat">Refuse writes that would make the first bytes the magic of a format (see <see cref="DiskImageFormat.Auto"/>).</param>
    public RawStore(ImageFile file, bool keepsFormat)
    {
        _file = file;
        _keepsFormat = keepsFormat;
        Length = (file.Length + SectorBytes - 1) / SectorBytes * SectorBytes;
    }

    /// <inheritdoc/>
    public override long Length { get; }

    /// <inheritdoc/>
    public override bool IsReadOnly => _file.IsReadOnly;

    /// <inheritdoc/>
    public override void Read(long offset, Span<byte> data)
    {
        CheckRange(offset, data.Length);
        _file.ReadPadded(offset, data);
    }

    /// <inheritdoc/>
    public override void Write(long offset, ReadOnlySpan<byte> data)
    {
        CheckRange(offset, data.Length);
        CheckWritable();
        if (data.Length == 0) return;
        if (_keepsFormat && offset < FormatProbe.Bytes) CheckFormat(offset, data);
        _file.Write(offset, data);
        if (_file.Length < Length && offset + data.Length > Length - SectorBytes) _file.SetLength(Length);
    }

    /// <inheritdoc/>
    public override void WriteZeroes(long offset, long length)
    {
        CheckRange(offset, length);
        CheckWritable();
        if (length == 0 || _file.TryPunchHole(offset, length)) return;
        byte[] zeros = ArrayPool<byte>.Shared.Rent((int)Math.Min(length, ZeroBytes));
        try
        {
            Array.Clear(zeros);
            for (long done = 0; done < length; done += zeros.Length) _file.Write(offset + done, zeros.AsSpan(0, (int)Math.Min(zeros.Length, length - done)));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(zeros);
        }
    }

    /// <inheritdoc/>
    public override void Flush()
    {
        if (!IsReadOnly) _file.Flush();
    }

    /// <inheritdoc/>
    internal override BlockExtent ExtentAt(long offset)
    {
        BlockExtent extent = _file.ExtentAt(offset);
        return extent with { Length = Math.Min(extent.Length, Length - offset) };
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) _file.Dispose();
    }

    private void CheckFormat(long offset, ReadOnlySpan<byte> data)
    {
        Span<byte> start = stackalloc byte[FormatProbe.Bytes];
        _file.ReadPadded(0, start);
        data[..(int)Math.Min(data.Length, FormatProbe.Bytes - offset)].CopyTo(start[(int)offset..]);
        if (FormatProbe.IsQcow(start) || FormatProbe.ForeignFormat(start) is not null)
            throw new BlockImageException($"{_file.Name}: a write that would turn this raw image into one of another format is refused; open it as raw explicitly to allow it");
    }
}
