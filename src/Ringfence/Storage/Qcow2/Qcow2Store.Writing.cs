using System.Buffers.Binary;

namespace Ringfence.Storage.Qcow2;

/// <content>Changes of the disk, and how they reach the file.</content>
internal sealed partial class Qcow2Store
{
    private const int MaxPartBytes = 4 << 20;

    private readonly List<Link> _links = [];
    private byte[]? _filled;
    private bool _isMarkedDirty;
    private bool _hasBegun;

    // Something that tables will refer to is not on the disk yet.
    private bool _hasNewData;

    // Anything is not on the disk yet.
    private bool _isUnsynchronized;
    private int _l1DirtyFrom = int.MaxValue;
    private int _l1DirtyTo;

    /// <inheritdoc/>
    public override void Write(long offset, ReadOnlySpan<byte> data)
    {
        CheckRange(offset, data.Length);
        CheckWritable();
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            WriteData(offset, data);
        }
    }

    /// <inheritdoc/>
    public override void WriteZeroes(long offset, long length)
    {
        CheckRange(offset, length);
        CheckWritable();
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            BeginChanges();
            long end = offset + length;
            while (offset < end)
            {
                MakeRoom();
                long next = Math.Min(end, (offset | (_clusterBytes - 1L)) + 1);
                bool whole = (offset & (_clusterBytes - 1)) == 0 && (next - offset == _clusterBytes || next == Length);
                if (_l1[offset >> (_clusterBits + _header.L2Bits)] == 0 && !IsBelow(offset))
                    next = Math.Min(end, ((offset >> (_clusterBits + _header.L2Bits)) + 1) << (_clusterBits + _header.L2Bits));
                else if (whole) ZeroCluster(offset);
                else ZeroPart(offset, (int)(next - offset));
                offset = next;
            }
        }
    }

    /// <inheritdoc/>
    public override void Flush()
    {
        if (IsReadOnly) return;
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            WriteTables();
            if (_isUnsynchronized) Synchronize();
        }
    }

    // What a writer that does not know an autoclear feature has to do before its first write.
    private void BeginChanges()
    {
        if (_hasBegun) return;
        if (_header.AutoclearFeatures != 0) _file.Write(Qcow2Header.FeaturesOffset + 16, new byte[8]);
        _hasBegun = true;
    }

    private void WriteData(long offset, ReadOnlySpan<byte> data)
    {
        BeginChanges();
        while (data.Length > 0)
        {
            MakeRoom();
            long tableEnd = ((offset >> (_clusterBits + _header.L2Bits)) + 1) << (_clusterBits + _header.L2Bits);
            int length = (int)Math.Min(Math.Min(data.Length, MaxPartBytes), tableEnd - offset);
            WritePart(offset, data[..length]);
            offset += length;
            data = data[length..];
        }
    }

    /// <summary>Writes what one L2 table describes: data first, neighbours at once; then the entries of new clusters change in memory.</summary>
    private void WritePart(long offset, ReadOnlySpan<byte> data)
    {
        TableCache.Table table = WritableTable(offset);
        _links.Clear();
        try
        {
            long runAt = 0;
            int runFrom = 0, at = 0;
            while (at < data.Length)
            {
                int within = (int)((offset + at) & (_clusterBytes - 1));
                int length = Math.Min(data.Length - at, _clusterBytes - within);
                int index = (int)(((offset + at) >> _clusterBits) & ((1L << _header.L2Bits) - 1));
                L2Entry entry = new(table[index]);
                bool inPlace = entry is { IsCopied: true, IsZero: false };
                long target = inPlace ? entry.Offset : NewCluster(index, entry);
                if (inPlace || length == _clusterBytes)
                {
                    if (runAt + (at - runFrom) != target + within || at == runFrom)
                    {
                        WriteRun(runAt, data[runFrom..at]);
                        runAt = target + within;
                        runFrom = at;
                    }
                }
                else
                {
                    WriteRun(runAt, data[runFrom..at]);
                    WriteFilled(entry, offset + at, target, data.Slice(at, length));
                    runFrom = at + length;
                }

                at += length;
            }

            WriteRun(runAt, data[runFrom..]);
            if (_links.Count > 0) EnsureLength(_links.Max(l => l.Target) + _clusterBytes);
        }
        catch
        {
            foreach (Link link in _links)
                if (link.IsNew) _refcounts.Unallocate(link.Target >> _clusterBits);
            throw;
        }

        if (_links.Count > 0) _hasNewData = true;
        foreach (Link link in _links)
        {
            table[link.Index] = L2Entry.At(link.Target).Bits;
            if (link.IsNew) Free(link.Old);
        }
    }

    private void WriteRun(long target, ReadOnlySpan<byte> data)
    {
        if (data.Length == 0) return;
        _isUnsynchronized = true;
        _file.Write(target, data);
    }

    private long NewCluster(int index, L2Entry entry)
    {
        // A zero cluster may have its room already.
        bool hasRoom = entry is { IsZero: true, IsCopied: true } && entry.Offset != 0;
        long target = hasRoom ? entry.Offset : _refcounts.Allocate() << _clusterBits;
        _links.Add(new Link(index, target, entry, !hasRoom));
        return target;
    }

    // Part of a new cluster: the rest is what was there before. Behind the end of the file there are zeros already.
    private void WriteFilled(L2Entry old, long offset, long target, ReadOnlySpan<byte> data)
    {
        int within = (int)(offset & (_clusterBytes - 1));
        long start = offset - within;
        if (target >= _file.Length && (old.IsZero || (old.IsUnallocated && !IsBelow(start))))
        {
            WriteRun(target + within, data);
            EnsureLength(target + _clusterBytes);
            return;
        }

        byte[] cluster = _filled ??= new byte[_clusterBytes];
        if (old.IsCompressed) Inflate(old).CopyTo(cluster, 0);
        else if (old.IsZero) Array.Clear(cluster);
        else if (old.IsUnallocated) ReadBelow(start, cluster);
        else _file.ReadPadded(old.Offset, cluster);
        data.CopyTo(cluster.AsSpan(within));
        WriteRun(target, cluster);
    }

    private void EnsureLength(long length)
    {
        if (_file.Length >= length) return;
        _file.SetLength(length);
        _isUnsynchronized = true;
    }

    private bool IsBelow(long offset) => _backing is not null && offset < _backing.Length;

    /// <summary>The L2 table that describes an offset, made or copied if it may not be changed where it is.</summary>
    private TableCache.Table WritableTable(long offset)
    {
        int index = (int)(offset >> (_clusterBits + _header.L2Bits));
        long old = (long)(_l1[index] & L2Entry.OffsetMask);
        if (old != 0 && (_l1[index] & L2Entry.Copied) != 0) return _l2.Get(old);
        byte[] bytes = old == 0 ? new byte[_clusterBytes] : (byte[])_l2.Get(old).Bytes.Clone();
        long cluster = _refcounts.Allocate();
        long target = cluster << _clusterBits;
        try
        {
            WriteRun(target, bytes);
        }
        catch
        {
            _refcounts.Unallocate(cluster);
            throw;
        }

        _hasNewData = true;
        _l1[index] = L2Entry.At(target).Bits;
        _l1DirtyFrom = Math.Min(_l1DirtyFrom, index);
        _l1DirtyTo = Math.Max(_l1DirtyTo, index + 1);
        if (old != 0) _refcounts.Free(old >> _clusterBits);
        return _l2.Add(target, bytes);
    }

    private void Free(L2Entry entry)
    {
        if (entry.IsCompressed)
        {
            (long offset, long length) = entry.CompressedRange(_clusterBits);
            for (long cluster = offset >> _clusterBits; cluster <= (offset + length - 1) >> _clusterBits; cluster++) _refcounts.Free(cluster);
        }
        else if (entry.Offset != 0)
        {
            _refcounts.Free(entry.Offset >> _clusterBits);
        }
    }

    private void ZeroCluster(long offset)
    {
        L2Entry entry = EntryAt(offset);
        bool below = IsBelow(offset);
        if (entry.IsZero || (entry.IsUnallocated && !below)) return;
        if (below && _header.Version == 2)
        {
            WriteZeroData(offset, (int)Math.Min(_clusterBytes, Length - offset));
            return;
        }

        TableCache.Table table = WritableTable(offset);
        table[(int)((offset >> _clusterBits) & ((1L << _header.L2Bits) - 1))] = below ? L2Entry.ZeroCluster.Bits : 0;
        Free(entry);
    }

    private void ZeroPart(long offset, int length)
    {
        L2Entry entry = EntryAt(offset);
        if (entry.IsZero || (entry.IsUnallocated && !IsBelow(offset & -_clusterBytes))) return;
        WriteZeroData(offset, length);
    }

    private void WriteZeroData(long offset, int length) => WriteData(offset, new byte[length]);

    /// <summary>Brings all changes of tables to the file, in the order that the class describes.</summary>
    private void WriteTables()
    {
        if (!_refcounts.IsDirty && !_l2.IsDirty && _l1DirtyTo == 0 && !_refcounts.HasFrees) return;
        bool ordered = _header.Version == 2;
        MarkDirty();
        if (_hasNewData) Synchronize();
        _isUnsynchronized = true;
        _refcounts.Write();
        if (ordered) Synchronize();
        _isUnsynchronized = true;
        _l2.Write();
        if (_l1DirtyTo != 0) Words.Write(_file, _header.L1Offset + _l1DirtyFrom * 8L, _l1.AsSpan(_l1DirtyFrom, _l1DirtyTo - _l1DirtyFrom));
        _l1DirtyFrom = int.MaxValue;
        _l1DirtyTo = 0;
        if (!_refcounts.HasFrees) return;
        if (ordered) Synchronize();
        List<long> free = _refcounts.ApplyFrees();
        Synchronize();
        GiveBack(free);
        _refcounts.Reuse(free);
    }

    // Room that nobody uses any more goes back to the host.
    private void GiveBack(List<long> clusters)
    {
        for (int i = 0; i < clusters.Count;)
        {
            int first = i++;
            while (i < clusters.Count && clusters[i] == clusters[i - 1] + 1) i++;
            if (!_file.TryPunchHole(clusters[first] << _clusterBits, (long)(i - first) << _clusterBits)) return;
        }
    }

    private void Synchronize()
    {
        _file.Flush();
        _isUnsynchronized = false;
        _hasNewData = false;
    }

    private void MarkDirty()
    {
        if (_isMarkedDirty || _header.Version == 2) return;
        WriteFeatures(_header.IncompatibleFeatures | Qcow2Header.Dirty);
        _isMarkedDirty = true;
        _hasNewData = true;
    }

    private void WriteFeatures(ulong features)
    {
        Span<byte> word = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(word, features);
        _file.Write(Qcow2Header.FeaturesOffset, word);
    }

    // Called where no table is in use.
    private void MakeRoom()
    {
        if (!_l2.IsFull && !_refcounts.IsFull) return;
        _l2.Trim();
        _refcounts.Trim();
        if (!_l2.IsFull && !_refcounts.IsFull) return;
        WriteTables();
        _l2.Trim();
        _refcounts.Trim();
    }

    private void Close()
    {
        try
        {
            WriteTables();
            if (_isMarkedDirty)
            {
                if (_isUnsynchronized || _hasNewData) Synchronize();
                WriteFeatures(_featuresAtClose);
                _isUnsynchronized = true;
            }

            if (_isUnsynchronized) Synchronize();
        }
        catch (IOException error)
        {
            // The dirty bit stays, or the tables are those of the last flush.
            _report($"{_file.Name}: could not be closed: {error.Message.ReplaceLineEndings(" ")}");
        }
    }

    private void RepairAfterCrash(ReferenceScan scan, RefcountComparison comparison)
    {
        if (comparison.Errors + comparison.Leaks + scan.WrongFlags == 0) return;
        Repair(comparison);
        _report($"{_file.Name}: was not closed; its reference counts have been set right");
    }

    private void FreeLeaks(RefcountComparison comparison)
    {
        Repair(comparison);
        _report($"{_file.Name}: {comparison.Leaks} clusters that nothing referred to are free again");
    }

    /// <summary>Sets counts right, then the flags that depend on them.</summary>
    private void Repair(RefcountComparison comparison)
    {
        MarkDirty();
        comparison.Repair();
        WriteTables();
        for (int i = 0; i < _l1.Length; i++)
        {
            long offset = (long)(_l1[i] & L2Entry.OffsetMask);
            if (offset == 0) continue;
            MakeRoom();
            ulong wanted = Flagged(_l1[i], offset);
            if (wanted != _l1[i])
            {
                _l1[i] = wanted;
                _l1DirtyFrom = Math.Min(_l1DirtyFrom, i);
                _l1DirtyTo = Math.Max(_l1DirtyTo, i + 1);
            }

            TableCache.Table table = _l2.Get(offset);
            for (int j = 0; j < 1 << _header.L2Bits; j++)
            {
                L2Entry entry = new(table[j]);
                if (entry.IsCompressed || entry.Offset == 0) continue;
                ulong flagged = Flagged(entry.Bits, entry.Offset);
                if (flagged != entry.Bits) table[j] = flagged;
            }
        }

        WriteTables();
        Synchronize();
    }

    private ulong Flagged(ulong entry, long offset) => _refcounts.Get(offset >> _clusterBits) == 1 ? entry | L2Entry.Copied : entry & ~L2Entry.Copied;

    private readonly record struct Link(int Index, long Target, L2Entry Old, bool IsNew);
}
