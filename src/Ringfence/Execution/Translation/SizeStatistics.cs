namespace Ringfence.Execution.Translation;

/// <summary>Counters for one size of guest code.</summary>
internal sealed class SizeStatistics
{
    /// <summary>Translation units.</summary>
    public long Units;

    /// <summary>Traces: hot paths compiled again.</summary>
    public long Traces;

    /// <summary>Traces given up because their pointers lead elsewhere than when they were made.</summary>
    public long TraceMisses;

    /// <summary>Accesses to windows that the host refused.</summary>
    public long WindowFaults;

    /// <summary>Guest instructions translated.</summary>
    public long Instructions;

    /// <summary>Guest bytes translated.</summary>
    public long GuestBytes;

    /// <summary>Host bytes emitted.</summary>
    public long HostBytes;

    /// <summary>Exits chained to their targets.</summary>
    public long Chained;

    /// <summary>Indirect transfers, and direct ones to other pages, whose look-up needed the monitor.</summary>
    public long LookUpMisses;

    /// <summary>Memory accesses that were tried again after the TLB had been filled.</summary>
    public long TlbRefills;

    /// <summary>Call-outs because a memory access or another check could not be done inline.</summary>
    public long CheckCallOuts;

    /// <summary>Call-outs to the shared definition of an instruction.</summary>
    public long InstructionCallOuts;

    /// <summary>Looks for events that found one.</summary>
    public long Polls;

    /// <summary>Units thrown away because their guest code was written.</summary>
    public long Invalidations;

    /// <summary>Times translated code was changed for what the guest turned out to do.</summary>
    public long Adaptations;

    /// <summary>Time spent translating, in ticks of the host's clock.</summary>
    public long Ticks;
}
