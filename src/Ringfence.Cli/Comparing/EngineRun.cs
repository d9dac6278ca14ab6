using Ringfence.Cli.Running;
using Ringfence.Machines;
using Ringfence.Processors.Exits;

namespace Ringfence.Cli.Comparing;

/// <summary>One engine's run of the guest.</summary>
internal sealed record EngineRun
{
    /// <summary>The engine's name.</summary>
    public required string Engine { get; init; }

    /// <summary>How the run has ended.</summary>
    public required RunEnd End { get; init; }

    /// <summary>The machine's counters at its end, exits timed.</summary>
    public required MachineStatistics Statistics { get; init; }

    /// <summary>The last lines of COM1.</summary>
    public required IReadOnlyList<string> LastLines { get; init; }

    /// <summary>Guest instructions executed; null if they were not counted.</summary>
    public ulong? Instructions { get; init; }

    /// <summary>They were counted in a run of its own.</summary>
    public bool IsCountedApart { get; init; }

    /// <summary>How that run has ended, unless it came to the guest's power-off.</summary>
    public RunEnd? CountFailure { get; init; }

    /// <summary>The guest powered off.</summary>
    public bool IsComplete => End.Reason == RunEnd.PoweredOff;

    /// <summary>Wall time.</summary>
    public TimeSpan WallTime => Statistics.WallTime;

    /// <summary>Million guest instructions a second of <see cref="WallTime"/>.</summary>
    public double? Mips => Instructions is { } instructions && WallTime > TimeSpan.Zero ? instructions / WallTime.TotalSeconds / 1e6 : null;

    /// <summary>Exits, all reasons together.</summary>
    public long ExitCount => Statistics.Exits.Values.Sum();

    /// <summary>Share of the processors' time; null if time was not taken.</summary>
    public double? ShareOf(TimeSpan time) => Statistics.Time is { } all && all.Total > TimeSpan.Zero ? time / all.Total : null;

    /// <summary>Share of the processors' time that exits of one reason took.</summary>
    public double? ShareOf(ExitReason reason) => ShareOf(TimeOf(reason));

    /// <summary>Time that exits of one reason took.</summary>
    public TimeSpan TimeOf(ExitReason reason) => Statistics.Time?.Exits.GetValueOrDefault(reason) ?? TimeSpan.Zero;
}
