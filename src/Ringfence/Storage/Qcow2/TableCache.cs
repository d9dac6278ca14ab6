using System.Buffers.Binary;

namespace Ringfence.Storage.Qcow2;

/// <summary>
/// Tables of one cluster each, as they will be in the file: L2 tables, or refcount blocks. What has changed is written when the owner says
/// so, in the order it needs. A table stays valid until <see cref="Trim"/> is called, which nothing else does.
/// </summary>
internal sealed class TableCache(ImageFile file, int tableBytes)
{
    private const int MemoryBytes = 16 << 20;
    private const int SectorBytes = 512;

    private readonly Dictionary<long, Table> _tables = [];
    private readonly List<Table> _dirty = [];
    private readonly int _capacity = Math.Max(8, MemoryBytes / tableBytes);
    private long _time;

    /// <summary>More tables are here than should be.</summary>
    public bool IsFull => _tables.Count > _capacity;

    /// <summary>Tables have changed.</summary>
    public bool IsDirty => _dirty.Count > 0;

    /// <summary>A table of the file.</summary>
    public Table Get(long offset)
    {
        if (!_tables.TryGetValue(offset, out Table? table))
        {
            byte[] bytes = new byte[tableBytes];
            file.ReadTable(offset, bytes);
            table = new Table(this, offset, bytes);
            _tables.Add(offset, table);
        }

        table.LastUse = ++_time;
        return table;
    }

    /// <summary>Takes up a table that the file has at this offset already, with these contents.</summary>
    public Table Add(long offset, byte[] bytes)
    {
        Table table = new(this, offset, bytes) { LastUse = ++_time };
        _tables[offset] = table;
        return table;
    }

    /// <summary>Forgets a table that is no longer one.</summary>
    public void Remove(long offset)
    {
        if (!_tables.Remove(offset, out Table? table)) return;
        _dirty.Remove(table);
    }

    /// <summary>Forgets the tables that were not used for longest. None may be dirty, or it stays.</summary>
    public void Trim()
    {
        if (!IsFull) return;
        foreach (Table table in _tables.Values.Where(t => !t.IsDirty).OrderBy(t => t.LastUse).Take(_tables.Count - _capacity / 2).ToList())
            _tables.Remove(table.Offset);
    }

    /// <summary>Writes what has changed, in whole sectors.</summary>
    /// <exception cref="IOException">The host refuses; what was not written stays dirty.</exception>
    public void Write()
    {
        while (_dirty.Count > 0)
        {
            Table table = _dirty[^1];
            table.Write(file);
            _dirty.RemoveAt(_dirty.Count - 1);
        }
    }

    /// <summary>One table.</summary>
    public sealed class Table(TableCache cache, long offset, byte[] bytes)
    {
        private int _dirtyFrom = int.MaxValue;
        private int _dirtyTo;

        /// <summary>Where it lies.</summary>
        public long Offset { get; } = offset;

        /// <summary>Its contents; changed with <see cref="Changed"/> or the indexer.</summary>
        public byte[] Bytes { get; } = bytes;

        /// <summary>When it was last asked for.</summary>
        public long LastUse { get; set; }

        /// <summary>It has changes that the file does not have.</summary>
        public bool IsDirty => _dirtyTo > 0;

        /// <summary>An entry of 64 bits.</summary>
        public ulong this[int index]
        {
            get => BinaryPrimitives.ReadUInt64BigEndian(Bytes.AsSpan(index * 8));
            set
            {
                BinaryPrimitives.WriteUInt64BigEndian(Bytes.AsSpan(index * 8), value);
                Changed(index * 8, 8);
            }
        }

        /// <summary>Bytes have been changed.</summary>
        public void Changed(int at, int length)
        {
            if (!IsDirty) cache._dirty.Add(this);
            _dirtyFrom = Math.Min(_dirtyFrom, at);
            _dirtyTo = Math.Max(_dirtyTo, at + length);
        }

        /// <summary>Writes the sectors with changes.</summary>
        public void Write(ImageFile file)
        {
            int from = _dirtyFrom & -SectorBytes;
            int to = (_dirtyTo + SectorBytes - 1) & -SectorBytes;
            file.Write(Offset + from, Bytes.AsSpan(from, to - from));
            _dirtyFrom = int.MaxValue;
            _dirtyTo = 0;
        }
    }
}
