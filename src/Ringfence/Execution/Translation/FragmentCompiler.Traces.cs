using Iced.Intel;

namespace Ringfence.Execution.Translation;

/// <summary>
/// Traces: the hot path from a fragment on, several units long, compiled again as one piece that accesses memory through
/// windows. What is checked before a trace holds inside it, so that the instructions themselves are nearly the guest's own.
/// </summary>
internal sealed unsafe partial class FragmentCompiler
{
    /// <summary>Instructions of a trace.</summary>
    public const int TraceLimit = 120;

    private readonly TraceStep[] _steps = new TraceStep[TraceLimit + 1];
    private readonly bool[] _deltaValid = new bool[WindowMap.Count];
    private readonly HashSet<ulong> _visited = [];
    private readonly Register[] _promoted = new Register[16];
    private readonly List<Promotion> _promotions = [];
    private readonly int[] _uses = new int[16];
    private bool _promotionsBegun;
    private int _stepCount;
    private bool _isLoop;
    private ulong _traceStart;
    private ulong _traceExit;

    /// <summary>What is known about where pointers that are loaded inside traces lead: the window, by the address of the instruction.</summary>
    public Dictionary<ulong, int> Guesses { get; } = [];

    /// <summary>Compiles the trace that begins with a fragment. 0: it would gain nothing.</summary>
    public int CompileTrace(int index, WindowMap windows)
    {
        long started = System.Diagnostics.Stopwatch.GetTimestamp();
        Fragment* from = _cache.Fragments + index;
        CodePage page = _cache.Page(from->Page);
        _mode = page.Mode;
        _exits = CommonFor(_mode);
        _tail = default;
        _pageIndex = page.Index;
        byte* host = _cache.Watch(page);
        _rip = from->Rip;
        _pageOffset = from->PageOffset;
        FindTrace(page, host);
        if (_stepCount < 2) return 0;
        Array.Clear(_promoted);
        _promotions.Clear();
        _promotionsBegun = false;
        if (_isLoop) PlanPromotions();
        var plan = new TracePlan(_s, windows, Guesses, number => number >= 12 && !_promotions.Exists(p => p.Guest == number));
        plan.Make(_steps.AsSpan(0, _stepCount), _isLoop);
        if (plan.WindowAccesses == 0) return 0;
        if (_isLoop) PromoteToDelta(plan);

        ulong lowest = ulong.MaxValue;
        ulong end = 0;
        for (int i = 0; i < _stepCount; i++)
        {
            lowest = Math.Min(lowest, _steps[i].Instruction.IP);
            end = Math.Max(end, _steps[i].Instruction.NextIP);
        }

        ulong pageRip = from->Rip - from->PageOffset;
        _rip = lowest;
        _pageOffset = (int)(lowest - pageRip);
        _guest = host + _pageOffset;
        _index = 0;
        int rareStart = _rare.Offset;
        _main.Align();
        var trace = new Fragment
        {
            Rip = lowest,
            Page = page.Index,
            PageOffset = (ushort)_pageOffset,
            EntryPageOffset = from->PageOffset,
            GuestLength = (ushort)(end - lowest),
            Instructions = (byte)_stepCount,
            IsAlive = true,
            FlagsEntry = FlagsEntry.SavedFirst,
            TraceOf = index,
            Start = _main.Offset,
        };
        _guestOffset = (ushort)(_traceStart - lowest);
        EmitPoll(_main, _cache.NextFragment, flagsSaved: false, _guestOffset);
        trace.EntryHost = _main.Offset;
        _main.Write(_code.SaveFlags);
        trace.EntrySaved = _main.Offset;
        _flags = FlagsAt.Saved;
        EmitTraceChecks(plan);
        Array.Clear(_deltaValid);
        for (int i = 0; i < WindowMap.Count; i++)
            if (plan.Uses(i)) NeedDelta(i);
        if (_isLoop) NeedHost();
        BeginPromotions();
        EmitTraceBody(plan);
        _step = -1;
        trace.End = _main.Offset;
        int result = _cache.Add(trace);
        if (_promotions.Count != 0) _cache.Promotions[result] = [.. _promotions];
        Array.Clear(_promoted);
        _promotions.Clear();
        _promotionsBegun = false;
        _cache.BeginTrace(result);
        SizeStatistics statistics = _cache.Statistics.Sizes[_mode.Kind];
        statistics.Traces++;
        statistics.HostBytes += trace.End - trace.Start + _rare.Offset - rareStart;
        statistics.Ticks += System.Diagnostics.Stopwatch.GetTimestamp() - started;
        return result;
    }

