using Ringfence.Memory;

namespace Ringfence.Processors.Sensitive;

/// <summary>
/// The way through the interrupt descriptor table (Intel SDM 3A 6.11 to 6.14, 20.1.4, volume 2A "INT n").
/// Gates: 16- and 32-bit interrupt and trap gates and task gates; in IA-32e mode 64-bit gates only. To an inner level the stack comes from the
/// TSS; from virtual-8086 mode GS, FS, DS, ES are pushed before SS and the handler must be at level 0; in IA-32e mode SS:RSP is always
/// pushed, on a stack aligned to 16 bytes. Nothing but memory changes before everything that can fault is done.
/// </summary>
internal static unsafe class InterruptGates
{
    private const uint InIdt = 2;
    private const ulong ClearedByGates = RflagsBits.Tf | RflagsBits.Nt | RflagsBits.Rf | RflagsBits.Vm;

    /// <summary>Real-address mode: the interrupt vector table. False: a fault was raised.</summary>
    public static bool TryDeliverReal(Processor processor, in EventRequest request)
    {
        VcpuState* s = processor.State;
        ulong offset = (ulong)request.Vector * 4;
        if (offset + 3 > s->Idtr.Limit) return Faults.GeneralProtection(processor);
        if (!processor.Mmu.TryRead((uint)(s->Idtr.Base + offset), Privilege.Implicit, out uint entry)) return false;
        StackCursor stack = StackCursor.Current(processor);
        if (!stack.TryPush(s->Rflags, 2)) return false;
        if (!stack.TryPush(s->Segment(SegmentIndex.Cs).Selector, 2) || !stack.TryPush(request.ReturnRip, 2)) return false;
        SegmentRegister cs = CodeSegment.Real(s, (ushort)(entry >> 16));
        ulong rip = (ushort)entry;
        if (!CodeSegment.TryCheckPointer(processor, in cs, 0, ref rip)) return false;
        stack.Commit();
        s->SystemFlags &= ~(RflagsBits.If | RflagsBits.Tf | RflagsBits.Ac | RflagsBits.Rf);
        CodeSegment.Commit(processor, in cs, 0, rip);
        return true;
    }

    /// <summary>Protected, virtual-8086 and IA-32e mode. False: a fault was raised.</summary>
    public static bool TryDeliver(Processor processor, in EventRequest request)
    {
        VcpuState* s = processor.State;
        uint external = request.External;
        uint name = ((uint)request.Vector << 3) | InIdt | external;
        if (request.Kind == EventKind.SoftwareInterrupt && s->Mode == ProcessorMode.Virtual8086 && s->Iopl != 3) return Faults.GeneralProtection(processor);
        if (!TryReadGate(processor, in request, name, out Descriptor gate)) return false;
        if (request.IsSoftware && gate.Dpl < s->Cpl) return Faults.GeneralProtection(processor, name);
        if (!gate.IsPresent) return Faults.NotPresent(processor, name);
        if (gate.Type == SystemType.TaskGate) return TrySwitchTask(processor, in request, in gate);

        ushort selector = gate.GateSelector;
        if (DescriptorTables.IsNull(selector)) return Faults.GeneralProtection(processor, external);
        if (!DescriptorTables.TryRead(processor, selector, ExceptionVector.GeneralProtection, external, out Descriptor code, out ulong address)) return false;
        uint codeName = Faults.Selector(selector, external);
        if (!code.IsCode || code.Dpl > s->Cpl) return Faults.GeneralProtection(processor, codeName);
        if (s->IsLongModeActive && (!code.IsLong || code.IsBig)) return Faults.GeneralProtection(processor, codeName);
        if (!code.IsPresent) return Faults.NotPresent(processor, codeName);
        int cpl = code.IsConforming ? s->Cpl : code.Dpl;
        if (s->Mode == ProcessorMode.Virtual8086 && cpl != 0) return Faults.GeneralProtection(processor, codeName);
        if (!DescriptorTables.TryMarkAccessed(processor, address, ref code)) return false;
        SegmentRegister cs = CodeSegment.Register(in code, selector, cpl);
        return s->IsLongModeActive
            ? TryEnterLong(processor, in request, in gate, in cs, cpl)
            : TryEnterProtected(processor, in request, in gate, in cs, cpl);
    }

    private static bool TryReadGate(Processor processor, in EventRequest request, uint name, out Descriptor gate)
    {
        VcpuState* s = processor.State;
        gate = default;
        bool wide = s->IsLongModeActive;
        ulong bytes = wide ? 16UL : 8UL;
        ulong offset = (ulong)request.Vector * bytes;
        if (offset + bytes - 1 > s->Idtr.Limit) return Faults.GeneralProtection(processor, name);
        ulong address = DescriptorTables.Linear(s, s->Idtr.Base + offset);
        if (!processor.Mmu.TryRead(address, Privilege.Implicit, out ulong low)) return false;
        ulong high = 0;
        if (wide && !processor.Mmu.TryRead(address + 8, Privilege.Implicit, out high)) return false;
        gate = new Descriptor(low, high & 0xffff_ffff);
        bool known = gate.Type is SystemType.InterruptGate32 or SystemType.TrapGate32
            || (!wide && gate.Type is SystemType.InterruptGate16 or SystemType.TrapGate16 or SystemType.TaskGate);
        return (known && !gate.IsCodeOrData) || Faults.GeneralProtection(processor, name);
    }

