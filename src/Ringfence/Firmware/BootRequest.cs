namespace Ringfence.Firmware;

/// <summary>What a machine is to start with: a kernel with its files, or firmware.</summary>
public sealed record BootRequest
{
    /// <summary>A Linux bzImage or a Multiboot 1 image; which one is found out from its contents.</summary>
    public BootFile? Kernel { get; init; }

    /// <summary>
    /// Linux: initial RAM disks, concatenated in memory as the kernel expects. Multiboot: the modules.
    /// </summary>
    public IReadOnlyList<BootFile> InitialRamDisks { get; init; } = [];

    /// <summary>What Linux gets for a command line if none is given: its console on the first serial port.</summary>
    public const string DefaultLinuxCommandLine = "console=ttyS0";

    /// <summary>The kernel's command line. Null: <see cref="DefaultLinuxCommandLine"/> for Linux, nothing for Multiboot.</summary>
    public string? CommandLine { get; init; }

    /// <summary>Starts a 64-bit Linux kernel through its 32-bit entry, too.</summary>
    public bool Use32BitEntry { get; init; }

    /// <summary>A raw ROM, started at the reset vector; instead of a kernel.</summary>
    public BootFile? Firmware { get; init; }
}
