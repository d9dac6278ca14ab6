using System.Globalization;
using System.Text;
using System.Text.Json;
using Ringfence.Cli.Commands;
using Ringfence.Cli.Host;
using Ringfence.Devices.Storage;
using Ringfence.Machines;
using Ringfence.Processors.Exits;
using Spectre.Console;

namespace Ringfence.Cli.Running;

/// <summary>The counters of a run, for people and for programs.</summary>
/// <param name="Statistics">The machine's counters.</param>
/// <param name="ExitReason">Why the run has ended, in snake case.</param>
/// <param name="ExitCode">What the command exits with.</param>
/// <param name="StartTime">From the process's start to the machine's.</param>
/// <param name="OwnBytes">What the monitor itself holds in the host's memory.</param>
internal sealed record StatisticsReport(MachineStatistics Statistics, string ExitReason, int ExitCode, TimeSpan StartTime, long OwnBytes)
{
    private const int TextWidth = 100;
    private const int MostInstructions = 12;

    /// <summary>One JSON object in one line. Durations in seconds, sizes in bytes.</summary>
    public byte[] ToJson()
    {
        using MemoryStream bytes = new();
        using (Utf8JsonWriter json = new(bytes))
        {
            json.WriteStartObject();
            json.WriteString("engine", Statistics.Engine);
            json.WriteNumber("wall_seconds", Seconds(Statistics.WallTime));
            json.WriteNumber("guest_seconds", Seconds(Statistics.GuestTime));
            json.WriteNumber("start_seconds", Seconds(StartTime));
            json.WriteNumber("guest_instructions", Statistics.Instructions);
            json.WriteNumber("mips", Math.Round(Statistics.Mips, 3));
            json.WriteString("exit_reason", ExitReason);
            json.WriteNumber("exit_code", ExitCode);
            WriteMap(json, "unimplemented", Statistics.Unimplemented.Select(e => (e.Key, e.Value)));
            WriteMap(json, "exceptions", Vectors(Statistics.Exceptions));
            WriteMap(json, "interrupts", Vectors(Statistics.Interrupts));
            ExitReportParts.Write(json, Statistics);
            WriteMap(json, "sensitive_instructions", Statistics.SensitiveInstructions.Select(e => (e.Key, e.Value)));
            json.WriteNumber("page_walks", Statistics.PageWalks);
            json.WriteNumber("resets", Statistics.Resets);
            json.WriteNumber("unclaimed_port_bytes", Statistics.UnclaimedPortAccesses);
            json.WriteNumber("ram_touched_bytes", Statistics.TouchedMemoryBytes);
            json.WriteNumber("monitor_bytes", OwnBytes);
            WriteDrives(json);
            if (Statistics.Translator is { } translator) TranslatorReport.Write(json, translator);
            json.WriteEndObject();
        }

        bytes.WriteByte((byte)'\n');
        return bytes.ToArray();
    }

    /// <summary>A table.</summary>
    /// <param name="onTerminal">Whether it may be coloured.</param>
    public string ToText(bool onTerminal)
    {
        using StringWriter text = new(CultureInfo.InvariantCulture) { NewLine = "\n" };
        IAnsiConsole console = ReportConsole.Create(text, TextWidth, onTerminal);
        Table table = new Table().Border(TableBorder.Simple).HideHeaders().AddColumn("what").AddColumn(new TableColumn("value").RightAligned());
        void Row(string name, FormattableString value) => table.AddRow(Markup.Escape(name), Markup.Escape(FormattableString.Invariant(value)));
        Row("engine", $"{Statistics.Engine}");
        Row("end", $"{ExitReason}");
        Row("wall time", $"{Seconds(Statistics.WallTime):N3} s");
        Row("guest time", $"{Seconds(Statistics.GuestTime):N3} s");
        Row("start of the monitor", $"{Seconds(StartTime):N3} s");
        Row("guest instructions", $"{Statistics.Instructions:N0}");
        Row("million instructions a second", $"{Statistics.Mips:N1}");
        Row("guest RAM touched", $"{Statistics.TouchedMemoryBytes / 1048576.0:N1} MiB");
        Row("the monitor's own memory", $"{OwnBytes / 1048576.0:N1} MiB");
        foreach ((string name, BlockDriveStatistics drive) in Statistics.Drives)
        {
            Row($"{name} read", $"{drive.BytesRead / 1048576.0:N1} MiB in {drive.Reads:N0}");
            Row($"{name} written", $"{drive.BytesWritten / 1048576.0:N1} MiB in {drive.Writes:N0}, {drive.Flushes:N0} flushes");
            if (drive.Failures > 0) Row($"{name} failed", $"{drive.Failures:N0}");
        }

        foreach ((int vector, long count) in Statistics.Exceptions) Row($"exception {vector}", $"{count:N0}");
        foreach ((int vector, long count) in Statistics.Interrupts) Row($"interrupt {vector}", $"{count:N0}");
        foreach ((string instruction, long count) in Statistics.Unimplemented) Row($"not implemented: {instruction}", $"{count:N0}");
        console.Write(table);
        WriteExits(console);
        if (Statistics.Translator is { } translator) TranslatorReport.Write(console, translator);
        return text.ToString();
    }

