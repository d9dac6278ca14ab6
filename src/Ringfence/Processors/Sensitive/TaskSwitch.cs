using Ringfence.Memory;

namespace Ringfence.Processors.Sensitive;

/// <summary>What started a task switch.</summary>
internal enum TaskSwitchCause
{
    /// <summary>JMP to a TSS or task gate.</summary>
    Jump,

    /// <summary>CALL to a TSS or task gate.</summary>
    Call,

    /// <summary>An interrupt or exception through a task gate.</summary>
    Event,

    /// <summary>IRET with NT set.</summary>
    Return,
}

/// <summary>
/// Hardware task switches between 16- and 32-bit task state segments (Intel SDM 3A 7.3).
/// Order: the new TSS descriptor; both TSSs readable and writable where needed; busy bits; the old state saved; link and NT; TR, CR3,
/// registers; then the commit point is passed and faults belong to the new task: LDTR, CS, SS, data segments, and the debug trap.
/// A fault after the commit point is left pending with RIP in the new task, and the switch counts as done.
/// </summary>
internal static unsafe class TaskSwitch
{
    private const uint Minimum32 = 0x67;
    private const uint Minimum16 = 0x2b;

    /// <summary>Finds the TSS of a task gate and switches to it. False: a fault was raised, nothing changed.</summary>
    public static bool TryThroughGate(Processor processor, ushort selector, TaskSwitchCause cause, ulong nextRip, uint external, uint? errorCode)
    {
        uint name = Faults.Selector(selector, external);
        if ((selector & 4) != 0 || DescriptorTables.IsNull(selector)) return Faults.GeneralProtection(processor, name);
        if (!DescriptorTables.TryRead(processor, selector, ExceptionVector.GeneralProtection, external, out Descriptor tss, out ulong address)) return false;
        if (tss.IsCodeOrData || tss.Type is not (SystemType.Tss16 or SystemType.Tss32)) return Faults.GeneralProtection(processor, name);
        if (!tss.IsPresent) return Faults.NotPresent(processor, name);
        return TrySwitch(processor, selector, tss, address, cause, nextRip, external, errorCode);
    }

    /// <summary>IRET with NT set: back to the task the link field names. False: a fault was raised, nothing changed.</summary>
    public static bool TryReturnToPrevious(Processor processor, ulong nextRip)
    {
        VcpuState* s = processor.State;
        ref SegmentRegister tr = ref s->Segment(SegmentIndex.Tr);
        if (!processor.Mmu.TryRead(DescriptorTables.Linear(s, tr.Base), Privilege.Implicit, out ushort selector)) return false;
        uint name = Faults.Selector(selector, 0);
        if ((selector & 4) != 0 || DescriptorTables.IsNull(selector)) return Faults.InvalidTss(processor, name);
        if (!DescriptorTables.TryRead(processor, selector, ExceptionVector.InvalidTss, 0, out Descriptor tss, out ulong address)) return false;
        if (tss.IsCodeOrData || tss.Type is not (SystemType.BusyTss16 or SystemType.BusyTss32)) return Faults.InvalidTss(processor, name);
        if (!tss.IsPresent) return Faults.NotPresent(processor, name);
        return TrySwitch(processor, selector, tss, address, TaskSwitchCause.Return, nextRip, 0, null);
    }

    /// <summary>
    /// Switches to the task of a TSS descriptor whose type and rights the caller has checked.
    /// False: a fault was raised before the commit point, nothing changed.
    /// </summary>
    public static bool TrySwitch(
        Processor processor, ushort selector, Descriptor tss, ulong address, TaskSwitchCause cause, ulong nextRip, uint external, uint? errorCode)
    {
        VcpuState* s = processor.State;
        Mmu mmu = processor.Mmu;
        bool wide = (tss.Type & 8) != 0;
        SegmentRegister old = s->Segment(SegmentIndex.Tr);
        bool oldWide = (old.Attributes & 8) != 0;
        if (tss.Limit < (wide ? Minimum32 : Minimum16)) return Faults.InvalidTss(processor, Faults.Selector(selector, external));
        if (old.Limit < (oldWide ? 0x5fU : 0x29U)) return Faults.InvalidTss(processor, Faults.Selector(old.Selector, external));
        if (!TaskImage.TryRead(processor, tss.Base, wide, out TaskImage image)) return false;
        if (!mmu.TryProbeWrite(DescriptorTables.Linear(s, old.Base), oldWide ? 0x60 : 0x2a, Privilege.Implicit)) return false;
        bool nests = cause is TaskSwitchCause.Call or TaskSwitchCause.Event;
        if (nests && !mmu.TryProbeWrite(DescriptorTables.Linear(s, tss.Base), 2, Privilege.Implicit)) return false;
        if (!DescriptorTables.TryLocate(s, (ushort)(old.Selector & ~7), 8, out ulong oldAddress)) return Faults.InvalidTss(processor, Faults.Selector(old.Selector, external));
        if (!mmu.TryProbeWrite(oldAddress + 5, 1, Privilege.Implicit) || !mmu.TryProbeWrite(address + 5, 1, Privilege.Implicit)) return false;

        // From here to the commit point nothing can fault: every page was probed.
        ulong flags = s->Rflags;
        if (cause == TaskSwitchCause.Return) flags &= ~RflagsBits.Nt;
        if (!nests) DescriptorTables.TrySetBusy(processor, oldAddress, busy: false);
        TaskImage.Write(processor, old.Base, oldWide, flags, nextRip);
        if (nests) mmu.TryWrite(DescriptorTables.Linear(s, tss.Base), Privilege.Implicit, old.Selector);
        if (cause != TaskSwitchCause.Return) DescriptorTables.TrySetBusy(processor, address, busy: true);
        if (nests) image.Flags |= RflagsBits.Nt;

        SegmentRegister tr = tss.ToRegister(selector);
        tr.Attributes |= SystemType.Busy;
        s->Segment(SegmentIndex.Tr) = tr;
        s->Cr0 |= Cr0.Ts;
        s->Dr7 &= ~0x155UL;
        bool ok = TryEnter(processor, in image, wide, external);
        if (ok && errorCode is not null) ok = TryPushErrorCode(processor, errorCode.Value, wide, external);
        if (ok)
        {
            ulong rip = s->Rip;
            ok = CodeSegment.TryCheckPointer(processor, in s->Segment(SegmentIndex.Cs), external, ref rip);
        }

        if (ok && wide && (image.Trap & 1) != 0)
        {
            s->Dr6 |= DebugRegisters.TaskSwitchBit;
            processor.RaiseFault(ExceptionVector.Debug);
        }

        return true;
    }

