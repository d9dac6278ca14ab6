namespace Ringfence.Execution.Translation;

/// <summary>Counters of a translator.</summary>
internal sealed class TranslationStatistics
{
    /// <summary>Counters by size of the code: 16, 32 and 64 bits.</summary>
    public SizeStatistics[] Sizes { get; } = [new(), new(), new()];

    /// <summary>Exits chained to their targets.</summary>
    public long Chained;

    /// <summary>Times fragments were thrown away because guest code was written.</summary>
    public long Invalidations;

    /// <summary>Times the whole cache was thrown away because it was full.</summary>
    public long Flushes;
}

/// <summary>Counters for one size of guest code.</summary>
internal sealed class SizeStatistics
{
    /// <summary>Translation units.</summary>
    public long Units;

    /// <summary>Guest instructions translated.</summary>
    public long Instructions;

    /// <summary>Guest bytes translated.</summary>
    public long GuestBytes;

    /// <summary>Host bytes emitted.</summary>
    public long HostBytes;

    /// <summary>Indirect transfers whose look-up needed the monitor.</summary>
    public long LookUpMisses;

    /// <summary>Call-outs because a memory access could not be done inline.</summary>
    public long MemoryCallOuts;

    /// <summary>Call-outs to the shared definition of an instruction.</summary>
    public long InstructionCallOuts;

    /// <summary>Looks for events that found one.</summary>
    public long Polls;

    /// <summary>Time spent translating, in ticks of the host's clock.</summary>
    public long Ticks;
}