    /// <summary>RFLAGS as the frame shows it.</summary>
    private static ulong PushedFlags(VcpuState* s, EventKind kind) => kind switch
    {
        EventKind.Fault => s->Rflags | RflagsBits.Rf,
        EventKind.External or EventKind.Trap => s->Rflags,
        _ => s->Rflags & ~RflagsBits.Rf,
    };

    private static void ClearFlags(VcpuState* s, in Descriptor gate)
    {
        ulong cleared = ClearedByGates;
        if ((gate.Type & 1) == 0) cleared |= RflagsBits.If;
        s->SystemFlags &= ~cleared;
    }

    private static bool TryEnterLong(Processor processor, in EventRequest request, in Descriptor gate, in SegmentRegister cs, int cpl)
    {
        VcpuState* s = processor.State;
        ulong pointer = s->Gpr[4];
        SegmentRegister ss = s->Segment(SegmentIndex.Ss);
        bool inner = cpl != s->Cpl;
        if ((inner || gate.InterruptStack != 0) && !TaskState.TryGetLongStack(processor, cpl, gate.InterruptStack, request.External, out pointer)) return false;
        var stack = new StackCursor(processor, in ss, pointer, flat: true, cpl, request.External);
        stack.Align();
        if (!stack.TryPush(ss.Selector, 8) || !stack.TryPush(s->Gpr[4], 8) || !stack.TryPush(PushedFlags(s, request.Kind), 8)) return false;
        if (!stack.TryPush(s->Segment(SegmentIndex.Cs).Selector, 8) || !stack.TryPush(request.ReturnRip, 8)) return false;
        if (request.ErrorCode is uint errorCode && !stack.TryPush(errorCode, 8)) return false;
        ulong rip = gate.GateOffset;
        if (!CodeSegment.TryCheckPointer(processor, in cs, request.External, ref rip)) return false;
        if (inner) s->Segment(SegmentIndex.Ss) = SegmentLoading.Null((ushort)cpl, cpl);
        stack.Commit();
        ClearFlags(s, in gate);
        CodeSegment.Commit(processor, in cs, cpl, rip);
        return true;
    }

    private static bool TryEnterProtected(Processor processor, in EventRequest request, in Descriptor gate, in SegmentRegister cs, int cpl)
    {
        VcpuState* s = processor.State;
        bool inner = cpl != s->Cpl;
        bool fromVirtual8086 = s->Mode == ProcessorMode.Virtual8086;
        int size = (gate.Type & 8) != 0 ? 4 : 2;
        SegmentRegister ss = s->Segment(SegmentIndex.Ss);
        ulong pointer = s->Gpr[4];
        if (inner && !TaskState.TryGetInnerStack(processor, cpl, request.External, out ss, out pointer)) return false;
        uint stackName = inner ? Faults.Selector(ss.Selector, request.External) : request.External;
        var stack = new StackCursor(processor, in ss, pointer, flat: false, cpl, stackName);
        if (fromVirtual8086)
        {
            if (!stack.TryPush(s->Segment(SegmentIndex.Gs).Selector, size) || !stack.TryPush(s->Segment(SegmentIndex.Fs).Selector, size)) return false;
            if (!stack.TryPush(s->Segment(SegmentIndex.Ds).Selector, size) || !stack.TryPush(s->Segment(SegmentIndex.Es).Selector, size)) return false;
        }

        if (inner && (!stack.TryPush(s->Segment(SegmentIndex.Ss).Selector, size) || !stack.TryPush(s->Gpr[4], size))) return false;
        if (!stack.TryPush(PushedFlags(s, request.Kind), size)) return false;
        if (!stack.TryPush(s->Segment(SegmentIndex.Cs).Selector, size) || !stack.TryPush(request.ReturnRip, size)) return false;
        if (request.ErrorCode is uint errorCode && !stack.TryPush(errorCode, size)) return false;
        ulong rip = size == 4 ? gate.GateOffset : gate.GateOffset & 0xffff;
        if (!CodeSegment.TryCheckPointer(processor, in cs, request.External, ref rip)) return false;

        if (fromVirtual8086)
        {
            s->Segment(SegmentIndex.Gs) = SegmentLoading.Null(0);
            s->Segment(SegmentIndex.Fs) = SegmentLoading.Null(0);
            s->Segment(SegmentIndex.Ds) = SegmentLoading.Null(0);
            s->Segment(SegmentIndex.Es) = SegmentLoading.Null(0);
        }

        s->Segment(SegmentIndex.Ss) = ss;
        stack.Commit();
        ClearFlags(s, in gate);
        CodeSegment.Commit(processor, in cs, cpl, rip);
        return true;
    }

    private static bool TrySwitchTask(Processor processor, in EventRequest request, in Descriptor gate)
    {
        VcpuState* s = processor.State;
        ulong flags = s->SystemFlags;
        if (request.Kind == EventKind.Fault) s->SystemFlags |= RflagsBits.Rf;
        if (TaskSwitch.TryThroughGate(processor, gate.GateSelector, TaskSwitchCause.Event, request.ReturnRip, request.External, request.ErrorCode)) return true;
        s->SystemFlags = flags;
        return false;
    }
}
