using System.Globalization;
using Ringfence.Cli.Pages;
using Ringfence.Cli.Running;
using Ringfence.Processors.Exits;

namespace Ringfence.Cli.Comparing;

/// <summary>
/// Plots of a comparison as SVG. Horizontal positions are percentages of the plot's width and vertical ones are pixels: the same drawing fits
/// every screen with text of the same size. What a bar shows is in its title as well, for pointers and for screen readers.
/// </summary>
internal static class Plots
{
    private const int Top = 8;
    private const int NameHeight = 18;
    private const int BarHeight = 26;
    private const int Gap = 12;
    private const int AxisHeight = 24;
    private const double Left = 2;
    private const double Width = 96;

    /// <summary>Part of a bar from which on its letter fits in on a narrow screen.</summary>
    private const double LeastLettered = 0.05;

    /// <summary>The time of each engine, a stacked bar each.</summary>
    /// <param name="comparison">What was found out.</param>
    /// <param name="inShares">All bars are equally long: shares; otherwise they have a scale of seconds in common.</param>
    public static HtmlBuilder Time(Comparison comparison, bool inShares)
    {
        IReadOnlyList<TimePart> parts = TimePart.PartsOf(comparison);
        double longest = comparison.Runs.Max(run => Total(run, parts));
        double step = inShares ? 0.25 : Step(longest);
        double end = inShares ? 1 : Math.Max(Math.Ceiling((longest / step) - 1e-9), 1) * step;
        int height = Top + (comparison.Runs.Count * (NameHeight + BarHeight + Gap)) + AxisHeight;
        HtmlBuilder svg = new();
        int bottom = height - AxisHeight;
        for (int i = 0; i * step <= end * (1 + 1e-9); i++)
        {
            double x = Left + (i * step / end * Width);
            string anchor = i == 0 ? "start" : (i + 1) * step > end * (1 + 1e-9) ? "end" : "middle";
            string label = inShares ? $"{Figures.Number(i * step * 100, 0)} %" : $"{(i * step).ToString("0.####", CultureInfo.InvariantCulture)} s";
            svg.Add($"""<line x1="{x:0.###}%" x2="{x:0.###}%" y1="{Top}" y2="{bottom}"/><text class="soft" x="{x:0.###}%" y="{bottom + 16}" text-anchor="{anchor}">{label}</text>""");
        }

        int y = Top;
        foreach (EngineRun run in comparison.Runs)
        {
            double total = Total(run, parts);
            svg.Add($"""<text class="name" x="{Left:0.###}%" y="{y + 13}">{run.Engine}<tspan class="soft" dx="8">{Figures.Seconds(TimeSpan.FromSeconds(total))}</tspan></text>""");
            double scale = inShares ? (total > 0 ? Width / total : 0) : Width / end;
            double x = Left;
            for (int i = 0; i < parts.Count; i++)
            {
                double seconds = parts[i].Of(run).TotalSeconds;
                if (seconds <= 0) continue;
                double width = seconds * scale;
                string title = $"{run.Engine}, {parts[i].Name}: {Figures.Seconds(TimeSpan.FromSeconds(seconds))}, {Figures.Share(seconds / total)}";
                svg.Add($"""<rect class="bar-part {Series(parts, i)}" x="{x:0.###}%" y="{y + NameHeight}" width="{width:0.###}%" height="{BarHeight}"><title>{title}</title></rect>""");
                if (width / Width >= LeastLettered)
                    svg.Add($"""<text class="key {Series(parts, i)}" x="{x + (width / 2):0.###}%" y="{y + NameHeight + 18}" text-anchor="middle">{Letter(i)}</text>""");
                x += width;
            }

            y += NameHeight + BarHeight + Gap;
        }

        string name = inShares ? "Shares of each engine's time" : "Seconds of each engine";
        return Plot(name, "time", height, svg);
    }

    /// <summary>The legend of <see cref="Time"/>.</summary>
    public static HtmlBuilder TimeLegend(Comparison comparison)
    {
        IReadOnlyList<TimePart> parts = TimePart.PartsOf(comparison);
        HtmlBuilder html = new();
        for (int i = 0; i < parts.Count; i++) html.Add($"""<li class="{Series(parts, i)}"><span class="key">{Letter(i)}</span> {parts[i].Name}</li>""");
        return new HtmlBuilder().Add($"""<ul class="legend">{html}</ul>""");
    }

