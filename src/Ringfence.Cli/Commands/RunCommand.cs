using System.CommandLine;
using Ringfence.Cli.Running;
using Ringfence.Machines;

namespace Ringfence.Cli.Commands;

/// <summary><c>ringfence run</c>: runs one machine with its console here.</summary>
internal sealed class RunCommand : Command, IHasExamples
{
    private readonly Option<string> _engine = GuestOptionSet.Text("--engine", "NAME", "What executes guest code: translator, interpreter, lockstep (both, compared) or auto. [default: auto]");
    private readonly GuestOptionSet _guest = new("Stops the machine after that time, with exit code 124.");
    private readonly Option<string[]> _serial = GuestOptionSet.Texts("--serial", "TO", "Where COM1 is connected: stdio, file:PATH or null; repeated for COM2 to COM4. [default: stdio, unless something else is]");
    private readonly Option<string> _virtioConsole = GuestOptionSet.Text("--virtio-console", "TO", "Adds a virtio console (Linux: hvc0, with the module virtio_console) and connects it: stdio, file:PATH or null.");
    private readonly Option<string> _display = GuestOptionSet.Text("--display", "WHERE", "Where the screen is shown, if firmware starts the machine: terminal (text modes, with the keyboard) or none. [default: none]");
    private readonly Option<string> _vnc = GuestOptionSet.Text("--vnc", "[HOST]:DISPLAY", "Serves the screen, keyboard and mouse to VNC clients at port 5900 + DISPLAY, of this host only unless HOST is an address; also ,password=FILE or ,password=none. [default password: random, printed]");
    private readonly Option<string> _http = GuestOptionSet.Text("--http", "[HOST:]PORT", "Serves a page with the screen, the serial consoles and figures to browsers, of this host only unless HOST is an address; the address with its token is printed.");
    private readonly Option<string> _debugConsole = GuestOptionSet.Text("--debugcon", "TO", "Where the debug console (port E9h) is connected: stdio, file:PATH or null. [default: null]");
    private readonly Option<bool> _deterministic = new("--deterministic") { Description = "Guest time follows the count of executed instructions; one processor." };
    private readonly Option<string> _stats = GuestOptionSet.Text("--stats", "FORMAT", "Prints counters at the end: text, json, text:PATH or json:PATH.");

    private readonly Option<bool> _noExitTimes = new("--no-exit-times") { Description = "Counts exits for --stats without timing them, which costs up to a tenth of the speed." };
    private readonly Option<bool?> _count = new("--count-instructions") { Arity = ArgumentArity.ZeroOrOne, HelpName = "true|false", Description = "Counts instructions in translated code, too; costs a tenth to a third of the speed. [default: true with --http]" };
    private readonly Option<string> _trace = GuestOptionSet.Text("--trace", "FILE", "Writes every exit from guest code to the monitor to a file that Perfetto and chrome://tracing open.");
    private readonly Option<string> _traceLimit = GuestOptionSet.Text("--trace-limit", "SIZE", "Most bytes of the trace; exits beyond are counted and left out. [default: 256M]");

