using Ringfence.Machines;

namespace Ringfence.Cli.Commands;

/// <summary>Where one of the guest's consoles is connected to.</summary>
internal enum ConnectionKind
{
    /// <summary>Standard input and output.</summary>
    Stdio,

    /// <summary>A file that takes the output.</summary>
    File,

    /// <summary>Nothing.</summary>
    Null,
}

/// <summary>Where one of the guest's consoles is connected to.</summary>
/// <param name="Kind">What to.</param>
/// <param name="Path">Path of the file.</param>
internal sealed record Connection(ConnectionKind Kind, string Path = "");

/// <summary>How counters are printed at the end.</summary>
internal enum StatisticsFormat
{
    /// <summary>For people, on standard error.</summary>
    Text,

    /// <summary>One JSON object, on standard output or in a file.</summary>
    Json,
}

/// <summary>Which counters are printed where at the end.</summary>
/// <param name="Format">How.</param>
/// <param name="Path">File for them; empty for the standard streams.</param>
internal sealed record StatisticsRequest(StatisticsFormat Format, string Path = "");

/// <summary>What <c>ringfence run</c> was asked for, checked as far as that goes without looking at files.</summary>
internal sealed record RunOptions
{
    public required EngineKind Engine { get; init; }

    public required GuestOptions Guest { get; init; }

    public required IReadOnlyList<Connection> SerialPorts { get; init; }

    public required Connection DebugConsole { get; init; }

    /// <summary>The virtio console; null: the machine has none.</summary>
    public Connection? VirtioConsole { get; init; }

    public required bool Deterministic { get; init; }

    public StatisticsRequest? Statistics { get; init; }

    public required bool TimesExits { get; init; }

    /// <summary>Shows the guest's screen in the terminal.</summary>
    public required bool ShowsScreen { get; init; }

    /// <summary>Shows it to VNC clients.</summary>
    public VncOptions? Vnc { get; init; }

    /// <summary>Serves the machine's page.</summary>
    public HttpOptions? Http { get; init; }

    /// <summary>The machine has a display adapter, whatever starts it.</summary>
    public required bool HasDisplay { get; init; }

    /// <summary>Somebody can press the machine's keys: where its screen is shown, there is its keyboard.</summary>
    public bool HasKeyboard => ShowsScreen || Vnc is not null || Http is not null;

    /// <summary>Counts instructions in every engine.</summary>
    public required bool CountsInstructions { get; init; }

    public string? Trace { get; init; }

    public required long TraceBytes { get; init; }
}
