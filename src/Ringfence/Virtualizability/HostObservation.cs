namespace Ringfence.Virtualizability;

/// <summary>What the host's processor did with an instruction at privilege level 3, beside what the processor model predicts.</summary>
public sealed record HostObservation
{
    /// <summary>It trapped.</summary>
    public required bool Traps { get; init; }

    /// <summary>Signal, code, vector and error code of the trap, or the value that came back.</summary>
    public required string Result { get; init; }

    /// <summary>What the model does in the same state.</summary>
    public required string Prediction { get; init; }

    /// <summary>
    /// Both agree, with all operands that were tried, on whether and with which vector it traps, and on the values that must be the same. False without a
    /// <see cref="Note"/> is a defect of the model; with one it is a difference between vendors' processors.
    /// </summary>
    public required bool Agrees { get; init; }

    /// <summary>What stands between the processor and the observation, such as a kernel that emulates the instruction under UMIP; null: nothing.</summary>
    public string? Note { get; init; }
}
