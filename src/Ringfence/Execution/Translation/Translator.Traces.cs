using Ringfence.Host;
using Ringfence.Processors;
using Ringfence.Processors.Exits;

namespace Ringfence.Execution.Translation;

/// <content>What becomes a trace, and what happens when its windows fail.</content>
internal sealed unsafe partial class Translator
{
    /// <summary>The trace that has taken a fragment's place, or the fragment.</summary>
    private int Best(int fragment)
    {
        if (_tracesAtOnce) TakeSample(fragment);
        return _cache.Fragments[fragment].Trace != 0 ? _cache.Fragments[fragment].Trace : fragment;
    }

    /// <summary>
    /// A look for events found none: it was the sampler's. Fragments where it happens again are hot and become traces.
    /// True: one has been made.
    /// </summary>
    private bool TakeSample(int index)
    {
        if (!CanBecomeTrace(index)) return false;
        if (++_cache.Fragments[index].Samples < SamplesOfHotCode && !_tracesAtOnce) return false;
        return MakeTrace(index);
    }

    private bool CanBecomeTrace(int index)
    {
        Fragment* fragment = _cache.Fragments + index;
        return _mode.IsLong && _mode.IsUser && !_mode.IsLimited && !_mode.IsChecked
            && fragment->Trace == 0 && fragment->TraceOf == 0 && !fragment->HasNoTrace && fragment->IsAlive;
    }

    private bool MakeTrace(int index)
    {
        if (!_cache.HasRoom) return false;
        _cache.Windows ??= new WindowMap(Processor);
        Exits.Enter(ExitReason.Translation);
        int trace = _compiler.CompileTrace(index, _cache.Windows);
        Exits.Leave();
        if (trace != 0)
        {
            Statistics.Sizes[_mode.Kind].Adaptations++;
            return true;
        }

        _cache.Fragments[index].HasNoTrace = true;
        return false;
    }

    /// <summary>The host refused an access to a window: the instruction is executed by its definition, and the page mapped if it is RAM.</summary>
    private int AfterWindowFault(Site* site, Fragment* fragment)
    {
        // An exception of the arithmetic, whose address is the host instruction's.
        if (State->Native.Fault.Signal == NativeSignals.FloatingPoint) return CallOut(site, fragment);
        ulong host = State->Native.Fault.Address;
        int trace = site->Fragment;
        bool known = _cache.Windows!.TryGetLinear(host, out ulong linear, out bool isInSlot);
        if (!known && host != 0) throw UnexplainedFault();
        Statistics.Sizes[_mode.Kind].WindowFaults++;
        ulong address = InstructionPointer(fragment, site);
        Exits.Enter(ExitReason.TlbFill);
        int at = CallOut(site, fragment);
        if (known && isInSlot) _cache.Windows.Map(linear);
        Exits.Leave(counts: State->FaultPending == 0);
        if (at == 0) return 0;
        int page = (int)(linear >> 12);
        if (page != site->Distance && isInSlot) site->Count = 0;
        site->Distance = page;
        if (++site->Count == MostWindowFaults)
        {
            // Not a first touch: a device, a page of code, or a pointer that keeps leaving the slot. The next trace goes through the TLB.
            _compiler.Guesses[address] = WindowMap.Count;
            Statistics.Sizes[_mode.Kind].Adaptations++;
            _cache.Remove(trace);
        }

        if (at != site->Continuation || (isInSlot && fragment->IsAlive)) return at;
        // Beyond the slot nothing that was checked before the trace holds any more.
        TakeBackCount(fragment, site->Index + 1);
        return 0;
    }

    /// <summary>A pointer does not lie where the trace was made for: go on without it.</summary>
    private int AfterWindowMiss(Site* site, Fragment* trace)
    {
        Statistics.Sizes[_mode.Kind].TraceMisses++;
        State->Rip = InstructionPointer(trace, site);
        int from = trace->TraceOf;
        bool atEntry = site->Index == Site.BeforeCount;
        TakeBackCount(trace, site->Index);
        if (!atEntry)
        {
            ulong address = State->Rip;
            _compiler.Guesses[address] = _compiler.Guesses.TryGetValue(address, out int guess) ? guess + 1 : 0;
        }

        _cache.Remove(site->Fragment);
        Fragment* fragment = _cache.Fragments + from;
        if (++fragment->Misses >= MostMisses) fragment->HasNoTrace = true;
        fragment->Samples = 0;
        int found = FindFragment();
        return found == 0 ? 0 : _cache.Fragments[found].EntryHost;
    }

    /// <summary>After a host fault in a trace: puts promoted registers to their places in the state.</summary>
    private void PutBack(Promotion[] promotions)
    {
        VcpuState* s = State;
        for (int i = 0; i < promotions.Length; i++)
        {
            Promotion promotion = promotions[i];
            if (promotion.Lender >= 0)
            {
                s->Gpr[promotion.Guest] = s->Gpr[promotion.Lender];
                s->Gpr[promotion.Lender] = s->Native.Lent[i];
            }
            else
            {
                s->Gpr[promotion.Guest] = s->Native.FaultScratch[promotion.Host == Iced.Intel.Register.R13 ? 0 : 1];
            }
        }
    }

    /// <summary>
    /// Makes the next look for events succeed, so that it is seen where the processor spends its time. A processor that sleeps is left alone: a
    /// timer of 1 ms costs a host processor a few hundredths.
    /// </summary>
    private void Sample()
    {
        if (Volatile.Read(ref _isRunning))
        {
            _idleTicks = 0;
            Volatile.Write(ref *(nint*)&State->Native.Poll, (nint)_trap);
            return;
        }

        if (++_idleTicks < TicksToRest) return;
        lock (_samplerLock)
        {
            if (Volatile.Read(ref _isRunning) || _isDisposed) return;
            Volatile.Write(ref _samples, false);
            _sampler!.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }
    }

    private void BeginSampling()
    {
        if (_sampler is null) return;
        lock (_samplerLock)
        {
            if (_samples || _isDisposed) return;
            Volatile.Write(ref _samples, true);
            _idleTicks = 0;
            _sampler.Change(SamplePeriod, SamplePeriod);
        }
    }

    /// <summary>From now on the XMM registers are in the host's, if they may be used and no SIMD exception is unmasked.</summary>
    private bool EnableSimd()
    {
        VcpuState* s = State;
        if ((s->SimdUnavailable & 1) != 0 || (s->Mxcsr & MxcsrMasks) != MxcsrMasks || s->Cpl == 3) return false;
        _simdWanted = true;
        Statistics.Sizes[_mode.Kind].Adaptations++;
        return true;
    }
}
