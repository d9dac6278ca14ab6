namespace Ringfence.Processors.Sensitive;

/// <summary>
/// Far JMP, CALL and RET (Intel SDM 3A 5.8, volume 2 under each): direct to code segments, through call gates of 16, 32 and
/// 64 bits, to tasks. Order: selector, descriptor, rights, present, new stack, pushes, instruction pointer; then the change.
/// </summary>
internal static unsafe class FarTransfer
{
    private const int MaximumParameters = 31;

    /// <summary>Far JMP. False: a fault was raised and nothing has changed.</summary>
    public static bool TryJump(Processor processor, ushort selector, ulong offset, ulong nextRip)
    {
        VcpuState* s = processor.State;
        if (s->Mode <= ProcessorMode.Virtual8086)
        {
            SegmentRegister real = CodeSegment.Real(s, selector);
            if (!CodeSegment.TryCheckPointer(processor, in real, 0, ref offset)) return false;
            CodeSegment.Commit(processor, in real, s->Cpl, offset);
            return true;
        }

        if (!TryReadTarget(processor, selector, out Descriptor descriptor, out ulong address)) return false;
        if (!descriptor.IsCodeOrData) return TryJumpToSystem(processor, selector, descriptor, address, nextRip);
        if (!TryCheckDirect(processor, selector, in descriptor)) return false;
        return TryEnterSameLevel(processor, selector, descriptor, address, offset);
    }

    /// <summary>Far CALL with an operand size of <paramref name="size"/> bytes. False: a fault was raised and no register has changed.</summary>
    public static bool TryCall(Processor processor, ushort selector, ulong offset, int size, ulong nextRip)
    {
        VcpuState* s = processor.State;
        ushort oldCs = s->Segment(SegmentIndex.Cs).Selector;
        StackCursor stack = StackCursor.Current(processor);
        if (s->Mode <= ProcessorMode.Virtual8086)
        {
            SegmentRegister real = CodeSegment.Real(s, selector);
            if (!stack.TryPush(oldCs, size) || !stack.TryPush(nextRip, size)) return false;
            if (!CodeSegment.TryCheckPointer(processor, in real, 0, ref offset)) return false;
            stack.Commit();
            CodeSegment.Commit(processor, in real, s->Cpl, offset);
            return true;
        }

        if (!TryReadTarget(processor, selector, out Descriptor descriptor, out ulong address)) return false;
        if (!descriptor.IsCodeOrData) return TryCallSystem(processor, selector, descriptor, address, nextRip);
        if (!TryCheckDirect(processor, selector, in descriptor)) return false;
        if (!stack.TryPush(oldCs, size) || !stack.TryPush(nextRip, size)) return false;
        if (!TryEnterSameLevel(processor, selector, descriptor, address, offset)) return false;
        stack.Commit();
        return true;
    }

    /// <summary>Far RET that drops <paramref name="drop"/> bytes of parameters. False: a fault was raised and nothing has changed.</summary>
    public static bool TryReturn(Processor processor, int size, ulong drop)
    {
        VcpuState* s = processor.State;
        StackCursor stack = StackCursor.Current(processor);
        if (!stack.TryPop(size, out ulong rip) || !stack.TryPop(size, out ulong selectorSlot)) return false;
        ushort selector = (ushort)selectorSlot;
        if (s->Mode <= ProcessorMode.Virtual8086)
        {
            SegmentRegister real = CodeSegment.Real(s, selector);
            if (!CodeSegment.TryCheckPointer(processor, in real, 0, ref rip)) return false;
            stack.Skip(drop);
            stack.Commit();
            CodeSegment.Commit(processor, in real, s->Cpl, rip);
            return true;
        }

        if (!TryPrepareReturn(processor, selector, ref rip, out SegmentRegister cs)) return false;
        int rpl = selector & 3;
        stack.Skip(drop);
        if (rpl == s->Cpl)
        {
            stack.Commit();
            CodeSegment.Commit(processor, in cs, rpl, rip);
            return true;
        }

        if (!stack.TryPop(size, out ulong pointer) || !stack.TryPop(size, out ulong stackSelector)) return false;
        bool is64Bit = CodeSegment.Is64Bit(s, in cs);
        if (!SegmentLoading.TryPrepareStack(
            processor, (ushort)stackSelector, rpl, is64Bit, ExceptionVector.GeneralProtection, 0, out SegmentRegister ss)) return false;
        ulong mask = is64Bit ? ulong.MaxValue : ss.IsBig ? 0xffff_ffffUL : 0xffffUL;
        s->Segment(SegmentIndex.Ss) = ss;
        StackCursor.Set(s, pointer + drop, mask);
        CodeSegment.Commit(processor, in cs, rpl, rip);
        SegmentLoading.DropInaccessible(s);
        return true;
    }

