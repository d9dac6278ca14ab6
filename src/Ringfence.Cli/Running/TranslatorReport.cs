using System.Globalization;
using System.Text.Json;
using Ringfence.Machines;
using Spectre.Console;

namespace Ringfence.Cli.Running;

/// <summary>The counters of binary translation, for people and for programs.</summary>
internal static class TranslatorReport
{
    /// <summary>Instructions that call out that the text names; JSON has all that are counted.</summary>
    private const int Named = 12;

    /// <summary>Writes the property <c>translator</c>.</summary>
    public static void Write(Utf8JsonWriter json, TranslatorStatistics statistics)
    {
        json.WriteStartObject("translator");
        foreach (TranslatedCodeStatistics size in statistics.Sizes)
        {
            json.WriteStartObject($"code_{size.Bits}");
            json.WriteNumber("units", size.Units);
            json.WriteNumber("guest_instructions", size.Instructions);
            json.WriteNumber("guest_bytes", size.GuestBytes);
            json.WriteNumber("host_bytes", size.HostBytes);
            json.WriteNumber("expansion_ratio", Math.Round(size.ExpansionRatio, 3));
            json.WriteNumber("chained_exits", size.ChainedExits);
            json.WriteNumber("look_up_misses", size.LookUpMisses);
            json.WriteNumber("tlb_refills", size.TlbRefills);
            json.WriteStartObject("call_outs");
            json.WriteNumber("instruction", size.InstructionCallOuts);
            json.WriteNumber("check", size.CheckCallOuts);
            json.WriteEndObject();
            json.WriteNumber("event_exits", size.EventExits);
            json.WriteNumber("invalidations", size.Invalidations);
            json.WriteNumber("adaptations", size.Adaptations);
            json.WriteNumber("translation_seconds", Math.Round(size.TranslationTime.TotalSeconds, 6));
            json.WriteEndObject();
        }

        json.WriteNumber("cache_bytes", statistics.CacheBytes);
        json.WriteNumber("cache_flushes", statistics.CacheFlushes);
        json.WriteNumber("compared_units", statistics.ComparedUnits);
        WriteMap(json, "call_outs_by_instruction", statistics.InstructionCallOuts);
        WriteMap(json, "check_call_outs_by_instruction", statistics.CheckCallOuts);
        json.WriteEndObject();
    }

    /// <summary>Writes tables.</summary>
    public static void Write(IAnsiConsole console, TranslatorStatistics statistics)
    {
        Table sizes = new Table().Border(TableBorder.Simple).AddColumn("translation");
        foreach (TranslatedCodeStatistics size in statistics.Sizes) sizes.AddColumn(new TableColumn($"{size.Bits}-bit code").RightAligned());
        void Row(string name, Func<TranslatedCodeStatistics, FormattableString> value) => sizes.AddRow([name, .. statistics.Sizes.Select(s => FormattableString.Invariant(value(s)))]);
        Row("units", s => $"{s.Units:N0}");
        Row("guest instructions", s => $"{s.Instructions:N0}");
        Row("guest bytes", s => $"{s.GuestBytes:N0}");
        Row("host bytes", s => $"{s.HostBytes:N0}");
        Row("host bytes a guest byte", s => $"{s.ExpansionRatio:N2}");
        Row("chained exits", s => $"{s.ChainedExits:N0}");
        Row("look-up misses", s => $"{s.LookUpMisses:N0}");
        Row("TLB refills", s => $"{s.TlbRefills:N0}");
        Row("call-outs: not translated", s => $"{s.InstructionCallOuts:N0}");
        Row("call-outs: check failed", s => $"{s.CheckCallOuts:N0}");
        Row("exits for events", s => $"{s.EventExits:N0}");
        Row("units thrown away: code written", s => $"{s.Invalidations:N0}");
        Row("adaptations", s => $"{s.Adaptations:N0}");
        Row("time spent translating", s => $"{s.TranslationTime.TotalSeconds:N3} s");
        console.Write(sizes);
        Table others = new Table().Border(TableBorder.Simple).HideHeaders().AddColumn("what").AddColumn(new TableColumn("value").RightAligned());
        others.AddRow("code cache", string.Create(CultureInfo.InvariantCulture, $"{statistics.CacheBytes / 1048576.0:N1} MiB"));
        others.AddRow("code cache thrown away", Count(statistics.CacheFlushes));
        if (statistics.ComparedUnits != 0) others.AddRow("units compared with the interpreter", Count(statistics.ComparedUnits));
        foreach ((string instruction, long count) in statistics.InstructionCallOuts.Take(Named)) others.AddRow($"call-outs, not translated: {instruction}", Count(count));
        foreach ((string instruction, long count) in statistics.CheckCallOuts.Take(Named)) others.AddRow($"call-outs, check failed: {instruction}", Count(count));
        console.Write(others);
    }

    private static string Count(long count) => count.ToString("N0", CultureInfo.InvariantCulture);

    private static void WriteMap(Utf8JsonWriter json, string name, IEnumerable<KeyValuePair<string, long>> entries)
    {
        json.WriteStartObject(name);
        foreach ((string key, long count) in entries) json.WriteNumber(key, count);
        json.WriteEndObject();
    }
}
