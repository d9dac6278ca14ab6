namespace Ringfence.Virtualizability;

/// <summary>Popek and Goldberg's (1974) first theorem, applied to what the experiments found.</summary>
public sealed record VirtualizabilityReport
{
    /// <summary>Name of the machine, such as <c>Ringfence processor model</c>.</summary>
    public required string Machine { get; init; }

    /// <summary>What it was asked about, such as <c>32-bit protected mode</c>.</summary>
    public required string Mode { get; init; }

    /// <summary>User-mode instruction prevention is on.</summary>
    public required bool Umip { get; init; }

    /// <summary>What a monitor may choose and the experiments assume, such as IOPL and CR4.TSD; a sentence each.</summary>
    public required IReadOnlyList<string> Assumptions { get; init; }

    /// <summary>Every instruction, offenders first, then privileged, then innocuous; by name within.</summary>
    public required IReadOnlyList<InstructionVerdict> Instructions { get; init; }

    /// <summary>Sensitive and not privileged.</summary>
    public IEnumerable<InstructionVerdict> Offenders => Instructions.Where(i => i.IsOffender);

    /// <summary>Every sensitive instruction is privileged, and there is a user mode: a monitor by trap and emulate alone can be built.</summary>
    public required bool IsVirtualizable { get; init; }

    /// <summary>The theorem applied, in a sentence or two.</summary>
    public required string Verdict { get; init; }

    /// <summary>Instruction forms that were tried.</summary>
    public required int Forms { get; init; }

    /// <summary>Instructions executed.</summary>
    public required long Executions { get; init; }

    /// <summary>How long it took.</summary>
    public required TimeSpan Duration { get; init; }

    /// <summary>The host's processor, such as its brand string; null if it was not asked.</summary>
    public string? HostProcessor { get; init; }

    /// <summary>The host ran with user-mode instruction prevention; null if it was not asked.</summary>
    public bool? HostUmip { get; init; }
}
