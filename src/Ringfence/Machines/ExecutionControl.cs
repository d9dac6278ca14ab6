using Ringfence.Processors;

namespace Ringfence.Machines;

/// <summary>
/// Who may execute guest code now. Every processor's thread passes <see cref="Enter"/> before it runs its engine and
/// <see cref="Leave"/> after; pausing, resetting, ending and exclusive sections close the entrance and ask the processors inside,
/// by their Stop event, to come out at the next block boundary.
/// <para>
/// Lock order: the machine lock (devices) before the lock here, never the other way round; a processor's own wake-up lock is
/// innermost. A processor inside an exclusive section's queue counts as outside guest code, so two of them cannot wait for each other.
/// </para>
/// </summary>
internal sealed class ExecutionControl
{
    private readonly object _sync = new();
    private readonly IReadOnlyList<Processor> _processors;
    private readonly Action _reset;
    private readonly Action<EndRequest> _ended;
    private readonly int _all;
    private int _inEngine;
    private int _inGuest;
    private int _exclusiveOwner = -1;
    private int _exclusiveDepth;
    private int _hopeless;
    private int _flushes;
    private int _liveThreads;
    private bool _paused;
    private bool _resetRequested;
    private bool _resetting;
    private bool _finished;
    private EndRequest? _end;

    /// <summary>Makes the control of a machine that is paused.</summary>
    /// <param name="processors">Its processors.</param>
    /// <param name="reset">Resets the machine; called while no processor is inside and none can enter.</param>
    /// <param name="ended">Called once, after the last thread has left, with the first reason to end.</param>
    public ExecutionControl(IReadOnlyList<Processor> processors, Action reset, Action<EndRequest> ended)
    {
        _processors = processors;
        _reset = reset;
        _ended = ended;
        _all = (1 << processors.Count) - 1;
        _paused = true;
    }

    /// <summary>The machine is paused or not yet started.</summary>
    public bool IsPaused
    {
        get
        {
            lock (_sync) return _paused;
        }
    }

    /// <summary>A reason to end has been given.</summary>
    public bool IsEnding => Volatile.Read(ref _end) is not null;

    /// <summary>Waits until a processor may execute guest code. False: the machine ends, the thread returns.</summary>
    /// <param name="processor">The processor.</param>
    /// <param name="stepping">Enters a paused machine, too.</param>
    public bool Enter(Processor processor, bool stepping)
    {
        int bit = 1 << processor.Index;
        while (true)
        {
            lock (_sync)
            {
                while (true)
                {
                    if (_end is not null) return false;
                    if (TryBeginReset()) break;
                    if (!_resetRequested && _exclusiveOwner < 0 && (stepping || !_paused))
                    {
                        // Whoever closes the entrance from here on sets Stop again, under the lock.
                        processor.Withdraw(ProcessorEvents.Stop);
                        _hopeless &= ~bit;
                        _inEngine |= bit;
                        _inGuest |= bit;
                        if ((_flushes & bit) != 0)
                        {
                            _flushes &= ~bit;
                            processor.Mmu.Flush();
                            processor.Mmu.FlushCodeTlb();
                        }

                        return true;
                    }

                    Monitor.Wait(_sync);
                }
            }

            PerformReset();
        }
    }

    /// <summary>The processor is between two instructions and outside its engine.</summary>
    public void Leave(Processor processor)
    {
        int bit = 1 << processor.Index;
        lock (_sync)
        {
            _inEngine &= ~bit;
            _inGuest &= ~bit;
            if (_exclusiveOwner == processor.Index)
            {
                _exclusiveOwner = -1;
                _exclusiveDepth = 0;
            }

            Monitor.PulseAll(_sync);
        }
    }

    /// <summary>See <see cref="IProcessorBus.EnterExclusive"/>. From inside the engine, without the machine lock.</summary>
    public void EnterExclusive(Processor processor)
    {
        if (_processors.Count == 1) return;
        int bit = 1 << processor.Index;
        lock (_sync)
        {
            if (_exclusiveOwner == processor.Index)
            {
                _exclusiveDepth++;
                return;
            }

            _inGuest &= ~bit;
            Monitor.PulseAll(_sync);
            while (_exclusiveOwner >= 0) Monitor.Wait(_sync);
            _exclusiveOwner = processor.Index;
            _exclusiveDepth = 1;
            foreach (Processor other in _processors)
                if ((_inGuest & (1 << other.Index)) != 0) other.Post(ProcessorEvents.Stop);
            while (_inGuest != 0) Monitor.Wait(_sync);
        }
    }

