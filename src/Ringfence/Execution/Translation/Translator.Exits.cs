using Ringfence.Memory;
using Ringfence.Processors;
using Ringfence.Processors.Exits;
using Ringfence.Processors.Instructions;

namespace Ringfence.Execution.Translation;

/// <content>What happens where translated code is left: call-outs, links, failed checks and look-ups.</content>
internal sealed unsafe partial class Translator
{
    /// <summary>Does what the site asks for. Returns where translated code goes on; 0: back to the loop, with RIP exact.</summary>
    private int HandleExit()
    {
        int site = (int)State->Native.ExitSite;
        if (State->Native.Mode != _mode.Bits) _mode = new TranslationMode(State->Native.Mode);
        switch (site)
        {
            case CommonCode.LookUpSite:
                return AnswerLookUp();
            case CommonCode.FaultSite:
                site = _cache.FaultSite(State->Native.Fault.InstructionPointer);
                if (site == 0) throw UnexplainedFault();
                if (!_cache.Sites[site].FlagsSaved) State->Native.Flags = State->Native.FaultFlags;
                if (_cache.Sites[site].IsPromoted) PutBack(_cache.Promotions[_cache.Sites[site].Fragment]);
                break;
        }

        Site* at = _cache.Sites + site;
        Fragment* fragment = _cache.Fragments + at->Fragment;
        if (at->X87Note != 0) State->Native.X87Note = (uint)at->X87Note;
        switch (at->Kind)
        {
            case SiteKind.X87:
                if (TryLoadX87()) return at->Continuation;
                if (fragment->TraceOf == 0) return CallOut(at, fragment);
                // A trace asks at its entry: the fragment it stands for finds the instruction that faults.
                State->Rip = InstructionPointer(fragment, at);
                return _cache.Fragments[fragment->TraceOf].IsAlive ? _cache.Fragments[fragment->TraceOf].EntryHost : 0;
            case SiteKind.Link:
                return FollowLink(site);
            case SiteKind.Poll:
                Statistics.Sizes[_mode.Kind].Polls++;
                State->Rip = InstructionPointer(fragment, at);
                if (!ArmPoll())
                {
                    TakeBackCount(fragment, at->Index);
                    return 0;
                }

                Exits.Count(ExitReason.InterruptWindow);
                // What becomes a trace now is a fragment, and looks before it counts.
                return TakeSample(at->Fragment) ? _cache.Fragments[fragment->Trace].EntryHost : at->Continuation;
            case SiteKind.Window:
                return AfterWindowFault(at, fragment);
            case SiteKind.WindowMiss:
                return AfterWindowMiss(at, fragment);
            case SiteKind.Across:
                return CheckAcross(at, fragment);
            case SiteKind.Limit:
                State->Rip = fragment->Rip;
                return 0;
            case SiteKind.Simd when EnableSimd():
                State->Rip = InstructionPointer(fragment, at);
                TakeBackCount(fragment, at->Index);
                return GoOnElsewhere();
            case SiteKind.Memory when at->Retry != 0 && TryRefill(at):
                return at->Retry;
            default:
                return CallOut(at, fragment);
        }
    }

    private bool TryLoadX87()
    {
        Exits.Enter(ExitReason.Emulation);
        bool loaded = _x87.TryLoad();
        Exits.Leave(counts: loaded);
        return loaded;
    }

    /// <summary>
    /// Makes the probe that failed succeed, if the access is one to plain RAM inside one page. Of an instruction with two accesses only one
    /// is tried again: their pages may need the same entry.
    /// </summary>
    private bool TryRefill(Site* site)
    {
        bool isOther = site->Retry == _lastRetry && site != _lastRefilled;
        _lastRetry = site->Retry;
        _lastRefilled = site;
        if (isOther) return false;
        int register = site->AddressRegister;
        ulong linear = register == FragmentCompiler.NoGuestRegister ? State->Native.Address : State->Gpr[register];
        Exits.Enter(ExitReason.TlbFill);
        bool filled = Processor.Mmu.TryRefill(linear, site->AccessSize, site->Writes);
        Exits.Leave(counts: filled);
        if (!filled) return false;
        Statistics.Sizes[_mode.Kind].TlbRefills++;
        return true;
    }

