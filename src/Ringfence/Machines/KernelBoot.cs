using Ringfence.Firmware;

namespace Ringfence.Machines;

/// <summary>A kernel, started as a boot loader would: a Linux bzImage or a Multiboot 1 image, told apart by their contents.</summary>
public sealed record KernelBoot : BootSource
{
    /// <summary>The image.</summary>
    public required BootFile Kernel { get; init; }

    /// <summary>Linux: initial RAM disks, concatenated. Multiboot: the modules.</summary>
    public IReadOnlyList<BootFile> InitialRamDisks { get; init; } = [];

    /// <summary>The kernel's command line. Null: <see cref="BootRequest.DefaultLinuxCommandLine"/> for Linux, nothing for Multiboot.</summary>
    public string? CommandLine { get; init; }

    /// <summary>Starts a 64-bit Linux kernel through its 32-bit entry, too.</summary>
    public bool Use32BitEntry { get; init; }

    /// <inheritdoc/>
    internal override void Load(Pc pc, bool isReset)
    {
        pc.EnableAcpi();
        pc.SetUpPci();
        BootLoader.Load(pc.BootTarget, new BootRequest
        {
            Kernel = Kernel,
            InitialRamDisks = InitialRamDisks,
            CommandLine = CommandLine,
            Use32BitEntry = Use32BitEntry,
        });
    }
}
