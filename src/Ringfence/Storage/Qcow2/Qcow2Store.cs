using System.IO.Compression;

namespace Ringfence.Storage.Qcow2;

/// <summary>
/// A disk in a qcow2 image, version 2 or 3.
///
/// <para><b>What the file holds at every moment</b>, whatever is killed: every table that is referred to is a table, every cluster that is referred
/// to holds what the disk has there, and is counted at least as often as it is referred to. So a killed monitor (or host) leaves an image
/// without errors and with everything that was flushed; at worst clusters are counted that nothing refers to (leaks).</para>
///
/// <para>It follows from the order of writing. Data goes to the file at once, where nothing refers to it yet: to a newly allocated cluster, or
/// in place if the cluster has one reference only. New L2 tables and refcount blocks are written in full when they are allocated. All
/// other changes of tables stay in memory until <see cref="Flush"/> (or until there are too many), which goes:
/// 1. the dirty bit, once; 2. fsync: data and new tables are on the disk; 3. refcounts, upwards; 4. L2 entries, L1 entries; 5. refcounts,
/// downwards, of what the old entries referred to; 6. fsync; 7. clusters that are free now may be used again.
/// A flush of writes that changed no table is one fsync.</para>
///
/// <para>Between 3, 4 and 5 the host's disk may mix up the order, which only a crash of the host can show: what an entry refers to
/// is on the disk since step 2, and counts that are wrong after a crash are counted again, because the dirty bit says so.
/// Version 2 has no such bit: there an fsync stands between these steps.</para>
///
/// <para>The dirty bit (incompatible feature 0) is set from the first change of a table until the image is closed. An image opened for
/// writing with that bit set gets all counts set right first, leaks included; QEMU does the same. Leaks of other images are freed, too (unless a
/// feature that is not known here may own them).</para>
///
/// <para>All tables are looked at when the image is opened (<see cref="ReferenceScan"/>): what leads outside or to another table is refused then,
/// and nothing of it is written.</para>
/// </summary>
internal sealed partial class Qcow2Store : BlockStore
{
    private const int SectorBytes = 512;

    private readonly ImageFile _file;
    private readonly Qcow2Header _header;
    private readonly BlockStore? _backing;
    private readonly Action<string> _report;
    private readonly Lock _lock = new();
    private readonly ulong[] _l1;
    private readonly TableCache _l2;
    private readonly Refcounts _refcounts;
    private readonly int _clusterBits;
    private readonly int _clusterBytes;
    private byte[]? _inflated;
    private ulong _inflatedEntry;
    private ulong _featuresAtClose;
    private bool _isSound;
    private bool _disposed;

    private Qcow2Store(ImageFile file, Qcow2Header header, BlockStore? backing, Action<string> report)
    {
        _file = file;
        _header = header;
        _backing = backing;
        _report = report;
        _clusterBits = header.ClusterBits;
        _clusterBytes = header.ClusterBytes;
        _l1 = Words.Read(file, header.L1Offset, header.L1Entries);
        _l2 = new TableCache(file, _clusterBytes);
        _refcounts = new Refcounts(file, header) { BeforeHeaderChange = MarkDirty };
        _featuresAtClose = header.IncompatibleFeatures & ~Qcow2Header.Dirty;
        _isMarkedDirty = (header.IncompatibleFeatures & Qcow2Header.Dirty) != 0;
        Length = (header.Size + SectorBytes - 1) & -SectorBytes;
    }

    /// <inheritdoc/>
    public override long Length { get; }

    /// <inheritdoc/>
    public override bool IsReadOnly => _file.IsReadOnly;

    /// <summary>Uses an image. The store closes file and backing disk; if it cannot be made the caller does.</summary>
    /// <param name="file">The file.</param>
    /// <param name="header">Its header.</param>
    /// <param name="backing">What is read where the image says nothing; null: zeros.</param>
    /// <param name="report">Takes a line about what was repaired.</param>
    /// <exception cref="BlockImageException">The image is damaged.</exception>
    public static Qcow2Store Open(ImageFile file, Qcow2Header header, BlockStore? backing, Action<string> report)
    {
        if (!file.IsReadOnly)
        {
            if ((header.IncompatibleFeatures & Qcow2Header.Corrupt) != 0) throw new BlockImageException($"{file.Name}: is marked as corrupt and can only be read");
            if (header.HasBitmaps) throw new BlockImageException($"{file.Name}: holds bitmaps of changes, which would not be kept up to date; it can only be read");
        }

        Qcow2Store store = new(file, header, backing, report);
        ReferenceScan scan = store.Scan();
        if (scan.ProblemCount > 0) throw new BlockImageException($"{file.Name}: is damaged: {scan.Problems[0]}");
        if (file.IsReadOnly) return store;
        RefcountComparison comparison = new(header, scan, store._refcounts);
        if (store._isMarkedDirty) store.RepairAfterCrash(scan, comparison);
        else if (comparison.Errors > 0 || scan.WrongFlags > 0)
            throw new BlockImageException($"{file.Name}: its reference counts are wrong; ringfence image check --repair sets them right");
        else if (comparison.Leaks > 0 && header.AutoclearFeatures == 0)
            store.FreeLeaks(comparison);
        store._isSound = true;
        return store;
    }

