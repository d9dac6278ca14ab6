using Ringfence.Cli.Running;
using Ringfence.Processors.Exits;

namespace Ringfence.Cli.Comparing;

/// <summary>A part of the processors' time that bars show.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Name">Its name, for people.</param>
/// <param name="Of">How long it was in a run.</param>
internal sealed record TimePart(TimePartKind Kind, string Name, Func<EngineRun, TimeSpan> Of)
{
    /// <summary>Reasons that have a part of their own; the others share one.</summary>
    public const int NamedReasons = 4;

    /// <summary>A reason that took less of every engine's time is not worth a part.</summary>
    private const double LeastNamedShare = 0.005;

    /// <summary>A part that nobody would see is left out.</summary>
    private const double LeastShare = 0.001;

    /// <summary>The parts, from left to right: guest code, the reasons that took most time, other reasons, idleness.</summary>
    public static IReadOnlyList<TimePart> PartsOf(Comparison comparison)
    {
        ExitReason[] named = [.. comparison.Reasons.Where(reason => comparison.Runs.Any(run => run.ShareOf(reason) >= LeastNamedShare)).Take(NamedReasons)];
        TimePart[] all =
        [
            new(TimePartKind.GuestCode, "guest code", run => run.Statistics.Time?.GuestCode ?? TimeSpan.Zero),
            .. named.Select(reason => new TimePart(TimePartKind.Reason, ExitReportParts.Text(reason), run => run.TimeOf(reason))),
            new(TimePartKind.OtherReasons, named.Length == 0 ? "monitor" : "other reasons", run => run.Statistics.Time is { } time
                ? time.Exits.Where(exit => !named.Contains(exit.Key)).Aggregate(TimeSpan.Zero, (sum, exit) => sum + exit.Value)
                : TimeSpan.Zero),
            new(TimePartKind.Idle, "idle", run => run.Statistics.Time?.Idle ?? TimeSpan.Zero),
        ];
        return [.. all.Where(part => comparison.Runs.Any(run => run.ShareOf(part.Of(run)) >= LeastShare))];
    }
}

/// <summary>What a part of the processors' time is.</summary>
internal enum TimePartKind
{
    /// <summary>In guest code.</summary>
    GuestCode,

    /// <summary>In the monitor, for one reason.</summary>
    Reason,

    /// <summary>In the monitor, for any other reason.</summary>
    OtherReasons,

    /// <summary>Asleep.</summary>
    Idle,
}
