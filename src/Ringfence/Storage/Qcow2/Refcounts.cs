using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Ringfence.Storage.Qcow2;

/// <summary>
/// The reference counts of an image's clusters (docs/interop/qcow2 "Host cluster management"), and by them which clusters are free. Counts
/// here run ahead of the file: increments reach it with <see cref="Write"/>, decrements are only noted (<see cref="Free"/>) until the
/// owner knows that the tables in the file no longer refer to the clusters (<see cref="ApplyFrees"/>).
/// </summary>
internal sealed class Refcounts
{
    private readonly ImageFile _file;
    private readonly Qcow2Header _header;
    private readonly TableCache _blocks;
    private readonly Stack<long> _released = [];
    private readonly List<long> _freed = [];
    private readonly int _blockBits;
    private ulong[] _table;
    private long _tableOffset;
    private int _dirtyFrom = int.MaxValue;
    private int _dirtyTo;
    private long _hint;

    /// <summary>Reads the refcount table.</summary>
    public Refcounts(ImageFile file, Qcow2Header header)
    {
        _file = file;
        _header = header;
        _blocks = new TableCache(file, header.ClusterBytes);
        _blockBits = header.ClusterBits + 3 - header.RefcountOrder;
        _tableOffset = header.RefcountTableOffset;
        _table = Words.Read(file, _tableOffset, header.RefcountTableClusters * (header.ClusterBytes / 8));
    }

    /// <summary>The greatest count there can be.</summary>
    public ulong Max => ulong.MaxValue >> (64 - (1 << _header.RefcountOrder));

    /// <summary>Offsets of the refcount blocks, 0: none.</summary>
    public ReadOnlySpan<ulong> Table => _table;

    /// <summary>How many clusters one block counts, as a power of two.</summary>
    public int BlockBits => _blockBits;

    /// <summary>More blocks are in memory than should be.</summary>
    public bool IsFull => _blocks.IsFull;

    /// <summary>There are counts that the file does not have.</summary>
    public bool IsDirty => _blocks.IsDirty || _dirtyTo > 0;

    /// <summary>Clusters wait to be freed.</summary>
    public bool HasFrees => _freed.Count > 0;

    /// <summary>Called before the header is made to refer to another refcount table.</summary>
    public Action BeforeHeaderChange { get; set; } = static () => { };

    /// <summary>Clusters are to be looked for from here on.</summary>
    public void SearchFrom(long cluster)
    {
        _hint = cluster;
        _released.Clear();
    }

    /// <summary>Forgets blocks that are not used, if there are too many.</summary>
    public void Trim() => _blocks.Trim();

    /// <summary>Is there a block with counts that are not all zero, as the file has it?</summary>
    public bool HasBlock(long block)
    {
        if (_table[block] == 0) return false;
        BlockExtent extent = _file.ExtentAt((long)_table[block]);
        return !extent.IsZero || extent.Length < _header.ClusterBytes;
    }

    /// <summary>How often a cluster is referred to.</summary>
    public ulong Get(long cluster)
    {
        long block = cluster >> _blockBits;
        if ((ulong)block >= (ulong)_table.Length || _table[block] == 0) return 0;
        return GetIn(_blocks.Get((long)_table[block]).Bytes, IndexOf(cluster));
    }

    /// <summary>Sets a count in a block that exists.</summary>
    public void Set(long cluster, ulong value)
    {
        TableCache.Table block = _blocks.Get((long)_table[cluster >> _blockBits]);
        int index = IndexOf(cluster);
        SetIn(block.Bytes, index, value);
        int from = (int)(((long)index << _header.RefcountOrder) >> 3);
        block.Changed(from, Math.Max(1, 1 << _header.RefcountOrder >> 3));
    }

    /// <summary>Sets a count; a block is made for it, behind everything there is, if there is none (a repair).</summary>
    public void SetAlways(long cluster, ulong value)
    {
        long block = cluster >> _blockBits;
        if (block >= _table.Length) Grow(block + 1);
        while (_table[block] == 0)
        {
            long place = End;
            _hint = place + 1;
            long placeBlock = place >> _blockBits;
            if (placeBlock >= _table.Length)
            {
                Grow(placeBlock + 1);
            }
            else if (_table[placeBlock] == 0)
            {
                AddBlock(placeBlock, place);
            }
            else
            {
                AddBlock(block, place);
                Set(place, 1);
            }
        }

        Set(cluster, value);
    }

