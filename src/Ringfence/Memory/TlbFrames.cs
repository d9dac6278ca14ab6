namespace Ringfence.Memory;

/// <summary>
/// Which TLB entries hold a physical page: chains of entries by a hash of the frame, so that taking the right to write a page away
/// from an <see cref="Mmu"/> does not look at all its entries.
/// </summary>
/// <param name="tables">The entries.</param>
/// <param name="count">How many.</param>
internal sealed unsafe class TlbFrames(TlbEntry* tables, int count)
{
    private const int Unlinked = 0;
    private const int End = 1;
    private const int First = 2;
    private const int Buckets = 1 << 12;

    private readonly int[] _heads = NewHeads();
    private readonly int[] _next = new int[count];

    /// <summary>Gives an entry a physical page, and notes it.</summary>
    public void Set(TlbEntry* entry, ulong physical)
    {
        int index = (int)(entry - tables);
        if (_next[index] != Unlinked)
        {
            if (entry->Physical == physical) return;
            Unlink(index, entry->Physical);
        }

        entry->Physical = physical;
        ref int head = ref _heads[BucketOf(physical)];
        _next[index] = head;
        head = index + First;
    }

    /// <summary>Makes the next write through the TLB to a physical page be seen.</summary>
    public void DropWriter(ulong physical)
    {
        for (int link = _heads[BucketOf(physical)]; link != End; link = _next[link - First])
            if (tables[link - First].Physical == physical) tables[link - First].WriteTag = 0;
    }

    private static int BucketOf(ulong physical) => (int)((physical >> 12) ^ (physical >> 24)) & (Buckets - 1);

    private static int[] NewHeads()
    {
        int[] heads = new int[Buckets];
        Array.Fill(heads, End);
        return heads;
    }

    private void Unlink(int index, ulong physical)
    {
        ref int link = ref _heads[BucketOf(physical)];
        while (link != index + First) link = ref _next[link - First];
        link = _next[index];
        _next[index] = Unlinked;
    }
}
