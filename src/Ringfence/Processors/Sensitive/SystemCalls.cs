using Iced.Intel;
using Ringfence.Memory;
using Ringfence.Processors.Instructions;

namespace Ringfence.Processors.Sensitive;

/// <summary>
/// SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS and the FS and GS base instructions (Intel SDM 3A 5.8.7, 5.8.8, volume 2B). The fast system
/// calls load flat segments without reading descriptors. Intel's rules: SYSCALL and SYSRET exist in 64-bit mode only; SYSRET to a
/// non-canonical address faults at CPL 0.
/// </summary>
internal static unsafe class SystemCalls
{
    private const ushort FlatCode = 0x9b | SegmentAttributes.Granularity;
    private const ushort FlatData = 0x93 | SegmentAttributes.Granularity | SegmentAttributes.Big;
    private const int UserDpl = 3 << 5;

    /// <summary>RFLAGS bits that SYSRET takes from R11.</summary>
    private const ulong Returned = 0x3c7fd7;

    /// <summary>The handler, or null.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Syscall: return Ends(op, &Call);
            case Mnemonic.Sysret or Mnemonic.Sysretq: return Ends(op, &Return);
            case Mnemonic.Sysenter: return Ends(op, &Enter);
            case Mnemonic.Sysexit or Mnemonic.Sysexitq: return Ends(op, &Exit);
            case Mnemonic.Swapgs: return &SwapGs;
            case Mnemonic.Rdfsbase: return &ReadFsBase;
            case Mnemonic.Rdgsbase: return &ReadGsBase;
            case Mnemonic.Wrfsbase: return &WriteFsBase;
            case Mnemonic.Wrgsbase: return &WriteGsBase;
            default: return null;
        }
    }

    private static Handler Ends(Operation* op, Handler handler)
    {
        op->Flags |= OperationFlags.EndsBlock;
        return handler;
    }

    private static SegmentRegister Flat(int selector, int attributes) => new((ushort)selector, 0, uint.MaxValue, (ushort)attributes);

    private static Operation* Call(Processor processor, VcpuState* s, Operation* op)
    {
        if (s->Mode != ProcessorMode.Long || (s->Efer & Efer.Sce) == 0) return Flow.Fault(processor, s, op, ExceptionVector.InvalidOpcode);
        ulong flags = s->Rflags & ~RflagsBits.Rf;
        s->Gpr[1] = Flow.NextInstructionPointer(s, op);
        s->Gpr[11] = flags;
        s->Rflags = flags & ~s->Fmask;
        int selector = (int)(s->Star >> 32) & 0xfffc;
        s->Segment(SegmentIndex.Ss) = Flat(selector + 8, FlatData);
        SegmentRegister cs = Flat(selector, FlatCode | SegmentAttributes.Long);
        CodeSegment.Commit(processor, in cs, 0, s->Lstar);
        return Flow.Transferred(s, op);
    }

    private static Operation* Return(Processor processor, VcpuState* s, Operation* op)
    {
        if (s->Mode != ProcessorMode.Long || (s->Efer & Efer.Sce) == 0) return Flow.Fault(processor, s, op, ExceptionVector.InvalidOpcode);
        bool wide = op->IcedCode == Code.Sysretq;
        ulong rip = wide ? s->Gpr[1] : (uint)s->Gpr[1];
        if (s->Cpl != 0 || !Mmu.IsCanonical(rip)) return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        s->Rflags = s->Gpr[11] & Returned;
        int selector = (int)(s->Star >> 48);
        s->Segment(SegmentIndex.Ss) = Flat((selector + 8) | 3, FlatData | UserDpl);
        SegmentRegister cs = wide
            ? Flat((selector + 16) | 3, FlatCode | UserDpl | SegmentAttributes.Long)
            : Flat(selector | 3, FlatCode | UserDpl | SegmentAttributes.Big);
        CodeSegment.Commit(processor, in cs, 3, rip);
        return Flow.Transferred(s, op);
    }

    private static Operation* Enter(Processor processor, VcpuState* s, Operation* op)
    {
        int selector = (int)s->SysenterCs & 0xfffc;
        if (s->Mode == ProcessorMode.Real || selector == 0) return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        bool wide = s->IsLongModeActive;
        s->SystemFlags &= ~(RflagsBits.Vm | RflagsBits.If | RflagsBits.Rf);
        s->Gpr[4] = wide ? s->SysenterEsp : (uint)s->SysenterEsp;
        s->Segment(SegmentIndex.Ss) = Flat(selector + 8, FlatData);
        SegmentRegister cs = Flat(selector, FlatCode | (wide ? SegmentAttributes.Long : SegmentAttributes.Big));
        CodeSegment.Commit(processor, in cs, 0, wide ? s->SysenterEip : (uint)s->SysenterEip);
        return Flow.Transferred(s, op);
    }

    private static Operation* Exit(Processor processor, VcpuState* s, Operation* op)
    {
        int selector = (int)s->SysenterCs & 0xfffc;
        bool wide = op->IcedCode == Code.Sysexitq;
        bool faults = s->Mode == ProcessorMode.Real || selector == 0 || s->Cpl != 0
            || (wide && (!Mmu.IsCanonical(s->Gpr[1]) || !Mmu.IsCanonical(s->Gpr[2])));
        if (faults) return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        s->Gpr[4] = wide ? s->Gpr[1] : (uint)s->Gpr[1];
        ulong rip = wide ? s->Gpr[2] : (uint)s->Gpr[2];
        s->SystemFlags &= ~RflagsBits.Rf;
        int code = selector + (wide ? 32 : 16);
        s->Segment(SegmentIndex.Ss) = Flat((code + 8) | 3, FlatData | UserDpl);
        SegmentRegister cs = Flat(code | 3, FlatCode | UserDpl | (wide ? SegmentAttributes.Long : SegmentAttributes.Big));
        CodeSegment.Commit(processor, in cs, 3, rip);
        return Flow.Transferred(s, op);
    }

    private static Operation* SwapGs(Processor processor, VcpuState* s, Operation* op)
    {
        if (s->Mode != ProcessorMode.Long) return Flow.Fault(processor, s, op, ExceptionVector.InvalidOpcode);
        if (s->Cpl != 0) return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        ref SegmentRegister gs = ref s->Segment(SegmentIndex.Gs);
        (gs.Base, s->KernelGsBase) = (s->KernelGsBase, gs.Base);
        return Flow.Next(processor, s, op);
    }

    private static Operation* ReadFsBase(Processor processor, VcpuState* s, Operation* op) => ReadBase(processor, s, op, SegmentIndex.Fs);

    private static Operation* ReadGsBase(Processor processor, VcpuState* s, Operation* op) => ReadBase(processor, s, op, SegmentIndex.Gs);

    private static Operation* WriteFsBase(Processor processor, VcpuState* s, Operation* op) => WriteBase(processor, s, op, SegmentIndex.Fs);

    private static Operation* WriteGsBase(Processor processor, VcpuState* s, Operation* op) => WriteBase(processor, s, op, SegmentIndex.Gs);

    private static bool IsWide(Operation* op) => op->IcedCode is Code.Rdfsbase_r64 or Code.Rdgsbase_r64 or Code.Wrfsbase_r64 or Code.Wrgsbase_r64;

    private static Operation* ReadBase(Processor processor, VcpuState* s, Operation* op, SegmentIndex segment)
    {
        if (s->Mode != ProcessorMode.Long || !s->HasCr4(Cr4.Fsgsbase)) return Flow.Fault(processor, s, op, ExceptionVector.InvalidOpcode);
        ulong value = s->Segment(segment).Base;
        s->Gpr[op->Destination >> 3] = IsWide(op) ? value : (uint)value;
        return Flow.Next(processor, s, op);
    }

    private static Operation* WriteBase(Processor processor, VcpuState* s, Operation* op, SegmentIndex segment)
    {
        if (s->Mode != ProcessorMode.Long || !s->HasCr4(Cr4.Fsgsbase)) return Flow.Fault(processor, s, op, ExceptionVector.InvalidOpcode);
        ulong value = s->Gpr[op->Destination >> 3];
        if (!IsWide(op)) value = (uint)value;
        if (!Mmu.IsCanonical(value)) return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        s->Segment(segment).Base = value;
        return Flow.Next(processor, s, op);
    }
}
