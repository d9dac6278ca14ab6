namespace Ringfence.Machines;

/// <summary>Counters of binary translation for one size of guest code, all processors together.</summary>
public sealed record TranslatedCodeStatistics
{
    /// <summary>Size of the guest code's default operands and addresses: 16, 32 or 64 bits.</summary>
    public required int Bits { get; init; }

    /// <summary>Translation units compiled.</summary>
    public required long Units { get; init; }

    /// <summary>Guest instructions in them.</summary>
    public required long Instructions { get; init; }

    /// <summary>Guest bytes in them.</summary>
    public required long GuestBytes { get; init; }

    /// <summary>Bytes of host code emitted for them.</summary>
    public required long HostBytes { get; init; }

    /// <summary>Host bytes for each guest byte.</summary>
    public double ExpansionRatio => GuestBytes > 0 ? (double)HostBytes / GuestBytes : 0;

    /// <summary>Exits that were chained to their targets.</summary>
    public required long ChainedExits { get; init; }

    /// <summary>Transfers whose target the jump table did not know. Hits stay in translated code, where nobody counts them.</summary>
    public required long LookUpMisses { get; init; }

    /// <summary>Memory accesses that were tried again after the TLB had been filled.</summary>
    public required long TlbRefills { get; init; }

    /// <summary>Call-outs to the definition of an instruction that is not translated.</summary>
    public required long InstructionCallOuts { get; init; }

    /// <summary>Call-outs of translated instructions because a check failed: a device, a fault, an operand across two pages.</summary>
    public required long CheckCallOuts { get; init; }

    /// <summary>Looks for events that found one.</summary>
    public required long EventExits { get; init; }

    /// <summary>Units thrown away because their guest code was written.</summary>
    public required long Invalidations { get; init; }

    /// <summary>Times translated code was changed for what the guest turned out to do.</summary>
    public required long Adaptations { get; init; }

    /// <summary>Host time spent translating.</summary>
    public required TimeSpan TranslationTime { get; init; }
}
