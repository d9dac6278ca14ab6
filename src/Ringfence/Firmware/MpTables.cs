using System.Buffers.Binary;
using Ringfence.Memory;
using Ringfence.Processors;

namespace Ringfence.Firmware;

/// <summary>
/// The tables of the MultiProcessor Specification 1.4, chapter 4, for systems that know no ACPI: processors, buses, I/O APIC
/// and how the interrupts of ISA and PCI are wired to it.
/// </summary>
internal static class MpTables
{
    private const int PointerBytes = 16;
    private const int HeaderBytes = 44;
    private const byte PciBus = 0;
    private const byte IsaBus = 1;

    /// <summary>Writes the floating pointer structure at <paramref name="start"/> (a multiple of 16) and the table behind it.</summary>
    /// <returns>The first free address behind them.</returns>
    public static ulong Write(PhysicalMemory memory, ulong start, int processors)
    {
        byte[] table = Configuration(processors);
        byte[] pointer = new byte[PointerBytes];
        "_MP_"u8.CopyTo(pointer);
        BinaryPrimitives.WriteUInt32LittleEndian(pointer.AsSpan(4), (uint)start + PointerBytes);
        pointer[8] = 1;
        pointer[9] = 4;
        pointer[10] = AcpiTables.Checksum(pointer);
        memory.Write(new GuestPhysical(start), pointer);
        memory.Write(new GuestPhysical(start + PointerBytes), table);
        return start + PointerBytes + (ulong)table.Length;
    }

    private static byte[] Configuration(int processors)
    {
        List<byte> entries = [];
        int count = 0;
        void Add(params ReadOnlySpan<byte> entry)
        {
            entries.AddRange(entry);
            count++;
        }

        const byte ApicVersion = 0x14;
        for (byte i = 0; i < processors; i++) Add(Cpu(i, ApicVersion));
        Add([1, PciBus, .. "PCI   "u8]);
        Add([1, IsaBus, .. "ISA   "u8]);
        byte ioApic = (byte)processors;
        Add([2, ioApic, 0x20, 1, .. AcpiTables.Bytes32(PlatformAddresses.IoApic)]);

        // 4.3.4: ISA's conform to their bus, the PCI lines reach the ISA interrupts they drive as active high levels.
        const byte Vectored = 0, Nmi = 1, External = 3, AllApics = 0xff, ActiveHighLevel = 0xd, Cascade = 2;
        for (byte irq = 0; irq < 16; irq++)
        {
            if (irq == Cascade || PciInterrupts.All.Contains(irq)) continue;
            Add(3, Vectored, 0, 0, IsaBus, irq, ioApic, irq == 0 ? (byte)2 : irq);
        }

        // Appendix D.3: the device's number and, in the lowest two bits, its pin.
        foreach ((int device, int pin, byte irq) in PciInterrupts.Routes) Add(3, Vectored, ActiveHighLevel, 0, PciBus, (byte)((device << 2) | (pin - 1)), ioApic, irq);

        Add(4, External, 0, 0, IsaBus, 0, 0, 0);
        Add(4, Nmi, 0, 0, IsaBus, 0, AllApics, 1);

        byte[] table = new byte[HeaderBytes + entries.Count];
        "PCMP"u8.CopyTo(table);
        BinaryPrimitives.WriteUInt16LittleEndian(table.AsSpan(4), (ushort)table.Length);
        table[6] = 4;
        "RINGFNCE"u8.CopyTo(table.AsSpan(8));
        "RINGFENCE   "u8.CopyTo(table.AsSpan(16));
        BinaryPrimitives.WriteUInt16LittleEndian(table.AsSpan(34), (ushort)count);
        BinaryPrimitives.WriteUInt32LittleEndian(table.AsSpan(36), PlatformAddresses.LocalApic);
        entries.CopyTo(table, HeaderBytes);
        table[7] = AcpiTables.Checksum(table);
        return table;
    }

    private static byte[] Cpu(byte index, byte apicVersion)
    {
        const byte Enabled = 1, Bootstrap = 2;
        const uint FloatingPointAndApic = 0x201;
        byte[] entry = new byte[20];
        entry[1] = index;
        entry[2] = apicVersion;
        entry[3] = index == 0 ? (byte)(Enabled | Bootstrap) : Enabled;
        BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(4), Reset.CpuidSignature);
        BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(8), FloatingPointAndApic);
        return entry;
    }
}
