namespace Ringfence.Storage;

/// <summary>
/// The contents of a disk as bytes at offsets: an image file, a stack of them, or memory. Any number of threads may read; one at a time
/// changes. Every method throws <see cref="IOException"/> if the host or a damaged image does not let it do its work, and
/// <see cref="ArgumentOutOfRangeException"/> beyond the end.
/// </summary>
public abstract class BlockStore : IDisposable
{
    /// <summary>Bytes, a multiple of 512.</summary>
    public abstract long Length { get; }

    /// <summary>Writes are refused.</summary>
    public abstract bool IsReadOnly { get; }

    /// <summary>Reads; what has never been written is zero.</summary>
    public abstract void Read(long offset, Span<byte> data);

    /// <summary>Writes. Others that look after a crash of the host see it only after <see cref="Flush"/>.</summary>
    /// <exception cref="InvalidOperationException">It is read-only.</exception>
    public abstract void Write(long offset, ReadOnlySpan<byte> data);

    /// <summary>Makes bytes zero, giving room back to the host where that is possible.</summary>
    /// <exception cref="InvalidOperationException">It is read-only.</exception>
    public abstract void WriteZeroes(long offset, long length);

    /// <summary>Returns when everything written before is on the host's disk.</summary>
    public abstract void Flush();

    /// <summary>What begins at an offset, which is less than <see cref="Length"/>: at least one byte, at most to the end.</summary>
    internal virtual BlockExtent ExtentAt(long offset) => new(Length - offset, IsZero: false);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Gives files back.</summary>
    protected abstract void Dispose(bool disposing);

    /// <summary>Throws if a range does not lie within the disk.</summary>
    private protected void CheckRange(long offset, long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Length - offset);
    }

    /// <summary>Throws if the disk takes no writes.</summary>
    private protected void CheckWritable()
    {
        if (IsReadOnly) throw new InvalidOperationException("The image is read-only.");
    }
}
