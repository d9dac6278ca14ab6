using System.Globalization;
using Ringfence.Cli.Running;
using Ringfence.Virtualizability;
using Spectre.Console;

namespace Ringfence.Cli.Analyzing;

/// <summary>A report for people: the answer first, then what it rests on.</summary>
/// <param name="report">The report.</param>
/// <param name="contrast">What it is with user-mode instruction prevention the other way; null if that makes no difference.</param>
/// <param name="all">Innocuous instructions are listed as well.</param>
internal sealed class AnalysisText(VirtualizabilityReport report, UmipContrast? contrast, bool all)
{
    private const int Width = 100;
    private const int MostNameColumns = 20;
    private const int MostTouches = 6;

    /// <summary>The report as lines of at most 100 columns.</summary>
    /// <param name="onTerminal">Whether it may be coloured.</param>
    public string ToText(bool onTerminal)
    {
        using StringWriter text = new(CultureInfo.InvariantCulture) { NewLine = "\n" };
        IAnsiConsole console = ReportConsole.Create(text, Width, onTerminal);
        WriteVerdict(console);
        WriteOffenders(console);
        WriteTreatments(console);
        WriteDisagreements(console);
        WriteNames(console, "Privileged", report.Instructions.Where(i => i.Class() == InstructionClass.Privileged));
        if (all) WriteNames(console, "Innocuous", report.Instructions.Where(i => i.Class() == InstructionClass.Innocuous));
        WriteAssumptions(console);
        WriteCounts(console);
        // Tables pad their lines and end with an empty one.
        string lines = string.Join('\n', text.ToString().Split('\n').Select(line => line.TrimEnd()));
        return lines.Replace("\n\n\n", "\n\n", StringComparison.Ordinal);
    }

    private static string Count(int number, string what) => string.Create(CultureInfo.InvariantCulture, $"{number:N0} {what}{(number == 1 ? "" : "s")}");

    private static void Heading(IAnsiConsole console, string text)
    {
        console.WriteLine();
        console.MarkupLine($"[bold]{Markup.Escape(text)}[/]");
    }

    private static Table CreateTable(params (string Name, int Width)[] columns)
    {
        Table table = new Table().Border(TableBorder.Simple).Expand();
        foreach ((string name, int width) in columns)
        {
            var column = new TableColumn($"[grey]{Markup.Escape(name)}[/]").Padding(0, 1);
            if (width > 0) column.Width(width);
            table.AddColumn(column);
        }

        return table;
    }

    private void WriteVerdict(IAnsiConsole console)
    {
        string answer = report.IsVirtualizable ? "[bold green]VIRTUALIZABLE[/]" : "[bold red]NOT VIRTUALIZABLE[/]";
        console.MarkupLine($"{answer} [bold]by trap and emulate alone[/]");
        console.MarkupLine($"[grey]{Markup.Escape(report.Machine)}, {Markup.Escape(report.Mode)}, user-mode instruction prevention {(report.Umip ? "on" : "off")}[/]");
        console.WriteLine();
        console.Write(new Padder(new Text(report.Verdict), new Padding(2, 0, 2, 0)));
        if (contrast is not null) console.Write(new Padder(new Text(contrast.ToString()), new Padding(2, 0, 2, 0)));
    }

    private void WriteAssumptions(IAnsiConsole console)
    {
        if (report.Assumptions.Count == 0) return;
        Heading(console, "Assumed");
        foreach (string assumption in report.Assumptions) WriteItem(console, assumption);
    }

    private static void WriteItem(IAnsiConsole console, string text)
    {
        Grid grid = new Grid().AddColumn(new GridColumn().Padding(2, 0, 1, 0).Width(1)).AddColumn(new GridColumn().Padding(0, 0, 2, 0));
        grid.AddRow(new Text("-"), new Text(text));
        console.Write(grid);
    }

    private void WriteOffenders(IAnsiConsole console)
    {
        InstructionVerdict[] offenders = [.. report.Offenders];
        if (offenders.Length == 0) return;
        bool hasHost = report.HostProcessor is not null;
        Heading(console, $"Sensitive and not privileged: {Count(offenders.Length, "instruction")}");
        if (report.DescribeLiterature() is { } literature) console.Write(new Padder(new Text(literature), new Padding(2, 0, 2, 0)));
        Table table = hasHost
            ? CreateTable(("Instruction", 13), ("Rule", 6), ("Touches", 17), ("Explanation", 0), ("This host at CPL 3", 20))
            : CreateTable(("Instruction", 16), ("Rule", 6), ("Touches", 18), ("Explanation", 0));
        foreach (InstructionVerdict offender in offenders)
        {
            List<Text> cells = [new(offender.Instruction, "bold"), new(offender.Rule), new(Touches(offender)), new(offender.Explanation)];
            if (hasHost) cells.Add(Host(offender.Host));
            table.AddRow(cells);
            if (offender != offenders[^1]) table.AddEmptyRow();
        }

        console.Write(table);
    }

