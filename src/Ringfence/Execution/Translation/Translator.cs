using System.Runtime.InteropServices;
using Ringfence.Execution.Translation.Listing;
using Ringfence.Host;
using Ringfence.Memory;
using Ringfence.Processors;
using Ringfence.Processors.Exits;
using Ringfence.Processors.Instructions;

namespace Ringfence.Execution.Translation;

/// <summary>
/// Executes guest code by translating it: units are compiled as they are reached, and run from the cache until a site leaves it. Here is
/// what happens then: call-outs run the shared definition of an instruction, exits are chained to what follows, failed look-ups are answered.
/// </summary>
internal sealed unsafe class Translator : EngineLoop
{
    private const uint DefaultMxcsr = 0x1f80;
    private const uint MxcsrMasks = 0x1f80;
    private const int SamplesOfHotCode = 2;
    private const int ExitsOfHotCode = 16;
    private const int MostMisses = 8;
    private const int DeviceAccesses = 32;
    private const int MostWindowFaults = 16;
    private const int TicksToRest = 2;
    private static readonly TranslationMode NoMode = new(uint.MaxValue);
    private static readonly TimeSpan SamplePeriod = TimeSpan.FromMilliseconds(1);

    private readonly TranslationCache _cache;
    private readonly FragmentCompiler _compiler;
    private readonly OperationPool _operations = new();
    private readonly SingleDecoder _decoder = new();
    private readonly Dictionary<(ulong Base, uint Limit), uint> _codeContexts = [];
    private readonly byte* _trap;
    private TranslationMode _mode = NoMode;
    private delegate* unmanaged<void*, void> _enter;
    private int _entryOfTarget;
    private bool _simdWanted;
    private readonly HashSet<ulong> _singles = [];
    private Site* _lastRefilled;
    private int _lastRetry;

    private readonly LockStep? _lockStep;
    private readonly Timer? _sampler;
    private readonly Lock _samplerLock = new();
    private bool _samples;
    private bool _isDisposed;
    private int _idleTicks;
    private readonly bool _tracesAtOnce;
    private readonly HostX87 _x87;
    private bool _isRunning;
    private bool _isUnitComplete;
    private bool _compares;

