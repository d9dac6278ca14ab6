using System.CommandLine;

namespace Ringfence.Cli.Commands;

/// <summary>The options that describe a guest and its machine, the same for every command that runs one.</summary>
internal sealed class GuestOptionSet
{
    private const string DefaultMemory = "256M";

    private readonly Option<string> _kernel = Text("--kernel", "FILE", "A Linux bzImage or a Multiboot 1 ELF image. Without it and --firmware, the built-in guest is booted.");
    private readonly Option<string[]> _initrd = Texts("--initrd", "FILE[ ARGS]", "Initial RAM disk of a Linux kernel; module of a Multiboot image, with its arguments. May be repeated.");
    private readonly Option<string> _rootfs = Text("--rootfs", "FOLDER", "Packs a folder into an initial RAM disk.");
    private readonly Option<string> _append = Text("--append", "TEXT", "Command line of the kernel. [default for Linux: console=ttyS0]");
    private readonly Option<string> _firmware = Text("--firmware", "FILE", "A raw ROM of 64 KiB to 1 MiB, started at the reset vector, instead of a kernel.");
    private readonly Option<string> _memory = Text("--memory", "SIZE", $"Guest RAM: bytes, or with K, M or G. Taken from the host where it is touched. [default: {DefaultMemory}]");
    private readonly Option<string> _cpus = Text("--cpus", "N", "Processors, 1 to 8. [default: 1]");
    private readonly Option<string> _timeout;

    /// <summary>Makes the options of one command.</summary>
    /// <param name="timeout">What <c>--timeout</c> does.</param>
    public GuestOptionSet(string timeout) => _timeout = Text("--timeout", "SECONDS", timeout);

    /// <summary>What is booted in what.</summary>
    public IEnumerable<Option> Machine => [_kernel, _initrd, _rootfs, _append, _firmware, _memory, _cpus];

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

        return options;
    }
}