    /// <summary>Takes the new task's state over, then loads its segments with their checks. False: a fault is pending in the new task.</summary>
    private static bool TryEnter(Processor processor, in TaskImage image, bool wide, uint external)
    {
        VcpuState* s = processor.State;
        bool loaded = true;
        if (wide && s->HasCr0(Cr0.Pg)) loaded = ControlRegisters.TryLoadCr3ForTask(processor, image.Cr3, external);
        bool virtual8086 = wide && (image.Flags & RflagsBits.Vm) != 0;
        for (int i = 0; i < 8; i++) s->Gpr[i] = image.Gpr[i];
        s->Rflags = image.Flags & RflagsBits.Defined;

        // The selectors are visible and their hidden parts invalid until each is checked.
        for (int i = 0; i < 6; i++)
        {
            ushort selector = image.Selectors[i];
            s->Segment((SegmentIndex)i) = virtual8086 ? SegmentLoading.Virtual8086(selector) : SegmentLoading.Null(selector);
        }

        s->Segment(SegmentIndex.Ldtr) = SegmentLoading.Null(image.Ldt);
        int cpl = virtual8086 ? 3 : image.Selectors[(int)SegmentIndex.Cs] & 3;
        processor.Mmu.FlushCodeTlb();
        SegmentRegister cs = s->Segment(SegmentIndex.Cs);
        CodeSegment.Commit(processor, in cs, cpl, (uint)image.Ip);
        if (!loaded || !DescriptorTableRegisters.TryLoadLdtr(processor, image.Ldt, ExceptionVector.InvalidTss, external)) return false;
        if (virtual8086) return true;
        if (!TryLoadCode(processor, cs.Selector, external)) return false;
        ushort ss = image.Selectors[(int)SegmentIndex.Ss];
        if (!SegmentLoading.TryPrepareStack(
            processor, ss, cpl, allowsNull: false, ExceptionVector.InvalidTss, external, out SegmentRegister stack)) return false;
        SegmentLoading.Commit(processor, SegmentIndex.Ss, in stack);
        return TryLoadData(processor, in image, SegmentIndex.Ds, external) && TryLoadData(processor, in image, SegmentIndex.Es, external)
            && TryLoadData(processor, in image, SegmentIndex.Fs, external) && TryLoadData(processor, in image, SegmentIndex.Gs, external);
    }

    private static bool TryLoadData(Processor processor, in TaskImage image, SegmentIndex index, uint external)
    {
        ushort selector = image.Selectors[(int)index];
        if (!SegmentLoading.TryPrepareData(processor, selector, ExceptionVector.InvalidTss, external, out SegmentRegister register)) return false;
        SegmentLoading.Commit(processor, index, in register);
        return true;
    }

    private static bool TryLoadCode(Processor processor, ushort selector, uint external)
    {
        VcpuState* s = processor.State;
        uint name = Faults.Selector(selector, external);
        if (DescriptorTables.IsNull(selector)) return Faults.InvalidTss(processor, name);
        if (!DescriptorTables.TryRead(processor, selector, ExceptionVector.InvalidTss, external, out Descriptor code, out ulong address)) return false;
        if (!code.IsCode || (code.IsConforming ? code.Dpl > (selector & 3) : code.Dpl != (selector & 3))) return Faults.InvalidTss(processor, name);
        if (!code.IsPresent) return Faults.NotPresent(processor, name);
        if (!DescriptorTables.TryMarkAccessed(processor, address, ref code)) return false;
        SegmentRegister cs = CodeSegment.Register(in code, selector, selector & 3);
        CodeSegment.Commit(processor, in cs, selector & 3, s->Rip);
        return true;
    }

    private static bool TryPushErrorCode(Processor processor, uint errorCode, bool wide, uint external)
    {
        StackCursor stack = StackCursor.Current(processor, external);
        if (!stack.TryPush(errorCode, wide ? 4 : 2)) return false;
        stack.Commit();
        return true;
    }
}