    /// <summary>Prints what was asked for.</summary>
    /// <param name="request">Which format, where to.</param>
    /// <param name="file">The file of a request with a path.</param>
    /// <param name="atLineStart">Whether what was written to standard output last ended a line.</param>
    public void Print(StatisticsRequest request, OutputFile? file, bool atLineStart)
    {
        if (request.Format == StatisticsFormat.Json)
        {
            if (file is not null) file.Write(ToJson());
            else StandardStream.Write(StandardStream.Output, atLineStart ? ToJson() : [(byte)'\n', .. ToJson()]);
        }
        else if (file is not null)
        {
            file.Write(Encoding.UTF8.GetBytes(ToText(onTerminal: false)));
        }
        else
        {
            Messages.Write(ToText(Terminal.IsErrorTerminal));
        }
    }

    /// <summary>Where the time went: what took most first.</summary>
    private void WriteExits(IAnsiConsole console)
    {
        ExecutionTime? time = Statistics.Time;
        Table table = new Table().Border(TableBorder.Simple).AddColumn("exits to the monitor");
        foreach (string column in (string[])["count", "seconds", "share of time", "us each"]) table.AddColumn(new TableColumn(column).RightAligned());
        void Row(string name, long? count, TimeSpan? spent)
        {
            string share = spent is { } s && time!.Total > TimeSpan.Zero ? FormattableString.Invariant($"{100 * s / time.Total:0.0} %") : "";
            string each = spent is { } all && count is > 0 ? FormattableString.Invariant($"{all.TotalMicroseconds / count.Value:0.00}") : "";
            table.AddRow(Markup.Escape(name), count is { } n ? n.ToString("N0", CultureInfo.InvariantCulture) : "",
                spent is { } seconds ? seconds.TotalSeconds.ToString("0.000", CultureInfo.InvariantCulture) : "", share, each);
        }

        if (time is not null)
        {
            Row("(guest code)", null, time.GuestCode);
            Row("(idle)", null, time.Idle);
        }

        IEnumerable<ExitReason> reasons = Statistics.Exits.Keys.Union(time?.Exits.Keys ?? []);
        foreach (ExitReason reason in reasons.OrderByDescending(r => time?.Exits.GetValueOrDefault(r)).ThenByDescending(r => Statistics.Exits.GetValueOrDefault(r)))
            Row(ExitReportParts.Text(reason), Statistics.Exits.GetValueOrDefault(reason), time?.Exits.GetValueOrDefault(reason));
        console.Write(table);
        if (Statistics.SensitiveInstructions.Count == 0) return;
        Table instructions = new Table().Border(TableBorder.Simple).AddColumn("sensitive instructions").AddColumn(new TableColumn("count").RightAligned());
        foreach ((string form, long count) in Statistics.SensitiveInstructions.OrderByDescending(e => e.Value).Take(MostInstructions))
            instructions.AddRow(Markup.Escape(form), count.ToString("N0", CultureInfo.InvariantCulture));
        console.Write(instructions);
    }

    private void WriteDrives(Utf8JsonWriter json)
    {
        json.WriteStartObject("drives");
        foreach ((string name, BlockDriveStatistics drive) in Statistics.Drives)
        {
            WriteMap(json, name, [("reads", drive.Reads), ("read_bytes", drive.BytesRead), ("writes", drive.Writes), ("written_bytes", drive.BytesWritten), ("flushes", drive.Flushes), ("failures", drive.Failures)]);
        }

        json.WriteEndObject();
    }

    private static double Seconds(TimeSpan time) => Math.Round(time.TotalSeconds, 6);

    private static IEnumerable<(string Name, long Count)> Vectors(IReadOnlyDictionary<int, long> counts) =>
        counts.Select(e => (e.Key.ToString(CultureInfo.InvariantCulture), e.Value));

    private static void WriteMap(Utf8JsonWriter json, string name, IEnumerable<(string Name, long Count)> entries)
    {
        json.WriteStartObject(name);
        foreach ((string key, long count) in entries) json.WriteNumber(key, count);
        json.WriteEndObject();
    }
}
