using Ringfence.Memory;

namespace Ringfence.Processors.Sensitive;

/// <summary>Descriptors in the GDT and the LDT, read and changed with the processor's own rights (Intel SDM 3A 3.5).</summary>
internal static unsafe class DescriptorTables
{
    /// <summary>Is it a null selector (index 0 of the GDT, any RPL)?</summary>
    public static bool IsNull(ushort selector) => (selector & 0xfffc) == 0;

    /// <summary>Linear address of a selector's descriptor of <paramref name="bytes"/> bytes. False: outside the table's limit.</summary>
    public static bool TryLocate(VcpuState* s, ushort selector, int bytes, out ulong address)
    {
        ulong offset = (ulong)(selector & 0xfff8);
        address = 0;
        ulong @base = s->Gdtr.Base;
        ulong limit = s->Gdtr.Limit;
        if ((selector & 4) != 0)
        {
            ref SegmentRegister ldtr = ref s->Segment(SegmentIndex.Ldtr);
            if (!ldtr.IsUsable) return false;
            @base = ldtr.Base;
            limit = ldtr.Limit;
        }

        if (offset + (ulong)bytes - 1 > limit) return false;
        address = Linear(s, @base + offset);
        return true;
    }

    /// <summary>
    /// Reads the descriptor of a selector that is not null. Outside the table: <paramref name="vector"/> with the selector.
    /// False: that, or a page fault, was raised.
    /// </summary>
    public static bool TryRead(
        Processor processor, ushort selector, ExceptionVector vector, uint external, out Descriptor descriptor, out ulong address)
    {
        descriptor = default;
        if (!TryLocate(processor.State, selector, 8, out address)) return Faults.Raise(processor, vector, Faults.Selector(selector, external));
        if (!processor.Mmu.TryRead(address, Privilege.Implicit, out ulong low)) return false;
        descriptor = new Descriptor(low);
        return true;
    }

    /// <summary>
    /// Completes a system descriptor to its 16 bytes in IA-32e mode. The type field of the upper half must be 0, as for a
    /// code or data descriptor it would not be. False: <paramref name="vector"/> with the selector, or a page fault.
    /// </summary>
    public static bool TryExtend(Processor processor, ushort selector, ulong address, ExceptionVector vector, uint external, ref Descriptor descriptor)
    {
        if (!processor.State->IsLongModeActive) return true;
        if (!TryLocate(processor.State, selector, 16, out _)) return Faults.Raise(processor, vector, Faults.Selector(selector, external));
        if (!processor.Mmu.TryRead(address + 8, Privilege.Implicit, out ulong high)) return false;
        if ((high & (0x1fUL << 40)) != 0) return Faults.Raise(processor, vector, Faults.Selector(selector, external));
        descriptor = descriptor with { High = high & 0xffff_ffff };
        return true;
    }

    /// <summary>Sets the accessed bit in memory and in <paramref name="descriptor"/>. False: a page fault was raised.</summary>
    public static bool TryMarkAccessed(Processor processor, ulong address, ref Descriptor descriptor)
    {
        const ulong Accessed = 1UL << 40;
        if ((descriptor.Low & Accessed) != 0) return true;
        descriptor = descriptor with { Low = descriptor.Low | Accessed };
        return processor.Mmu.TryWrite(address + 5, Privilege.Implicit, (byte)(descriptor.Low >> 40));
    }

    /// <summary>Sets or clears the busy bit of a TSS descriptor in memory. False: a page fault was raised.</summary>
    public static bool TrySetBusy(Processor processor, ulong address, bool busy)
    {
        if (!processor.Mmu.TryRead(address + 5, Privilege.Implicit, out byte rights)) return false;
        byte changed = (byte)(busy ? rights | SystemType.Busy : rights & ~SystemType.Busy);
        return processor.Mmu.TryWrite(address + 5, Privilege.Implicit, changed);
    }

    /// <summary>Addresses of system tables have 32 bits outside IA-32e mode.</summary>
    public static ulong Linear(VcpuState* s, ulong address) => s->IsLongModeActive ? address : (uint)address;
}
