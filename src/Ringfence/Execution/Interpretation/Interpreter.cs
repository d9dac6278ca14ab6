using System.Runtime.CompilerServices;
using Ringfence.Memory;
using Ringfence.Processors;
using Ringfence.Processors.Exits;
using Ringfence.Processors.Instructions;

namespace Ringfence.Execution.Interpretation;

/// <summary>
/// Executes guest code from decoded operations. The loop runs blocks; a handler that returns null has left
/// <see cref="VcpuState.Rip"/> exact, and the loop looks at faults, events and mode before it finds the next block.
/// </summary>
internal sealed unsafe class Interpreter : EngineLoop
{
    private readonly DecodeCache _cache;

    /// <summary>Makes the interpreter of a processor.</summary>
    public Interpreter(Processor processor)
        : base(processor)
    {
        _cache = new DecodeCache(processor);
    }

    /// <inheritdoc/>
    public override string Name => "interpreter";

    /// <inheritdoc/>
    public override bool CountsInstructions => true;

    /// <summary>The decode cache, for statistics.</summary>
    public DecodeCache Cache => _cache;

    /// <inheritdoc/>
    public override void Dispose()
    {
        _cache.Dispose();
        base.Dispose();
    }

    /// <summary>Handlers of sensitive instructions announce themselves; everything else is guest code.</summary>
    private protected override void Prepare() => Exits.BeginGuest();

    private protected override void RunCode()
    {
        VcpuState* s = State;
        Operation* op = Find();
        while (op is not null) op = op->Execute(Processor, s, op);
    }

    private protected override void InvalidateCode(ulong frame) => _cache.Invalidate(frame);

    /// <summary>The block at RIP; null after raising a fault or when it must be looked for again.</summary>
    private Operation* Find()
    {
        VcpuState* s = State;
        ulong rip = s->Rip;
        bool isLong = s->Mode == ProcessorMode.Long;
        ulong linear = isLong ? rip : (uint)(rip + s->Segment(SegmentIndex.Cs).Base);
        CodeTlbEntry* entry = Processor.Mmu.CodeEntryFor(linear);
        if (entry->Tag == ((linear & ~0xfffUL) | s->CodeTag))
        {
            s->CodeEntries = entry->Entries;
            s->Gpr[VcpuState.PageSlot] = rip - (linear & 0xfff);
            uint index = entry->Entries[linear & 0xfff];
            if (index != 0) return (Operation*)s->CodeArena + index;
        }

        Exits.Enter(ExitReason.CodeLookup);
        Operation* found = FindSlow(rip, linear, isLong);
        Exits.Leave(counts: State->FaultPending == 0);
        return found;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private Operation* FindSlow(ulong rip, ulong linear, bool isLong)
    {
        VcpuState* s = State;
        uint limit = s->Segment(SegmentIndex.Cs).Limit;
        if (isLong ? !Mmu.IsCanonical(linear) : rip > limit)
        {
            Processor.RaiseFault(ExceptionVector.GeneralProtection, 0);
            return null;
        }

        ulong pageRip = rip - (linear & 0xfff);
        bool whole = isLong || (pageRip <= limit && pageRip + 0xfff <= limit);
        if (!whole) return Stepper.Find(rip, linear);
        if (!Processor.Mmu.TryTranslateFetch(linear, out ulong physical)) return null;
        byte* host = Processor.Mmu.Memory.PageAt(physical, out bool writable);
        if (host is null) return Stepper.Find(rip, linear);
        CodePage page = _cache.PageFor(physical >> 12, CodeSize.KindOf(s));
        Operation* op = _cache.BlockAt(page, host, writable, (int)(linear & 0xfff));
        if (op is null) return Stepper.Find(rip, linear);
        CodeTlbEntry* entry = Processor.Mmu.CodeEntryFor(linear);
        entry->Tag = (linear & ~0xfffUL) | s->CodeTag;
        entry->Entries = page.Entries;
        s->CodeEntries = page.Entries;
        s->Gpr[VcpuState.PageSlot] = pageRip;
        return op;
    }
}