    /// <summary>
    /// The checks of a code segment that RET or IRET returns to: RPL not below CPL, DPL equal to RPL (conforming: not above it).
    /// False: #GP, #NP or #PF was raised.
    /// </summary>
    public static bool TryPrepareReturn(Processor processor, ushort selector, ref ulong rip, out SegmentRegister cs)
    {
        VcpuState* s = processor.State;
        cs = default;
        if (DescriptorTables.IsNull(selector)) return Faults.GeneralProtection(processor);
        if (!DescriptorTables.TryRead(processor, selector, ExceptionVector.GeneralProtection, 0, out Descriptor descriptor, out ulong address)) return false;
        int rpl = selector & 3;
        uint errorCode = Faults.Selector(selector, 0);
        if (rpl < s->Cpl || !descriptor.IsCode || !CodeSegment.HasValidSize(s, in descriptor)) return Faults.GeneralProtection(processor, errorCode);
        if (descriptor.IsConforming ? descriptor.Dpl > rpl : descriptor.Dpl != rpl) return Faults.GeneralProtection(processor, errorCode);
        if (!descriptor.IsPresent) return Faults.NotPresent(processor, errorCode);
        if (!DescriptorTables.TryMarkAccessed(processor, address, ref descriptor)) return false;
        cs = CodeSegment.Register(in descriptor, selector, rpl);
        return CodeSegment.TryCheckPointer(processor, in cs, 0, ref rip);
    }

    private static bool TryReadTarget(Processor processor, ushort selector, out Descriptor descriptor, out ulong address)
    {
        descriptor = default;
        address = 0;
        if (DescriptorTables.IsNull(selector)) return Faults.GeneralProtection(processor);
        return DescriptorTables.TryRead(processor, selector, ExceptionVector.GeneralProtection, 0, out descriptor, out address);
    }

    private static bool TryCheckDirect(Processor processor, ushort selector, in Descriptor descriptor)
    {
        int cpl = processor.State->Cpl;
        uint errorCode = Faults.Selector(selector, 0);
        bool allowed = descriptor.IsCode && CodeSegment.HasValidSize(processor.State, in descriptor)
            && (descriptor.IsConforming ? descriptor.Dpl <= cpl : (selector & 3) <= cpl && descriptor.Dpl == cpl);
        if (!allowed) return Faults.GeneralProtection(processor, errorCode);
        return descriptor.IsPresent || Faults.NotPresent(processor, errorCode);
    }

    private static bool TryEnterSameLevel(Processor processor, ushort selector, Descriptor descriptor, ulong address, ulong rip)
    {
        if (!DescriptorTables.TryMarkAccessed(processor, address, ref descriptor)) return false;
        SegmentRegister cs = CodeSegment.Register(in descriptor, selector, processor.State->Cpl);
        if (!CodeSegment.TryCheckPointer(processor, in cs, 0, ref rip)) return false;
        CodeSegment.Commit(processor, in cs, processor.State->Cpl, rip);
        return true;
    }

    private static bool TryJumpToSystem(Processor processor, ushort selector, Descriptor gate, ulong address, ulong nextRip)
    {
        VcpuState* s = processor.State;
        if (!IsCallGate(s, gate.Type)) return TrySwitchTask(processor, selector, gate, address, TaskSwitchCause.Jump, nextRip);
        if (!TryPrepareGate(processor, selector, address, ref gate, out Descriptor code, out ulong codeAddress)) return false;
        if (!code.IsConforming && code.Dpl != s->Cpl) return Faults.GeneralProtection(processor, Faults.Selector(gate.GateSelector, 0));
        if (!code.IsPresent) return Faults.NotPresent(processor, Faults.Selector(gate.GateSelector, 0));
        return TryEnterSameLevel(processor, gate.GateSelector, code, codeAddress, GateOffset(gate));
    }

    private static bool TryCallSystem(Processor processor, ushort selector, Descriptor gate, ulong address, ulong nextRip)
    {
        VcpuState* s = processor.State;
        if (!IsCallGate(s, gate.Type)) return TrySwitchTask(processor, selector, gate, address, TaskSwitchCause.Call, nextRip);
        if (!TryPrepareGate(processor, selector, address, ref gate, out Descriptor code, out ulong codeAddress)) return false;
        if (!code.IsPresent) return Faults.NotPresent(processor, Faults.Selector(gate.GateSelector, 0));
        int size = s->IsLongModeActive ? 8 : gate.Type == SystemType.CallGate32 ? 4 : 2;
        ushort oldCs = s->Segment(SegmentIndex.Cs).Selector;
        if (code.IsConforming || code.Dpl == s->Cpl)
        {
            StackCursor current = CurrentFor(processor, size);
            if (!current.TryPush(oldCs, size) || !current.TryPush(nextRip, size)) return false;
            if (!TryEnterSameLevel(processor, gate.GateSelector, code, codeAddress, GateOffset(gate))) return false;
            current.Commit();
            return true;
        }

        return TryCallInner(processor, gate, code, codeAddress, size, nextRip);
    }

