using System.Text.Json;
using Ringfence.Cli.Running;

namespace Ringfence.Cli.Comparing;

/// <summary>A comparison as one JSON object in one line. Durations in seconds, sizes in bytes. Its size is bounded, whatever the guests do.</summary>
internal static class ComparisonJson
{
    /// <summary>Sensitive instructions of each engine; those beyond are counted.</summary>
    private const int MaximumForms = 200;

    /// <summary>Writes it.</summary>
    public static byte[] Create(Comparison comparison)
    {
        using MemoryStream bytes = new();
        using (Utf8JsonWriter json = new(bytes))
        {
            json.WriteStartObject();
            json.WriteStartObject("guest");
            json.WriteString("name", comparison.Guest);
            json.WriteString("command_line", comparison.Options.Guest.CommandLine);
            json.WriteNumber("memory_bytes", comparison.Options.Guest.MemoryBytes);
            json.WriteNumber("processors", comparison.Options.Guest.Processors);
            json.WriteEndObject();
            json.WriteStartObject("input");
            json.WriteString("source", comparison.Input.Source);
            json.WriteNumber("bytes", comparison.Input.Bytes.Length);
            json.WriteEndObject();
            json.WriteNumber("repetitions", comparison.Options.Repetitions);
            json.WriteString("fastest", comparison.Fastest?.Engine);
            json.WriteStartArray("engines");
            foreach (EngineRun run in comparison.Runs) Write(json, comparison, run);
            json.WriteEndArray();
            json.WriteStartArray("notes");
            foreach (string note in comparison.Notes) json.WriteStringValue(note);
            json.WriteEndArray();
            json.WriteEndObject();
        }

        bytes.WriteByte((byte)'\n');
        return bytes.ToArray();
    }

    private static void Write(Utf8JsonWriter json, Comparison comparison, EngineRun run)
    {
        json.WriteStartObject();
        json.WriteString("engine", run.Engine);
        json.WriteString("exit_reason", run.End.Reason);
        json.WriteNumber("exit_code", run.End.ExitCode);
        json.WriteNumber("wall_seconds", Seconds(run.WallTime));
        Write(json, "times_the_fastest", comparison.RatioToFastest(run));
        json.WriteNumber("guest_seconds", Seconds(run.Statistics.GuestTime));
        if (run.Instructions is { } instructions) json.WriteNumber("guest_instructions", instructions);
        else json.WriteNull("guest_instructions");
        json.WriteBoolean("counted_apart", run.IsCountedApart);
        Write(json, "mips", run.Mips);
        ExitReportParts.Write(json, run.Statistics);
        KeyValuePair<string, long>[] forms = [.. run.Statistics.SensitiveInstructions.OrderByDescending(form => form.Value).ThenBy(form => form.Key, StringComparer.Ordinal)];
        json.WriteStartObject("sensitive_instructions");
        foreach ((string form, long count) in forms.Take(MaximumForms)) json.WriteNumber(form, count);
        json.WriteEndObject();
        json.WriteNumber("sensitive_instructions_left_out", Math.Max(forms.Length - MaximumForms, 0));
        json.WriteNumber("page_walks", run.Statistics.PageWalks);
        json.WriteNumber("ram_touched_bytes", run.Statistics.TouchedMemoryBytes);
        json.WriteStartArray("last_lines");
        foreach (string line in run.LastLines) json.WriteStringValue(line);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, string name, double? value)
    {
        if (value is { } known) json.WriteNumber(name, Math.Round(known, 3));
        else json.WriteNull(name);
    }

    private static double Seconds(TimeSpan time) => Math.Round(time.TotalSeconds, 6);
}
