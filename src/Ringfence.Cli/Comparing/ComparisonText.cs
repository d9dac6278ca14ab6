using System.Globalization;
using System.Text;
using Ringfence.Cli.Host;
using Ringfence.Cli.Running;
using Ringfence.Processors.Exits;
using Spectre.Console;

namespace Ringfence.Cli.Comparing;

/// <summary>A comparison as tables and bars of characters, 100 columns wide; colours only on a terminal, and never the only sign.</summary>
internal static class ComparisonText
{
    private const int Width = 100;
    private const int BarWidth = 60;
    private const int EnginesInFigures = 4;
    private const int EnginesInExits = 3;
    private const int Forms = 12;

    /// <summary>Prints it on standard output.</summary>
    /// <exception cref="IOException">Nobody takes it.</exception>
    public static void Print(Comparison comparison) =>
        StandardStream.Write(StandardStream.Output, Encoding.UTF8.GetBytes(Create(comparison, Terminal.IsOutputTerminal)));

    /// <summary>Writes it.</summary>
    /// <param name="comparison">What was found out.</param>
    /// <param name="onTerminal">Whether it may be coloured.</param>
    public static string Create(Comparison comparison, bool onTerminal)
    {
        using StringWriter text = new(CultureInfo.InvariantCulture) { NewLine = "\n" };
        IAnsiConsole console = ReportConsole.Create(text, Width, onTerminal);
        console.Profile.Capabilities.Unicode = true;
        Heading(text, comparison);
        foreach (EngineRun[] runs in comparison.Runs.Chunk(EnginesInFigures)) WriteFigures(console, comparison, runs);
        if (comparison.Reasons.Count > 0)
        {
            foreach (EngineRun[] runs in comparison.Runs.Chunk(EnginesInExits)) WriteExits(console, comparison, runs);
        }

        if (comparison.SensitiveInstructions.Count > 0)
        {
            foreach (EngineRun[] runs in comparison.Runs.Chunk(EnginesInFigures)) WriteForms(console, comparison, runs);
        }

        WriteBars(console, comparison);
        foreach (string note in comparison.Notes) console.Write(new Padder(new Text("* " + note), new Padding(2, 1, 0, 0)));
        return string.Join('\n', text.ToString().Split('\n').Select(line => line.TrimEnd()));
    }

    private static void Heading(StringWriter text, Comparison comparison)
    {
        text.WriteLine();
        text.WriteLine(FormattableString.Invariant($"  {comparison.Guest}, {comparison.Options.Guest.MemoryBytes >> 20} MiB, processors: {comparison.Options.Guest.Processors}; typed: {comparison.Input.Source}"));
    }

    private static void WriteFigures(IAnsiConsole console, Comparison comparison, EngineRun[] runs)
    {
        Table table = NewTable("", runs.Select(run => run.Engine));
        foreach ((string name, Func<EngineRun, string> value) in Figures.Rows(comparison)) AddRow(table, name, runs.Select(value));
        console.Write(table);
    }

    private static void WriteExits(IAnsiConsole console, Comparison comparison, EngineRun[] runs)
    {
        Table table = NewTable("exits, share of time", runs.Select(run => run.Engine));
        foreach (ExitReason reason in comparison.Reasons)
            AddRow(table, ExitReportParts.Text(reason), runs.Select(run => $"{Figures.Count(Figures.CountOf(run, reason))} {Figures.Share(run.ShareOf(reason)),8}"));
        console.Write(table);
    }

    private static void WriteForms(IAnsiConsole console, Comparison comparison, EngineRun[] runs)
    {
        Table table = NewTable("sensitive instructions in the monitor", runs.Select(run => run.Engine));
        foreach (string form in comparison.SensitiveInstructions.Take(Forms))
            AddRow(table, form, runs.Select(run => Figures.Count(run.Statistics.SensitiveInstructions.GetValueOrDefault(form))));
        if (comparison.SensitiveInstructions.Count > Forms)
        {
            AddRow(table, "others", runs.Select(run => Figures.Count(comparison.SensitiveInstructions.Skip(Forms).Sum(form => run.Statistics.SensitiveInstructions.GetValueOrDefault(form)))));
        }

        console.Write(table);
    }

