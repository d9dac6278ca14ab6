using System.Runtime.CompilerServices;
using Ringfence.Memory;

namespace Ringfence.Processors.Sensitive;

/// <summary>The dynamic part of a task as a 16- or 32-bit TSS holds it (Intel SDM 3A figures 7-2 and 7-10).</summary>
internal unsafe struct TaskImage
{
    /// <summary>General registers in the order of their encoding.</summary>
    public GeneralRegisters Gpr;

    /// <summary>ES, CS, SS, DS, FS, GS.</summary>
    public SegmentSelectors Selectors;

    /// <summary>EFLAGS.</summary>
    public ulong Flags;

    /// <summary>EIP.</summary>
    public ulong Ip;

    /// <summary>CR3 (32-bit TSS).</summary>
    public uint Cr3;

    /// <summary>LDT selector.</summary>
    public ushort Ldt;

    /// <summary>T flag in bit 0 (32-bit TSS).</summary>
    public ushort Trap;

    /// <summary>Eight registers.</summary>
    [InlineArray(8)]
    public struct GeneralRegisters
    {
        private ulong _first;
    }

    /// <summary>Six selectors.</summary>
    [InlineArray(6)]
    public struct SegmentSelectors
    {
        private ushort _first;
    }

    /// <summary>Reads a TSS. False: #PF was raised.</summary>
    public static bool TryRead(Processor processor, ulong @base, bool wide, out TaskImage image)
    {
        image = default;
        if (!wide) return TryReadNarrow(processor, @base, ref image);
        if (!TryField(processor, @base + 0x1c, out image.Cr3) || !TryField(processor, @base + 0x20, out uint eip)) return false;
        if (!TryField(processor, @base + 0x24, out uint flags)) return false;
        image.Ip = eip;
        image.Flags = flags;
        for (int i = 0; i < 8; i++)
        {
            if (!TryField(processor, @base + 0x28 + (4 * (ulong)i), out uint value)) return false;
            image.Gpr[i] = value;
        }

        for (int i = 0; i < 6; i++)
            if (!TryField(processor, @base + 0x48 + (4 * (ulong)i), out image.Selectors[i])) return false;
        return TryField(processor, @base + 0x60, out image.Ldt) && TryField(processor, @base + 0x64, out image.Trap);
    }

    /// <summary>Saves the processor's state in its old TSS, whose pages have been probed.</summary>
    public static void Write(Processor processor, ulong @base, bool wide, ulong flags, ulong ip)
    {
        VcpuState* s = processor.State;
        if (wide)
        {
            Put(processor, @base + 0x20, (uint)ip);
            Put(processor, @base + 0x24, (uint)flags);
            for (int i = 0; i < 8; i++) Put(processor, @base + 0x28 + (4 * (ulong)i), (uint)s->Gpr[i]);
            for (int i = 0; i < 6; i++) Put(processor, @base + 0x48 + (4 * (ulong)i), s->Segment((SegmentIndex)i).Selector);
            return;
        }

        Put(processor, @base + 0x0e, (ushort)ip);
        Put(processor, @base + 0x10, (ushort)flags);
        for (int i = 0; i < 8; i++) Put(processor, @base + 0x12 + (2 * (ulong)i), (ushort)s->Gpr[i]);
        for (int i = 0; i < 4; i++) Put(processor, @base + 0x22 + (2 * (ulong)i), s->Segment((SegmentIndex)i).Selector);
    }

    private static bool TryReadNarrow(Processor processor, ulong @base, ref TaskImage image)
    {
        if (!TryField(processor, @base + 0x0e, out ushort ip) || !TryField(processor, @base + 0x10, out ushort flags)) return false;
        image.Ip = ip;
        image.Flags = flags;
        for (int i = 0; i < 8; i++)
        {
            if (!TryField(processor, @base + 0x12 + (2 * (ulong)i), out ushort value)) return false;
            image.Gpr[i] = 0xffff_0000UL | value;
        }

        for (int i = 0; i < 4; i++)
            if (!TryField(processor, @base + 0x22 + (2 * (ulong)i), out image.Selectors[i])) return false;
        return TryField(processor, @base + 0x2a, out image.Ldt);
    }

    private static bool TryField<T>(Processor processor, ulong address, out T value)
        where T : unmanaged => processor.Mmu.TryRead(DescriptorTables.Linear(processor.State, address), Privilege.Implicit, out value);

    private static void Put<T>(Processor processor, ulong address, T value)
        where T : unmanaged => processor.Mmu.TryWrite(DescriptorTables.Linear(processor.State, address), Privilege.Implicit, value);
}