    /// <summary>The register that holds a window's delta in traces.</summary>
    private static Register DeltaRegister(int window) => window == 0 ? Register.R13 : Register.R15;

    /// <summary>Follows the hot path: through jumps, along the side of a branch that has been executed, to the start again or to what ends a trace.</summary>
    private void FindTrace(CodePage page, byte* host)
    {
        _visited.Clear();
        _stepCount = 0;
        _isLoop = false;
        _traceStart = _rip;
        ulong pageRip = _rip - (ulong)_pageOffset;
        ulong rip = _rip;
        Decoder decoder = _decoders[_mode.Kind];
        while (true)
        {
            _traceExit = rip;
            if (rip == _traceStart && _stepCount != 0) _isLoop = true;
            if (rip - pageRip >= 4096 || _stepCount == TraceLimit || !_visited.Add(rip)) return;
            int offset = (int)(rip - pageRip);
            _bytes.Set(host + offset, 4096 - offset);
            decoder.IP = rip;
            decoder.Decode(out Instruction instruction);
            if (decoder.LastError == DecoderError.NoMoreBytes || instruction.IsInvalid) return;
            TranslationKind kind = KindOf(instruction);
            if (kind is TranslationKind.CallOut or TranslationKind.CounterJump || (kind == TranslationKind.Simd && !_mode.IsSimd)) return;
            ref TraceStep step = ref _steps[_stepCount++];
            step = new TraceStep { Instruction = instruction, Kind = kind };
            rip = instruction.NextIP;
            switch (kind)
            {
                case TranslationKind.Jump:
                    if (!IsInPage(instruction.NearBranchTarget)) return;
                    rip = instruction.NearBranchTarget;
                    break;
                case TranslationKind.ConditionalJump:
                    ulong target = instruction.NearBranchTarget;
                    if (target == _traceStart)
                    {
                        _isLoop = true;
                        _traceExit = rip;
                        return;
                    }

                    step.FollowsTaken = IsInPage(target) && FollowsTaken(page, target, rip);
                    if (step.FollowsTaken) rip = target;
                    break;
                case TranslationKind.Call or TranslationKind.CallIndirect or TranslationKind.JumpIndirect or TranslationKind.Return:
                    return;
            }
        }
    }

    /// <summary>Has only the taken side of a branch been executed, or is it the one where samples were taken?</summary>
    private bool FollowsTaken(CodePage page, ulong target, ulong next)
    {
        int taken = _cache.FragmentAt(page, (int)(target & 0xfff));
        int through = IsInPage(next) ? _cache.FragmentAt(page, (int)(next & 0xfff)) : 0;
        if (target == _traceStart) return true;
        if (taken == 0 || _visited.Contains(target)) return false;
        if (through == 0) return true;
        return _cache.Fragments[taken].Samples > _cache.Fragments[through].Samples;
    }

    private void EmitTraceChecks(TracePlan plan)
    {
        EmitTraceX87Check();
        _slow.Clear();
        foreach ((int window, uint slot) in plan.Slots)
        {
            Encode(Instruction.Create(Code.Cmp_rm32_imm32, GsOperand(StateOffsets.WindowSlot(window)), slot));
            JumpSlow(_code.JumpIfNotEqual);
        }

        foreach ((int register, int window) in plan.Bases)
        {
            if (IsResident(register)) LoadState(Register.R14, StateOffsets.Gpr(register));
            else Move(Register.R14, Renamed(register));
            EmitSlotCompare(window);
        }

        foreach ((int @base, int index, int scale, int window) in plan.Sums)
        {
            Register first = IsResident(@base) ? Register.R15 : Renamed(@base);
            Register second = IsResident(index) ? Register.R13 : Renamed(index);
            if (IsResident(@base)) LoadState(first, StateOffsets.Gpr(@base));
            if (IsResident(index)) LoadState(second, StateOffsets.Gpr(index));
            Encode(Instruction.Create(Code.Lea_r64_m, Register.R14, new MemoryOperand(first, second, scale)));
            EmitSlotCompare(window);
        }

        foreach (int register in plan.Bounds)
        {
            Register full = IsResident(register) ? Register.R15 : Renamed(register);
            if (IsResident(register)) LoadState(full, StateOffsets.Gpr(register));
            Move(Register.R14D, Part(full, 4));
            Encode(Instruction.Create(Code.Cmp_r64_rm64, Register.R14, full));
            JumpSlow(_code.JumpIfNotEqual);
        }

        int site = NewSite(SiteKind.WindowMiss);
        _cache.Sites[site].Index = Site.BeforeCount;
        EmitMissStub(site);
    }

