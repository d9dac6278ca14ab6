using System.Buffers.Binary;
using System.Text;
using Ringfence.Devices;
using Ringfence.Memory;

namespace Ringfence.Firmware;

/// <summary>
/// The ACPI tables of our machines: RSDP, RSDT, XSDT, FADT, FACS, DSDT and MADT (ACPI specification 6.4, chapter 5.2).
/// </summary>
internal static class AcpiTables
{
    private const int HeaderBytes = 36;
    private const int FacsBytes = 64;
    private const int RsdpBytes = 36;
    private const int OldRsdpBytes = 20;

    /// <summary>Writes all tables into [<paramref name="start"/>, <paramref name="end"/>).</summary>
    /// <param name="memory">The machine's memory.</param>
    /// <param name="start">Where they begin, a multiple of 64.</param>
    /// <param name="end">Where they must have ended.</param>
    /// <param name="processors">Processors; the APIC ID of each is its number.</param>
    /// <param name="serialPorts">Serial ports.</param>
    /// <returns>Address of the RSDP, and the first free address behind the tables.</returns>
    public static (ulong Rsdp, ulong End) Write(PhysicalMemory memory, ulong start, ulong end, int processors, int serialPorts)
    {
        AcpiImage image = Build(memory.LowRamEnd, processors, serialPorts);
        ulong tables = start + AcpiImage.Alignment;
        ulong next = tables + (ulong)image.Tables.Length;
        if (next > end) throw new InvalidOperationException("The firmware tables do not fit below 1 MiB.");
        image.Place(tables);
        memory.Write(new GuestPhysical(start), image.Rsdp);
        memory.Write(new GuestPhysical(tables), image.Tables);
        return (start, next);
    }

    /// <summary>Makes the tables.</summary>
    /// <param name="lowRamEnd">End of the RAM below 4 GiB; PCI devices lie above it.</param>
    /// <param name="processors">Processors; the APIC ID of each is its number.</param>
    /// <param name="serialPorts">Serial ports.</param>
    public static AcpiImage Build(ulong lowRamEnd, int processors, int serialPorts)
    {
        var tables = new List<byte>();
        var pointers = new List<AcpiPointer>();
        var checksums = new List<AcpiChecksum>();
        int Place(byte[] table, params ReadOnlySpan<(int Offset, int Size)> tablePointers)
        {
            int at = tables.Count;
            foreach ((int offset, int size) in tablePointers) pointers.Add(new AcpiPointer(false, at + offset, size));
            if (table.Length != FacsBytes) checksums.Add(new AcpiChecksum(false, at + 9, at, table.Length));
            tables.AddRange(table);
            while (tables.Count % AcpiImage.Alignment != 0) tables.Add(0);
            return at;
        }

        int facs = Place(Facs());
        int dsdt = Place(Table("DSDT", 2, AcpiDsdt.Build(lowRamEnd, serialPorts)));
        int fadt = Place(Fadt((ulong)facs, (ulong)dsdt), (36, 4), (40, 4), (132, 8), (140, 8));
        int madt = Place(Madt(processors));
        int rsdt = Place(Table("RSDT", 1, [.. Bytes32((uint)fadt), .. Bytes32((uint)madt)]), (HeaderBytes, 4), (HeaderBytes + 4, 4));
        int xsdt = Place(Table("XSDT", 1, [.. Bytes32((uint)fadt), .. Bytes32(0), .. Bytes32((uint)madt), .. Bytes32(0)]), (HeaderBytes, 8), (HeaderBytes + 8, 8));
        pointers.Add(new AcpiPointer(true, 16, 4));
        pointers.Add(new AcpiPointer(true, 24, 8));
        checksums.Add(new AcpiChecksum(true, 8, 0, OldRsdpBytes));
        checksums.Add(new AcpiChecksum(true, 32, 0, RsdpBytes));
        return new AcpiImage { Rsdp = Rsdp((uint)rsdt, (ulong)xsdt), Tables = [.. tables], Pointers = pointers, Checksums = checksums };
    }

