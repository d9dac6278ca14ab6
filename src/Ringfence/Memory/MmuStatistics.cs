namespace Ringfence.Memory;

/// <summary>Counters of an <see cref="Mmu"/>.</summary>
internal sealed class MmuStatistics
{
    /// <summary>Page walks.</summary>
    public long Walks;

    /// <summary>Whole flushes.</summary>
    public long Flushes;

    /// <summary>Flushes of all but global pages.</summary>
    public long NonGlobalFlushes;

    /// <summary>MMIO reads.</summary>
    public long DeviceReads;

    /// <summary>MMIO writes.</summary>
    public long DeviceWrites;
}
