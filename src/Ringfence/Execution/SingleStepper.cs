using System.Runtime.InteropServices;
using Ringfence.Memory;
using Ringfence.Processors;
using Ringfence.Processors.Exits;
using Ringfence.Processors.Instructions;
using Ringfence.Processors.Sensitive;
using Code = Iced.Intel.Code;

namespace Ringfence.Execution;

/// <summary>
/// Executes instructions one at a time: what every engine falls back to for single step, breakpoints, interrupt shadows and
/// instructions that no cache of code can hold.
/// </summary>
internal sealed unsafe class SingleStepper : IDisposable
{
    private const int SingleSlots = 256;
    private const int MaximumLength = 15;

    private readonly Processor _processor;
    private readonly VcpuState* _s;
    private readonly SingleDecoder _decoder = new();
    private readonly SingleSlot* _singles;

    public SingleStepper(Processor processor)
    {
        _processor = processor;
        _s = processor.State;
        nuint bytes = (nuint)(SingleSlots * sizeof(SingleSlot));
        _singles = (SingleSlot*)NativeMemory.AlignedAlloc(bytes, 64);
        NativeMemory.Clear(_singles, bytes);
    }

    /// <summary>Called before each stepped instruction, with RIP exact.</summary>
    public Action<Processor>? Tracer { get; set; }

    /// <summary>Called first of all by <see cref="Step"/>: brings to the state what an engine keeps elsewhere.</summary>
    public Action? BringBack { get; set; }

    /// <summary>Delivers the pending fault to the guest.</summary>
    public void DeliverFault()
    {
        bool isPageFault = _s->FaultVector == (byte)ExceptionVector.PageFault;
        ExitStatistics exits = _processor.Exits;
        exits.Enter(isPageFault ? ExitReason.PageFault : ExitReason.Exception);
        exits.At(_s->Rip);
        exits.Describe(isPageFault ? _s->Cr2 : _s->FaultVector);
        EventDelivery.DeliverFault(_processor);
        exits.Leave();
    }

    /// <inheritdoc/>
    public void Dispose() => NativeMemory.AlignedFree(_singles);

    /// <summary>
    /// One instruction at RIP by itself: it crosses a page or the code segment's limit, lies outside RAM, or the processor steps.
    /// Its bytes are fetched each time and compared with those it was decoded from.
    /// </summary>
    public Operation* Find(ulong rip, ulong linear)
    {
        VcpuState* s = _s;
        int kind = CodeSize.KindOf(s);
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
            // Where it lies in its page is part of an operation: another code segment may have the same instruction at the same RIP elsewhere.
            bool cached = slot->Rip == rip && slot->Kind == kind && slot->Offset == offset && slot->Length <= have && slot->Length != 0
                && new ReadOnlySpan<byte>(slot->Bytes, slot->Length).SequenceEqual(new ReadOnlySpan<byte>(bytes, slot->Length));
            Operation* op = (Operation*)slot->Operations;
            if (cached) return op;
            if (_decoder.TryDecode(bytes, have, offset, kind, op))
            {
                slot->Rip = rip;
                slot->Kind = kind;
                slot->Offset = offset;
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
    public bool TryFetch(ulong linear, byte* bytes, int length)
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
    public void Step()
    {
        _processor.Exits.Enter(ExitReason.SingleStep);
        StepNow();
        _processor.Exits.Leave();
    }

    private void StepNow()
    {
        BringBack?.Invoke();
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
        Operation* op = !isLong && rip > s->Segment(SegmentIndex.Cs).Limit ? null : Find(rip, linear);
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
        public int Offset;
        public int Length;
        public fixed byte Bytes[16];
    }
}