    /// <summary>Compares the slot of the address in R14 with a window's.</summary>
    private void EmitSlotCompare(int window)
    {
        Encode(Instruction.Create(Code.Shr_rm64_imm8, Register.R14, WindowMap.SlotShift));
        Encode(Instruction.Create(Code.Cmp_r32_rm32, Register.R14D, GsOperand(StateOffsets.WindowSlot(window))));
        JumpSlow(_code.JumpIfNotEqual);
    }

    private void EmitMissStub(int site)
    {
        foreach (FailedCheck check in _slow) _main.Patch(check.Place, _rare.Offset);
        _slow.Clear();
        EndPromotions(_rare);
        _rare.Write(_code.PushSite, site);
        _rare.WriteBranch(_code.Jump, _exits.ExitSaved);
    }

    private void EmitTraceBody(TracePlan plan)
    {
        int top = _main.Offset;
        if (_mode.IsCounting) EmitCount(_main, _stepCount);
        for (int i = 0; i < _stepCount; i++)
        {
            ref TraceStep step = ref _steps[i];
            _step = i;
            _unit[0] = step.Instruction;
            _guestOffset = (ushort)(step.Instruction.IP - _rip);
            _slow.Clear();
            int start = _main.Offset;
            BeginInstructionX87(step.Kind);
            bool ended = EmitStep(ref step, plan, top);
            if (_slow.Count != 0) EmitSlowStubs(start, ended);
            EndInstructionX87(step.Instruction, step.Kind);
            if (ended) return;
        }

        NoteX87();
        _step = _stepCount;
        if (_isLoop)
        {
            NeedDeltas(plan);
            NeedHost();
            _guestOffset = (ushort)(_traceStart - _rip);
            EmitTracePoll();
            _main.WriteBranch(_code.Jump, top);
            return;
        }

        EmitLink(_traceExit);
    }

    private bool EmitStep(ref TraceStep step, TracePlan plan, int top)
    {
        ref Instruction instruction = ref step.Instruction;
        if (step.Access == TraceAccess.CheckedWindow) EmitWindowCheck(step);
        switch (step.Kind)
        {
            case TranslationKind.Jump:
                if (IsInPage(instruction.NearBranchTarget)) return false;
                EmitLink(instruction.NearBranchTarget);
                return true;
            case TranslationKind.ConditionalJump:
                return EmitTraceBranch(step, plan, top);
            default:
                if (step.Access != TraceAccess.Tlb) return EmitWindowed(step);
                bool ended = Emit(ref instruction, step.Kind);
                ForgetDeltas(instruction, step.Kind);
                return ended;
        }
    }

    private bool EmitTraceBranch(in TraceStep step, TracePlan plan, int top)
    {
        ref readonly Instruction instruction = ref step.Instruction;
        NeedHost();
        int condition = ConditionNumber(instruction.ConditionCode);
        if (instruction.NearBranchTarget == _traceStart)
        {
            // The end of a loop: events are looked for before the branch, with everything exact.
            NeedDeltas(plan);
            EmitTracePoll();
            _main.WriteBranch([0x0f, (byte)(0x80 | condition), 0, 0, 0, 0], top);
            EndPromotions(_main);
            EmitLink(instruction.NextIP);
            return true;
        }

        if (step.FollowsTaken) condition ^= 1;
        ulong leaves = step.FollowsTaken ? instruction.NextIP : instruction.NearBranchTarget;
        byte[] jump = [0x0f, (byte)(0x80 | condition), 0, 0, 0, 0];
        if (!IsInPage(leaves))
        {
            _main.WriteBranch(jump, _rare.Offset);
            EndPromotions(_rare);
            TakeBackCount();
            EmitFarLink(_rare, leaves);
            return false;
        }

        int site = NewLink(leaves);
        if (_promotions.Count == 0 && !_mode.IsCounting)
        {
            int stub = EmitLinkStub(site);
            _cache.Sites[site].HostOffset = _main.WriteBranch(jump, stub);
            return false;
        }

        // The registers go back to their places first; the jump behind that is the one that is chained.
        _main.WriteBranch(jump, _rare.Offset);
        EndPromotions(_rare);
        TakeBackCount();
        int place = _rare.WriteBranch(_code.Jump, 0);
        _cache.Sites[site].HostOffset = place;
        _rare.Patch(place, EmitLinkStub(site));
        return false;
    }

    /// <summary>A trace is left after this step: those behind it have not been executed.</summary>
    private void TakeBackCount()
    {
        if (_mode.IsCounting) EmitCount(_rare, _step + 1 - _stepCount);
    }

