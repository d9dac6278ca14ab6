namespace Ringfence.Storage;

/// <summary>Copies disks between formats. What is zero takes no room in the copy.</summary>
public static class DiskImageConversion
{
    private const int ChunkBytes = 2 << 20;
    private const int PieceBytes = 64 << 10;

    /// <summary>
    /// Copies a disk with everything below it into a new image that depends on no other. The copy gets its name when it is complete.
    /// </summary>
    /// <param name="source">The image to copy.</param>
    /// <param name="target">Path of the copy.</param>
    /// <param name="format">Its format: raw or qcow2.</param>
    /// <param name="options">More.</param>
    /// <param name="cancellation">Stops it; nothing is left of the copy then.</param>
    /// <exception cref="BlockImageException">An image cannot be read or made.</exception>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    public static void Convert(string source, string target, DiskImageFormat format, DiskImageConversionOptions? options = null, CancellationToken cancellation = default)
    {
        options ??= new DiskImageConversionOptions();
        if (format is not (DiskImageFormat.Raw or DiskImageFormat.Qcow2)) throw new ArgumentOutOfRangeException(nameof(format), "It is raw or qcow2.");
        using BlockStore from = DiskImage.Open(source, new DiskImageOptions { ReadOnly = true, Format = options.SourceFormat });
        NewImage.Make(target, options.Replace, unfinished =>
        {
            if (format == DiskImageFormat.Raw) DiskImage.CreateRaw(unfinished, from.Length);
            else DiskImage.CreateQcow2(unfinished, from.Length, clusterBytes: options.ClusterBytes);
            using BlockStore to = DiskImage.Open(unfinished, new DiskImageOptions { Format = format });
            Copy(from, to, options.Progress, cancellation);
            to.Flush();
        });
    }

    private static void Copy(BlockStore from, BlockStore to, Action<long, long>? progress, CancellationToken cancellation)
    {
        byte[] buffer = new byte[ChunkBytes];
        for (long offset = 0; offset < from.Length;)
        {
            cancellation.ThrowIfCancellationRequested();
            BlockExtent extent = from.ExtentAt(offset);
            long length = extent.Length;
            if (!extent.IsZero)
            {
                length = Math.Min(length, ChunkBytes - offset % ChunkBytes);
                Span<byte> data = buffer.AsSpan(0, (int)length);
                from.Read(offset, data);
                WriteData(to, offset, data);
            }

            offset += length;
            progress?.Invoke(offset, from.Length);
        }
    }

    // Pieces that are zero are left out, the others are written together as far as they are neighbours.
    private static void WriteData(BlockStore to, long offset, ReadOnlySpan<byte> data)
    {
        int from = 0;
        for (int at = 0; at < data.Length;)
        {
            int next = (int)Math.Min(data.Length, at + PieceBytes - (offset + at) % PieceBytes);
            if (!data[at..next].ContainsAnyExcept((byte)0))
            {
                if (from < at) to.Write(offset + from, data[from..at]);
                from = next;
            }

            at = next;
        }

        if (from < data.Length) to.Write(offset + from, data[from..]);
    }
}
