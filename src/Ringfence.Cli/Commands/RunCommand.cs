using System.CommandLine;
using Ringfence.Cli.Running;

namespace Ringfence.Cli.Commands;

/// <summary><c>ringfence run</c>: runs one machine with its console here.</summary>
internal sealed class RunCommand : Command, IHasExamples
{
    private const string DefaultMemory = "256M";

    private readonly Option<string> _engine = Text("--engine", "NAME", "What executes guest code: translator, interpreter, lockstep (both, compared) or auto. [default: auto]");
    private readonly Option<string> _kernel = Text("--kernel", "FILE", "A Linux bzImage or a Multiboot 1 ELF image. Without it and --firmware, the built-in guest is booted.");
    private readonly Option<string[]> _initrd = Texts("--initrd", "FILE[ ARGS]", "Initial RAM disk of a Linux kernel; module of a Multiboot image, with its arguments. May be repeated.");
    private readonly Option<string> _rootfs = Text("--rootfs", "FOLDER", "Packs a folder into an initial RAM disk.");
    private readonly Option<string> _append = Text("--append", "TEXT", "Command line of the kernel. [default for Linux: console=ttyS0]");
    private readonly Option<string> _firmware = Text("--firmware", "FILE", "A raw ROM of 64 KiB to 1 MiB, started at the reset vector, instead of a kernel.");
    private readonly Option<string> _memory = Text("--memory", "SIZE", $"Guest RAM: bytes, or with K, M or G. Taken from the host where it is touched. [default: {DefaultMemory}]");
    private readonly Option<string> _cpus = Text("--cpus", "N", "Processors, 1 to 8. [default: 1]");
    private readonly Option<string[]> _serial = Texts("--serial", "TO", "Where COM1 is connected: stdio, file:PATH or null; repeated for COM2 to COM4. [default: stdio]");
    private readonly Option<string> _debugConsole = Text("--debugcon", "TO", "Where the debug console (port E9h) is connected: stdio, file:PATH or null. [default: null]");
    private readonly Option<bool> _deterministic = new("--deterministic") { Description = "Guest time follows the count of executed instructions; one processor." };
    private readonly Option<string> _timeout = Text("--timeout", "SECONDS", "Stops the machine after that time, with exit code 124.");
    private readonly Option<string> _stats = Text("--stats", "FORMAT", "Prints counters at the end: text, json, text:PATH or json:PATH.");

    public RunCommand()
        : base("run", "Runs a machine with its serial console at this terminal. Ctrl-A X quits, Ctrl-A H helps.")
    {
        Option[] options = [_engine, _kernel, _initrd, _rootfs, _append, _firmware, _memory, _cpus, _serial, _debugConsole, _deterministic, _timeout, _stats];
        foreach (Option option in options) Add(option);
        SetAction(result => MachineRunner.Run(Read(result)));
    }

    /// <inheritdoc/>
    public string Examples => """
        Examples:
          ringfence run
              boots the built-in guest to its shell
          ringfence run --kernel vmlinuz --initrd initrd.gz --append "console=ttyS0" --memory 512M --cpus 2
              boots a Linux kernel with an initial RAM disk and two processors
          ringfence run --kernel vmlinuz --rootfs ./dir
              packs a folder that has an /init into the initial RAM disk
          ringfence run --kernel test.elf --initrd "module.bin some arguments"
              starts a Multiboot 1 image with a module
          ringfence run --firmware bios.bin --debugcon stdio
              starts a ROM at the reset vector
          printf 'help\npoweroff\n' | ringfence run --timeout 60 --stats json
              types two lines, prints the counters as one JSON object

        Exit codes:
          0 the guest powered off, or Ctrl-A X    1 an error in what was asked for
          3 triple fault or dead halt             4 an internal error
          124 timeout                             (v << 1) | 1 after a write of v to port F4h
        """;

    private static Option<string> Text(string name, string value, string description) =>
        new(name) { HelpName = value, Description = description, Arity = ArgumentArity.ExactlyOne };

    private static Option<string[]> Texts(string name, string value, string description) =>
        new(name) { HelpName = value, Description = description, Arity = ArgumentArity.OneOrMore, AllowMultipleArgumentsPerToken = false };

    private RunOptions Read(ParseResult result)
    {
        string[] serial = result.GetValue(_serial) ?? [];
        RunOptions options = new()
        {
            Engine = Values.Engine(result.GetValue(_engine) ?? "auto"),
            Kernel = result.GetValue(_kernel),
            InitialRamDisks = result.GetValue(_initrd) ?? [],
            RootFolder = result.GetValue(_rootfs),
            CommandLine = result.GetValue(_append),
            Firmware = result.GetValue(_firmware),
            MemoryBytes = Values.MemorySize(result.GetValue(_memory) ?? DefaultMemory),
            Processors = Values.ProcessorCount(result.GetValue(_cpus) ?? "1"),
            SerialPorts = serial.Length == 0 ? [new Connection(ConnectionKind.Stdio)] : [.. serial.Select(s => Values.Connection("--serial", s))],
            DebugConsole = Values.Connection("--debugcon", result.GetValue(_debugConsole) ?? "null"),
            Deterministic = result.GetValue(_deterministic),
            Timeout = result.GetValue(_timeout) is { } timeout ? Values.Timeout(timeout) : null,
            Statistics = result.GetValue(_stats) is { } stats ? Values.Statistics(stats) : null,
        };
        Check(options);
        return options;
    }

    private static void Check(RunOptions options)
    {
        const int MostSerialPorts = 4;
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

        if (options.Deterministic && options.Processors != 1) throw new UserErrorException("--deterministic needs --cpus 1");
        if (options.Engine == Machines.EngineKind.LockStep && options.Processors != 1) throw new UserErrorException("--engine lockstep needs --cpus 1");
        if (options.SerialPorts.Count > MostSerialPorts) throw new UserErrorException($"--serial: a PC has at most {MostSerialPorts} serial ports");
        if (options.SerialPorts.Count(s => s.Kind == ConnectionKind.Stdio) > 1) throw new UserErrorException("--serial: only one port can be connected to stdio");
    }
}
