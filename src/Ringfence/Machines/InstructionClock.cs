using Ringfence.Processors;

namespace Ringfence.Machines;

/// <summary>
/// Guest time that is the count of executed instructions: one instruction, one nanosecond. While the processor is halted, time jumps to
/// the next timer. Timers run on the processor's thread between two instructions, so that a machine without input from outside
/// executes the same instructions in every run.
/// </summary>
internal sealed unsafe class InstructionClock(Lock machineLock) : MachineClock
{
    /// <summary>Out of reach, but a limit: engines may leave instructions uncounted where there is none.</summary>
    public const ulong NoTimer = ulong.MaxValue - 1;

    private Processor? _processor;
    private ulong _skipped;
    private bool _runningTimers;

    /// <inheritdoc/>
    public override long Now => _processor is null ? 0 : (long)(_processor.State->InstructionCount + _skipped);

    /// <inheritdoc/>
    public override DateTimeOffset PowerOn { get; } = new(2020, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>Connects the clock to the processor whose instructions it counts.</summary>
    public void Attach(Processor processor)
    {
        _processor = processor;
        SetLimit();
    }

    /// <summary>Runs what is due and sets when the processor comes back. On the processor's thread, outside the engine.</summary>
    public void RunTimers()
    {
        lock (machineLock) RunAndSetLimit();
    }

    /// <summary>Lets a halted processor's time jump to the next timer and runs it. False: no timer is armed.</summary>
    public bool SkipToNextTimer()
    {
        lock (machineLock)
        {
            long due = EarliestDue;
            if (due == Never) return false;
            long now = Now;
            if (due > now) _skipped += (ulong)(due - now);
            RunAndSetLimit();
            return true;
        }
    }

    /// <summary>Sets the processor's instruction limit to the next timer again, after something else used the limit.</summary>
    public void RestoreLimit()
    {
        lock (machineLock) SetLimit();
    }

    /// <inheritdoc/>
    public override void Resume()
    {
    }

    /// <inheritdoc/>
    public override void Pause()
    {
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
    }

    /// <inheritdoc/>
    protected override void OnArmed(long due)
    {
        if (_processor is null || _runningTimers) return;
        SetLimit();

        // Input from outside armed a timer while the processor sleeps with no timer to skip to: it has one now.
        if (_processor.State->Activity != ActivityState.Active) _processor.Post(ProcessorEvents.Timer);
    }

    private void RunAndSetLimit()
    {
        _runningTimers = true;
        try
        {
            RunDueTimers();
        }
        finally
        {
            _runningTimers = false;
        }

        SetLimit();
    }

    private void SetLimit()
    {
        if (_processor is null) return;
        long due = EarliestDue;
        ulong count = _processor.State->InstructionCount;

        // At least one instruction between two passes, however often a guest arms a timer for the past.
        _processor.State->InstructionLimit = due == Never ? NoTimer : Math.Max((ulong)due - Math.Min((ulong)due, _skipped), count + 1);
    }
}
