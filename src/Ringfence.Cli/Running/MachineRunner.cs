using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Ringfence.Cli.Commands;
using Ringfence.Cli.Host;
using Ringfence.Execution.Translation.Listing;
using Ringfence.Machines;
using Ringfence.Remote;
using Ringfence.Web;

namespace Ringfence.Cli.Running;

/// <summary>Runs one machine from its options to its exit code, with its consoles connected.</summary>
internal sealed class MachineRunner : IDisposable
{
    private const string Keys = """
        Ctrl-A X        quits: the machine is switched off
        Ctrl-A H        shows this
        Ctrl-A Ctrl-A   sends Ctrl-A to the guest
        """;

    private const int TraceBufferBytes = 1 << 20;

    private readonly RunOptions _options;
    private readonly VirtualMachine _machine;
    private readonly List<OutputFile> _files = [];
    private readonly OutputFile? _statisticsFile;
    private readonly TaskCompletionSource<RunEnd> _interruption = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _outputLock = new();
    private readonly RfbServer? _vnc;
    private readonly WebConsole? _page;
    private bool _atLineStart = true;

    private MachineRunner(RunOptions options)
    {
        _options = options;
        CheckEngine(options.Engine);
        // Opened now: a long run must not end with the news that its trace cannot be written.
        OutputFile? trace = options.Trace is { } path ? new OutputFile("--trace", path, TraceBufferBytes) : null;
        if (trace is not null) _files.Add(trace);
        MachineOptions machine = MachineFactory.OptionsFor(options.Guest);
        _machine = MachineFactory.Create(machine with
        {
            // The boot menu is waited for where somebody could ask for it.
            Boot = machine.Boot is BiosBoot bios && !options.HasKeyboard ? bios with { MenuWait = TimeSpan.Zero } : machine.Boot,
            Display = machine.Display ?? (options.HasDisplay ? new DisplayOptions() : null),
            Engine = options.Engine,
            Deterministic = options.Deterministic,
            SerialPorts = Math.Max(options.SerialPorts.Count, 2),
            CountInstructions = options.CountsInstructions,
            HasVirtioConsole = options.VirtioConsole is not null,
            TimeExits = options.Statistics is not null && options.TimesExits,
            Trace = trace is null ? null : new ExitTraceOptions { Output = trace.Stream, MaximumBytes = options.TraceBytes },
        });
        try
        {
            for (int i = 0; i < options.SerialPorts.Count; i++) Connect(_machine.Serial[i], "--serial", options.SerialPorts[i]);
            if (options.VirtioConsole is { } connection) Connect(_machine.VirtioConsole!, "--virtio-console", connection);
            Connect(_machine.DebugConsole, "--debugcon", options.DebugConsole);
            if (options.Statistics is { Path.Length: > 0 } request)
            {
                // Opened now: a long run must not end with the news that its counters cannot be written.
                _statisticsFile = new OutputFile("--stats", request.Path);
                _files.Add(_statisticsFile);
            }

            if (options.Vnc is { } vnc) _vnc = VncDisplay.Start(_machine.Screen!, vnc);
            if (options.Http is { } http) _page = MachinePage.Start(_machine, http);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Runs a machine.</summary>
    /// <returns>The exit code.</returns>
    public static int Run(RunOptions options)
    {
        using MachineRunner runner = new(options);
        return runner.Run();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _page?.DisposeAsync().AsTask().GetAwaiter().GetResult();
        _vnc?.DisposeAsync().AsTask().GetAwaiter().GetResult();
        _machine.Dispose();
        foreach (OutputFile file in _files) file.Dispose();
    }

    /// <summary>Hosts that cannot run translated code: the interpreter runs everywhere.</summary>
    private static void CheckEngine(EngineKind engine)
    {
        if (!EngineNames.IsSupported(engine)) throw new UserErrorException("--engine: translated code needs x86-64 Linux; this host has the interpreter");
        if (engine == EngineKind.Auto && !TranslationListing.IsSupported) Messages.Write("ringfence: translated code needs x86-64 Linux; the interpreter runs this guest");
    }

    private int Run()
    {
        using Terminal? terminal = _options.ShowsScreen || ConsoleHere is not null ? Terminal.TryOpen() : null;
        List<IDisposable> handlers = HandleSignals(terminal);
        void RestoreTerminal(object? sender, EventArgs arguments) => terminal?.Restore();
        AppDomain.CurrentDomain.ProcessExit += RestoreTerminal;
        AppDomain.CurrentDomain.UnhandledException += RestoreTerminal;
        try
        {
            if (terminal is not null) Messages.Write("ringfence: Ctrl-A X quits, Ctrl-A H helps");
            TimeSpan startTime = DateTime.Now - Process.GetCurrentProcess().StartTime;
            using CancellationTokenSource displayEnds = new();
            Task display = _options.ShowsScreen && Terminal.IsOutputTerminal
                ? new TerminalDisplay(Console.Out).RunAsync(_machine.Screen!, () => (Console.WindowWidth, Console.WindowHeight), displayEnds.Token)
                : Task.CompletedTask;
            _machine.Start();
            StartInput(terminal);
            (string reason, int exitCode, string message) = RunEnd.Await(_machine, _options.Guest.Timeout, _interruption.Task);
            displayEnds.Cancel();
            display.GetAwaiter().GetResult();
            terminal?.Restore();
            if (_options.ShowsScreen && _machine.Screen!.ReadText() is { } last) WriteStandardOutput(Encoding.UTF8.GetBytes(last.ToString().TrimEnd() + "\n"));
            if (message.Length > 0) Tell(message);
            if (_options.Statistics is { } request)
            {
                StatisticsReport report = new(_machine.Statistics, reason, exitCode, startTime, ProcessMemory.OwnBytes());
                report.Print(request, _statisticsFile, _atLineStart);
            }

            return exitCode;
        }
        catch (IOException error)
        {
            throw new UserErrorException($"standard output: {error.Message}");
        }
        finally
        {
            terminal?.Restore();
            AppDomain.CurrentDomain.ProcessExit -= RestoreTerminal;
            AppDomain.CurrentDomain.UnhandledException -= RestoreTerminal;
            foreach (IDisposable handler in handlers) handler.Dispose();
        }
    }

    /// <summary>The console at this terminal; null: none is.</summary>
    private InteractiveConsole? ConsoleHere => _options.VirtioConsole?.Kind == ConnectionKind.Stdio
        ? _machine.VirtioConsole
        : _machine.Serial.Zip(_options.SerialPorts).FirstOrDefault(pair => pair.Second.Kind == ConnectionKind.Stdio).First;

    private void Tell(string message)
    {
        if (!_atLineStart && Terminal.IsErrorTerminal) Messages.NewLine();
        if (message.Contains('\n')) Messages.Write(message);
        else Messages.Error(message);
    }

    private void StartInput(Terminal? terminal)
    {
        void Requested(ConsoleRequest request)
        {
            if (request == ConsoleRequest.Quit) _interruption.TrySetResult(new RunEnd("stopped", ExitCodes.Success));
            else if (!_options.ShowsScreen) Messages.Write("\n" + Keys);
        }

        if (_options.ShowsScreen)
        {
            if (terminal is not null) new ConsoleInput(_machine.Screen!, Requested).Start();
            return;
        }

        if (ConsoleHere is not { } console || (terminal is null && Terminal.IsInputTerminal)) return;
        new ConsoleInput(console, terminal is not null, Requested).Start();
    }

    private void Connect(GuestConsole console, string option, Connection connection)
    {
        switch (connection.Kind)
        {
            case ConnectionKind.Stdio:
                console.OutputReceived += data => Forward(data.Span, WriteStandardOutput);
                break;
            case ConnectionKind.File:
                OutputFile file = new(option, connection.Path);
                _files.Add(file);
                console.OutputReceived += data => Forward(data.Span, file.Write);
                break;
        }
    }

    private void WriteStandardOutput(ReadOnlySpan<byte> data)
    {
        lock (_outputLock)
        {
            StandardStream.Write(StandardStream.Output, data);
            if (!data.IsEmpty) _atLineStart = data[^1] == (byte)'\n';
        }
    }

    // Output that nobody takes ends the run, as it would end any other program.
    private void Forward(ReadOnlySpan<byte> data, Action<ReadOnlySpan<byte>> write)
    {
        if (_interruption.Task.IsCompleted) return;
        try
        {
            write(data);
        }
        catch (IOException error)
        {
            _interruption.TrySetResult(new RunEnd("stopped", ExitCodes.UserError, $"standard output: {error.Message}"));
        }
        catch (UserErrorException error)
        {
            _interruption.TrySetResult(new RunEnd("stopped", ExitCodes.UserError, error.Message));
        }
    }

    private List<IDisposable> HandleSignals(Terminal? terminal)
    {
        // A second one ends the process at once.
        List<IDisposable> handlers = EndingSignals.Handle(number =>
        {
            terminal?.Restore();
            return _interruption.TrySetResult(new RunEnd("stopped", ExitCodes.Signal + number));
        });
        if (terminal is null || !OperatingSystem.IsLinux()) return handlers;
        handlers.Add(PosixSignalRegistration.Create(PosixSignal.SIGCONT, _ => terminal.Enter()));
        if (ConsoleHere is not TerminalConsole console || !Terminal.IsOutputTerminal) return handlers;
        handlers.Add(PosixSignalRegistration.Create(PosixSignal.SIGWINCH, _ => PassSize(console)));
        PassSize(console);
        return handlers;
    }

    private static void PassSize(TerminalConsole console) => console.SetSize((ushort)Console.WindowWidth, (ushort)Console.WindowHeight);
}
