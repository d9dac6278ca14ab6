using System.Diagnostics;
using System.Text;
using Ringfence.Memory;
using Ringfence.Processors;

namespace Ringfence.Machines;

/// <summary>
/// A virtual PC: build it with <see cref="Create"/>, <see cref="Start"/> it, talk to its consoles, await its end, dispose it.
/// A machine that is not running (not started, paused or ended) lets itself be looked at. All members may be used by any thread,
/// but not by a handler of <see cref="GuestConsole.OutputReceived"/> where they wait for the guest.
/// </summary>
/// <example>
/// <code>
/// using var machine = VirtualMachine.Create(new MachineOptions { Boot = new KernelBoot { Kernel = BootFile.FromPath("vmlinuz") } });
/// machine.Start();
/// await machine.Serial[0].WaitForTextAsync("login: ", TimeSpan.FromMinutes(1));
/// </code>
/// </example>
public sealed class VirtualMachine : IDisposable, IAsyncDisposable
{
    private static readonly TimeSpan DrainTime = TimeSpan.FromSeconds(5);

    private readonly Lock _lifecycle = new();
    private readonly MachineOptions _options;
    private readonly Pc _pc;
    private readonly ExecutionControl _control;
    private readonly ProcessorThread[] _threads = [];
    private readonly TaskCompletionSource<MachineExit> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Stopwatch _wallTime = new();
    private readonly ExitTrace? _trace;
    private MachineStatistics? _finalStatistics;
    private int _resets;
    private bool _started;
    private bool _disposed;

    private VirtualMachine(MachineOptions options)
    {
        _options = options;
        _pc = new Pc(options, End);
        try
        {
            _control = new ExecutionControl(_pc.Processors, ResetNow, Finish);
            _pc.Attach(_control);
            _threads = [.. _pc.Processors.Select(CreateThread)];
            foreach (GuestConsole console in Consoles)
                console.OnHandlerFailure(exception => End(new EndRequest(MachineExitReason.InternalError, 4, Exception: exception)));
            options.Boot.Load(_pc, isReset: false);
            if (options.Trace is { } trace)
            {
                _trace = new ExitTrace(trace, options.Name, _threads[0].Engine.Name, _threads.Length);
                foreach (Processor processor in _pc.Processors) processor.Exits.Recorder = _trace.For(processor.Index);
            }
        }
        catch
        {
            Release();
            throw;
        }
    }

    /// <summary>The other ends of the serial ports, COM1 first.</summary>
    public IReadOnlyList<SerialConsole> Serial => _pc.Serial;

    /// <summary>The other end of the virtio console; null if the machine has none.</summary>
    public TerminalConsole? VirtioConsole => _pc.VirtioConsole;

    /// <summary>The screen, the keyboard and the mouse; null if the machine has no display adapter.</summary>
    public Screen? Screen => _pc.Screen;

    /// <summary>What the guest writes to port E9h.</summary>
    public GuestConsole DebugConsole => _pc.DebugOutput;

    /// <summary>The options the machine was made from.</summary>
    public MachineOptions Options => _options;

    /// <summary>Ends with the machine, when its output has been handed out.</summary>
    public Task<MachineExit> Completion => _completion.Task;

    /// <summary>Where it is in its life. It has ended when its output has been handed out.</summary>
    public MachineState State =>
        Completion.IsCompleted ? MachineState.Ended
        : !_control.IsPaused ? MachineState.Running
        : Volatile.Read(ref _started) ? MachineState.Paused : MachineState.NotStarted;

    /// <summary>Counters; those of the end once the machine has ended.</summary>
    public MachineStatistics Statistics
    {
        get
        {
            if (_finalStatistics is { } final) return final;
            lock (_lifecycle) return _finalStatistics ?? TakeStatistics();
        }
    }

    /// <summary>
    /// A number made from instruction count and RIP at each of the first processor's timer interruptions and halts: equal in two runs of a
    /// deterministic machine exactly if they executed the same instructions.
    /// </summary>
    public ulong ExecutionHash => _threads[0].ExecutionHash;

    /// <summary>Builds a machine and loads what it boots. It is not running yet.</summary>
    /// <exception cref="ArgumentException">An option is out of range; the message is one line.</exception>
    /// <exception cref="Firmware.BootImageException">What it should boot is missing, malformed or does not fit; the message is one line.</exception>
    /// <exception cref="System.ComponentModel.Win32Exception">The host refuses memory.</exception>
    public static VirtualMachine Create(MachineOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        return new VirtualMachine(options);
    }

