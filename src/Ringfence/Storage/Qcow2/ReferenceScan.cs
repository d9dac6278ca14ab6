namespace Ringfence.Storage.Qcow2;

/// <summary>
/// Looks at all tables of an image once: does everything lie within the file, does nothing lie upon something else, how often is each cluster
/// referred to. An image that passes can be read and written without looking back: no table leads outside, to itself or to another one.
///
/// What it takes is bounded by what the file really holds: each L2 table is read once, however often it is referred to, tables in holes are
/// not read at all, and memory is needed for runs of references that stand in the file.
/// </summary>
internal sealed class ReferenceScan
{
    private const int MaxProblems = 20;
    private const long MaxSnapshotEntries = 16 << 20;

    private readonly ImageFile _file;
    private readonly Qcow2Header _header;
    private readonly Refcounts _refcounts;
    private readonly long _fileLength;
    private readonly List<Change> _changes = [];
    private readonly List<string> _problems = [];
    private Run _run;

    private ReferenceScan(ImageFile file, Qcow2Header header, Refcounts refcounts)
    {
        _file = file;
        _header = header;
        _refcounts = refcounts;
        _fileLength = file.Length;
    }

    private enum Kind : byte
    {
        /// <summary>Header, L1 and refcount tables, refcount blocks, the snapshot table: exactly one reference.</summary>
        Fixed,

        /// <summary>An L2 table: referred to by L1 tables only.</summary>
        L2,

        /// <summary>A cluster of the disk in snapshots.</summary>
        Data,

        /// <summary>A cluster of the disk as it is now, and perhaps in snapshots.</summary>
        ActiveData,

        /// <summary>The same, compressed: several may lie in one cluster of the file, but no others with them.</summary>
        ActiveCompressed,
    }

    /// <summary>What makes the image unusable: the first few. Where there are any, the rest has not been looked at.</summary>
    public IReadOnlyList<string> Problems => _problems;

    /// <summary>How many such things were found.</summary>
    public long ProblemCount { get; private set; }

    /// <summary>Active entries whose "copied" flag does not say what the counts in the file say.</summary>
    public long WrongFlags { get; private set; }

    /// <summary>All clusters that are referred to, in their order.</summary>
    public List<Segment> Segments { get; } = [];

    /// <summary>Looks at an image.</summary>
    public static ReferenceScan Of(ImageFile file, Qcow2Header header, SnapshotTable snapshots, ReadOnlySpan<ulong> l1, Refcounts refcounts)
    {
        ReferenceScan scan = new(file, header, refcounts);
        scan.AddFixed(snapshots);
        if (scan.ProblemCount == 0) scan.AddTables(snapshots, l1);
        if (scan.ProblemCount == 0) scan.Sum();
        return scan;
    }

    private void Problem(string text)
    {
        ProblemCount++;
        if (_problems.Count < MaxProblems) _problems.Add(text);
    }

    private void AddFixed(SnapshotTable snapshots)
    {
        Add(0, _header.ClusterBytes, 1, Kind.Fixed);
        Add(_header.L1Offset, _header.L1Entries * 8L, 1, Kind.Fixed);
        Add(_header.RefcountTableOffset, (long)_header.RefcountTableClusters << _header.ClusterBits, 1, Kind.Fixed);
        if (_header.Snapshots > 0) Add(_header.SnapshotsOffset, snapshots.Bytes, 1, Kind.Fixed);
        foreach (SnapshotTable.Entry snapshot in snapshots.Entries) Add(snapshot.L1Offset, snapshot.L1Entries * 8L, 1, Kind.Fixed);
        ReadOnlySpan<ulong> table = _refcounts.Table;
        for (int i = 0; i < table.Length; i++)
        {
            if (table[i] == 0) continue;
            if (table[i] >> 62 == 0 && _header.IsTableOffset((long)table[i], _fileLength)) Add((long)table[i], _header.ClusterBytes, 1, Kind.Fixed);
            else Problem($"refcount table entry {i} (0x{table[i]:x}) leads to no place of the file");
        }

        if (snapshots.Entries.Sum(s => (long)s.L1Entries) > MaxSnapshotEntries) Problem("its snapshots have more L1 entries than can be handled");
    }

    // An L2 table is read once, with the number of L1 entries that refer to it as a weight.
    private void AddTables(SnapshotTable snapshots, ReadOnlySpan<ulong> l1)
    {
        List<long> tables = [];
        AddL1("L1", l1, 1, tables);
        for (int i = 0; i < snapshots.Entries.Count; i++)
        {
            SnapshotTable.Entry snapshot = snapshots.Entries[i];
            AddL1($"snapshot {i + 1}'s L1", Words.Read(_file, snapshot.L1Offset, snapshot.L1Entries), 0, tables);
        }

        if (ProblemCount > 0) return;
        tables.Sort();
        byte[] bytes = new byte[_header.ClusterBytes];
        for (int i = 0; i < tables.Count;)
        {
            long offset = tables[i] & ~1L;
            int references = 0, active = 0;
            for (; i < tables.Count && (tables[i] & ~1L) == offset; i++)
            {
                references++;
                active += (int)(tables[i] & 1);
            }

            if (active > 1) Problem($"two L1 entries share the L2 table at 0x{offset:x}");
            Add(offset, _header.ClusterBytes, references, Kind.L2);
            if (ProblemCount > 0) continue;
            if (_file.ReadTable(offset, bytes)) AddL2(offset, bytes, references, active > 0);
        }
    }