    private void EmitTracePoll()
    {
        _main.Write(_code.Poll);
        int place = _main.Offset;
        int site = NewSite(SiteKind.Poll);
        _main.Write(_code.PollLoad);
        SetReload(site, place);
    }

    /// <summary>Makes a fault at a host instruction lead to a site, and translated code go on behind it with the deltas loaded again.</summary>
    private void SetReload(int site, int place)
    {
        Site* s = _cache.Sites + site;
        s->HostOffset = place;
        _cache.AddFaultSite(place, site);
        s->Continuation = _rare.Offset;
        s->IsPromoted = _promotions.Count != 0;
        EmitReload(_main.Offset);
    }

    /// <summary>Where a trace goes on after the monitor has looked: what it keeps in registers of its own is loaded again.</summary>
    private void EmitReload(int target)
    {
        for (int i = 0; i < WindowMap.Count; i++)
            if (_deltaValid[i]) _rare.Write(_code.LoadDelta[i]);
        foreach (Promotion promotion in _promotions) _rare.Write(_code.Load(promotion.Host, StateOffsets.Gpr(promotion.Guest)));
        _rare.WriteBranch(_code.Jump, target);
    }

    private bool AccessesMemory(in Instruction instruction, TranslationKind kind) =>
        kind is not (TranslationKind.AddressOf or TranslationKind.NoOperation) && HasMemoryAccess(instruction);

    private bool IsResidentRegister(Register register) => register.IsGPR() && IsResident(register.GetFullRegister() - Register.RAX);

    /// <summary>Compares the slot of a pointer that was loaded inside the trace.</summary>
    private void EmitWindowCheck(in TraceStep step)
    {
        NeedSaved();
        if (IsResident(step.Register)) LoadState(Register.R14, StateOffsets.Gpr(step.Register));
        else Move(Register.R14, Renamed(step.Register));
        EmitSlotCompare(step.Window);
        _flags = FlagsAt.Saved;
        EmitMissStub(NewSite(SiteKind.WindowMiss));
    }

    /// <summary>Emits an instruction whose memory operand is accessed through a window.</summary>
    private bool EmitWindowed(in TraceStep step)
    {
        ref readonly Instruction instruction = ref step.Instruction;
        int window = step.Window;
        switch (step.Kind)
        {
            case TranslationKind.Push:
                EmitWindowedPush(instruction, window);
                return false;
            case TranslationKind.Pop:
                EmitWindowedPop(instruction, window);
                return false;
            case TranslationKind.Leave:
                EmitWindowedAccess(Instruction.Create(Code.Mov_r64_rm64, Register.R14, Windowed(Register.RBP, window, 0)), window);
                Encode(Instruction.Create(Code.Lea_r64_m, Register.R12, new MemoryOperand(Register.RBP, 8L, 1)));
                Move(Register.RBP, Register.R14);
                EndWindowedAccess();
                return false;
            case TranslationKind.Call:
                EmitWindowedPushValue(instruction.NextIP, window);
                EmitLink(instruction.NearBranchTarget);
                return true;
            case TranslationKind.CallIndirect:
                NeedSaved();
                ReadRegister(Register.R14, instruction.Op0Register);
                _main.Write(_code.CheckCanonical);
                _deltaValid[1] = false;
                JumpSlow(_code.JumpIfNotEqual);
                _main.Write(_code.StoreTarget);
                _flags = FlagsAt.Saved;
                EmitWindowedPushValue(instruction.NextIP, window);
                _main.Write(_code.LoadTarget);
                EmitIndirect(0);
                return true;
            case TranslationKind.Return:
                NeedDelta(window);
                EmitWindowedAccess(Instruction.Create(Code.Mov_r64_rm64, Register.R15, Windowed(Register.R12, window, 0)), window);
                _cache.Sites[_windowSite].HostOffset = _windowPlace;
                _cache.AddFaultSite(_windowPlace, _windowSite);
                int popped = 8 + (instruction.OpCount == 0 ? 0 : instruction.Immediate16);
                AddToStackPointer(popped);
                NeedSaved();
                EmitIndirect(popped);
                return true;
            case TranslationKind.X87:
                EmitWindowedX87(instruction, window);
                return false;
            default:
                EmitWindowedGeneral(instruction, window);
                return false;
        }
    }

    private static MemoryOperand Windowed(Register address, int window, long displacement) =>
        new(address, DeltaRegister(window), 1, displacement, displacement == 0 ? 0 : displacement is >= -128 and <= 127 ? 1 : 8, false, Register.None);

