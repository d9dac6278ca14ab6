using Ringfence.Machines;

namespace Ringfence.Cli.Commands;

/// <summary>Which guest runs in which machine, whatever executes it; checked as far as that goes without looking at files.</summary>
internal sealed record GuestOptions
{
    public string? Kernel { get; init; }

    public required IReadOnlyList<string> InitialRamDisks { get; init; }

    public string? RootFolder { get; init; }

    public string? CommandLine { get; init; }

    public string? Firmware { get; init; }

    public string? VgaBios { get; init; }

    public required IReadOnlyList<DriveOptions> Drives { get; init; }

    public required ulong MemoryBytes { get; init; }

    public required int Processors { get; init; }

    public TimeSpan? Timeout { get; init; }

    /// <summary>Whether it is the one that is part of the monitor.</summary>
    public bool IsBuiltIn => Kernel is null && !UsesFirmware;

    /// <summary>Whether firmware starts it, ours or another's: such a machine has a display adapter.</summary>
    public bool UsesFirmware => Kernel is null && (Firmware is not null || Drives.Count > 0);
}
