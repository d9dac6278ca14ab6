using Ringfence.Processors;
using Ringfence.Processors.Exits;
using Ringfence.Processors.Sensitive;

namespace Ringfence.Execution;

/// <summary>
/// What all engines that run on this host's own threads have in common: the order in which events, activity, limits, steps and
/// faults are looked at between runs of guest code. An engine adds how guest code runs.
/// </summary>
internal abstract unsafe class EngineLoop : IExecutionEngine
{
    private const ulong NmiVector = 2;

    private protected EngineLoop(Processor processor)
    {
        Processor = processor;
        State = processor.State;
        Stepper = new SingleStepper(processor);
        if (State->InstructionLimit == 0) State->InstructionLimit = ulong.MaxValue;
    }

    /// <inheritdoc/>
    public abstract string Name { get; }

    /// <inheritdoc/>
    public abstract bool CountsInstructions { get; }

    /// <summary>Called before each instruction, with RIP exact, while it is set: the machine then runs one instruction at a time.</summary>
    public Action<Processor>? Tracer
    {
        get => Stepper.Tracer;
        set => Stepper.Tracer = value;
    }

    /// <summary>The processor whose code runs.</summary>
    private protected Processor Processor { get; }

    /// <summary>The accounts of its exits.</summary>
    private protected ExitStatistics Exits => Processor.Exits;

    /// <summary>Its state.</summary>
    private protected VcpuState* State { get; }

    /// <summary>Executes instructions one at a time.</summary>
    private protected SingleStepper Stepper { get; }

    /// <inheritdoc/>
    public ExitReason Run()
    {
        Prepare();
        try
        {
            return RunToExit();
        }
        finally
        {
            BringBack();
            Exits.EndRun();
        }
    }

    private ExitReason RunToExit()
    {
        VcpuState* s = State;
        while (true)
        {
            if ((Volatile.Read(ref s->Events) & s->EventMask) != 0 && TryHandleEvents(out ExitReason reason)) return Count(reason);
            if (s->Activity == ActivityState.Shutdown) return Count(ExitReason.Shutdown);
            if (s->Activity != ActivityState.Active) return ExitReason.Halt;
            if (s->InstructionCount >= s->InstructionLimit) return Count(ExitReason.InstructionLimit);
            if ((s->StepMode | s->InterruptShadow) != 0 || Stepper.Tracer is not null)
            {
                Stepper.Step();
                continue;
            }

            RunCode();
            if (s->FaultPending != 0) Stepper.DeliverFault();
        }
    }

    /// <inheritdoc/>
    public virtual void Dispose() => Stepper.Dispose();

    /// <summary>Called when <see cref="Run"/> begins, on the thread that will run guest code.</summary>
    private protected virtual void Prepare()
    {
    }

    /// <summary>Brings to the state what an engine keeps elsewhere between two runs of guest code.</summary>
    private protected virtual void BringBack()
    {
    }

    /// <summary>Runs guest code from RIP until a fault is pending, an event waits, the limit is reached or the mode needs another look.</summary>
    private protected abstract void RunCode();

    /// <summary>Forgets the code of a physical page that somebody else wrote.</summary>
    private protected abstract void InvalidateCode(ulong frame);

    private ExitReason Count(ExitReason reason)
    {
        Exits.Count(reason);
        return reason;
    }

    /// <summary>Events in the order of their priority (Intel SDM 3A table 6-2). True: Run returns.</summary>
    private bool TryHandleEvents(out ExitReason reason)
    {
        VcpuState* s = State;
        int events = Volatile.Read(ref s->Events) & s->EventMask;
        reason = ExitReason.Stop;
        if ((events & ProcessorEvents.FlushCode) != 0)
        {
            Processor.Withdraw(ProcessorEvents.FlushCode);
            while (Processor.StaleCode.TryDequeue(out ulong frame)) InvalidateCode(frame);
        }

        if ((events & ProcessorEvents.Stop) != 0) return true;
        if ((events & ProcessorEvents.Timer) != 0)
        {
            reason = ExitReason.InstructionLimit;
            return true;
        }

        if ((events & ProcessorEvents.Init) != 0)
        {
            Exits.Count(ExitReason.ProcessorReset);
            Processor.Withdraw(ProcessorEvents.Init);
            Reset.Initialize(Processor);
            return false;
        }

        if ((events & ProcessorEvents.StartUp) != 0)
        {
            Processor.Withdraw(ProcessorEvents.StartUp);
            if (s->Activity == ActivityState.WaitForSipi)
            {
                Exits.Count(ExitReason.ProcessorReset);
                StartUp.Begin(Processor, Processor.StartUpVector);
            }

            return false;
        }

        if (s->InterruptShadow != 0 || s->Activity is ActivityState.WaitForSipi or ActivityState.Shutdown) return false;
        if ((events & ProcessorEvents.Nmi) != 0)
        {
            Exits.Enter(ExitReason.ExternalInterrupt);
            Exits.Describe(NmiVector);
            Processor.Withdraw(ProcessorEvents.Nmi);
            s->Activity = ActivityState.Active;
            EventDelivery.DeliverNmi(Processor);
            Exits.Leave();
            return false;
        }

        if ((events & ProcessorEvents.Interrupt) == 0) return false;
        Exits.Enter(ExitReason.ExternalInterrupt);
        Exits.At(s->Rip);
        int vector = Processor.Bus.AcknowledgeInterrupt(Processor);
        if (vector >= 0)
        {
            Exits.Describe((ulong)vector);
            s->Activity = ActivityState.Active;
            EventDelivery.DeliverInterrupt(Processor, vector);
        }

        Exits.Leave(counts: vector >= 0);
        return false;
    }
}