    private static bool TryCallInner(Processor processor, Descriptor gate, Descriptor code, ulong codeAddress, int size, ulong nextRip)
    {
        VcpuState* s = processor.State;
        int cpl = code.Dpl;
        ulong* parameters = stackalloc ulong[MaximumParameters];
        int count = size == 8 ? 0 : gate.ParameterCount;
        SegmentRegister ss;
        ulong pointer;
        if (size == 8)
        {
            if (!TaskState.TryGetLongStack(processor, cpl, 0, 0, out pointer)) return false;
            ss = SegmentLoading.Null((ushort)cpl, cpl);
        }
        else if (!TaskState.TryGetInnerStack(processor, cpl, 0, out ss, out pointer))
        {
            return false;
        }

        StackCursor outer = StackCursor.Current(processor);
        for (int i = 0; i < count; i++)
            if (!outer.TryPop(size, out parameters[i])) return false;

        var inner = new StackCursor(processor, in ss, pointer, size == 8, cpl, Faults.Selector(ss.Selector, 0));
        if (!inner.TryPush(s->Segment(SegmentIndex.Ss).Selector, size) || !inner.TryPush(s->Gpr[4], size)) return false;
        for (int i = count - 1; i >= 0; i--)
            if (!inner.TryPush(parameters[i], size)) return false;
        if (!inner.TryPush(s->Segment(SegmentIndex.Cs).Selector, size) || !inner.TryPush(nextRip, size)) return false;
        if (!DescriptorTables.TryMarkAccessed(processor, codeAddress, ref code)) return false;
        SegmentRegister cs = CodeSegment.Register(in code, gate.GateSelector, cpl);
        ulong rip = GateOffset(gate);
        if (!CodeSegment.TryCheckPointer(processor, in cs, 0, ref rip)) return false;
        s->Segment(SegmentIndex.Ss) = ss;
        inner.Commit();
        CodeSegment.Commit(processor, in cs, cpl, rip);
        return true;
    }

    /// <summary>A 64-bit call gate used in compatibility mode pushes eight-byte slots on the stack as 64-bit mode sees it.</summary>
    private static StackCursor CurrentFor(Processor processor, int size)
    {
        VcpuState* s = processor.State;
        return new StackCursor(processor, in s->Segment(SegmentIndex.Ss), s->Gpr[4], size == 8, s->Cpl, 0);
    }

    private static bool IsCallGate(VcpuState* s, int type) => type == SystemType.CallGate32 || (type == SystemType.CallGate16 && !s->IsLongModeActive);

    private static ulong GateOffset(in Descriptor gate) => gate.Type == SystemType.CallGate16 ? gate.GateOffset & 0xffff : gate.GateOffset;

    /// <summary>The gate's own checks and those of its code segment that CALL and JMP share, except whether it is present.</summary>
    private static bool TryPrepareGate(
        Processor processor, ushort selector, ulong address, ref Descriptor gate, out Descriptor code, out ulong codeAddress)
    {
        VcpuState* s = processor.State;
        code = default;
        codeAddress = 0;
        uint errorCode = Faults.Selector(selector, 0);
        if (!DescriptorTables.TryExtend(processor, selector, address, ExceptionVector.GeneralProtection, 0, ref gate)) return false;
        if (gate.Dpl < Math.Max((int)s->Cpl, selector & 3)) return Faults.GeneralProtection(processor, errorCode);
        if (!gate.IsPresent) return Faults.NotPresent(processor, errorCode);
        if (!TryReadTarget(processor, gate.GateSelector, out code, out codeAddress)) return false;
        bool allowed = code.IsCode && code.Dpl <= s->Cpl && (!s->IsLongModeActive || (code.IsLong && !code.IsBig));
        return allowed || Faults.GeneralProtection(processor, Faults.Selector(gate.GateSelector, 0));
    }

    /// <summary>JMP or CALL to a TSS or through a task gate; anything else that came here is no target at all.</summary>
    private static bool TrySwitchTask(Processor processor, ushort selector, Descriptor descriptor, ulong address, TaskSwitchCause cause, ulong nextRip)
    {
        VcpuState* s = processor.State;
        uint errorCode = Faults.Selector(selector, 0);
        bool isTss = descriptor.Type is SystemType.Tss16 or SystemType.Tss32;
        if (s->IsLongModeActive || (!isTss && descriptor.Type != SystemType.TaskGate)) return Faults.GeneralProtection(processor, errorCode);
        if (descriptor.Dpl < Math.Max((int)s->Cpl, selector & 3)) return Faults.GeneralProtection(processor, errorCode);
        if (!isTss)
        {
            if (!descriptor.IsPresent) return Faults.NotPresent(processor, errorCode);
            return TaskSwitch.TryThroughGate(processor, descriptor.GateSelector, cause, nextRip, 0, null);
        }

        if ((selector & 4) != 0) return Faults.GeneralProtection(processor, errorCode);
        if (!descriptor.IsPresent) return Faults.NotPresent(processor, errorCode);
        return TaskSwitch.TrySwitch(processor, selector, descriptor, address, cause, nextRip, 0, null);
    }
}