    private static byte[] Rsdp(uint rsdt, ulong xsdt)
    {
        byte[] r = new byte[RsdpBytes];
        "RSD PTR "u8.CopyTo(r);
        "RNGFNC"u8.CopyTo(r.AsSpan(9));
        r[15] = 2;
        BinaryPrimitives.WriteUInt32LittleEndian(r.AsSpan(16), rsdt);
        BinaryPrimitives.WriteUInt32LittleEndian(r.AsSpan(20), RsdpBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(r.AsSpan(24), xsdt);
        return r;
    }

    private static byte[] Facs()
    {
        byte[] f = new byte[FacsBytes];
        "FACS"u8.CopyTo(f);
        BinaryPrimitives.WriteUInt32LittleEndian(f.AsSpan(4), FacsBytes);
        f[32] = 1;
        return f;
    }

    // Offsets are those of the whole table.
    private static byte[] Fadt(ulong facs, ulong dsdt)
    {
        const int TableBytes = 244;
        const byte Revision = 4;
        const uint Wbinvd = 1, HaltIsC1 = 1 << 2, NoSleepButton = 1 << 5, ResetRegister = 1 << 10, LongTimer = 1 << 8;
        const ushort LegacyDevices = 1, KeyboardController = 2;
        byte[] body = new byte[TableBytes - HeaderBytes];
        Span<byte> At(int offset) => body.AsSpan(offset - HeaderBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(At(36), (uint)facs);
        BinaryPrimitives.WriteUInt32LittleEndian(At(40), (uint)dsdt);
        At(45)[0] = 1;
        BinaryPrimitives.WriteUInt16LittleEndian(At(46), AcpiPowerManagement.SciInterrupt);
        BinaryPrimitives.WriteUInt32LittleEndian(At(48), AcpiPowerManagement.SmiCommandPort);
        At(52)[0] = AcpiPowerManagement.EnableAcpi;
        At(53)[0] = AcpiPowerManagement.DisableAcpi;
        BinaryPrimitives.WriteUInt32LittleEndian(At(56), AcpiPowerManagement.Pm1EventBlock);
        BinaryPrimitives.WriteUInt32LittleEndian(At(64), AcpiPowerManagement.Pm1ControlBlock);
        BinaryPrimitives.WriteUInt32LittleEndian(At(76), AcpiPowerManagement.PmTimerBlock);
        BinaryPrimitives.WriteUInt32LittleEndian(At(80), AcpiPowerManagement.Gpe0Block);
        At(88)[0] = AcpiPowerManagement.Pm1EventLength;
        At(89)[0] = AcpiPowerManagement.Pm1ControlLength;
        At(91)[0] = AcpiPowerManagement.PmTimerLength;
        At(92)[0] = AcpiPowerManagement.Gpe0Length;
        BinaryPrimitives.WriteUInt16LittleEndian(At(96), ushort.MaxValue);
        BinaryPrimitives.WriteUInt16LittleEndian(At(98), ushort.MaxValue);
        At(108)[0] = 0x32;
        BinaryPrimitives.WriteUInt16LittleEndian(At(109), LegacyDevices | KeyboardController);
        BinaryPrimitives.WriteUInt32LittleEndian(At(112), Wbinvd | HaltIsC1 | NoSleepButton | ResetRegister | LongTimer);
        GenericPort(At(116), ResetControl.Port, 8);
        At(128)[0] = ResetControl.ResetValue;
        BinaryPrimitives.WriteUInt64LittleEndian(At(132), facs);
        BinaryPrimitives.WriteUInt64LittleEndian(At(140), dsdt);
        GenericPort(At(148), AcpiPowerManagement.Pm1EventBlock, 32);
        GenericPort(At(172), AcpiPowerManagement.Pm1ControlBlock, 16);
        GenericPort(At(208), AcpiPowerManagement.PmTimerBlock, 32);
        GenericPort(At(220), AcpiPowerManagement.Gpe0Block, 8 * AcpiPowerManagement.Gpe0Length);
        return Table("FACP", Revision, body);
    }

    private static byte[] Madt(int processors)
    {
        const uint Has8259 = 1;
        List<byte> body = [.. Bytes32(PlatformAddresses.LocalApic), .. Bytes32(Has8259)];
        for (byte i = 0; i < processors; i++) body.AddRange([0, 8, i, i, 1, 0, 0, 0]);
        body.AddRange([1, 12, (byte)processors, 0, .. Bytes32(PlatformAddresses.IoApic), .. Bytes32(0)]);
        const byte ActiveHighLevel = 0xd;
        body.AddRange([2, 10, 0, 0, .. Bytes32(2), 0, 0]);
        foreach (byte irq in (byte[])[AcpiPowerManagement.SciInterrupt, .. PciInterrupts.All]) body.AddRange([2, 10, 0, irq, .. Bytes32(irq), ActiveHighLevel, 0]);
        const byte AllProcessors = 0xff;
        body.AddRange([4, 6, AllProcessors, 0, 0, 1]);
        return Table("APIC", 3, [.. body]);
    }

    private static byte[] Table(string signature, byte revision, byte[] body)
    {
        byte[] table = new byte[HeaderBytes + body.Length];
        Encoding.ASCII.GetBytes(signature, table);
        BinaryPrimitives.WriteUInt32LittleEndian(table.AsSpan(4), (uint)table.Length);
        table[8] = revision;
        "RNGFNC"u8.CopyTo(table.AsSpan(10));
        "RINGFNCE"u8.CopyTo(table.AsSpan(16));
        BinaryPrimitives.WriteUInt32LittleEndian(table.AsSpan(24), 1);
        "RNGF"u8.CopyTo(table.AsSpan(28));
        BinaryPrimitives.WriteUInt32LittleEndian(table.AsSpan(32), 1);
        body.CopyTo(table, HeaderBytes);
        return table;
    }

    // Generic address structure: system I/O space (5.2.3.2).
    private static void GenericPort(Span<byte> at, ushort port, byte bits)
    {
        at[0] = 1;
        at[1] = bits;
        at[3] = bits switch { 8 => 1, 16 => 2, _ => 3 };
        BinaryPrimitives.WriteUInt64LittleEndian(at[4..], port);
    }

    /// <summary>The byte that makes the sum of all bytes zero.</summary>
    internal static byte Checksum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (byte b in bytes) sum += b;
        return (byte)-sum;
    }

    /// <summary>A little-endian double word.</summary>
    internal static byte[] Bytes32(uint value) => [(byte)value, (byte)(value >> 8), (byte)(value >> 16), (byte)(value >> 24)];

}
