namespace Ringfence.Processors.Sensitive;

/// <summary>
/// IRET, IRETD, IRETQ (Intel SDM 2A "IRET", 3A 6.12, 7.3, 20.2.2). What it may change in RFLAGS depends on where it runs:
/// IOPL, VIF, VIP only CPL 0; IF only CPL not above IOPL; VM only on the way to virtual-8086 mode.
/// </summary>
internal static unsafe class InterruptReturn
{
    private const ulong AlwaysChanged = RflagsBits.Status | RflagsBits.Tf | RflagsBits.Df | RflagsBits.Nt;
    private const ulong WideOnly = RflagsBits.Rf | RflagsBits.Ac | RflagsBits.Id;

    /// <summary>
    /// Executes IRET with an operand size of <paramref name="size"/> bytes. It unblocks NMIs, even if it faults (Intel SDM 3A 6.7.1).
    /// False: a fault was raised and nothing else has changed.
    /// </summary>
    public static bool TryReturn(Processor processor, int size, ulong nextRip)
    {
        VcpuState* s = processor.State;
        s->NmiBlocked = 0;
        s->RefreshEventMask();
        switch (s->Mode)
        {
            case ProcessorMode.Real:
                return TryReturnReal(processor, size, AlwaysChanged | RflagsBits.If | RflagsBits.Iopl | WideOnly);
            case ProcessorMode.Virtual8086:
                if (s->Iopl != 3) return Faults.GeneralProtection(processor);
                return TryReturnReal(processor, size, AlwaysChanged | RflagsBits.If | WideOnly);
        }

        if ((s->SystemFlags & RflagsBits.Nt) != 0)
        {
            return s->IsLongModeActive ? Faults.GeneralProtection(processor) : TaskSwitch.TryReturnToPrevious(processor, nextRip);
        }

        return TryReturnProtected(processor, size);
    }

    private static bool TryReturnReal(Processor processor, int size, ulong changeable)
    {
        VcpuState* s = processor.State;
        StackCursor stack = StackCursor.Current(processor);
        if (!stack.TryPop(size, out ulong rip) || !stack.TryPop(size, out ulong selector) || !stack.TryPop(size, out ulong flags)) return false;
        SegmentRegister cs = CodeSegment.Real(s, (ushort)selector);
        if (!CodeSegment.TryCheckPointer(processor, in cs, 0, ref rip)) return false;
        stack.Commit();
        SetFlags(s, flags, changeable, size);
        CodeSegment.Commit(processor, in cs, s->Cpl, rip);
        return true;
    }

    private static bool TryReturnProtected(Processor processor, int size)
    {
        VcpuState* s = processor.State;
        StackCursor stack = StackCursor.Current(processor);
        if (!stack.TryPop(size, out ulong rip) || !stack.TryPop(size, out ulong selectorSlot) || !stack.TryPop(size, out ulong flags)) return false;
        if (size == 4 && !s->IsLongModeActive && s->Cpl == 0 && (flags & RflagsBits.Vm) != 0) return TryEnterVirtual8086(processor, stack, rip, (ushort)selectorSlot, flags);
        ushort selector = (ushort)selectorSlot;
        int oldCpl = s->Cpl;
        int rpl = selector & 3;
        bool popsStack = s->Mode == ProcessorMode.Long;
        if (!FarTransfer.TryPrepareReturn(processor, selector, ref rip, out SegmentRegister cs)) return false;
        ulong changeable = AlwaysChanged | WideOnly;
        if (oldCpl <= s->Iopl) changeable |= RflagsBits.If;
        if (oldCpl == 0) changeable |= RflagsBits.Iopl | RflagsBits.Vif | RflagsBits.Vip;
        if (rpl == oldCpl && !popsStack)
        {
            stack.Commit();
            SetFlags(s, flags, changeable, size);
            CodeSegment.Commit(processor, in cs, rpl, rip);
            return true;
        }

        if (!stack.TryPop(size, out ulong pointer) || !stack.TryPop(size, out ulong stackSelector)) return false;
        bool is64Bit = CodeSegment.Is64Bit(s, in cs);
        if (!SegmentLoading.TryPrepareStack(
            processor, (ushort)stackSelector, rpl, is64Bit, ExceptionVector.GeneralProtection, 0, out SegmentRegister ss)) return false;
        ulong mask = is64Bit ? ulong.MaxValue : ss.IsBig ? 0xffff_ffffUL : 0xffffUL;
        s->Segment(SegmentIndex.Ss) = ss;
        StackCursor.Set(s, pointer, mask);
        SetFlags(s, flags, changeable, size);
        CodeSegment.Commit(processor, in cs, rpl, rip);
        if (rpl != oldCpl) SegmentLoading.DropInaccessible(s);
        return true;
    }

    private static bool TryEnterVirtual8086(Processor processor, StackCursor stack, ulong rip, ushort selector, ulong flags)
    {
        VcpuState* s = processor.State;
        if (!stack.TryPop(4, out ulong esp) || !stack.TryPop(4, out ulong ss)) return false;
        if (!stack.TryPop(4, out ulong es) || !stack.TryPop(4, out ulong ds)) return false;
        if (!stack.TryPop(4, out ulong fs) || !stack.TryPop(4, out ulong gs)) return false;
        SegmentRegister cs = SegmentLoading.Virtual8086(selector);
        rip = (uint)rip;
        if (rip > cs.Limit) return Faults.GeneralProtection(processor);
        s->Rflags = flags & RflagsBits.Defined;
        s->Segment(SegmentIndex.Ss) = SegmentLoading.Virtual8086((ushort)ss);
        s->Segment(SegmentIndex.Es) = SegmentLoading.Virtual8086((ushort)es);
        s->Segment(SegmentIndex.Ds) = SegmentLoading.Virtual8086((ushort)ds);
        s->Segment(SegmentIndex.Fs) = SegmentLoading.Virtual8086((ushort)fs);
        s->Segment(SegmentIndex.Gs) = SegmentLoading.Virtual8086((ushort)gs);
        s->Gpr[4] = (uint)esp;
        CodeSegment.Commit(processor, in cs, 3, rip);
        return true;
    }

    private static void SetFlags(VcpuState* s, ulong flags, ulong changeable, int size)
    {
        if (size == 2) changeable &= 0xffff;
        s->Rflags = (s->Rflags & ~changeable) | (flags & changeable);
    }
}
