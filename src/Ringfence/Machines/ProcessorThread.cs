using Ringfence.Execution;
using Ringfence.Processors;
using Ringfence.Processors.Exits;

namespace Ringfence.Machines;

/// <summary>
/// One processor's thread: runs the engine, and does what the machine wants when it comes back. The same steps serve
/// <see cref="Step"/>, on the caller's thread, while the machine is paused.
/// </summary>
internal sealed unsafe class ProcessorThread
{
    private const int StackBytes = 8 << 20;

    private readonly Pc _pc;
    private readonly Processor _processor;
    private readonly IExecutionEngine _engine;
    private readonly ExecutionControl _control;
    private readonly InstructionClock? _instructionClock;
    private readonly ulong _noLimit;
    private readonly Thread _thread;
    private ulong _hash = 14695981039346656037;

    public ProcessorThread(string name, Pc pc, Processor processor, IExecutionEngine engine, ExecutionControl control)
    {
        _pc = pc;
        _processor = processor;
        _engine = engine;
        _control = control;
        _instructionClock = pc.Clock as InstructionClock;
        _noLimit = processor.State->InstructionLimit;
        _thread = new Thread(Run, StackBytes) { Name = name, IsBackground = true };
    }

    /// <summary>The engine this thread runs.</summary>
    public IExecutionEngine Engine => _engine;

    /// <summary>
    /// FNV-1a over instruction count and RIP wherever guest time brought the processor out of the engine: equal in two runs that
    /// executed the same instructions.
    /// </summary>
    public ulong ExecutionHash => Volatile.Read(ref _hash);

    /// <summary>Starts the thread.</summary>
    public void Start() => _thread.Start();

    /// <summary>Waits until the thread has returned.</summary>
    public void Join()
    {
        if (Thread.CurrentThread != _thread) _thread.Join();
    }

    /// <summary>Executes one instruction of a paused machine.</summary>
    public void Step()
    {
        if (!_control.Enter(_processor, stepping: true)) return;
        VcpuState* s = _processor.State;
        ulong limit = s->InstructionLimit;
        try
        {
            s->InstructionLimit = s->InstructionCount + 1;
            s->StepMode = 1;
            _processor.Mmu.RefreshMode();
            HandleExit(_engine.Run(), isStep: true);
        }
        finally
        {
            s->InstructionLimit = limit;
            _instructionClock?.RestoreLimit();
            _processor.RefreshMode();
            _control.Leave(_processor);
        }
    }

    private void Run()
    {
        try
        {
            while (EnterOrSleep())
            {
                bool sleep;
                try
                {
                    sleep = HandleExit(_engine.Run(), isStep: false);
                }
                finally
                {
                    _control.Leave(_processor);
                }

                if (sleep) Sleep();
            }
        }
        catch (Exception exception)
        {
            // Guest faults are not exceptions; this is a defect of ours, and it must end this machine and not the process.
            _control.End(new EndRequest(MachineExitReason.InternalError, 4, _processor.Index, exception));
        }
        finally
        {
            _control.ThreadEnded();
        }
    }

    /// <summary>Waits while the machine is paused, and until the processor may run. False: the machine has ended.</summary>
    private bool EnterOrSleep()
    {
        _processor.Exits.BeginIdle();
        bool goesOn = _control.Enter(_processor, stepping: false);
        _processor.Exits.EndIdle();
        return goesOn;
    }

    /// <summary>Does what the reason asks for. True: the processor has nothing to do until an event.</summary>
    private bool HandleExit(ExitReason reason, bool isStep)
    {
        switch (reason)
        {
            case ExitReason.Halt:
                if (!isStep) Mix();
                return IsHopeless || _instructionClock is null || !_instructionClock.SkipToNextTimer();

            case ExitReason.InstructionLimit:
                if (!isStep) Mix();
                _processor.Withdraw(ProcessorEvents.Timer);
                _instructionClock?.RunTimers();
                if (_instructionClock is null) _processor.State->InstructionLimit = _noLimit;
                return false;

            case ExitReason.Shutdown:
                _pc.OnTripleFault(_processor);
                return false;

            default:
                return false;
        }
    }

    private void Sleep()
    {
        VcpuState* s = _processor.State;
        if (IsHopeless && !_pc.HasNonMaskableSource && _control.IsDead(_processor))
            _control.End(new EndRequest(MachineExitReason.Halted, 3, _processor.Index));
        int wakeUp = s->Activity == ActivityState.WaitForSipi
            ? ProcessorEvents.Init | ProcessorEvents.StartUp | ProcessorEvents.Stop
            : (ProcessorEvents.Interrupt | ProcessorEvents.Nmi | ProcessorEvents.Init | ProcessorEvents.Stop | ProcessorEvents.Timer) & s->EventMask;
        _processor.Exits.BeginIdle();
        _processor.WaitForEvents(wakeUp);
        _processor.Exits.EndIdle();
    }

    /// <summary>No interrupt wakes the processor: halted with IF = 0, or not started.</summary>
    private bool IsHopeless =>
        _processor.State->Activity == ActivityState.WaitForSipi || (_processor.State->SystemFlags & RflagsBits.If) == 0;

    private void Mix()
    {
        const ulong Prime = 1099511628211;
        VcpuState* s = _processor.State;
        ulong hash = (_hash ^ s->InstructionCount) * Prime;
        Volatile.Write(ref _hash, (hash ^ s->Rip) * Prime);
    }
}