    /// <summary>Takes a free cluster and counts one reference to it.</summary>
    /// <exception cref="IOException">The image cannot grow.</exception>
    public long Allocate()
    {
        if (!_released.TryPop(out long cluster))
        {
            cluster = FindFree();
            _hint = cluster + 1;
        }

        Set(cluster, 1);
        return cluster;
    }

    /// <summary>Takes an allocation back that nothing has been told about.</summary>
    public void Unallocate(long cluster)
    {
        Set(cluster, 0);
        Reuse([cluster]);
    }

    /// <summary>One reference to a cluster will be gone.</summary>
    public void Free(long cluster) => _freed.Add(cluster);

    /// <summary>Writes blocks, then the table's entries that refer to new ones.</summary>
    public void Write()
    {
        _blocks.Write();
        if (_dirtyTo == 0) return;
        Words.Write(_file, _tableOffset + _dirtyFrom * 8L, _table.AsSpan(_dirtyFrom, _dirtyTo - _dirtyFrom));
        _dirtyFrom = int.MaxValue;
        _dirtyTo = 0;
    }

    /// <summary>Takes away the references that were freed, and writes that.</summary>
    /// <returns>Clusters that are free now, for <see cref="Reuse"/>.</returns>
    public List<long> ApplyFrees()
    {
        List<long> free = [];
        foreach (long cluster in _freed)
        {
            ulong count = Get(cluster);
            if (count == 0) continue;
            Set(cluster, count - 1);
            if (count == 1) free.Add(cluster);
        }

        _freed.Clear();
        _blocks.Write();
        free.Sort();
        return free;
    }

    /// <summary>Lets clusters be allocated again whose count has become zero.</summary>
    public void Reuse(List<long> clusters)
    {
        // What lies behind the hint is found anyway; the lowest comes out first.
        for (int i = clusters.Count - 1; i >= 0; i--)
            if (clusters[i] < _hint) _released.Push(clusters[i]);
    }

    private long End => Math.Max(_hint, (_file.Length + _header.ClusterBytes - 1) >> _header.ClusterBits);

    private int IndexOf(long cluster) => (int)(cluster & ((1L << _blockBits) - 1));

    private ulong GetIn(ReadOnlySpan<byte> block, int index)
    {
        int order = _header.RefcountOrder;
        switch (order)
        {
            case 3: return block[index];
            case 4: return BinaryPrimitives.ReadUInt16BigEndian(block[(index * 2)..]);
            case 5: return BinaryPrimitives.ReadUInt32BigEndian(block[(index * 4)..]);
            case 6: return BinaryPrimitives.ReadUInt64BigEndian(block[(index * 8)..]);
            default:
                int bit = index << order;
                return ((ulong)block[bit >> 3] >> (bit & 7)) & Max;
        }
    }

    private void SetIn(Span<byte> block, int index, ulong value)
    {
        int order = _header.RefcountOrder;
        switch (order)
        {
            case 3: block[index] = (byte)value; break;
            case 4: BinaryPrimitives.WriteUInt16BigEndian(block[(index * 2)..], (ushort)value); break;
            case 5: BinaryPrimitives.WriteUInt32BigEndian(block[(index * 4)..], (uint)value); break;
            case 6: BinaryPrimitives.WriteUInt64BigEndian(block[(index * 8)..], value); break;
            default:
                int bit = index << order;
                ref byte entry = ref block[bit >> 3];
                entry = (byte)((entry & ~((int)Max << (bit & 7))) | ((int)value << (bit & 7)));
                break;
        }
    }

    private long FindFree()
    {
        long cluster = _hint;
        while (true)
        {
            long block = cluster >> _blockBits;
            if (block >= _table.Length)
            {
                // Everything up to here is in use.
                _hint = cluster;
                Grow(block + 1);
                cluster = _hint;
            }
            else if (_table[block] == 0)
            {
                // A block counts itself: its clusters are all free, or there would be one.
                AddBlock(block, cluster++);
            }
            else
            {
                int index = FirstZero(_blocks.Get((long)_table[block]).Bytes, IndexOf(cluster));
                if (index >= 0) return (block << _blockBits) + index;
                cluster = (block + 1) << _blockBits;
                if (_blocks.IsFull) _blocks.Trim();
            }
        }
    }

