using System.CommandLine;
using Ringfence.Machines;
using Ringfence.Storage;

namespace Ringfence.Cli.Commands;

/// <summary>The options that describe a guest and its machine, the same for every command that runs one.</summary>
internal sealed class GuestOptionSet
{
    private const string DefaultMemory = "256M";

    private readonly Option<string> _kernel = Text("--kernel", "FILE", "A Linux bzImage or a Multiboot 1 ELF image. Without it, our firmware starts what is on the drives; without drives the built-in guest is booted.");
    private readonly Option<string[]> _initrd = Texts("--initrd", "FILE[ ARGS]", "Initial RAM disk of a Linux kernel; module of a Multiboot image, with its arguments. May be repeated.");
    private readonly Option<string> _rootfs = Text("--rootfs", "FOLDER", "Packs a folder into an initial RAM disk.");
    private readonly Option<string> _append = Text("--append", "TEXT", "Command line of the kernel. [default for Linux: console=ttyS0]");
    private readonly Option<string> _firmware = Text("--firmware", "FILE", "A raw ROM of 64 KiB to 1 MiB, started at the reset vector, instead of a kernel or of our own firmware.");
    private readonly Option<string> _memory = Text("--memory", "SIZE", $"Guest RAM: bytes, or with K, M or G. Taken from the host where it is touched. [default: {DefaultMemory}]");
    private readonly Option<string> _cpus = Text("--cpus", "N", "Processors, 1 to 8. [default: 1]");
    private readonly Option<string[]> _disk = Texts("--disk", "FILE[,if=IF]", "A hard disk: a raw or qcow2 image, connected by virtio (default), ide or ahci; also ,format=raw|qcow2 and ,readonly. May be repeated.");
    private readonly Option<string[]> _cdrom = Texts("--cdrom", "FILE", "A CD-ROM drive with an ISO image in it. May be repeated.");
    private readonly Option<string[]> _floppy = Texts("--floppy", "FILE", "A floppy drive with an image in it, at most two.");
    private readonly Option<bool> _snapshot = new("--snapshot") { Description = "What the guest writes to its disks is thrown away at the end." };
    private readonly Option<string> _vgaBios = Text("--vga-bios", "FILE", "The display adapter's BIOS. [default: vgabios-stdvga.bin beside the firmware, if it is there]");
    private readonly Option<string> _timeout;

    /// <summary>Makes the options of one command.</summary>
    /// <param name="timeout">What <c>--timeout</c> does.</param>
    public GuestOptionSet(string timeout) => _timeout = Text("--timeout", "SECONDS", timeout);

    /// <summary>What is booted in what.</summary>
    public IEnumerable<Option> Machine => [_kernel, _initrd, _rootfs, _append, _firmware, _vgaBios, _disk, _cdrom, _floppy, _snapshot, _memory, _cpus];

    /// <summary><c>--timeout</c>.</summary>
    public Option Timeout => _timeout;

    /// <summary>An option with one value.</summary>
    public static Option<string> Text(string name, string value, string description) =>
        new(name) { HelpName = value, Description = description, Arity = ArgumentArity.ExactlyOne };

    /// <summary>An option that may be repeated.</summary>
    public static Option<string[]> Texts(string name, string value, string description) =>
        new(name) { HelpName = value, Description = description, Arity = ArgumentArity.OneOrMore, AllowMultipleArgumentsPerToken = false };

    /// <summary>What was given.</summary>
    /// <exception cref="UserErrorException">A value is none, or values exclude each other.</exception>
    public GuestOptions Read(ParseResult result)
    {
        GuestOptions options = new()
        {
            Kernel = result.GetValue(_kernel),
            InitialRamDisks = result.GetValue(_initrd) ?? [],
            RootFolder = result.GetValue(_rootfs),
            CommandLine = result.GetValue(_append),
            Firmware = result.GetValue(_firmware),
            VgaBios = result.GetValue(_vgaBios),
            Drives = [
                .. (result.GetValue(_disk) ?? []).Select(text => Values.Disk(text, result.GetValue(_snapshot))),
                .. (result.GetValue(_cdrom) ?? []).Select(path => new DriveOptions { Kind = DriveKind.CdRom, Path = path }),
                .. (result.GetValue(_floppy) ?? []).Select(path => new DriveOptions { Kind = DriveKind.Floppy, Path = path, Image = new DiskImageOptions { Snapshot = result.GetValue(_snapshot) } })],
            MemoryBytes = Values.MemorySize(result.GetValue(_memory) ?? DefaultMemory),
            Processors = Values.ProcessorCount(result.GetValue(_cpus) ?? "1"),
            Timeout = result.GetValue(_timeout) is { } timeout ? Values.Timeout(timeout) : null,
        };
        if (options.Kernel is null)
        {
            if (options.InitialRamDisks.Count > 0) throw new UserErrorException("--initrd needs --kernel");
            if (options.RootFolder is not null) throw new UserErrorException("--rootfs needs --kernel");
            if (options.CommandLine is not null) throw new UserErrorException("--append needs --kernel");
        }
        else if (options.Firmware is not null)
        {
            throw new UserErrorException("--kernel and --firmware exclude each other");
        }

        if (options.VgaBios is not null && options.Firmware is null) throw new UserErrorException("--vga-bios needs --firmware");
        return options;
    }
}