    /// <summary>Looks at an image without using it.</summary>
    /// <param name="file">The file, open for writing if it is to be repaired.</param>
    /// <param name="header">Its header.</param>
    /// <param name="repair">Put right what can be.</param>
    public static DiskImageCheck Check(ImageFile file, Qcow2Header header, bool repair)
    {
        using Qcow2Store store = new(file, header, backing: null, static _ => { });
        ReferenceScan scan = store.Scan();
        if (scan.ProblemCount > 0) return new DiskImageCheck { Problems = [.. scan.Problems.Select(p => $"error: {p}")], Errors = scan.ProblemCount };
        RefcountComparison comparison = new(header, scan, store._refcounts);
        List<string> problems = [.. comparison.Problems];
        if (scan.WrongFlags > 0) problems.Add($"error: {scan.WrongFlags} entries say wrongly whether their cluster may be written in place");
        long errors = comparison.Errors + scan.WrongFlags;
        if (!repair || header.HasBitmaps) return new DiskImageCheck { Problems = problems, Errors = errors, Leaks = comparison.Leaks };
        store._isSound = true;
        if (errors + comparison.Leaks > 0) store.Repair(comparison);
        if ((header.IncompatibleFeatures & Qcow2Header.Corrupt) != 0) store.MarkDirty();
        store._featuresAtClose &= ~Qcow2Header.Corrupt;
        return new DiskImageCheck { Problems = problems, Repaired = errors + comparison.Leaks };
    }

    /// <inheritdoc/>
    public override void Read(long offset, Span<byte> data)
    {
        CheckRange(offset, data.Length);
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            while (data.Length > 0)
            {
                MakeRoom();
                int length = ReadRun(offset, data);
                offset += length;
                data = data[length..];
            }
        }
    }

    /// <inheritdoc/>
    internal override BlockExtent ExtentAt(long offset)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            MakeRoom();
            long index = offset >> (_clusterBits + _header.L2Bits);
            long end = Math.Min(Length, (index + 1) << (_clusterBits + _header.L2Bits));
            long table = (long)(_l1[index] & L2Entry.OffsetMask);
            if (table == 0) return BelowExtent(offset, end);
            L2Entry entry = EntryAt(offset);
            long next = (offset | (_clusterBytes - 1L)) + 1;
            bool isBelow = entry.IsUnallocated;
            for (; next < end; next += _clusterBytes)
            {
                L2Entry other = EntryAt(next);
                if (other.IsUnallocated != isBelow || other.IsZero != entry.IsZero) break;
            }

            next = Math.Min(next, end);
            return isBelow ? BelowExtent(offset, next) : new BlockExtent(next - offset, entry.IsZero);
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (!disposing) return;
        lock (_lock)
        {
            if (_disposed) return;
            _disposed = true;
            if (_isSound) Close();
            _file.Dispose();
            _backing?.Dispose();
        }
    }

    private ReferenceScan Scan()
    {
        SnapshotTable snapshots = SnapshotTable.Read(_file, _header);
        return ReferenceScan.Of(_file, _header, snapshots, _l1, _refcounts);
    }

    private L2Entry EntryAt(long offset)
    {
        long cluster = offset >> _clusterBits;
        long table = (long)(_l1[cluster >> _header.L2Bits] & L2Entry.OffsetMask);
        return table == 0 ? default : new L2Entry(_l2.Get(table)[(int)(cluster & ((1L << _header.L2Bits) - 1))]);
    }

    // Neighbours are read at once: those that lie side by side in the file, and those that are both not in it.
    private int ReadRun(long offset, Span<byte> data)
    {
        L2Entry entry = EntryAt(offset);
        int within = (int)(offset & (_clusterBytes - 1));
        int length = Math.Min(data.Length, _clusterBytes - within);
        if (entry.IsCompressed)
        {
            Inflate(entry).AsSpan(within, length).CopyTo(data);
            return length;
        }

        while (length < data.Length && EntryAt(offset + length) is { IsCompressed: false } next && Continues(entry, next, within + length)) length += Math.Min(data.Length - length, _clusterBytes);
        if (entry.IsZero) data[..length].Clear();
        else if (entry.IsUnallocated) ReadBelow(offset, data[..length]);
        else _file.ReadPadded(entry.Offset + within, data[..length]);
        return length;
    }

    private static bool Continues(L2Entry first, L2Entry next, int distance)
    {
        if (first.IsZero || next.IsZero) return first.IsZero && next.IsZero;
        if (first.IsUnallocated || next.IsUnallocated) return first.IsUnallocated && next.IsUnallocated;
        return next.Offset == first.Offset + distance;
    }

    private void ReadBelow(long offset, Span<byte> data)
    {
        int length = _backing is null ? 0 : (int)Math.Clamp(_backing.Length - offset, 0, data.Length);
        if (length > 0) _backing!.Read(offset, data[..length]);
        data[length..].Clear();
    }

    private BlockExtent BelowExtent(long offset, long end)
    {
        if (_backing is null || offset >= _backing.Length) return new BlockExtent(end - offset, IsZero: true);
        BlockExtent below = _backing.ExtentAt(offset);
        return below with { Length = Math.Min(below.Length, end - offset) };
    }

    // Raw deflate (RFC 1951) that yields one cluster; what follows it in its last sector belongs to others.
    private byte[] Inflate(L2Entry entry)
    {
        if (_inflated is not null && _inflatedEntry == entry.Bits) return _inflated;
        (long offset, long length) = entry.CompressedRange(_clusterBits);
        byte[] compressed = new byte[length];
        _file.ReadPadded(offset, compressed);
        byte[] cluster = _inflated ?? new byte[_clusterBytes];
        _inflated = null;
        try
        {
            using DeflateStream stream = new(new MemoryStream(compressed), CompressionMode.Decompress);
            stream.ReadExactly(cluster);
        }
        catch (Exception error) when (error is InvalidDataException or EndOfStreamException)
        {
            throw new BlockImageException($"{_file.Name}: the compressed cluster at 0x{offset:x} cannot be decompressed", error);
        }

        _inflatedEntry = entry.Bits;
        return _inflated = cluster;
    }
}
