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
internal sealed unsafe partial class Translator : EngineLoop
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

    /// <inheritdoc/>
    public override bool CountsInstructions =>
        State->InstructionLimit == VcpuState.CountingLimit || (State->InstructionLimit != ulong.MaxValue && !_tracesAtOnce);

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

        return TranslationMode.Of(s, Processor.Mmu.ChecksEachAccess, CountsInstructions, simd, context);
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
