using System.Text.Json;
using Ringfence.Processors.Exits;

namespace Ringfence.Cli.Running;

/// <summary>Names of exit reasons.</summary>
internal static class ExitReasonNames
{
    /// <summary>For programs: <c>port_io</c>.</summary>
    public static string Key(ExitReason reason) => JsonNamingPolicy.SnakeCaseLower.ConvertName(reason.ToString());

    /// <summary>For people: <c>port I/O</c>.</summary>
    public static string Text(ExitReason reason) => reason switch
    {
        ExitReason.TlbFill => "TLB fill",
        ExitReason.PortIo => "port I/O",
        ExitReason.Mmio => "MMIO",
        _ => Key(reason).Replace('_', ' '),
    };
}
