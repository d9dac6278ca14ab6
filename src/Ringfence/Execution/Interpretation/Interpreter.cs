using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Ringfence.Memory;
using Ringfence.Processors;
using Ringfence.Processors.Instructions;
using Ringfence.Processors.Sensitive;
using Code = Iced.Intel.Code;

namespace Ringfence.Execution.Interpretation;

/// <summary>
/// Executes guest code from decoded operations. The loop runs blocks; a handler that returns null has left
/// <see cref="VcpuState.Rip"/> exact, and the loop looks at faults, events and mode before it finds the next block.
/// </summary>
internal sealed unsafe class Interpreter : IExecutionEngine
{
    private const int SingleSlots = 256;
    private const int MaximumLength = 15;

    private readonly Processor _processor;
    private readonly VcpuState* _s;
    private readonly DecodeCache _cache;
    private readonly SingleSlot* _singles;

    /// <summary>Makes the interpreter of a processor.</summary>
    public Interpreter(Processor processor)
    {
        _processor = processor;
        _s = processor.State;
        _cache = new DecodeCache(processor, Exits);
        nuint bytes = (nuint)(SingleSlots * sizeof(SingleSlot));
        _singles = (SingleSlot*)NativeMemory.AlignedAlloc(bytes, 64);
        NativeMemory.Clear(_singles, bytes);
        if (_s->InstructionLimit == 0) _s->InstructionLimit = ulong.MaxValue;
    }

    /// <inheritdoc/>
    public string Name => "interpreter";

    /// <inheritdoc/>
    public ExitStatistics Exits { get; } = new();

    /// <summary>Called before each instruction, with RIP exact, while it is set: the machine then runs one instruction at a time.</summary>
    public Action<Processor>? Tracer { get; set; }

    /// <summary>The decode cache, for statistics.</summary>
    public DecodeCache Cache => _cache;