    /// <summary>See <see cref="IProcessorBus.LeaveExclusive"/>.</summary>
    public void LeaveExclusive(Processor processor)
    {
        if (_processors.Count == 1) return;
        lock (_sync)
        {
            if (_exclusiveOwner != processor.Index || --_exclusiveDepth > 0) return;
            _exclusiveOwner = -1;
            _inGuest |= 1 << processor.Index;
            Monitor.PulseAll(_sync);
        }
    }

    /// <summary>
    /// A processor is halted and no interrupt can wake it. True: all of them are, and none has been sent an NMI, INIT or start-up IPI.
    /// </summary>
    public bool IsDead(Processor processor)
    {
        const int WakeUp = ProcessorEvents.Nmi | ProcessorEvents.Init | ProcessorEvents.StartUp;
        lock (_sync)
        {
            _hopeless |= 1 << processor.Index;
            if (_hopeless != _all || _resetRequested) return false;
            return _processors.All(p => (VolatileEvents(p) & WakeUp) == 0);
        }
    }

    /// <summary>Opens the entrance.</summary>
    public void Resume()
    {
        lock (_sync)
        {
            _paused = false;
            Monitor.PulseAll(_sync);
        }
    }

    /// <summary>Closes the entrance and waits until every processor is between two instructions.</summary>
    public void Pause()
    {
        lock (_sync)
        {
            _paused = true;
            PostStop();
            while ((_inEngine != 0 || _resetting) && _end is null) Monitor.Wait(_sync);
        }
    }

    /// <summary>Asks for a reset; the processors are at most finishing their block. Any thread, under the machine lock or not.</summary>
    public void RequestReset()
    {
        lock (_sync)
        {
            _resetRequested = true;
            PostStop();
            Monitor.PulseAll(_sync);
        }
    }

    /// <summary>Makes every processor forget its translations before its next block. Any thread, under the machine lock or not.</summary>
    public void RequestFlush()
    {
        lock (_sync)
        {
            _flushes = _all;
            PostStop();
        }
    }

    /// <summary>Performs a requested reset or waits until it is done. Not from inside the engine.</summary>
    public void CompleteReset()
    {
        while (true)
        {
            lock (_sync)
            {
                while (_resetRequested && _end is null && !(_inEngine == 0 && !_resetting)) Monitor.Wait(_sync);
                if (_end is not null || !TryBeginReset()) return;
            }

            PerformReset();
        }
    }

    /// <summary>Ends the machine; the first reason counts. Any thread, under the machine lock or not.</summary>
    public void End(EndRequest request)
    {
        lock (_sync)
        {
            if (_end is not null) return;
            Volatile.Write(ref _end, request);
            PostStop();
            Monitor.PulseAll(_sync);
        }
    }

    /// <summary>Threads are about to start.</summary>
    public void ThreadsStarting(int count)
    {
        lock (_sync) _liveThreads = count;
    }

    /// <summary>A processor's thread returns. The last one finishes the machine.</summary>
    public void ThreadEnded()
    {
        lock (_sync) _liveThreads--;
        FinishIfEnded();
    }

    /// <summary>Finishes a machine that has been ended and has no threads. Not under the machine lock.</summary>
    public void FinishIfEnded()
    {
        EndRequest? end;
        lock (_sync)
        {
            if (_end is null || _liveThreads > 0 || _inEngine != 0 || _resetting || _finished) return;
            _finished = true;
            end = _end;
        }

        _ended(end);
    }

    private static unsafe int VolatileEvents(Processor processor) => Volatile.Read(ref processor.State->Events);

    private bool TryBeginReset()
    {
        if (!_resetRequested || _resetting || _inEngine != 0) return false;
        return _resetting = true;
    }

    private void PerformReset()
    {
        try
        {
            _reset();
        }
        catch (Exception exception)
        {
            End(new EndRequest(MachineExitReason.InternalError, 4, Exception: exception));
        }

        lock (_sync)
        {
            _resetRequested = false;
            _resetting = false;
            _hopeless = 0;
            Monitor.PulseAll(_sync);
        }
    }

    private void PostStop()
    {
        foreach (Processor processor in _processors) processor.Post(ProcessorEvents.Stop);
    }
}
