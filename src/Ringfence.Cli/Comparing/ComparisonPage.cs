using Ringfence.Cli.Pages;
using Ringfence.Cli.Running;
using Ringfence.Processors.Exits;

namespace Ringfence.Cli.Comparing;

/// <summary>A comparison as a page: the ratio, the figures, plots of time and exits, and everything the plots show as tables.</summary>
internal static class ComparisonPage
{
    private const int Forms = 40;

    /// <summary>Writes it.</summary>
    public static byte[] Create(Comparison comparison)
    {
        HtmlPage page = new($"Engines compared: {comparison.Guest}") { Command = comparison.Options.Command };
        page.AddStyle("compare.css");
        page.Body.Add($"{Verdict(comparison)}{FiguresPanel(comparison)}{TimePanel(comparison)}{ExitsPanel(comparison)}{FormsPanel(comparison)}{Notes(comparison)}");
        return page.ToBytes();
    }

    private static HtmlBuilder Verdict(Comparison comparison)
    {
        HtmlBuilder what = new();
        what.Add($"""<p class="quiet">Guest: {comparison.Guest}, {comparison.Options.Guest.MemoryBytes >> 20:N0} MiB of memory, processors: {comparison.Options.Guest.Processors}. Typed: {comparison.Input.Source}.</p>""");
        if (comparison.Fastest is { } fastest && comparison.Slowest is { } slowest && fastest != slowest && fastest.WallTime > TimeSpan.Zero)
        {
            return new HtmlBuilder().Add($"""
                <section class="verdict"><h1>The same guest in each engine</h1><p class="word">{Figures.Number(slowest.WallTime / fastest.WallTime, 1)}×</p>
                <div><p class="lead">{fastest.Engine} took {Figures.Seconds(fastest.WallTime)} to the guest's power-off, {slowest.Engine} {Figures.Seconds(slowest.WallTime)}.</p>{what}</div></section>

                """);
        }

        return new HtmlBuilder().Add($"""<section class="verdict"><h1>The same guest in each engine</h1><div><p class="lead">There are not two runs to compare.</p>{what}</div></section>""");
    }

    private static HtmlBuilder FiguresPanel(Comparison comparison)
    {
        HtmlBuilder rows = new();
        foreach ((string name, Func<EngineRun, string> value) in Figures.Rows(comparison))
        {
            rows.Add($"""<tr><th scope="row">{name}</th>""");
            foreach (EngineRun run in comparison.Runs) rows.Add($"""<td class="num">{value(run)}</td>""");
            rows.Add($"</tr>\n");
        }

        return Panel("Figures", "figures", new HtmlBuilder(), Table(comparison, "", rows));
    }

    private static HtmlBuilder TimePanel(Comparison comparison)
    {
        if (TimePart.PartsOf(comparison).Count == 0) return new HtmlBuilder();
        HtmlBuilder body = new();
        body.Add($"""
            {Plots.TimeLegend(comparison)}
            <h3>Seconds</h3>
            {Plots.Time(comparison, inShares: false)}
            <h3>Shares</h3>
            {Plots.Time(comparison, inShares: true)}
            """);
        return Panel("Where the time went", "time", new HtmlBuilder().Add($"<p>In guest code, in the monitor by the reason of the exit, and asleep.</p>"), body);
    }

    private static HtmlBuilder ExitsPanel(Comparison comparison)
    {
        if (comparison.Reasons.Count == 0) return new HtmlBuilder();
        HtmlBuilder rows = new();
        foreach (ExitReason reason in comparison.Reasons)
        {
            rows.Add($"""<tr><th scope="row">{ExitReportParts.Text(reason)}</th>""");
            foreach (EngineRun run in comparison.Runs)
            {
                rows.Add($"""<td class="num">{Figures.CountOf(run, reason):N0}""");
                if (run.ShareOf(reason) is { } share) rows.Add($"""<br><small>{Figures.Seconds(run.TimeOf(reason))}, {Figures.Share(share)}</small>""");
                rows.Add($"</td>");
            }

            rows.Add($"</tr>\n");
        }

        HtmlBuilder body = new();
        body.Add($"{Plots.EngineLegend(comparison)}{Plots.Exits(comparison)}<h3>Exits and their time</h3>{Table(comparison, "reason", rows)}");
        return Panel("Exits by reason", "exits", new HtmlBuilder().Add($"<p>How often control passed from guest code to the monitor, on a logarithmic scale.</p>"), body);
    }

    private static HtmlBuilder FormsPanel(Comparison comparison)
    {
        if (comparison.SensitiveInstructions.Count == 0) return new HtmlBuilder();
        HtmlBuilder rows = new();
        foreach (string form in comparison.SensitiveInstructions.Take(Forms))
        {
            rows.Add($"""<tr><th scope="row" class="mono">{form}</th>""");
            foreach (EngineRun run in comparison.Runs) rows.Add($"""<td class="num">{run.Statistics.SensitiveInstructions.GetValueOrDefault(form):N0}</td>""");
            rows.Add($"</tr>\n");
        }

        int left = comparison.SensitiveInstructions.Count - Forms;
        HtmlBuilder lead = new();
        lead.Add($"<p>Those that an engine runs in place, without the monitor, are not among them.{(left > 0 ? FormattableString.Invariant($" The {Forms} most frequent forms; {left} more occurred.") : "")}</p>");
        return Panel("Sensitive instructions that reached the monitor", "sensitive", lead, Table(comparison, "form", rows));
    }

    private static HtmlBuilder Notes(Comparison comparison)
    {
        HtmlBuilder html = new();
        foreach (string note in comparison.Notes) html.Add($"""<p class="quiet">* {note}</p>""");
        return html;
    }

    private static HtmlBuilder Panel(string heading, string id, HtmlBuilder lead, HtmlBuilder body) =>
        new HtmlBuilder().Add($"""<section class="panel" id="{id}"><h2>{heading}</h2>{lead}{body}</section>""").Add($"\n");

    private static HtmlBuilder Table(Comparison comparison, string first, HtmlBuilder rows)
    {
        HtmlBuilder heads = new();
        foreach (EngineRun run in comparison.Runs) heads.Add($"""<th scope="col" class="num">{run.Engine}</th>""");
        return new HtmlBuilder().Add($"""
            <div class="scroll" tabindex="0" role="region" aria-label="table"><table class="data"><thead><tr><th scope="col">{first}</th>{heads}</tr></thead>
            <tbody>{rows}</tbody></table></div>
            """);
    }
}
