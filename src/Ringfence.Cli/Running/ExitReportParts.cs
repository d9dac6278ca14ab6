using System.Text.Json;
using Ringfence.Machines;
using Ringfence.Processors.Exits;

namespace Ringfence.Cli.Running;

/// <summary>How exits are called and written, the same in every report.</summary>
internal static class ExitReportParts
{
    /// <summary>Name for programs: <c>port_io</c>.</summary>
    public static string Key(ExitReason reason) => JsonNamingPolicy.SnakeCaseLower.ConvertName(reason.ToString());

    /// <summary>Name for people: <c>port I/O</c>.</summary>
    public static string Text(ExitReason reason) => reason switch
    {
        ExitReason.TlbFill => "TLB fill",
        ExitReason.PortIo => "port I/O",
        ExitReason.Mmio => "MMIO",
        _ => Key(reason).Replace('_', ' '),
    };

    /// <summary>Writes the property <c>exits</c> and, if time was taken, those of the time.</summary>
    public static void Write(Utf8JsonWriter json, MachineStatistics statistics)
    {
        json.WriteStartObject("exits");
        foreach ((ExitReason reason, long count) in statistics.Exits) json.WriteNumber(Key(reason), count);
        json.WriteEndObject();
        if (statistics.Time is not { } time) return;
        json.WriteNumber("guest_code_seconds", Seconds(time.GuestCode));
        json.WriteNumber("monitor_seconds", Seconds(time.Monitor));
        json.WriteNumber("idle_seconds", Seconds(time.Idle));
        json.WriteStartObject("exit_seconds");
        foreach ((ExitReason reason, TimeSpan spent) in time.Exits) json.WriteNumber(Key(reason), Seconds(spent));
        json.WriteEndObject();
    }

    private static double Seconds(TimeSpan time) => Math.Round(time.TotalSeconds, 6);
}