    /// <summary>Emits the one host instruction that accesses a window.</summary>
    private void EmitWindowedAccess(in Instruction host, int window)
    {
        NeedDelta(window);
        int site = NewSite(SiteKind.Window);
        _windowSite = site;
        _windowPlace = _main.Offset;
        Encode(host);
    }

    private int _windowSite;
    private int _windowPlace;

    private void EndWindowedAccess() => SetReload(_windowSite, _windowPlace);

    private void EmitWindowedPush(in Instruction instruction, int window)
    {
        if (instruction.Op0Kind != OpKind.Register)
        {
            EmitWindowedPushValue(instruction.GetImmediate(0), window);
            return;
        }

        Register value = HostRegister(instruction.Op0Register, Register.R14);
        EmitWindowedAccess(Instruction.Create(Code.Mov_rm64_r64, Windowed(Register.R12, window, -8), value), window);
        AddToStackPointer(-8);
        EndWindowedAccess();
    }

    private void EmitWindowedPushValue(ulong value, int window)
    {
        if ((ulong)(int)value == value)
        {
            EmitWindowedAccess(Instruction.Create(Code.Mov_rm64_imm32, Windowed(Register.R12, window, -8), (int)value), window);
        }
        else
        {
            WriteImmediate(_main, Register.R14, value);
            EmitWindowedAccess(Instruction.Create(Code.Mov_rm64_r64, Windowed(Register.R12, window, -8), Register.R14), window);
        }

        AddToStackPointer(-8);
        EndWindowedAccess();
    }

    private void EmitWindowedPop(in Instruction instruction, int window)
    {
        int number = instruction.Op0Register.GetFullRegister() - Register.RAX;
        Register target = IsResident(number) ? Register.R14 : Renamed(number);
        EmitWindowedAccess(Instruction.Create(Code.Mov_r64_rm64, target, Windowed(Register.R12, window, 0)), window);
        if (IsResident(number)) StoreState(StateOffsets.Gpr(number), Register.R14);
        if (number != 4) AddToStackPointer(8);
        EndWindowedAccess();
    }

    private void EmitWindowedGeneral(in Instruction instruction, int window)
    {
        InstructionInfo info = _info.GetInfo(instruction, InstructionInfoOptions.NoMemoryUsage | InstructionInfoOptions.NoRegisterUsage);
        Instruction host = instruction;
        int memory = 0;
        WithoutDirectOffset(ref host, ref memory);
        host.SegmentPrefix = Register.None;
        host.HasRepPrefix = false;
        host.HasRepnePrefix = false;
        if (NeedsFlags(instruction)) NeedHost();
        NeedDelta(window);

        // The address: base + delta + displacement, or all but the delta summed up in R14.
        Register address;
        long displacement = 0;
        if (instruction.IsIPRelativeMemoryOperand || (instruction.MemoryBase == Register.None && instruction.MemoryIndex == Register.None))
        {
            WriteImmediate(_main, Register.R14, instruction.IsIPRelativeMemoryOperand ? instruction.IPRelativeMemoryAddress : instruction.MemoryDisplacement64);
            address = Register.R14;
        }
        else if (instruction.MemoryIndex == Register.None)
        {
            address = HostRegister(instruction.MemoryBase, Register.R14);
            displacement = (long)instruction.MemoryDisplacement64;
        }
        else
        {
            Encode(Instruction.Create(Code.Lea_r64_m, Register.R14, PlainOperand(instruction, Register.R14, Register.R14)));
            address = Register.R14;
        }

        // Registers that stay in the state: R14 if the address does not need it, then the other window's register.
        int other = 1 - window;
        int next = 0;
        if (address != Register.R14) _scratch[next++] = Register.R14;
        _scratch[next] = DeltaRegister(other);
        Register unused = Register.None;
        RenameRegisters(ref host, info, -1, ref unused);
        if (_residentCount > next) _deltaValid[other] = false;
        MemoryOperand operand = Windowed(address, window, displacement);
        host.MemoryBase = operand.Base;
        host.MemoryIndex = operand.Index;
        host.MemoryIndexScale = 1;
        host.MemoryDisplacement64 = (ulong)displacement;
        host.MemoryDisplSize = operand.DisplSize;
        EmitWindowedAccess(host, window);
        StoreResidents(info);
        EmitPointers(_windowSite, address, displacement);
        _scratch[0] = Register.R14;
        _scratch[1] = Register.R13;
        _scratch[2] = Register.R15;
        AfterFlags(instruction);
        EndWindowedAccess();
    }
}
