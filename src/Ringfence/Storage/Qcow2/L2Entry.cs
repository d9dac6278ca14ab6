namespace Ringfence.Storage.Qcow2;

/// <summary>An entry of an L2 table: where one cluster of the disk is (docs/interop/qcow2 "Cluster mapping").</summary>
internal readonly record struct L2Entry(ulong Bits)
{
    /// <summary>The cluster (or table) has a reference count of one and may be written where it is.</summary>
    public const ulong Copied = 1UL << 63;

    /// <summary>Bits of the offset of a cluster or table.</summary>
    public const ulong OffsetMask = 0x00ff_ffff_ffff_fe00;

    private const ulong Compressed = 1UL << 62;
    private const ulong Zero = 1;

    /// <summary>An entry of a disk cluster that is nowhere and reads as zeros, whatever is below.</summary>
    public static L2Entry ZeroCluster => new(Zero);

    /// <summary>Nothing is said: what is below is read.</summary>
    public bool IsUnallocated => (Bits & (Compressed | Zero | OffsetMask)) == 0;

    /// <summary>The contents are compressed.</summary>
    public bool IsCompressed => (Bits & Compressed) != 0;

    /// <summary>It reads as zeros.</summary>
    public bool IsZero => (Bits & (Compressed | Zero)) == Zero;

    /// <summary>May be written where it is.</summary>
    public bool IsCopied => (Bits & Copied) != 0;

    /// <summary>Where it lies, if it is not compressed; 0: nowhere.</summary>
    public long Offset => (long)(Bits & OffsetMask);

    /// <summary>An entry of a cluster at an offset that nothing else refers to.</summary>
    public static L2Entry At(long offset) => new((ulong)offset | Copied);

    /// <summary>
    /// Where compressed contents lie: the first byte, and how many bytes there are up to the end of the last sector of 512. The sector count
    /// stands above 62 - (cluster bits - 8) bits of offset.
    /// </summary>
    public (long Offset, long Length) CompressedRange(int clusterBits)
    {
        int shift = 62 - (clusterBits - 8);
        ulong sectors = (Bits & ~(Copied | Compressed)) >> shift;
        long offset = (long)(Bits & ((1UL << shift) - 1));
        return (offset, ((long)sectors + 1) * 512 - (offset & 511));
    }

    /// <summary>What is wrong with the entry itself; null: nothing.</summary>
    public string? Problem(Qcow2Header header, long fileLength)
    {
        if (IsCompressed)
        {
            if (IsCopied) return "is compressed and yet said to be writable";
            long offset = CompressedRange(header.ClusterBits).Offset;
            return offset < header.ClusterBytes || offset >= fileLength ? "has compressed data outside of the file" : null;
        }

        if ((Bits & 0x3f00_0000_0000_01fe) != 0) return "has reserved bits set";
        if (IsZero && header.Version == 2) return "is a zero cluster, which version 2 does not have";
        if (Offset == 0) return IsCopied ? "is said to be at the file's start" : null;
        if ((Offset & (header.ClusterBytes - 1)) != 0) return "is not aligned";
        return Offset >= fileLength ? "lies outside of the file" : null;
    }
}