    private static Table NewTable(string heading, IEnumerable<string> engines)
    {
        Table table = new Table().Border(TableBorder.Simple).AddColumn(Markup.Escape(heading));
        foreach (string engine in engines) table.AddColumn(new TableColumn($"[bold]{Markup.Escape(engine)}[/]").RightAligned().NoWrap());
        return table;
    }

    private static void AddRow(Table table, string name, IEnumerable<string> values) => table.AddRow([Markup.Escape(name), .. values.Select(Markup.Escape)]);

    private static void WriteBars(IAnsiConsole console, Comparison comparison)
    {
        int names = comparison.Runs.Max(run => run.Engine.Length);
        TimeSpan longest = comparison.Runs.Max(run => run.WallTime);
        console.WriteLine();
        console.WriteLine("  Wall time");
        foreach (EngineRun run in comparison.Runs)
        {
            int length = longest > TimeSpan.Zero ? Math.Max((int)Math.Round(run.WallTime / longest * BarWidth), 1) : 0;
            console.MarkupLine($"  {run.Engine.PadRight(names)}  [teal]{new string('█', length)}[/] {Figures.Seconds(run.WallTime)}");
        }

        IReadOnlyList<TimePart> parts = TimePart.PartsOf(comparison);
        if (parts.Count == 0) return;
        Segment[] segments = [.. Segments(parts)];
        console.WriteLine();
        console.WriteLine("  Where the time went, each bar all of it");
        foreach (EngineRun run in comparison.Runs)
        {
            console.Markup($"  {run.Engine.PadRight(names)}  ");
            int[] lengths = Split([.. segments.Select(segment => segment.Part.Of(run).TotalSeconds)], BarWidth);
            for (int i = 0; i < segments.Length; i++) console.Markup($"[{segments[i].Colour}]{new string(segments[i].Sign, lengths[i])}[/]");
            console.WriteLine();
        }

        WriteLegend(console, segments, names + 4);
    }

    // Spectre breaks lines within names.
    private static void WriteLegend(IAnsiConsole console, Segment[] segments, int indent)
    {
        int column = Width;
        foreach (Segment segment in segments)
        {
            int length = segment.Part.Name.Length + 4;
            if (column + length > Width)
            {
                if (column != Width) console.WriteLine();
                console.Write(new string(' ', indent));
                column = indent;
            }

            console.Markup($"[{segment.Colour}]{segment.Sign}[/] {Markup.Escape(segment.Part.Name)}  ");
            column += length;
        }

        console.WriteLine();
    }

    private static IEnumerable<Segment> Segments(IReadOnlyList<TimePart> parts)
    {
        string[] colours = ["yellow", "fuchsia", "red", "blue"];
        int reasons = 0;
        foreach (TimePart part in parts)
        {
            yield return part.Kind switch
            {
                TimePartKind.GuestCode => new Segment(part, '█', "teal"),
                TimePartKind.Reason => new Segment(part, (char)('a' + reasons), colours[reasons++]),
                TimePartKind.OtherReasons => new Segment(part, 'x', "silver"),
                _ => new Segment(part, '·', "grey"),
            };
        }
    }

    /// <summary>Splits a bar so that its parts are together exactly as long as it: what rounding leaves goes to the largest remainders.</summary>
    internal static int[] Split(double[] values, int width)
    {
        double sum = values.Sum();
        if (sum <= 0) return new int[values.Length];
        double[] exact = [.. values.Select(value => value / sum * width)];
        int[] lengths = [.. exact.Select(value => (int)value)];
        foreach (int i in Enumerable.Range(0, values.Length).OrderByDescending(i => exact[i] - lengths[i]).Take(width - lengths.Sum())) lengths[i]++;
        return lengths;
    }

    private readonly record struct Segment(TimePart Part, char Sign, string Colour);
}
