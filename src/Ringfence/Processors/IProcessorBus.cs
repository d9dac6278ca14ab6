namespace Ringfence.Processors;

/// <summary>What a processor is connected to besides memory. The machine implements it and takes its lock where needed.</summary>
internal interface IProcessorBus
{
    /// <summary>Reads <paramref name="size"/> (1, 2, 4) bytes from an I/O port.</summary>
    uint ReadPort(ushort port, int size);

    /// <summary>Writes <paramref name="size"/> (1, 2, 4) bytes to an I/O port.</summary>
    void WritePort(ushort port, int size, uint value);

    /// <summary>Takes the vector of the highest deliverable external interrupt, or -1 if there is none (any more).</summary>
    int AcknowledgeInterrupt(Processor processor);

    /// <summary>CR8: bits 4 to 7 of the task priority register.</summary>
    ulong GetTaskPriority(Processor processor);

    /// <summary>Sets CR8.</summary>
    void SetTaskPriority(Processor processor, ulong value);

    /// <summary>Reads a local-APIC MSR (IA32_APIC_BASE 1Bh, IA32_TSC_DEADLINE 6E0h, x2APIC 800h to 8FFh). False: #GP.</summary>
    bool TryReadApicMsr(Processor processor, uint msr, out ulong value);

    /// <summary>Writes a local-APIC MSR. False: #GP.</summary>
    bool TryWriteApicMsr(Processor processor, uint msr, ulong value);

    /// <summary>The machine's time-stamp counter, before the processor's offset.</summary>
    ulong TimestampCounter(Processor processor);

    /// <summary>The processor's offset to <see cref="TimestampCounter"/> has changed: a TSC deadline is at another time now.</summary>
    void TimestampChanged(Processor processor)
    {
    }

    /// <summary>Rate of the time-stamp counter.</summary>
    ulong TimestampFrequency { get; }

    /// <summary>Number of processors of the machine (for CPUID's topology).</summary>
    int ProcessorCount { get; }

    /// <summary>Random bytes (RDRAND); reproducible in a deterministic machine.</summary>
    ulong NextRandom(Processor processor);

    /// <summary>
    /// Stops all other processors from executing guest code until <see cref="LeaveExclusive"/>: for locked accesses that the host cannot make
    /// atomic (crossing pages, MMIO).
    /// </summary>
    void EnterExclusive(Processor processor);

    /// <summary>Ends <see cref="EnterExclusive"/>.</summary>
    void LeaveExclusive(Processor processor);

    /// <summary>
    /// Makes every processor in <paramref name="processors"/> (a bit each) drop its write access to a physical page and returns when
    /// none of them can write to it unseen any more.
    /// </summary>
    void ShootDownWriters(Processor processor, ulong frame, int processors);

    /// <summary>Tells other processors that cached decoded code of a physical page is stale.</summary>
    void InvalidateCode(Processor? writer, ulong frame, int processors);
}