    /// <summary>Switches the machine on.</summary>
    /// <exception cref="InvalidOperationException">It has been started before.</exception>
    public void Start()
    {
        lock (_lifecycle)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_started) throw new InvalidOperationException("The machine has been started before.");
            if (_control.IsEnding) throw new InvalidOperationException("The machine has ended.");
            _started = true;
            _wallTime.Start();
            _control.ThreadsStarting(_threads.Length);
            _pc.Clock.Resume();
            _control.Resume();
            foreach (ProcessorThread thread in _threads) thread.Start();
        }
    }

    /// <summary>Waits for the machine's end.</summary>
    /// <param name="timeout">Host time to wait.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <exception cref="TimeoutException">It has not ended; the message shows the last lines of its first serial port.</exception>
    public async Task<MachineExit> WaitForExitAsync(TimeSpan timeout, CancellationToken cancellation = default)
    {
        try
        {
            return await Completion.WaitAsync(timeout, cancellation).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            string output = Serial.Count > 0 ? Serial[0].LastLines(12) : "";
            throw new TimeoutException($"The machine has not ended within {timeout.TotalSeconds:0.###} s. Its last output was:{Environment.NewLine}{output}");
        }
    }

    /// <summary>Stops guest time and every processor between two instructions. Does nothing to a machine that is not running.</summary>
    public void Pause()
    {
        lock (_lifecycle)
        {
            if (!_started || _control.IsEnding || _control.IsPaused) return;
            _control.Pause();
            _pc.Clock.Pause();
            _wallTime.Stop();
        }
    }

    /// <summary>Continues after <see cref="Pause"/>.</summary>
    public void Resume()
    {
        lock (_lifecycle)
        {
            if (!_started || _control.IsEnding || !_control.IsPaused) return;
            _wallTime.Start();
            _pc.Clock.Resume();
            _control.Resume();
        }
    }

    /// <summary>
    /// Executes one instruction of one processor (or delivers one pending interrupt and executes the first instruction of its handler).
    /// Nothing happens on a halted processor.
    /// </summary>
    /// <param name="processor">Its number.</param>
    /// <exception cref="InvalidOperationException">The machine is running or has ended.</exception>
    public void Step(int processor = 0)
    {
        lock (_lifecycle)
        {
            ThrowIfRunning();
            if (_control.IsEnding) throw new InvalidOperationException("The machine has ended.");
            _threads[At(processor).Index].Step();
            _control.CompleteReset();
        }

        _control.FinishIfEnded();
    }

    /// <summary>Resets the machine as its reset button would; a kernel given to it is loaded again. It goes on, or stays paused.</summary>
    /// <exception cref="InvalidOperationException">It has ended.</exception>
    public void Reset()
    {
        lock (_lifecycle)
        {
            if (_control.IsEnding) throw new InvalidOperationException("The machine has ended.");
            _control.RequestReset();
            _control.CompleteReset();
        }

        _control.FinishIfEnded();
    }

    /// <summary>Presses the power button: an event that a guest with ACPI may answer by shutting down.</summary>
    public void PressPowerButton() => _pc.PressPowerButton();

    /// <summary>Switches the machine off and waits until it has stopped.</summary>
    /// <returns>How it ended: <see cref="MachineExitReason.Stopped"/>, or what came before.</returns>
    public MachineExit Stop()
    {
        End(new EndRequest(MachineExitReason.Stopped));
        _control.FinishIfEnded();
        return Completion.GetAwaiter().GetResult();
    }

    /// <summary>A copy of a processor's registers.</summary>
    /// <param name="processor">Its number.</param>
    /// <exception cref="InvalidOperationException">The machine is running.</exception>
    public ProcessorRegisters GetRegisters(int processor = 0)
    {
        lock (_lifecycle)
        {
            ThrowIfRunning();
            return new ProcessorRegisters(At(processor));
        }
    }

    /// <summary>Sets a general register, in the order of their encoding (Intel SDM 2A table 3-1).</summary>
    /// <exception cref="InvalidOperationException">The machine is running.</exception>
    public unsafe void SetRegister(int index, ulong value, int processor = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(index, 15);
        lock (_lifecycle)
        {
            ThrowIfRunning();
            At(processor).State->Gpr[index] = value;
        }
    }

    /// <summary>Sets the instruction pointer, an offset in the code segment.</summary>
    /// <exception cref="InvalidOperationException">The machine is running.</exception>
    public unsafe void SetInstructionPointer(ulong value, int processor = 0)
    {
        lock (_lifecycle)
        {
            ThrowIfRunning();
            At(processor).State->Rip = value;
        }
    }

    /// <summary>The instruction a processor is at, in assembler.</summary>
    /// <exception cref="InvalidOperationException">The machine is running.</exception>
    public string DisassembleCurrent(int processor = 0)
    {
        lock (_lifecycle)
        {
            ThrowIfRunning();
            return Disassembly.CurrentInstruction(At(processor));
        }
    }

    /// <summary>Reads RAM or ROM; everything else reads as ones and is not disturbed.</summary>
    /// <exception cref="InvalidOperationException">The machine is running.</exception>
    public void ReadMemory(GuestPhysical address, Span<byte> data)
    {
        lock (_lifecycle)
        {
            ThrowIfRunning();
            GuestMemoryAccess.Read(_pc.Memory, address.Value, data);
        }
    }

    /// <summary>Reads through a processor's page tables, without rights and side effects.</summary>
    /// <exception cref="InvalidOperationException">The machine is running.</exception>
    /// <exception cref="ArgumentException">A page is not mapped.</exception>
    public void ReadMemory(GuestLinear address, Span<byte> data, int processor = 0)
    {
        lock (_lifecycle)
        {
            ThrowIfRunning();
            GuestMemoryAccess.Read(At(processor), address.Value, data);
        }
    }

    /// <summary>Writes RAM; everything else ignores it.</summary>
    /// <exception cref="InvalidOperationException">The machine is running.</exception>
    public void WriteMemory(GuestPhysical address, ReadOnlySpan<byte> data)
    {
        lock (_lifecycle)
        {
            ThrowIfRunning();
            GuestMemoryAccess.Write(_pc.Memory, address.Value, data);
        }
    }

    /// <summary>Writes RAM through a processor's page tables, without rights and side effects.</summary>
    /// <exception cref="InvalidOperationException">The machine is running.</exception>
    /// <exception cref="ArgumentException">A page is not mapped.</exception>
    public void WriteMemory(GuestLinear address, ReadOnlySpan<byte> data, int processor = 0)
    {
        lock (_lifecycle)
        {
            ThrowIfRunning();
            GuestMemoryAccess.Write(At(processor), address.Value, data);
        }
    }

    /// <summary>Stops the machine and gives everything it has back to the host.</summary>
    public void Dispose()
    {
        // First, so that a step that its guest does not let end ends.
        End(new EndRequest(MachineExitReason.Stopped));
        lock (_lifecycle)
        {
            if (_disposed) return;
            _disposed = true;
        }

        Stop();
        foreach (ProcessorThread thread in _threads)
        {
            if (_started) thread.Join();
        }

        // Nobody can be reading counters or registers while their memory goes away.
        lock (_lifecycle) Release();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await Task.Run(Dispose).ConfigureAwait(false);

    private IEnumerable<GuestConsole> Consoles => ((IEnumerable<GuestConsole?>)[.. _pc.Serial, _pc.VirtioConsole, _pc.DebugOutput]).OfType<GuestConsole>();

    private ProcessorThread CreateThread(Processor processor) =>
        new($"{_options.Name} cpu{processor.Index}", _pc, processor, EngineFactory.Create(_options.Engine, processor, _options.CacheLimits), _control);

    private void End(EndRequest request) => _control.End(request);

    private void Release()
    {
        _trace?.Dispose();
        foreach (ProcessorThread thread in _threads) thread.Engine.Dispose();
        _pc.Dispose();
    }

    private Processor At(int processor) => (uint)processor < (uint)_pc.Processors.Count
        ? _pc.Processors[processor]
        : throw new ArgumentOutOfRangeException(nameof(processor), $"The machine has {_pc.Processors.Count} processors.");

    private void ResetNow()
    {
        _resets++;
        _pc.Reset();
        _options.Boot.Load(_pc, isReset: true);
    }

    private void ThrowIfRunning()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_started && !_control.IsPaused && !Completion.IsCompleted) throw new InvalidOperationException("The machine is running; pause it first.");
    }

    private MachineStatistics TakeStatistics()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return MachineStatistics.Take(_pc, [.. _threads.Select(t => t.Engine)], _wallTime.Elapsed, _resets);
    }

    /// <summary>All threads have returned: the machine becomes what it is remembered as.</summary>
    private void Finish(EndRequest request)
    {
        _pc.Clock.Pause();
        _wallTime.Stop();
        _finalStatistics = MachineStatistics.Take(_pc, [.. _threads.Select(t => t.Engine)], _wallTime.Elapsed, _resets);
        string report = Describe(request);
        try
        {
            _trace?.Complete();
        }
        catch (IOException failure)
        {
            report = report.Length == 0 ? failure.Message : $"{report}{Environment.NewLine}{failure.Message}";
        }

        var exit = new MachineExit(request.Reason, request.ExitCode, report);
        string ended = exit.Report.Length == 0 ? $"the machine has ended ({exit.Reason})." : $"the machine has ended.{Environment.NewLine}{exit.Report}{Environment.NewLine}";
        foreach (GuestConsole console in Consoles) console.Complete(ended);
        Screen?.Complete(ended);
        foreach (GuestConsole console in Consoles) console.Drain(DrainTime);
        _completion.TrySetResult(exit);
    }

    private string Describe(EndRequest request)
    {
        if (request.Reason is MachineExitReason.PowerOff or MachineExitReason.Reset or MachineExitReason.DebugExit or MachineExitReason.Stopped) return "";
        var text = new StringBuilder();
        text.Append(request.Reason switch
        {
            MachineExitReason.TripleFault => $"Triple fault on processor {request.Processor}.",
            MachineExitReason.Halted => "Every processor is halted with interrupts disabled.",
            _ => $"Internal error: {request.Exception}",
        });
        IEnumerable<Processor> processors = request.Reason == MachineExitReason.TripleFault ? [_pc.Processors[request.Processor]] : _pc.Processors;
        foreach (Processor processor in processors)
        {
            text.AppendLine().Append($"Processor {processor.Index} at ").AppendLine(Disassembly.LastInstruction(processor));
            text.Append(new ProcessorRegisters(processor));
        }

        return text.ToString();
    }
}