    private int FirstZero(ReadOnlySpan<byte> block, int from)
    {
        int entries = 1 << _blockBits;
        if (_header.RefcountOrder == 4)
        {
            int found = MemoryMarshal.Cast<byte, ushort>(block)[from..].IndexOf((ushort)0);
            return found < 0 ? -1 : from + found;
        }

        for (int i = from; i < entries; i++)
            if (GetIn(block, i) == 0) return i;
        return -1;
    }

    // The file has the block before anything refers to it.
    private void AddBlock(long block, long cluster)
    {
        byte[] bytes = new byte[_header.ClusterBytes];
        if (cluster >> _blockBits == block) SetIn(bytes, IndexOf(cluster), 1);
        long offset = cluster << _header.ClusterBits;
        _file.Write(offset, bytes);
        _blocks.Add(offset, bytes);
        _table[block] = (ulong)offset;
        _dirtyFrom = (int)Math.Min(_dirtyFrom, block);
        _dirtyTo = (int)Math.Max(_dirtyTo, block + 1);
    }

    /// <summary>
    /// Moves the table to the end of the file, larger by half. The new table and the blocks that count its clusters are in the file before
    /// the header refers to it; the old one's clusters are freed after that.
    /// </summary>
    private void Grow(long least)
    {
        long start = End;
        (int clusters, int blocks) = PlanGrowth(start, least);
        ulong[] oldTable = _table;
        long oldOffset = _tableOffset;
        (int, int) oldDirty = (_dirtyFrom, _dirtyTo);
        BeforeHeaderChange();
        try
        {
            Array.Resize(ref _table, clusters << (_header.ClusterBits - 3));
            _tableOffset = start << _header.ClusterBits;
            Move(start, clusters, blocks);
        }
        catch
        {
            Undo(oldTable, oldOffset, start, start + clusters + blocks);
            (_dirtyFrom, _dirtyTo) = oldDirty;
            throw;
        }

        _hint = Math.Max(_hint, start + clusters + blocks);
        for (int i = 0; i < oldTable.Length >> (_header.ClusterBits - 3); i++) Free((oldOffset >> _header.ClusterBits) + i);
        _file.Flush();
    }

    // The new clusters need to be counted themselves, perhaps by new blocks, which need to be counted...
    private (int Clusters, int Blocks) PlanGrowth(long start, long least)
    {
        long clusters = 1, blocks = 0;
        while (true)
        {
            long entries = Math.Max(least, ((start + clusters + blocks) >> _blockBits) + 1);
            long wanted = Math.Max(clusters, ((entries + entries / 2) * 8 + _header.ClusterBytes - 1) >> _header.ClusterBits);
            if (wanted << _header.ClusterBits > Qcow2Header.MaxRefcountTableBytes)
                throw new BlockImageException($"{_file.Name}: the image is full: its refcount table cannot grow any more");
            long needed = 0;
            for (long block = start >> _blockBits; block <= (start + wanted + blocks - 1) >> _blockBits; block++)
                if (block >= _table.Length || _table[block] == 0) needed++;
            if (wanted == clusters && needed == blocks) return ((int)clusters, (int)blocks);
            clusters = wanted;
            blocks = Math.Max(blocks, needed);
            if (needed < blocks) return ((int)clusters, (int)blocks);
        }
    }

    private void Move(long start, int clusters, int blocks)
    {
        long end = start + clusters + blocks;
        long next = start + clusters;
        for (long block = start >> _blockBits; block <= (end - 1) >> _blockBits; block++)
            if (_table[block] == 0) AddBlock(block, next++);
        for (long cluster = start; cluster < next; cluster++) Set(cluster, 1);
        Words.Write(_file, _tableOffset, _table);
        _blocks.Write();
        _file.Flush();
        Span<byte> fields = stackalloc byte[12];
        BinaryPrimitives.WriteUInt64BigEndian(fields, (ulong)_tableOffset);
        BinaryPrimitives.WriteUInt32BigEndian(fields[8..], (uint)clusters);
        _file.Write(Qcow2Header.RefcountTableField, fields);
        _dirtyFrom = int.MaxValue;
        _dirtyTo = 0;
    }

    // The header refers to the old table still.
    private void Undo(ulong[] table, long offset, long start, long end)
    {
        foreach (ulong block in _table.Except(table)) _blocks.Remove((long)block);
        _table = table;
        _tableOffset = offset;
        for (long cluster = start; cluster < end; cluster++)
            if (Get(cluster) != 0) Set(cluster, 0);
        _hint = Math.Max(_hint, end);
    }
}
