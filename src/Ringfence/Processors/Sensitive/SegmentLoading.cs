namespace Ringfence.Processors.Sensitive;

/// <summary>
/// What loading ES, SS, DS, FS and GS checks and does (Intel SDM 3A 3.4.2 to 3.4.4 and 5.5 to 5.7; volume 2 "MOV").
/// The "prepare" methods check everything and change no register, so that instructions that load several can fault first.
/// <para>
/// Real-address mode loads selector and base only: limit and size stay as protected mode left them (3A 20.1.1).
/// Virtual-8086 mode loads 64 KiB data segments of DPL 3. IA-32e mode: a null selector is allowed in SS at CPL 0 to 2 in
/// 64-bit mode; null in FS and GS clears the base.
/// </para>
/// </summary>
internal static unsafe class SegmentLoading
{
    /// <summary>Present writable accessed data.</summary>
    public const ushort DataAttributes =
        SegmentAttributes.Present | SegmentAttributes.CodeOrData | SegmentAttributes.ReadableOrWritable | SegmentAttributes.Accessed;

    /// <summary>Loads a segment register other than CS by the current mode's rules. False: a fault was raised, nothing changed.</summary>
    public static bool TryLoad(Processor processor, SegmentIndex index, ushort selector)
    {
        if (!TryPrepare(processor, index, selector, out SegmentRegister register)) return false;
        Commit(processor, index, in register);
        return true;
    }

    /// <summary>Puts a prepared register in place.</summary>
    public static void Commit(Processor processor, SegmentIndex index, in SegmentRegister register)
    {
        VcpuState* s = processor.State;
        s->Segment(index) = register;
        if (index == SegmentIndex.Ss && s->Mode != ProcessorMode.Long) s->StackMask = register.IsBig ? 0xffff_ffffUL : 0xffffUL;
    }

    /// <summary>The register as it will be. False: a fault was raised.</summary>
    public static bool TryPrepare(Processor processor, SegmentIndex index, ushort selector, out SegmentRegister register)
    {
        VcpuState* s = processor.State;
        switch (s->Mode)
        {
            case ProcessorMode.Real:
                register = RealMode(in s->Segment(index), selector);
                return true;
            case ProcessorMode.Virtual8086:
                register = Virtual8086(selector);
                return true;
            default:
                return index == SegmentIndex.Ss
                    ? TryPrepareStack(processor, selector, s->Cpl, s->Mode == ProcessorMode.Long, ExceptionVector.GeneralProtection, 0, out register)
                    : TryPrepareData(processor, selector, ExceptionVector.GeneralProtection, 0, out register);
        }
    }

    /// <summary>A segment register after a load in real-address mode.</summary>
    public static SegmentRegister RealMode(in SegmentRegister old, ushort selector)
    {
        SegmentRegister register = old;
        if (!old.IsUsable)
        {
            register.Limit = 0xffff;
            register.Attributes = 0;
        }

        register.Selector = selector;
        register.Base = (ulong)selector << 4;
        register.Attributes = (ushort)((register.Attributes & (SegmentAttributes.Big | SegmentAttributes.Granularity)) | DataAttributes);
        register.UpdateBounds();
        return register;
    }

    /// <summary>A segment register after a load in virtual-8086 mode.</summary>
    public static SegmentRegister Virtual8086(ushort selector) => new(selector, (ulong)selector << 4, 0xffff, DataAttributes | (3 << 5));

    /// <summary>A segment register that holds a null selector.</summary>
    public static SegmentRegister Null(ushort selector, int dpl = 0) =>
        new() { Selector = selector, Attributes = (ushort)(SegmentAttributes.Unusable | (dpl << 5)) };

    /// <summary>DS, ES, FS, GS in protected and IA-32e mode; <paramref name="bad"/> is #GP, in a task switch #TS.</summary>
    public static bool TryPrepareData(Processor processor, ushort selector, ExceptionVector bad, uint external, out SegmentRegister register)
    {
        register = Null(selector);
        if (DescriptorTables.IsNull(selector)) return true;
        if (!DescriptorTables.TryRead(processor, selector, bad, external, out Descriptor descriptor, out ulong address)) return false;
        uint errorCode = Faults.Selector(selector, external);
        if (!descriptor.IsReadable) return Faults.Raise(processor, bad, errorCode);
        if (!descriptor.IsConforming && Math.Max((int)processor.State->Cpl, selector & 3) > descriptor.Dpl) return Faults.Raise(processor, bad, errorCode);
        if (!descriptor.IsPresent) return Faults.NotPresent(processor, errorCode);
        if (!DescriptorTables.TryMarkAccessed(processor, address, ref descriptor)) return false;
        register = descriptor.ToRegister(selector);
        return true;
    }

    /// <summary>
    /// SS for privilege level <paramref name="cpl"/>; <paramref name="bad"/> is #GP, or #TS where the selector comes from a TSS.
    /// </summary>
    public static bool TryPrepareStack(
        Processor processor, ushort selector, int cpl, bool allowsNull, ExceptionVector bad, uint external, out SegmentRegister register)
    {
        register = Null(selector, cpl);
        if (DescriptorTables.IsNull(selector))
        {
            return (allowsNull && cpl < 3 && (selector & 3) == cpl) || Faults.Raise(processor, bad, external);
        }

        if (!DescriptorTables.TryRead(processor, selector, bad, external, out Descriptor descriptor, out ulong address)) return false;
        uint errorCode = Faults.Selector(selector, external);
        if ((selector & 3) != cpl || !descriptor.IsWritableData || descriptor.Dpl != cpl) return Faults.Raise(processor, bad, errorCode);
        if (!descriptor.IsPresent) return Faults.Stack(processor, errorCode);
        if (!DescriptorTables.TryMarkAccessed(processor, address, ref descriptor)) return false;
        register = descriptor.ToRegister(selector);
        return true;
    }

    /// <summary>
    /// After a return to an outer privilege level: data segments the outer level may not use become null (Intel SDM 3A 5.8.6).
    /// </summary>
    public static void DropInaccessible(VcpuState* s)
    {
        Drop(s, ref s->Segment(SegmentIndex.Es));
        Drop(s, ref s->Segment(SegmentIndex.Ds));
        Drop(s, ref s->Segment(SegmentIndex.Fs));
        Drop(s, ref s->Segment(SegmentIndex.Gs));
    }

    private static void Drop(VcpuState* s, ref SegmentRegister register)
    {
        if (!register.IsUsable) return;
        const int ConformingCode = SegmentAttributes.Code | SegmentAttributes.ConformingOrExpandDown;
        if ((register.Attributes & ConformingCode) == ConformingCode || register.Dpl >= s->Cpl) return;
        register = Null(0);
    }
}
