using System.Globalization;
using Ringfence.Machines;
using Ringfence.Processors.Exits;

namespace Ringfence.Cli.Comparing;

/// <summary>The figures that text and page show, one row each, and how they are written.</summary>
internal static class Figures
{
    /// <summary>What stands where there is no value.</summary>
    public const string None = "-";

    private const long MostDigits = 10_000_000;

    /// <summary>Everything but the exits: name, and the value of a run.</summary>
    public static IEnumerable<(string Name, Func<EngineRun, string> Value)> Rows(Comparison comparison)
    {
        yield return ("end", run => run.End.Reason.Replace('_', ' '));
        yield return ("wall time", run => Seconds(run.WallTime));
        yield return ("times the fastest", run => comparison.RatioToFastest(run) is { } ratio ? Number(ratio, 2) : None);
        yield return ("guest instructions", run => run.Instructions is { } count ? Count((long)count) + (run.IsCountedApart ? "*" : "") : None);
        yield return ("million instructions a second", run => run.Mips is { } mips ? Number(mips, 1) : None);
        yield return ("in guest code", run => OfAll(run, time => time.GuestCode));
        yield return ("in the monitor", run => OfAll(run, time => time.Monitor));
        yield return ("idle", run => OfAll(run, time => time.Idle));
        yield return ("exits", run => Count(run.ExitCount));
        yield return ("exits a million instructions", run => run.Instructions is > 0 and { } count ? Number(run.ExitCount * 1e6 / count, 1) : None);
        yield return ("guest RAM touched", run => Number(run.Statistics.TouchedMemoryBytes / 1048576.0, 1) + " MiB");
    }

    /// <summary>A count, exact up to seven digits.</summary>
    public static string Count(long count) => count switch
    {
        < MostDigits => count.ToString("N0", CultureInfo.InvariantCulture),
        < 1_000_000_000 => Number(count / 1e6, 2) + " M",
        < 1_000_000_000_000 => Number(count / 1e9, 2) + " G",
        _ => Number(count / 1e12, 2) + " T",
    };

    /// <summary>A duration.</summary>
    public static string Seconds(TimeSpan time) => Number(time.TotalSeconds, 3) + " s";

    /// <summary>A share.</summary>
    public static string Share(double? share) => share is { } value ? Number(value * 100, 1) + " %" : None;

    /// <summary>A number with a fixed count of decimals.</summary>
    public static string Number(double value, int decimals) => value.ToString("N" + decimals.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);

    /// <summary>Exits of one reason.</summary>
    public static long CountOf(EngineRun run, ExitReason reason) => run.Statistics.Exits.GetValueOrDefault(reason);

    private static string OfAll(EngineRun run, Func<ExecutionTime, TimeSpan> part) =>
        run.Statistics.Time is { } time ? $"{Seconds(part(time))} {Share(run.ShareOf(part(time))),7}" : None;
}