    private static string Touches(InstructionVerdict instruction)
    {
        IEnumerable<string> shown = instruction.Touches.Count > MostTouches ? [.. instruction.Touches.Take(MostTouches - 1), $"{instruction.Touches.Count - MostTouches + 1} more"] : instruction.Touches;
        return string.Join(", ", shown);
    }

    private static Text Host(HostObservation? host) => host switch
    {
        null => new Text("-", "grey"),
        { Agrees: true } => new Text(InstructionClasses.ShortResult(host.Result)),
        _ => new Text($"{InstructionClasses.ShortResult(host.Result)} (model: {InstructionClasses.ShortResult(host.Prediction)})", "red"),
    };

    private void WriteTreatments(IAnsiConsole console)
    {
        IReadOnlyList<string> techniques = report.Techniques();
        InstructionVerdict[] treated = [.. report.Offenders.Where(i => i.Treatments.Count > 0)];
        if (techniques.Count == 0 || treated.Length == 0) return;
        Heading(console, "What each technique does with them");
        string Means(InstructionVerdict instruction, string technique) => instruction.Treatments.FirstOrDefault(t => t.Technique == technique)?.Means ?? "-";
        // No word is broken, and none of the cells where there is room.
        int name = Math.Clamp(treated.Max(i => i.Instruction.Length), "Instruction".Length, MostNameColumns);
        int[] whole = [.. techniques.Select(t => treated.Max(i => Math.Max(Means(i, t).Length, LongestWord(t))))];
        int[] words = [.. techniques.Select(t => treated.Max(i => Math.Max(LongestWord(Means(i, t)), LongestWord(t))))];
        int[] widths = whole.Sum() + whole.Length + name + 2 <= Width ? whole : words;
        Table table = CreateTable([("Instruction", name), .. techniques.Zip(widths)]).Collapse();
        foreach (InstructionVerdict instruction in treated)
            table.AddRow([new Text(instruction.Instruction, "bold"), .. techniques.Select(t => new Text(Means(instruction, t)))]);
        console.Write(table);
    }

    private static int LongestWord(string text) => text.Split(' ').Max(word => word.Length);

    private void WriteDisagreements(IAnsiConsole console)
    {
        InstructionVerdict[] different = [.. report.Disagreements()];
        if (different.Length == 0) return;
        Heading(console, $"This host does not do what the model says: {Count(different.Length, "instruction")}");
        Table table = CreateTable(("Instruction", 16), ("Host", 0), ("Model", 0));
        foreach (InstructionVerdict instruction in different)
        {
            string note = instruction.Host!.Note is { } text ? $" ({text})" : "";
            table.AddRow(new Text(instruction.Instruction, "bold red"), new Text(instruction.Host.Result + note), new Text(instruction.Host.Prediction));
        }

        console.Write(table);
    }

    private static void WriteNames(IAnsiConsole console, string what, IEnumerable<InstructionVerdict> instructions)
    {
        string[] names = [.. instructions.Select(i => i.Instruction)];
        if (names.Length == 0) return;
        Heading(console, $"{what}: {Count(names.Length, "instruction")}");
        console.Write(new Padder(new Text(string.Join(", ", names)), new Padding(2, 0, 2, 0)));
    }

    private void WriteCounts(IAnsiConsole console)
    {
        console.WriteLine();
        int innocuous = report.Count(InstructionClass.Innocuous);
        string hint = all || innocuous == 0 ? "" : " (--all lists them)";
        console.Write(new Text(string.Create(CultureInfo.InvariantCulture, $"{Count(report.Instructions.Count, "instruction")} in {Count(report.Forms, "form")}: {report.Count(InstructionClass.Offender):N0} offenders, {report.Count(InstructionClass.Privileged):N0} privileged, {innocuous:N0} innocuous{hint}.\n")));
        console.Write(new Text(string.Create(CultureInfo.InvariantCulture, $"{report.Executions:N0} executions in {report.Duration.TotalSeconds:N1} s.\n")));
        if (report.HostProcessor is not { } processor) return;
        int observed = report.Instructions.Count(i => i.Host is not null);
        int different = report.Disagreements().Count();
        string umip = report.HostUmip switch { true => ", UMIP on", false => ", UMIP off", null => "" };
        string agreement = observed == 0 ? "nothing could be asked" : different == 0 ? $"all {observed} as the model says" : $"{different} of {observed} not as the model says";
        console.Write(new Text($"This host: {processor}{umip}; {agreement}.\n"));
    }
}
