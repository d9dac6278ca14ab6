using Iced.Intel;

namespace Ringfence.Processors;

/// <summary>Counters of one processor. Written by its thread, read by anyone (torn reads do not matter).</summary>
internal sealed class ProcessorStatistics
{
    /// <summary>Exceptions delivered, by vector.</summary>
    public long[] Exceptions { get; } = new long[32];

    /// <summary>External interrupts delivered, by vector.</summary>
    public long[] Interrupts { get; } = new long[256];

    /// <summary>Accesses to I/O ports.</summary>
    public long PortAccesses { get; set; }

    /// <summary>Instructions that are not implemented and raised #UD, by Iced's code.</summary>
    public Dictionary<Code, long> Unimplemented { get; } = [];

    /// <summary>Counts an unimplemented instruction.</summary>
    public void CountUnimplemented(Code code)
    {
        lock (Unimplemented) Unimplemented[code] = Unimplemented.GetValueOrDefault(code) + 1;
    }
}