    private void AddL1(string name, ReadOnlySpan<ulong> l1, long active, List<long> tables)
    {
        for (int i = 0; i < l1.Length; i++)
        {
            if (l1[i] == 0) continue;
            long offset = (long)(l1[i] & L2Entry.OffsetMask);
            if ((l1[i] & ~(L2Entry.OffsetMask | L2Entry.Copied)) != 0 || !_header.IsTableOffset(offset, _fileLength))
            {
                Problem($"{name} entry {i} (0x{l1[i]:x}) leads to no place of the file");
                continue;
            }

            if (active != 0 && (l1[i] & L2Entry.Copied) != 0 != (_refcounts.Get(offset >> _header.ClusterBits) == 1)) WrongFlags++;
            tables.Add(offset | active);
        }
    }

    private void AddL2(long tableOffset, ReadOnlySpan<byte> table, int references, bool active)
    {
        for (int i = 0; i < table.Length / 8; i++)
        {
            L2Entry entry = new(System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(table[(i * 8)..]));
            if (entry.Bits == 0) continue;
            if (entry.Problem(_header, _fileLength) is { } problem)
            {
                Problem($"entry {i} of the L2 table at 0x{tableOffset:x} (0x{entry.Bits:x}) {problem}");
            }
            else if (entry.IsCompressed)
            {
                (long offset, long length) = entry.CompressedRange(_header.ClusterBits);
                Add(offset & -512, length + (offset & 511), references, active ? Kind.ActiveCompressed : Kind.Data);
            }
            else if (entry.Offset != 0)
            {
                Add(entry.Offset, _header.ClusterBytes, references, active ? Kind.ActiveData : Kind.Data);
                if (active && entry.IsCopied != (_refcounts.Get(entry.Offset >> _header.ClusterBits) == 1)) WrongFlags++;
            }
        }

        if (_refcounts.IsFull) _refcounts.Trim();
    }

    // References to neighbours become one run.
    private void Add(long offset, long length, int references, Kind kind)
    {
        if (length == 0) return;
        long first = offset >> _header.ClusterBits;
        long end = (offset + length + _header.ClusterBytes - 1) >> _header.ClusterBits;
        if (first == _run.End && references == _run.References && kind == _run.Kind)
        {
            _run.End = end;
            return;
        }

        EndRun();
        _run = new Run { First = first, End = end, References = references, Kind = kind };
    }

    private void EndRun()
    {
        if (_run.References == 0) return;
        _changes.Add(new Change(_run.First, _run.References, _run.Kind));
        _changes.Add(new Change(_run.End, -_run.References, _run.Kind));
    }

    private void Sum()
    {
        EndRun();
        _changes.Sort(static (a, b) => a.Cluster.CompareTo(b.Cluster));
        Span<long> count = stackalloc long[5];
        Span<long> runs = stackalloc long[5];
        for (int i = 0; i < _changes.Count;)
        {
            long first = _changes[i].Cluster;
            for (; i < _changes.Count && _changes[i].Cluster == first; i++)
            {
                Change change = _changes[i];
                count[(int)change.Kind] += change.References;
                runs[(int)change.Kind] += Math.Sign(change.References);
            }

            long total = count[0] + count[1] + count[2] + count[3] + count[4];
            if (total == 0) continue;
            Judge(first, total, count, runs);
            Segments.Add(new Segment(first, _changes[i].Cluster - first, (ulong)total));
        }
    }

    private void Judge(long cluster, long total, ReadOnlySpan<long> count, ReadOnlySpan<long> runs)
    {
        string place = $"at 0x{cluster << _header.ClusterBits:x}";
        if (count[(int)Kind.Fixed] > 0 && total > 1) Problem($"a table {place} and something else lie upon each other");
        else if (count[(int)Kind.L2] > 0 && (total != count[(int)Kind.L2] || runs[(int)Kind.L2] > 1)) Problem($"an L2 table {place} and something else lie upon each other");
        else if (runs[(int)Kind.ActiveData] > 1 || (runs[(int)Kind.ActiveData] == 1 && runs[(int)Kind.ActiveCompressed] > 0)) Problem($"two clusters of the disk lie at the same place, {place[3..]}");
        else if ((ulong)total > _refcounts.Max) Problem($"the cluster {place} has {total} references, more than can be counted");
    }

    /// <summary>Neighbouring clusters with equally many references.</summary>
    internal readonly record struct Segment(long First, long Count, ulong References);

    private readonly record struct Change(long Cluster, int References, Kind Kind);

    private struct Run
    {
        public long First;
        public long End;
        public int References;
        public Kind Kind;
    }
}