    /// <inheritdoc/>
    public ExitReason Run()
    {
        VcpuState* s = _s;
        while (true)
        {
            if ((Volatile.Read(ref s->Events) & s->EventMask) != 0 && TryHandleEvents(out ExitReason reason)) return Count(reason);
            if (s->Activity != ActivityState.Active)
                return Count(s->Activity == ActivityState.Shutdown ? ExitReason.Shutdown : ExitReason.Halt);
            if (s->InstructionCount >= s->InstructionLimit) return Count(ExitReason.InstructionLimit);
            if ((s->StepMode | s->InterruptShadow) != 0 || Tracer is not null)
            {
                StepOne();
                continue;
            }

            Operation* op = Find();
            while (op is not null) op = op->Execute(_processor, s, op);
            if (s->FaultPending != 0) DeliverFault();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _cache.Dispose();
        NativeMemory.AlignedFree(_singles);
    }

    private ExitReason Count(ExitReason reason)
    {
        Exits.Count(reason);
        return reason;
    }

    /// <summary>Events in the order of their priority (Intel SDM 3A table 6-2). True: Run returns.</summary>
    private bool TryHandleEvents(out ExitReason reason)
    {
        VcpuState* s = _s;
        int events = Volatile.Read(ref s->Events) & s->EventMask;
        reason = ExitReason.Stop;
        if ((events & ProcessorEvents.FlushCode) != 0)
        {
            _processor.Withdraw(ProcessorEvents.FlushCode);
            while (_processor.StaleCode.TryDequeue(out ulong frame)) _cache.Invalidate(frame);
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
            _processor.Withdraw(ProcessorEvents.Init);
            Reset.Initialize(_processor);
            return false;
        }

        if ((events & ProcessorEvents.StartUp) != 0)
        {
            _processor.Withdraw(ProcessorEvents.StartUp);
            if (s->Activity == ActivityState.WaitForSipi)
            {
                Exits.Count(ExitReason.ProcessorReset);
                StartUp.Begin(_processor, _processor.StartUpVector);
            }

            return false;
        }

        if (s->InterruptShadow != 0 || s->Activity is ActivityState.WaitForSipi or ActivityState.Shutdown) return false;
        if ((events & ProcessorEvents.Nmi) != 0 && s->NmiBlocked == 0)
        {
            Exits.Count(ExitReason.ExternalInterrupt);
            _processor.Withdraw(ProcessorEvents.Nmi);
            s->Activity = ActivityState.Active;
            EventDelivery.DeliverNmi(_processor);
            return false;
        }

        if ((events & ProcessorEvents.Interrupt) == 0) return false;
        int vector = _processor.Bus.AcknowledgeInterrupt(_processor);
        if (vector < 0) return false;
        Exits.Count(ExitReason.ExternalInterrupt);
        s->Activity = ActivityState.Active;
        EventDelivery.DeliverInterrupt(_processor, vector);
        return false;
    }

    private void DeliverFault()
    {
        Exits.Count(_s->FaultVector == (byte)ExceptionVector.PageFault ? ExitReason.PageFault : ExitReason.Exception);
        EventDelivery.DeliverFault(_processor);
    }

    /// <summary>The block at RIP; null after raising a fault or when it must be looked for again.</summary>
    private Operation* Find()
    {
        VcpuState* s = _s;
        ulong rip = s->Rip;
        bool isLong = s->Mode == ProcessorMode.Long;
        ulong linear = isLong ? rip : (uint)(rip + s->Segment(SegmentIndex.Cs).Base);
        CodeTlbEntry* entry = _processor.Mmu.CodeEntryFor(linear);
        if (entry->Tag == ((linear & ~0xfffUL) | s->CodeTag))
        {
            s->CodeEntries = entry->Entries;
            s->Gpr[VcpuState.PageSlot] = rip - (linear & 0xfff);
            uint index = entry->Entries[linear & 0xfff];
            if (index != 0) return (Operation*)s->CodeArena + index;
        }

        return FindSlow(rip, linear, isLong);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private Operation* FindSlow(ulong rip, ulong linear, bool isLong)
    {
        VcpuState* s = _s;
        uint limit = s->Segment(SegmentIndex.Cs).Limit;
        if (isLong ? !Mmu.IsCanonical(linear) : rip > limit)
        {
            _processor.RaiseFault(ExceptionVector.GeneralProtection, 0);
            return null;
        }

        ulong pageRip = rip - (linear & 0xfff);
        bool whole = isLong || (pageRip <= limit && pageRip + 0xfff <= limit);
        if (!whole) return FindSingle(rip, linear);
        if (!_processor.Mmu.TryTranslateFetch(linear, out ulong physical)) return null;
        byte* host = _processor.Mmu.Memory.PageAt(physical, out bool writable);
        if (host is null) return FindSingle(rip, linear);
        CodePage page = _cache.PageFor(physical >> 12, DecodeCache.KindOf(s));
        Operation* op = _cache.BlockAt(page, host, writable, (int)(linear & 0xfff));
        if (op is null) return FindSingle(rip, linear);
        CodeTlbEntry* entry = _processor.Mmu.CodeEntryFor(linear);
        entry->Tag = (linear & ~0xfffUL) | s->CodeTag;
        entry->Entries = page.Entries;
        s->CodeEntries = page.Entries;
        s->Gpr[VcpuState.PageSlot] = pageRip;
        return op;
    }

    /// <summary>
    /// One instruction at RIP by itself: it crosses a page or the code segment's limit, lies outside RAM, or the processor steps.
    /// Its bytes are fetched each time and compared with those it was decoded from.
    /// </summary>
    private Operation* FindSingle(ulong rip, ulong linear)
    {
        VcpuState* s = _s;
        int kind = DecodeCache.KindOf(s);
        int offset = (int)(linear & 0xfff);
        bool isLong = kind == 2;
        ulong allowed = isLong ? MaximumLength : Math.Min(MaximumLength, (ulong)s->Segment(SegmentIndex.Cs).Limit - rip + 1);
        int available = (int)allowed;
        int first = Math.Min(available, 4096 - offset);
        s->CodeEntries = null;
        s->Gpr[VcpuState.PageSlot] = rip - (ulong)offset;
        SingleSlot* slot = _singles + ((rip ^ (rip >> 8)) & (SingleSlots - 1));
        byte* bytes = stackalloc byte[16];
        if (!TryFetch(linear, bytes, first)) return null;
        int have = first;
        while (true)
        {
            bool cached = slot->Rip == rip && slot->Kind == kind && slot->Length <= have && slot->Length != 0
                && new ReadOnlySpan<byte>(slot->Bytes, slot->Length).SequenceEqual(new ReadOnlySpan<byte>(bytes, slot->Length));
            Operation* op = (Operation*)slot->Operations;
            if (cached) return op;
            if (_cache.TryDecodeOne(bytes, have, offset, kind, op))
            {
                slot->Rip = rip;
                slot->Kind = kind;
                slot->Length = op->Length;
                new ReadOnlySpan<byte>(bytes, op->Length).CopyTo(new Span<byte>(slot->Bytes, 16));
                return op;
            }

            if (have == available)
            {
                _processor.RaiseFault(ExceptionVector.GeneralProtection, 0);
                return null;
            }

            ulong next = linear + (ulong)first;
            if (!isLong) next = (uint)next;
            if (!TryFetch(next, bytes + first, available - first)) return null;
            have = available;
        }
    }

    /// <summary>Reads code bytes of one page. False: #PF or #GP was raised.</summary>
    private bool TryFetch(ulong linear, byte* bytes, int length)
    {
        if (!Mmu.IsCanonical(linear))
        {
            _processor.RaiseFault(ExceptionVector.GeneralProtection, 0);
            return false;
        }

        if (!_processor.Mmu.TryTranslateFetch(linear, out ulong physical)) return false;
        byte* host = _processor.Mmu.Memory.PageAt(physical, out _);
        if (host is not null) Buffer.MemoryCopy(host + (physical & 0xfff), bytes, length, length);
        else _processor.Mmu.Memory.Read(new GuestPhysical(physical), new Span<byte>(bytes, length));
        return true;
    }

    /// <summary>
    /// Executes one instruction with everything that happens around it: code breakpoints before (unless RF), single step and data
    /// breakpoints after (Intel SDM 3B 17.3), the end of an interrupt shadow.
    /// </summary>
    private void StepOne()
    {
        VcpuState* s = _s;
        ulong rip = s->Rip;
        bool shadow = s->InterruptShadow != 0;
        bool trap = (s->SystemFlags & RflagsBits.Tf) != 0;
        bool resume = (s->SystemFlags & RflagsBits.Rf) != 0;
        bool isLong = s->Mode == ProcessorMode.Long;
        ulong linear = isLong ? rip : (uint)(rip + s->Segment(SegmentIndex.Cs).Base);
        if (!resume && !shadow && CodeBreakpoints(linear) is var hits && hits != 0)
        {
            s->Dr6 = (s->Dr6 & ~15UL) | hits;
            _processor.RaiseFault(ExceptionVector.Debug);
            DeliverFault();
            return;
        }

        Tracer?.Invoke(_processor);
        s->InterruptShadow = 0;
        s->DebugHits = 0;
        s->SystemFlags &= ~RflagsBits.Rf;
        Operation* op = !isLong && rip > s->Segment(SegmentIndex.Cs).Limit ? null : FindSingle(rip, linear);
        if (op is null && s->FaultPending == 0) _processor.RaiseFault(ExceptionVector.GeneralProtection, 0);
        // Instructions that enter the kernel clear TF and with it their own trap (Intel SDM 3B 17.3.1.4).
        if (op is not null && ClearsTrap(op->IcedCode)) trap = false;
        while (op is not null) op = op->Execute(_processor, s, op);
        if (s->FaultPending != 0)
        {
            DeliverFault();
            return;
        }

        // RF holds until its instruction has completed: between the elements of a string it is still set (Intel SDM 3A 2.3).
        if (resume && s->Rip == rip) s->SystemFlags |= RflagsBits.Rf;
        else if (resume) _processor.RefreshMode();
        if (s->InterruptShadow != 0) return;
        ulong dr6 = s->DebugHits | (trap ? 1UL << 14 : 0);
        s->DebugHits = 0;
        if (dr6 != 0) EventDelivery.DeliverDebugTrap(_processor, dr6);
    }

    private static bool ClearsTrap(Code code) => code is Code.Int_imm8 or Code.Int3 or Code.Int1 or Code.Into
        or Code.Syscall or Code.Sysenter;

    private ulong CodeBreakpoints(ulong linear)
    {
        ulong hits = 0;
        if ((_s->Dr7 & 0xff) == 0) return 0;
        for (int i = 0; i < 4; i++)
        {
            bool enabled = (_s->Dr7 & (3UL << (i * 2))) != 0 && ((_s->Dr7 >> (16 + (i * 4))) & 3) == 0;
            if (enabled && _s->DebugAddress[i] == linear) hits |= 1UL << i;
        }

        return hits;
    }

    /// <summary>A decoded single instruction and the bytes it came from.</summary>
    private struct SingleSlot
    {
        public fixed byte Operations[2 * Operation.SizeInBytes];
        public ulong Rip;
        public int Kind;
        public int Length;
        public fixed byte Bytes[16];
    }
}