    /// <summary>Executes a site's instruction by its definition.</summary>
    private int CallOut(Site* site, Fragment* fragment)
    {
        VcpuState* s = State;
        SizeStatistics statistics = Statistics.Sizes[_mode.Kind];
        if (site->Kind == SiteKind.Memory)
        {
            statistics.CheckCallOuts++;
            Statistics.ChecksByCode[site->Code]++;
        }
        else
        {
            statistics.InstructionCallOuts++;
            Statistics.InstructionsByCode[site->Code]++;
        }

        if (site->Next == 0 && !_operations.HasRoom)
        {
            s->Rip = InstructionPointer(fragment, site);
            TakeBackCount(fragment, site->Index);
            return 0;
        }

        Operation* op = site->Next != 0 ? _operations[site->Next] : Decode(site, fragment);
        CodePage page = _cache.Page(fragment->Page);
        if (op is null)
        {
            // The second page of the instruction is gone: its fault is pending.
            s->Rip = InstructionPointer(fragment, site);
            TakeBackCount(fragment, site->Index);
            return 0;
        }

        ulong next = InstructionPointer(fragment, site) + op->Length;
        if (!_mode.IsLong) next = (uint)next;
        s->Gpr[VcpuState.PageSlot] = fragment->Rip - fragment->PageOffset;
        s->CodeEntries = null;
        StatusFlags.Set(ref *s, UnpackedFlags());
        TakeBackCount(fragment, site->Index);
        MmuStatistics accesses = Processor.Mmu.Statistics;
        long devices = accesses.DeviceReads + accesses.DeviceWrites;
        Exits.Enter(ExitReason.Emulation);
        if (Exits.IsTimed)
        {
            Exits.At(InstructionPointer(fragment, site));
            Exits.Describe(op->Code);
        }

        if (site->UsesX87) _x87.BringBack();
        else _x87.SettlePointers();
        while (op is not null) op = op->Execute(Processor, s, op);
        Exits.Leave(counts: s->FaultPending == 0);
        LoadFlags();
        if (site->Kind == SiteKind.Memory && devices != accesses.DeviceReads + accesses.DeviceWrites && ++site->Count == DeviceAccesses)
            GoDirectly(site, fragment);
        bool goesOn = s->FaultPending == 0 && s->Rip == next && site->Continuation > 0 && fragment->IsAlive && _cache.IsCurrent(page)
            && (s->StepMode | s->InterruptShadow) == 0 && s->Activity == ActivityState.Active
            && (Volatile.Read(ref s->Events) & s->EventMask) == 0 && CurrentMode() == _mode;
        _isUnitComplete = site->Index == fragment->Instructions - 1;
        if (!goesOn) return GoOnElsewhere();
        if (site->Kind == SiteKind.X87 || (site->ExpectsX87 && !_x87.TryLoad())) return 0;
        if (_mode.IsCounting) s->InstructionCount += (ulong)(fragment->Instructions - site->Index - 1);
        return site->Continuation;
    }

    /// <summary>An instruction keeps accessing a device: it is translated again, without the check that never succeeds.</summary>
    private void GoDirectly(Site* site, Fragment* fragment)
    {
        _compiler.DirectSites.Add(InstructionPointer(fragment, site));
        _cache.Remove(site->Fragment);
        Statistics.Sizes[_mode.Kind].Adaptations++;
    }

    /// <summary>Instructions are counted when a fragment is entered: takes those from <paramref name="index"/> on back.</summary>
    private void TakeBackCount(Fragment* fragment, int index)
    {
        if (_mode.IsCounting && index != Site.BeforeCount) State->InstructionCount -= (ulong)(fragment->Instructions - index);
    }

