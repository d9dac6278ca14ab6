using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json;
using Ringfence.Cli.Commands;
using Ringfence.Cli.Host;
using Ringfence.Execution.Translation.Listing;
using Ringfence.Firmware;
using Ringfence.Machines;

namespace Ringfence.Cli.Running;

/// <summary>Runs one machine from its options to its exit code, with its consoles connected.</summary>
internal sealed class MachineRunner : IDisposable
{
    private const string Keys = """
        Ctrl-A X        quits: the machine is switched off
        Ctrl-A H        shows this
        Ctrl-A Ctrl-A   sends Ctrl-A to the guest
        """;

    private readonly RunOptions _options;
    private readonly VirtualMachine _machine;
    private readonly List<OutputFile> _files = [];
    private readonly OutputFile? _statisticsFile;
    private readonly TaskCompletionSource<(string Reason, int ExitCode, string Message)> _interruption = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _outputLock = new();
    private bool _atLineStart = true;

    private MachineRunner(RunOptions options)
    {
        _options = options;
        if (!TranslationListing.IsSupported) CheckEngine(options.Engine);
        try
        {
            _machine = CreateMachine(options);
        }
        catch (ArgumentException error)
        {
            throw new UserErrorException(error.Message);
        }
        catch (Exception error) when (error is Win32Exception or OutOfMemoryException)
        {
            throw new UserErrorException($"the host refuses {options.MemoryBytes >> 20} MiB of memory for the guest: {error.Message}");
        }

        try
        {
            for (int i = 0; i < options.SerialPorts.Count; i++) Connect(_machine.Serial[i], "--serial", options.SerialPorts[i]);
            Connect(_machine.DebugConsole, "--debugcon", options.DebugConsole);
            if (options.Statistics is { Path.Length: > 0 } request)
            {
                // Opened now: a long run must not end with the news that its counters cannot be written.
                _statisticsFile = new OutputFile("--stats", request.Path);
                _files.Add(_statisticsFile);
            }
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
        _machine.Dispose();
        foreach (OutputFile file in _files) file.Dispose();
    }

    /// <summary>Hosts that cannot run translated code: the interpreter runs everywhere.</summary>
    private static void CheckEngine(EngineKind engine)
    {
        if (engine is EngineKind.Translator or EngineKind.LockStep)
            throw new UserErrorException("--engine: translated code needs x86-64 Linux; this host has the interpreter");
        if (engine == EngineKind.Auto) Messages.Write("ringfence: translated code needs x86-64 Linux; the interpreter runs this guest");
    }

    private static VirtualMachine CreateMachine(RunOptions options) => VirtualMachine.Create(new MachineOptions
    {
        MemoryBytes = options.MemoryBytes,
        ProcessorCount = options.Processors,
        Engine = options.Engine,
        Deterministic = options.Deterministic,
        SerialPorts = Math.Max(options.SerialPorts.Count, 2),
        Boot = CreateBoot(options),
    });

    private static BootSource CreateBoot(RunOptions options)
    {
        if (options.Firmware is { } firmware) return new FirmwareBoot(BootFile.FromPath(firmware));
        if (options.Kernel is not { } kernel) return new BuiltInGuestBoot();
        List<BootFile> disks = [.. options.InitialRamDisks.Select(ParseInitialRamDisk)];
        if (options.RootFolder is { } root)
        {
            bool hasInit = File.Exists(Path.Combine(root, "init")) || new FileInfo(Path.Combine(root, "init")).LinkTarget is not null;
            if (Directory.Exists(root) && !hasInit && options.CommandLine?.Contains("rdinit=", StringComparison.Ordinal) != true)
                Messages.Write($"ringfence: {root} has no /init; Linux starts it first unless --append says rdinit=PROGRAM");
            disks.Add(BootFile.FromFolder(root));
        }

        return new KernelBoot { Kernel = BootFile.FromPath(kernel), InitialRamDisks = disks, CommandLine = options.CommandLine };
    }

    // FILE or "FILE ARGS": a file whose name contains the space comes first.
    private static BootFile ParseInitialRamDisk(string text)
    {
        int space = text.IndexOf(' ', StringComparison.Ordinal);
        return space < 0 || File.Exists(text) ? BootFile.FromPath(text) : BootFile.FromPath(text[..space], text[(space + 1)..].Trim());
    }

    private int Run()
    {
        using Terminal? terminal = UsesStandardInput ? Terminal.TryOpen() : null;
        List<IDisposable> handlers = HandleSignals(terminal);
        void RestoreTerminal(object? sender, EventArgs arguments) => terminal?.Restore();
        AppDomain.CurrentDomain.ProcessExit += RestoreTerminal;
        AppDomain.CurrentDomain.UnhandledException += RestoreTerminal;
        try
        {
            if (terminal is not null) Messages.Write("ringfence: Ctrl-A X quits, Ctrl-A H helps");
            TimeSpan startTime = DateTime.Now - Process.GetCurrentProcess().StartTime;
            _machine.Start();
            StartInput(terminal);
            (string reason, int exitCode, string message) = AwaitEnd();
            terminal?.Restore();
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

    private bool UsesStandardInput => _options.SerialPorts.Any(s => s.Kind == ConnectionKind.Stdio);

    // The first of the machine's own end, the timeout, and what the user or the host asks for; then the machine is at rest.
    private (string Reason, int ExitCode, string Message) AwaitEnd()
    {
        Task<MachineExit> completion = _machine.Completion;
        Task first = _options.Timeout is { } timeout
            ? Task.WhenAny(completion, _interruption.Task, Task.Delay(timeout)).GetAwaiter().GetResult()
            : Task.WhenAny(completion, _interruption.Task).GetAwaiter().GetResult();
        MachineExit exit = _machine.Stop();
        if (_interruption.Task.IsCompleted) return _interruption.Task.Result;
        if (first != completion && exit.Reason == MachineExitReason.Stopped)
            return ("timeout", ExitCodes.Timeout, $"stopped after {_options.Timeout!.Value.TotalSeconds:0.###} s");
        return (JsonNamingPolicy.SnakeCaseLower.ConvertName(exit.Reason.ToString()), exit.ExitCode, exit.Report);
    }

    private void Tell(string message)
    {
        if (!_atLineStart && Terminal.IsErrorTerminal) Messages.NewLine();
        if (message.Contains('\n')) Messages.Write(message);
        else Messages.Error(message);
    }

    private void StartInput(Terminal? terminal)
    {
        int port = _options.SerialPorts.ToList().FindIndex(s => s.Kind == ConnectionKind.Stdio);
        if (port < 0 || (terminal is null && Terminal.IsInputTerminal)) return;
        new ConsoleInput(_machine.Serial[port], terminal is not null, request =>
        {
            if (request == ConsoleRequest.Quit) _interruption.TrySetResult(("stopped", ExitCodes.Success, ""));
            else Messages.Write("\n" + Keys);
        }).Start();
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
            _interruption.TrySetResult(("stopped", ExitCodes.UserError, $"standard output: {error.Message}"));
        }
        catch (UserErrorException error)
        {
            _interruption.TrySetResult(("stopped", ExitCodes.UserError, error.Message));
        }
    }

    private List<IDisposable> HandleSignals(Terminal? terminal)
    {
        List<IDisposable> handlers = [];
        foreach ((PosixSignal signal, int number) in new[] { (PosixSignal.SIGHUP, 1), (PosixSignal.SIGINT, 2), (PosixSignal.SIGQUIT, 3), (PosixSignal.SIGTERM, 15) })
        {
            handlers.Add(PosixSignalRegistration.Create(signal, context =>
            {
                // A second one ends the process at once.
                terminal?.Restore();
                context.Cancel = _interruption.TrySetResult(("stopped", ExitCodes.Signal + number, ""));
            }));
        }

        if (terminal is not null && OperatingSystem.IsLinux()) handlers.Add(PosixSignalRegistration.Create(PosixSignal.SIGCONT, _ => terminal.Enter()));
        return handlers;
    }
}
