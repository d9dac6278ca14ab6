namespace Ringfence.Storage.Qcow2;

/// <summary>The counts in the file compared with the references that were found, and put right.</summary>
internal sealed class RefcountComparison
{
    private const int MaxProblems = 20;

    private readonly Qcow2Header _header;
    private readonly Refcounts _refcounts;
    private readonly List<Difference> _differences = [];
    private readonly List<string> _problems = [];
    private readonly long _end;

    /// <summary>Compares.</summary>
    public RefcountComparison(Qcow2Header header, ReferenceScan scan, Refcounts refcounts)
    {
        _header = header;
        _refcounts = refcounts;
        List<ReferenceScan.Segment> segments = scan.Segments;
        _end = segments.Count == 0 ? 0 : segments[^1].First + segments[^1].Count;
        int at = 0;
        long blockClusters = 1L << refcounts.BlockBits;

        // Where there is no block all counts are zero, and so they are where it lies in a hole of the file.
        for (long block = 0; block < refcounts.Table.Length || at < segments.Count; block++)
        {
            long first = block << refcounts.BlockBits;
            while (at < segments.Count && segments[at].First + segments[at].Count <= first) at++;
            bool exists = block < refcounts.Table.Length && refcounts.HasBlock(block);
            if (exists || (at < segments.Count && segments[at].First < first + blockClusters)) CompareBlock(segments, at, first, blockClusters, exists);
            else if (block >= refcounts.Table.Length && at < segments.Count) block = (segments[at].First >> refcounts.BlockBits) - 1;
            if (refcounts.IsFull) refcounts.Trim();
        }
    }

    /// <summary>How many clusters have fewer counts than references.</summary>
    public long Errors { get; private set; }

    /// <summary>How many clusters have more counts than references.</summary>
    public long Leaks { get; private set; }

    /// <summary>A line each of the first few.</summary>
    public IReadOnlyList<string> Problems => _problems;

    /// <summary>Sets all counts to what they should be.</summary>
    public void Repair()
    {
        _refcounts.SearchFrom(Math.Max(_end, _differences.Count == 0 ? 0 : _differences[^1].First + _differences[^1].Count));
        foreach (Difference difference in _differences)
        {
            for (long i = 0; i < difference.Count; i++) _refcounts.SetAlways(difference.First + i, difference.References);
        }

        _refcounts.SearchFrom(0);
    }

    private void CompareBlock(List<ReferenceScan.Segment> segments, int at, long first, long count, bool exists)
    {
        long end = first + count;
        for (long cluster = first; cluster < end;)
        {
            while (at < segments.Count && segments[at].First + segments[at].Count <= cluster) at++;
            bool inside = at < segments.Count && segments[at].First <= cluster;
            ulong references = inside ? segments[at].References : 0;
            long next = at == segments.Count ? end : Math.Min(end, inside ? segments[at].First + segments[at].Count : segments[at].First);
            if (!exists)
            {
                if (inside) Add(cluster, next - cluster, 0, references);
                cluster = next;
                continue;
            }

            for (; cluster < next; cluster++)
            {
                ulong stored = _refcounts.Get(cluster);
                if (stored != references) Add(cluster, 1, stored, references);
            }
        }
    }

    private void Add(long cluster, long count, ulong stored, ulong references)
    {
        if (stored < references) Errors += count;
        else Leaks += count;
        if (_problems.Count < MaxProblems)
        {
            string what = stored < references ? "error" : "leak";
            _problems.Add($"{what}: the cluster at 0x{cluster << _header.ClusterBits:x} is counted {stored} times and referred to {references} times");
        }

        if (_differences.Count > 0 && _differences[^1] is { } last && last.First + last.Count == cluster && last.References == references)
            _differences[^1] = last with { Count = last.Count + count };
        else
            _differences.Add(new Difference(cluster, count, references));
    }

    private readonly record struct Difference(long First, long Count, ulong References);
}