    /// <summary>Exits by reason, a bar for each engine, on a logarithmic scale.</summary>
    public static HtmlBuilder Exits(Comparison comparison)
    {
        const int Bar = 14;
        const double Longest = 78;
        // One exit is to be seen, too.
        const double One = 0.25;
        IReadOnlyList<ExitReason> reasons = comparison.Reasons;
        int decades = Math.Max((int)Math.Ceiling(Math.Log10(Math.Max(comparison.Runs.Max(run => reasons.Max(reason => Figures.CountOf(run, reason))), 2))), 1);
        double Position(double count) => Left + ((Math.Log10(count) + One) / (decades + One) * Longest);
        int group = NameHeight + (comparison.Runs.Count * Bar) + Gap;
        int height = Top + (reasons.Count * group) + AxisHeight;
        int bottom = height - AxisHeight;
        HtmlBuilder svg = new();
        for (int decade = 0; decade <= decades; decade++)
        {
            double x = Position(Math.Pow(10, decade));
            svg.Add($"""<line x1="{x:0.###}%" x2="{x:0.###}%" y1="{Top}" y2="{bottom}"/><text class="soft" x="{x:0.###}%" y="{bottom + 16}" text-anchor="middle">{PowerOfTen(decade)}</text>""");
        }

        for (int i = 0; i < reasons.Count; i++)
        {
            int y = Top + (i * group);
            svg.Add($"""<text class="name" x="{Left:0.###}%" y="{y + 13}">{ExitReportParts.Text(reasons[i])}</text>""");
            for (int engine = 0; engine < comparison.Runs.Count; engine++)
            {
                EngineRun run = comparison.Runs[engine];
                long count = Figures.CountOf(run, reasons[i]);
                double end = count > 0 ? Position(count) : Left;
                int top = y + NameHeight + (engine * Bar);
                if (count > 0)
                    svg.Add($"""<rect class="bar-whole {EngineSeries(engine)}" x="{Left:0.###}%" y="{top}" width="{end - Left:0.###}%" height="{Bar - 2}"><title>{run.Engine}, {ExitReportParts.Text(reasons[i])}: {count:N0}</title></rect>""");
                svg.Add($"""<text x="{end:0.###}%" dx="5" y="{top + 11}">{Figures.Count(count)}</text>""");
            }
        }

        return Plot("Exits by reason", "exits", height, svg);
    }

    /// <summary>The legend of <see cref="Exits"/>.</summary>
    public static HtmlBuilder EngineLegend(Comparison comparison)
    {
        HtmlBuilder html = new();
        for (int i = 0; i < comparison.Runs.Count; i++) html.Add($"""<li class="{EngineSeries(i)}">{comparison.Runs[i].Engine}</li>""");
        return new HtmlBuilder().Add($"""<ul class="legend">{html}</ul>""");
    }

    private static HtmlBuilder Plot(string name, string kind, int height, HtmlBuilder contents) => new HtmlBuilder().Add(
        $"""<svg class="plot" data-plot="{kind}" role="img" aria-label="{name}; its figures are in the tables" width="100%" height="{height}">{contents}</svg>""");

    private static double Total(EngineRun run, IReadOnlyList<TimePart> parts) => parts.Sum(part => part.Of(run).TotalSeconds);

    private static string Letter(int part) => ((char)('a' + part)).ToString();

    private static string Series(IReadOnlyList<TimePart> parts, int part) => parts[part].Kind switch
    {
        TimePartKind.GuestCode => "s1",
        TimePartKind.Reason => FormattableString.Invariant($"s{2 + parts.Take(part).Count(p => p.Kind == TimePartKind.Reason)}"),
        TimePartKind.OtherReasons => "s6",
        _ => "idle",
    };

    // One series for each engine that there is or is planned; two that share one still stand in the order of the legend.
    private static string EngineSeries(int engine) => FormattableString.Invariant($"s{(engine % 6) + 1}");

    private static string PowerOfTen(int exponent) => exponent switch
    {
        < 3 => Math.Pow(10, exponent).ToString("0", CultureInfo.InvariantCulture),
        < 6 => Math.Pow(10, exponent - 3).ToString("0", CultureInfo.InvariantCulture) + "k",
        < 9 => Math.Pow(10, exponent - 6).ToString("0", CultureInfo.InvariantCulture) + "M",
        < 12 => Math.Pow(10, exponent - 9).ToString("0", CultureInfo.InvariantCulture) + "G",
        _ => "1e" + exponent.ToString(CultureInfo.InvariantCulture),
    };

    /// <summary>A round step that divides a scale into three to seven parts.</summary>
    private static double Step(double longest)
    {
        if (longest <= 0) return 1;
        double power = Math.Pow(10, Math.Floor(Math.Log10(longest / 4)));
        double[] steps = [power, 2 * power, 5 * power, 10 * power];
        return steps.First(step => longest / step <= 5);
    }
}
