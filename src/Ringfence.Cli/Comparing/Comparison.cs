using Ringfence.Cli.Commands;
using Ringfence.Processors.Exits;

namespace Ringfence.Cli.Comparing;

/// <summary>The same guest in several engines: what is printed, written as JSON and shown as a page.</summary>
/// <param name="Options">What was asked for.</param>
/// <param name="Input">What was typed.</param>
/// <param name="Runs">One for each engine, in the order asked for.</param>
internal sealed record Comparison(CompareOptions Options, GuestInput Input, IReadOnlyList<EngineRun> Runs)
{
    /// <summary>Who ran, in few words.</summary>
    public string Guest => Options.Guest.Kernel ?? Options.Guest.Firmware ?? "built-in guest";

    /// <summary>The shortest wall time of those that came to the guest's power-off; null if none did.</summary>
    public EngineRun? Fastest => Runs.Where(run => run.IsComplete).MinBy(run => run.WallTime);

    /// <summary>The longest one.</summary>
    public EngineRun? Slowest => Runs.Where(run => run.IsComplete).MaxBy(run => run.WallTime);

    /// <summary>Reasons that occurred in any engine: those that took most of some engine's time first, then those that occurred most often.</summary>
    public IReadOnlyList<ExitReason> Reasons { get; } =
    [
        .. Runs.SelectMany(run => run.Statistics.Exits.Keys.Concat(run.Statistics.Time?.Exits.Keys ?? []))
            .Distinct()
            .OrderByDescending(reason => Runs.Max(run => run.ShareOf(reason) ?? 0))
            .ThenByDescending(reason => Runs.Max(run => run.Statistics.Exits.GetValueOrDefault(reason))),
    ];

    /// <summary>Sensitive instructions that reached the monitor of any engine, the most frequent ones first.</summary>
    public IReadOnlyList<string> SensitiveInstructions { get; } =
    [
        .. Runs.SelectMany(run => run.Statistics.SensitiveInstructions.Keys)
            .Distinct(StringComparer.Ordinal)
            .OrderByDescending(form => Runs.Max(run => run.Statistics.SensitiveInstructions.GetValueOrDefault(form)))
            .ThenBy(form => form, StringComparer.Ordinal),
    ];

    /// <summary>What the figures do not say by themselves.</summary>
    public IReadOnlyList<string> Notes { get; } = [.. Remarks(Options, Runs)];

    /// <summary>How many times the fastest one's wall time a run took.</summary>
    public double? RatioToFastest(EngineRun run) =>
        run.IsComplete && Fastest is { } fastest && fastest.WallTime > TimeSpan.Zero ? run.WallTime / fastest.WallTime : null;

    private static IEnumerable<string> Remarks(CompareOptions options, IReadOnlyList<EngineRun> runs)
    {
        string[] apart = [.. runs.Where(run => run.IsCountedApart).Select(run => run.Engine)];
        if (apart.Length > 0)
        {
            yield return $"Instructions of {string.Join(", ", apart)}: counted in a run of its own, since counting takes time; that run need not execute exactly as many.";
        }

        foreach (EngineRun run in runs.Where(run => run.CountFailure is not null))
            yield return $"Instructions of {run.Engine}: not known, since the run that counts them ended by {run.CountFailure!.Reason}.";
        if (options.Repetitions > 1) yield return FormattableString.Invariant($"Each engine ran the guest {options.Repetitions} times; what is shown is the shortest run.");
        if (options.Guest.Processors > 1) yield return $"Times by reason, in guest code and idle are those of {options.Guest.Processors} processors together.";
    }
}