    /// <summary>Makes the translator of a processor.</summary>
    /// <param name="processor">The processor.</param>
    /// <param name="lockStep">Compare each unit with the interpreter.</param>
    /// <param name="limits">What the cache holds; null: the default.</param>
    /// <param name="tracesAtOnce">For tests: every fragment that can become a trace does so before it first runs, and nothing is counted.</param>
    /// <exception cref="PlatformNotSupportedException">This host is not x86-64 Linux.</exception>
    public Translator(Processor processor, bool lockStep = false, CacheLimits? limits = null, bool tracesAtOnce = false)
        : base(processor)
    {
        if (!IsSupported) throw new PlatformNotSupportedException("Binary translation needs x86-64 Linux.");
        _tracesAtOnce = tracesAtOnce;
        FaultRedirection.Install(StateOffsets.Fault);
        _cache = new TranslationCache(processor, limits ?? new CacheLimits()) { Invalidated = () => Exits.Count(ExitReason.CodeModification) };
        _compiler = new FragmentCompiler(processor, _cache);
        _x87 = new HostX87(State, _cache);
        Stepper.BringBack = _x87.BringBack;
        _trap = NativeMemoryMap.Reserve(4096);
        if (lockStep)
        {
            _lockStep = new LockStep(processor);
            _compiler.LaysTails = false;
        }
        else
        {
            _sampler = new Timer(_ => Sample(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }

        State->Native.HostMxcsr = DefaultMxcsr;
        State->Native.PollTrap = _trap;
        State->Native.Poll = State;
    }

    /// <summary>Can this host run translated code?</summary>
    public static bool IsSupported => OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64;

    /// <inheritdoc/>
    public override string Name => _lockStep is null ? "translator" : "lockstep";

    /// <summary>The translated code.</summary>
    public TranslationCache Cache => _cache;

    /// <summary>Units compared with the interpreter.</summary>
    public long Compared => _lockStep?.Compared ?? 0;

    /// <summary>Counters.</summary>
    public TranslationStatistics Statistics => _cache.Statistics;

    /// <summary>Bytes of emitted code in the cache.</summary>
    public long CacheBytes => _cache.UsedBytes;

    /// <summary>Lists the fragments of a guest address as they are now, one for each mode that has one. Only while the processor does not run.</summary>
    public IReadOnlyList<ListedUnit> ListFragments(ulong rip)
    {
        List<ListedUnit> units = [];
        for (int i = 1; i < _cache.NextFragment && _cache.HasRoom; i++)
        {
            Fragment* fragment = _cache.Fragments + i;
            if (fragment->IsAlive && fragment->Rip == rip && fragment->TraceOf == 0 && fragment->PageOffset + fragment->GuestLength <= 4096) units.Add(TranslationListing.OfFragment(_cache, _compiler, i));
        }

        return units;
    }

    /// <summary>Times the guest's x87 registers were brought to the host's unit.</summary>
    public long X87Loads => _x87.Loads;

    /// <inheritdoc/>
    public override void Dispose()
    {
        if (_sampler is not null)
        {
            // Nobody changes it from here on.
            lock (_samplerLock) _isDisposed = true;
            using var stopped = new ManualResetEvent(false);
            if (_sampler.Dispose(stopped)) stopped.WaitOne();
        }

        _lockStep?.Dispose();
        _cache.Windows?.Dispose();
        _x87.Dispose();
        State->Native.PollTrap = null;
        _cache.Dispose();
        _compiler.Dispose();
        _operations.Dispose();
        NativeMemoryMap.Unmap(_trap, 4096);
        base.Dispose();
    }

    private protected override void Prepare() => ThreadGsBase.Set(State);

    private protected override void InvalidateCode(ulong frame) => _cache.Invalidate(frame);

    private protected override void BringBack() => _x87.BringBack();

    private protected override void RunCode()
    {
        VcpuState* s = State;
        if (!_cache.HasRoom || !_operations.HasRoom) Clear();
        if (!ArmPoll()) return;
        SetMode();
        int at = EntryOfTarget();
        if (at != 0)
        {
            LoadFlags();
            Execute(at);
            StatusFlags.Set(ref *s, UnpackedFlags());
            return;
        }

        int fragment = FindFragment();
        if (fragment == 0)
        {
            // With room in the cache, only an instruction that no fragment can hold is left.
            if (s->FaultPending == 0) RunSingle();
            return;
        }

        if (_lockStep is not null) _x87.BringBack();
        _compares = _lockStep is not null && _cache.Fragments[fragment].Samples++ < LockStep.Samples
            && _compiler.TryDecodeWhole(fragment, out ReadOnlySpan<Iced.Intel.Instruction> unit, out byte* code) && _lockStep.Prepare(unit, code);
        _isUnitComplete = false;
        LoadFlags();
        Execute(_cache.Fragments[Best(fragment)].EntryHost);
        if (_compares) _x87.BringBack();
        StatusFlags.Set(ref *s, UnpackedFlags());
        if (_compares && (_isUnitComplete || s->FaultPending != 0)) _lockStep!.Compare(() => _cache.Describe(fragment));
    }

    /// <summary>Runs translated code from an offset of the cache on until it must be left.</summary>
    private void Execute(int at)
    {
        Volatile.Write(ref _isRunning, true);
        if (!Volatile.Read(ref _samples)) BeginSampling();
        while (at != 0)
        {
            Exits.BeginGuest();
            _enter(_cache.Executable + at);
            Exits.EndGuest();
            at = HandleExit();
        }

        Volatile.Write(ref _isRunning, false);
        _x87.SettlePointers();
    }

    /// <summary>Where translated code is entered that finds the fragment at RIP by itself; 0: it cannot, or must not.</summary>
    private int EntryOfTarget()
    {
        ulong rip = State->Rip;
        if (_lockStep is not null || !_mode.IsFlatCode || (_mode.IsLong && !Mmu.IsCanonical(rip))) return 0;
        State->Native.Target = _mode.IsLong ? rip : (uint)rip;
        return _entryOfTarget;
    }

    /// <summary>After an instruction that has transferred control or changed the mode: translated code goes on there, unless the loop must look.</summary>
    private int GoOnElsewhere()
    {
        VcpuState* s = State;
        bool mustLook = s->FaultPending != 0 || (s->StepMode | s->InterruptShadow) != 0 || s->Activity != ActivityState.Active
            || (Volatile.Read(ref s->Events) & s->EventMask) != 0 || !_cache.HasRoom || !_operations.HasRoom;
        if (mustLook) return 0;
        SetMode();
        return EntryOfTarget();
    }

    /// <summary>Makes looks for events succeed. False: there is one now.</summary>
    private bool ArmPoll()
    {
        VcpuState* s = State;
        Volatile.Write(ref *(nint*)&s->Native.Poll, (nint)s);
        Interlocked.MemoryBarrier();
        return (Volatile.Read(ref s->Events) & s->EventMask) == 0;
    }

    private void Clear()
    {
        // The mode's jump table goes as well.
        _mode = NoMode;
        _cache.Clear();
        _compiler.Forget();
        _compiler.DirectSites.Clear();
        _compiler.Guesses.Clear();
        _singles.Clear();
        _operations.Clear();
    }

    /// <summary>The mode the processor is in now.</summary>
    private TranslationMode CurrentMode()
    {
        VcpuState* s = State;
        bool simd = (s->SimdUnavailable & 1) == 0 && (s->Mxcsr & MxcsrMasks) == MxcsrMasks;
        if (s->Cpl == 3) _simdWanted = false;
        else simd &= _simdWanted;
        uint context = 0;
        if (s->Mode != ProcessorMode.Long)
        {
            ref SegmentRegister cs = ref s->Segment(SegmentIndex.Cs);
            if (!TranslationMode.IsFlatCodeSegment(cs)) context = CodeContext(cs);
        }

        return TranslationMode.Of(s, Processor.Mmu.ChecksEachAccess, s->InstructionLimit != ulong.MaxValue && !_tracesAtOnce, simd, context);
    }

    /// <summary>A number for base and limit of a code segment that is not flat; there are few in a guest's life.</summary>
    private uint CodeContext(in SegmentRegister cs)
    {
        if (_codeContexts.TryGetValue((cs.Base, cs.Limit), out uint context)) return context;
        if (_codeContexts.Count == TranslationMode.MaximumCodeContexts) return TranslationMode.MaximumCodeContexts + 1;
        context = (uint)_codeContexts.Count + 1;
        _codeContexts.Add((cs.Base, cs.Limit), context);
        return context;
    }

    private void SetMode()
    {
        TranslationMode mode = CurrentMode();
        if (mode == _mode) return;
        if (mode.IsBeyondCodeContexts)
        {
            // The numbers of code segments are used up: they begin again, without the code that was made for them.
            Clear();
            _codeContexts.Clear();
            mode = CurrentMode();
        }

        _mode = mode;
        CommonCode common = _compiler.CommonFor(mode);
        _enter = (delegate* unmanaged<void*, void>)(_cache.Executable + common.Enter);
        _entryOfTarget = common.EnterTarget;
        State->Native.Mode = mode.Bits;
        State->Native.JumpTable = _cache.JumpTable(mode);
        State->Native.Fault.Resume = (ulong)(_cache.Executable + common.HostFault);
    }

    /// <summary>The fragment at RIP, compiled if need be. 0: a fault is pending, or the instruction must be executed by itself.</summary>
    private int FindFragment()
    {
        VcpuState* s = State;
        ulong rip = s->Rip;
        ulong linear = rip;
        if (!_mode.IsLong)
        {
            ref SegmentRegister cs = ref s->Segment(SegmentIndex.Cs);
            linear = (uint)(rip + cs.Base);
            if (rip > cs.Limit) return Fault(ExceptionVector.GeneralProtection);
            ulong pageRip = rip - (linear & 0xfff);
            if (!_mode.IsFlatCode && (pageRip > cs.Limit || pageRip + 0xfff > cs.Limit)) return 0;
        }
        else if (!Mmu.IsCanonical(rip))
        {
            return Fault(ExceptionVector.GeneralProtection);
        }

        CodePage? page = _cache.PageFor(linear, _mode);
        if (page is null) return 0;
        int offset = (int)(linear & 0xfff);
        int fragment = _cache.FragmentAt(page, offset);
        if (fragment != 0) return fragment;
        if (!_cache.HasRoom || !_operations.HasRoom || _singles.Contains(KeyOf(page, offset))) return 0;
        Exits.Enter(ExitReason.Translation);
        fragment = _compiler.Compile(page, offset, rip);
        if (fragment == 0 && _mode.IsFlatCode) fragment = CompileAcross(page, offset, rip);
        Exits.Leave();
        return fragment;
    }

    /// <summary>The instruction at an offset of a page continues in the next.</summary>
    private int CompileAcross(CodePage page, int offset, ulong rip)
    {
        ulong linear = page.Linear + 4096;
        if (_mode.IsLong ? !Mmu.IsCanonical(linear) : linear > uint.MaxValue) return 0;
        CodePage? next = _cache.PageFor(linear, _mode, raises: false);
        if (next is null) return 0;
        int fragment = _compiler.CompileAcross(page, next, offset, rip);
        if (fragment == 0) _singles.Add(KeyOf(page, offset));
        return fragment;
    }

    private static ulong KeyOf(CodePage page, int offset) => ((ulong)page.Index << 12) | (uint)offset;

    /// <summary>Looks at the second page of an instruction again.</summary>
    private int CheckAcross(Site* site, Fragment* fragment)
    {
        CodePage next = _cache.Page(site->Distance);
        if (_cache.PageFor(next.Linear, _mode, raises: false) == next) return fragment->EntrySaved;
        State->Rip = fragment->Rip;
        _cache.Remove(site->Fragment);
        return 0;
    }

    private int Fault(ExceptionVector vector)
    {
        Processor.RaiseFault(vector, 0);
        return 0;
    }

    /// <summary>Executes one instruction that no fragment can hold.</summary>
    private void RunSingle()
    {
        VcpuState* s = State;
        Exits.Enter(ExitReason.SingleStep);
        _x87.BringBack();
        ulong linear = _mode.IsLong ? s->Rip : (uint)(s->Rip + s->Segment(SegmentIndex.Cs).Base);
        Operation* op = Stepper.Find(s->Rip, linear);
        while (op is not null) op = op->Execute(Processor, s, op);
        Exits.Leave(counts: s->FaultPending == 0);
    }

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
                if (!ArmPoll()) return 0;
                Exits.Count(ExitReason.InterruptWindow);
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
        if (_mode.IsCounting) State->InstructionCount -= (ulong)(fragment->Instructions - index);
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
        return _mode.IsLong && _mode.IsUser && !_mode.IsCounting && !_mode.IsChecked
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

        // Beyond the slot nothing that was checked before the trace holds any more.
        return isInSlot && fragment->IsAlive ? at : 0;
    }

    /// <summary>A pointer does not lie where the trace was made for: go on without it.</summary>
    private int AfterWindowMiss(Site* site, Fragment* trace)
    {
        Statistics.Sizes[_mode.Kind].TraceMisses++;
        State->Rip = InstructionPointer(trace, site);
        int from = trace->TraceOf;
        bool atEntry = site->Index == byte.MaxValue;
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

    private static ulong InstructionPointer(Fragment* fragment, Site* site) => fragment->Rip + site->GuestOffset;

    private Exception UnexplainedFault()
    {
        HostFault fault = State->Native.Fault;
        long offset = (long)fault.InstructionPointer - (long)_cache.Executable;
        return new InvalidOperationException(
            $"Host signal {fault.Signal} at code cache offset 0x{offset:x} (address 0x{fault.Address:x}), which no guest access explains. {_cache.DescribeAt((int)offset)}");
    }

    private void LoadFlags()
    {
        ulong flags = StatusFlags.Get(in *State);
        State->Native.Flags = (ushort)(((flags & 0xd5) | 2) << 8 | ((flags >> 11) & 1));
    }

    private ulong UnpackedFlags()
    {
        uint packed = State->Native.Flags;
        return ((packed >> 8) & 0xd5) | ((packed & 1) << 11);
    }
}