    private Operation* Decode(Site* site, Fragment* fragment)
    {
        if (fragment->PageOffset + fragment->GuestLength > 4096) return Stepper.Find(fragment->Rip, _cache.Page(fragment->Page).Linear + fragment->PageOffset);
        site->Next = _operations.Next(out Operation* op);
        byte* page = Processor.Mmu.Memory.PageAt(_cache.Page(fragment->Page).Frame << 12, out _);
        int offset = fragment->PageOffset + site->GuestOffset;
        if (!_decoder.TryDecode(page + offset, 4096 - offset, offset, _mode.Kind, op))
            throw new InvalidOperationException("A translated instruction cannot be decoded any more.");
        // A string instruction outside single steps does as many iterations as it can.
        op->Flags &= unchecked((ushort)~OperationFlags.SingleStep);
        return op;
    }

    /// <summary>A direct transfer whose target was not chained: finds or compiles it, and chains it if it lies in the same page.</summary>
    private int FollowLink(int number)
    {
        VcpuState* s = State;
        Site* site = _cache.Sites + number;
        Fragment* fragment = _cache.Fragments + site->Fragment;
        ulong rip = fragment->Rip + (ulong)(long)site->Distance;
        s->Rip = _mode.IsLong ? rip : (uint)rip;
        if (LeavesBetweenUnits()) return 0;
        int target = FindFragment();
        if (target <= 0 || IsToBeCompared(site->Fragment) || IsToBeCompared(target)) return 0;
        if (fragment->TraceOf != 0 && CanBecomeTrace(target))
        {
            // The other ways out of hot code are hot too, once they have been taken a few times; chained code would not be sampled.
            if (++site->Count < ExitsOfHotCode) return ArmPoll() ? _cache.Fragments[target].EntryHost : 0;
            MakeTrace(target);
        }

        target = Best(target);
        // What is not chained comes here every time: a cycle of such transfers looks for events here.
        return _compiler.TryChain(number, target) || ArmPoll() ? _cache.Fragments[target].EntryHost : 0;
    }

    /// <summary>An indirect transfer, or one to another page, whose target the jump table does not know.</summary>
    private int AnswerLookUp()
    {
        VcpuState* s = State;
        Statistics.Sizes[_mode.Kind].LookUpMisses++;
        ulong target = s->Native.Target;
        if (_mode.IsLong && !Mmu.IsCanonical(target))
        {
            // The transfer itself faults: undo what a return has popped.
            Site* site = _cache.Sites + s->Native.IndirectSite;
            Fragment* fragment = _cache.Fragments + site->Fragment;
            s->Rip = InstructionPointer(fragment, site);
            s->Gpr[4] -= (ulong)site->Distance;
            TakeBackCount(fragment, site->Index);
            return Fault(ExceptionVector.GeneralProtection);
        }

        s->Rip = target;
        // In lock-step the jump table stays empty: whoever is to be compared would run on through it.
        if (LeavesBetweenUnits() || _lockStep is not null) return 0;
        int found = FindFragment();
        if (found == 0)
        {
            // RIP is right: the loop would come here again. With room in the cache, only an instruction that no fragment can hold is left.
            if (s->FaultPending != 0 || !_cache.HasRoom || !_operations.HasRoom || s->InstructionCount >= s->InstructionLimit) return 0;
            StatusFlags.Set(ref *s, UnpackedFlags());
            RunSingle();
            LoadFlags();
            return GoOnElsewhere();
        }

        found = Best(found);
        _cache.SetJumpTarget(target, _compiler.EntryTable(found));
        // Targets that take each other's place in the table come here every time.
        return ArmPoll() ? _cache.Fragments[found].EntryHost : 0;
    }

    /// <summary>
    /// A unit is complete. True: the next one is not entered from here, since this one is to be compared, or since entries for chains
    /// take room that there is not.
    /// </summary>
    private bool LeavesBetweenUnits()
    {
        _isUnitComplete = true;
        return _compares || !_cache.HasRoom;
    }

    /// <summary>In lock-step, fragments are chained once both have been compared often enough.</summary>
    private bool IsToBeCompared(int fragment) => _lockStep is not null && _cache.Fragments[fragment].Samples < LockStep.Samples;
}