    public RunCommand()
        : base("run", "Runs a machine with its serial console at this terminal. Ctrl-A X quits, Ctrl-A H helps.")
    {
        Option[] options = [_engine, .. _guest.Machine, _display, _vnc, _http, _serial, _virtioConsole, _debugConsole, _deterministic, _guest.Timeout, _stats, _noExitTimes, _count, _trace, _traceLimit];
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
          ringfence run --kernel vmlinuz --initrd initrd.img --virtio-console stdio --append "console=hvc0"
              the guest's console by virtio, as large as this terminal
          ringfence run --kernel test.elf --initrd "module.bin some arguments"
              starts a Multiboot 1 image with a module
          ringfence run --firmware bios.bin --debugcon stdio
              starts a ROM at the reset vector
          ringfence run --cdrom grub-rescue-cdrom.iso --display terminal
              boots a CD as a PC does, its screen and keyboard at this terminal
          ringfence run --firmware bios-256k.bin --cdrom grub-rescue-cdrom.iso --display terminal
              the same with another firmware, such as SeaBIOS
          ringfence run --floppy grub.img --http 8080
              its screen, keyboard and serial console in a browser
          ringfence run --kernel vmlinuz --initrd initrd.img --disk root.qcow2 --snapshot --append "root=/dev/vda1 console=ttyS0"
              a disk whose changes are thrown away
          printf 'help\npoweroff\n' | ringfence run --timeout 60 --stats json
              types two lines, prints the counters as one JSON object
          ringfence run --stats text --trace exits.json
              counts and times every exit to the monitor, and records them for https://ui.perfetto.dev

        Exit codes:
          0 the guest powered off, or Ctrl-A X    1 an error in what was asked for
          3 triple fault or dead halt             4 an internal error
          124 timeout                             (v << 1) | 1 after a write of v to port F4h
        """;

    private RunOptions Read(ParseResult result)
    {
        string[] serial = result.GetValue(_serial) ?? [];
        HttpOptions? http = result.GetValue(_http) is { } place ? HttpOptions.Parse(place) : null;
        bool showsScreen = (result.GetValue(_display) ?? "none") switch
        {
            "terminal" => true,
            "none" => false,
            var other => throw new UserErrorException($"--display: '{other}' is not terminal or none"),
        };
        Connection? virtioConsole = result.GetValue(_virtioConsole) is { } to ? Values.Connection("--virtio-console", to) : null;
        // This terminal is COM1's unless something else has been given it.
        bool isTaken = showsScreen || virtioConsole?.Kind == ConnectionKind.Stdio;
        RunOptions options = new()
        {
            Engine = Values.Engine(result.GetValue(_engine) ?? "auto"),
            Guest = _guest.Read(result),
            ShowsScreen = showsScreen,
            Vnc = result.GetValue(_vnc) is { } vnc ? VncOptions.Parse(vnc) : null,
            Http = http,
            HasDisplay = result.GetValue(_vnc) is not null || (http is not null && result.GetValue(_display) is not "none"),
            SerialPorts = serial.Length == 0 ? [new Connection(isTaken ? ConnectionKind.Null : ConnectionKind.Stdio)] : [.. serial.Select(s => Values.Connection("--serial", s))],
            DebugConsole = Values.Connection("--debugcon", result.GetValue(_debugConsole) ?? "null"),
            VirtioConsole = virtioConsole,
            Deterministic = result.GetValue(_deterministic),
            Statistics = result.GetValue(_stats) is { } stats ? Values.Statistics(stats) : null,
            TimesExits = !result.GetValue(_noExitTimes),
            CountsInstructions = result.GetResult(_count) is null ? result.GetValue(_http) is not null : result.GetValue(_count) ?? true,
            Trace = result.GetValue(_trace),
            TraceBytes = result.GetValue(_traceLimit) is { } limit ? Values.TraceSize(limit) : ExitTraceOptions.DefaultMaximumBytes,
        };
        if (result.GetValue(_traceLimit) is not null && options.Trace is null) throw new UserErrorException("--trace-limit needs --trace");
        if (!options.TimesExits && options.Trace is not null) throw new UserErrorException("--no-exit-times and --trace exclude each other");
        Check(options);
        return options;
    }

    private static void Check(RunOptions options)
    {
        const int MostSerialPorts = 4;
        if (options.ShowsScreen && !options.Guest.UsesFirmware) throw new UserErrorException("--display terminal needs a drive or --firmware");
        if (options.ShowsScreen && options.SerialPorts.Any(s => s.Kind == ConnectionKind.Stdio)) throw new UserErrorException("--display terminal and --serial stdio exclude each other");
        bool isVirtioHere = options.VirtioConsole?.Kind == ConnectionKind.Stdio;
        if (isVirtioHere && options.ShowsScreen) throw new UserErrorException("--display terminal and --virtio-console stdio exclude each other");
        if (isVirtioHere && options.SerialPorts.Any(s => s.Kind == ConnectionKind.Stdio)) throw new UserErrorException("--serial stdio and --virtio-console stdio exclude each other");
        if (options.Deterministic && options.Guest.Processors != 1) throw new UserErrorException("--deterministic needs --cpus 1");
        if (options.Engine == Machines.EngineKind.LockStep && options.Guest.Processors != 1) throw new UserErrorException("--engine lockstep needs --cpus 1");
        if (options.SerialPorts.Count > MostSerialPorts) throw new UserErrorException($"--serial: a PC has at most {MostSerialPorts} serial ports");
        if (options.SerialPorts.Count(s => s.Kind == ConnectionKind.Stdio) > 1) throw new UserErrorException("--serial: only one port can be connected to stdio");
    }
}
