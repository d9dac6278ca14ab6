using Ringfence.Memory;

namespace Ringfence.Processors.Sensitive;

/// <summary>What transfers and port accesses read in the current task state segment (Intel SDM 3A 7.2, 7.7).</summary>
internal static unsafe class TaskState
{
    /// <summary>
    /// The stack of an inner privilege level, outside IA-32e mode, with every check of SS (Intel SDM 3A 5.8.5).
    /// False: #TS, #SS or #PF was raised.
    /// </summary>
    public static bool TryGetInnerStack(Processor processor, int cpl, uint external, out SegmentRegister ss, out ulong pointer)
    {
        VcpuState* s = processor.State;
        ref SegmentRegister tr = ref s->Segment(SegmentIndex.Tr);
        ss = default;
        pointer = 0;
        ushort selector;
        if ((tr.Attributes & 8) != 0)
        {
            uint offset = 4 + (8 * (uint)cpl);
            if (!TryReadField(processor, offset, 6, external, out ulong address)) return false;
            if (!processor.Mmu.TryRead(address, Privilege.Implicit, out uint esp)) return false;
            if (!processor.Mmu.TryRead(address + 4, Privilege.Implicit, out selector)) return false;
            pointer = esp;
        }
        else
        {
            uint offset = 2 + (4 * (uint)cpl);
            if (!TryReadField(processor, offset, 4, external, out ulong address)) return false;
            if (!processor.Mmu.TryRead(address, Privilege.Implicit, out ushort sp)) return false;
            if (!processor.Mmu.TryRead(address + 2, Privilege.Implicit, out selector)) return false;
            pointer = sp;
        }

        return SegmentLoading.TryPrepareStack(processor, selector, cpl, allowsNull: false, ExceptionVector.InvalidTss, external, out ss);
    }

    /// <summary>
    /// A stack pointer of the 64-bit TSS: RSP0 to RSP2 (<paramref name="ist"/> 0) or IST1 to IST7. False: #TS, #SS or #PF was raised.
    /// </summary>
    public static bool TryGetLongStack(Processor processor, int cpl, int ist, uint external, out ulong pointer)
    {
        pointer = 0;
        uint offset = ist != 0 ? 0x1c + (8 * (uint)ist) : 4 + (8 * (uint)cpl);
        if (!TryReadField(processor, offset, 8, external, out ulong address)) return false;
        if (!processor.Mmu.TryRead(address, Privilege.Implicit, out pointer)) return false;
        return Mmu.IsCanonical(pointer) || Faults.Stack(processor, external);
    }

    /// <summary>
    /// May the current privilege level access these ports (Intel SDM 1 19.5)? IOPL allows it outside virtual-8086 mode; otherwise
    /// the I/O permission bitmap of a 32- or 64-bit TSS decides. False: #GP(0) or #PF was raised.
    /// </summary>
    public static bool TryCheckPorts(Processor processor, ushort port, int size)
    {
        VcpuState* s = processor.State;
        if (s->Mode == ProcessorMode.Real || (s->Cpl <= s->Iopl && s->Mode != ProcessorMode.Virtual8086)) return true;
        ref SegmentRegister tr = ref s->Segment(SegmentIndex.Tr);
        if (!tr.IsUsable || (tr.Attributes & 8) == 0 || tr.Limit < 103) return Faults.GeneralProtection(processor);
        if (!processor.Mmu.TryRead(DescriptorTables.Linear(s, tr.Base + 102), Privilege.Implicit, out ushort map)) return false;
        uint offset = map + ((uint)port >> 3);
        if (offset + 1 > tr.Limit) return Faults.GeneralProtection(processor);
        if (!processor.Mmu.TryRead(DescriptorTables.Linear(s, tr.Base + offset), Privilege.Implicit, out ushort bits)) return false;
        int mask = ((1 << size) - 1) << (port & 7);
        return (bits & mask) == 0 || Faults.GeneralProtection(processor);
    }

    private static bool TryReadField(Processor processor, uint offset, uint size, uint external, out ulong address)
    {
        VcpuState* s = processor.State;
        ref SegmentRegister tr = ref s->Segment(SegmentIndex.Tr);
        address = DescriptorTables.Linear(s, tr.Base + offset);
        return (tr.IsUsable && offset + size - 1 <= tr.Limit) || Faults.InvalidTss(processor, Faults.Selector(tr.Selector, external));
    }
}
