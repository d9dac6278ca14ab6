using System.Buffers.Binary;
using System.Globalization;
using System.Reflection;
using System.Text;
using Ringfence.Memory;
using Ringfence.Processors;

namespace Ringfence.Firmware;

/// <summary>
/// What a machine tells about itself (DMTF System Management BIOS Reference Specification 2.8): firmware, system, chassis, processors, memory. A system
/// finds the entry point at a multiple of 16 from F0000h on.
/// </summary>
internal static class SmbiosTables
{
    private const int EntryPointBytes = 31;
    private const int IntermediateOffset = 16;
    private const ushort FirstHandle = 0x100;
    private const ushort MemoryArrayHandle = 0x1000;
    private const ulong FourGiB = 1UL << 32;

    /// <summary>Writes the entry point and the structures behind it.</summary>
    /// <param name="memory">The machine's memory.</param>
    /// <param name="start">Where they begin, a multiple of 16.</param>
    /// <param name="end">Where they must have ended.</param>
    /// <param name="processors">Processors.</param>
    /// <returns>The first free address behind them.</returns>
    public static ulong Write(PhysicalMemory memory, ulong start, ulong end, int processors)
    {
        List<byte> table = [];
        int count = 0, largest = 0;
        foreach (byte[] structure in Structures(memory, processors))
        {
            table.AddRange(structure);
            largest = Math.Max(largest, structure.Length);
            count++;
        }

        ulong tableStart = start + EntryPointBytes + 1;
        if (tableStart + (ulong)table.Count > end) throw new InvalidOperationException("The firmware tables do not fit below 1 MiB.");
        byte[] entry = new byte[EntryPointBytes];
        "_SM_"u8.CopyTo(entry);
        entry[5] = EntryPointBytes;
        entry[6] = 2;
        entry[7] = 8;
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(8), (ushort)largest);
        "_DMI_"u8.CopyTo(entry.AsSpan(IntermediateOffset));
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(22), (ushort)table.Count);
        BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(24), (uint)tableStart);
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(28), (ushort)count);
        entry[30] = 0x28;
        entry[21] = AcpiTables.Checksum(entry.AsSpan(IntermediateOffset));
        entry[4] = AcpiTables.Checksum(entry);
        memory.Write(new GuestPhysical(start), entry);
        memory.Write(new GuestPhysical(tableStart), [.. table]);
        return tableStart + (ulong)table.Count;
    }

    private static IEnumerable<byte[]> Structures(PhysicalMemory memory, int processors)
    {
        string version = typeof(SmbiosTables).Assembly.GetName().Version?.ToString(3) ?? "0";
        string built = typeof(SmbiosTables).Assembly.GetCustomAttribute<AssemblyFileVersionAttribute>()?.Version ?? version;
        yield return Firmware(version);
        yield return SystemInformation(built);
        yield return Structure(3, 0x300, [1, 1, 0, 0, 0, 3, 3, 3, 2, .. Zeros(4), 0, 0, 0, 0, 0], "Ringfence");
        for (int i = 0; i < processors; i++) yield return ProcessorInformation(i);
        ulong ram = memory.RamBytes;
        yield return MemoryArray(ram);
        yield return MemoryDevice(ram);
        yield return MappedRange(0x1300, 0, memory.LowRamEnd);
        if (memory.HighRamEnd > FourGiB) yield return MappedRange(0x1301, FourGiB, memory.HighRamEnd);
        yield return Structure(32, 0x2000, Zeros(7));
        yield return Structure(127, 0x7f00, []);
    }

    /// <summary>Type 0.</summary>
    private static byte[] Firmware(string version)
    {
        // PCI, upgradeable, shadowing, boot from CD, selectable boot, EDD; ACPI; a virtual machine.
        const ulong Abilities = (1 << 7) | (1 << 11) | (1 << 12) | (1 << 15) | (1 << 16) | (1 << 19);
        const byte Acpi = 1, VirtualMachine = 0x10;
        byte[] body = new byte[20];
        body[0] = 1;
        body[1] = 2;
        BinaryPrimitives.WriteUInt16LittleEndian(body.AsSpan(2), 0xf000);
        body[4] = 3;
        BinaryPrimitives.WriteUInt64LittleEndian(body.AsSpan(6), Abilities);
        body[14] = Acpi;
        body[15] = VirtualMachine;
        body[16] = body[17] = body[18] = body[19] = 0xff;
        string[] parts = version.Split('.');
        if (parts.Length > 1 && byte.TryParse(parts[0], CultureInfo.InvariantCulture, out byte major) && byte.TryParse(parts[1], CultureInfo.InvariantCulture, out byte minor))
        {
            body[16] = major;
            body[17] = minor;
        }

        return Structure(0, 0, body, "Ringfence", version, "01/01/2026");
    }

    /// <summary>Type 1. Without a number of its own the machine has no identifier: all zeros.</summary>
    private static byte[] SystemInformation(string version)
    {
        const byte PowerSwitch = 6;
        byte[] body = new byte[23];
        body[0] = 1;
        body[1] = 2;
        body[2] = 3;
        body[20] = PowerSwitch;
        return Structure(1, FirstHandle, body, "Ringfence", "Ringfence PC", version);
    }

    /// <summary>Type 4.</summary>
    private static byte[] ProcessorInformation(int index)
    {
        const byte Central = 3, OtherFamily = 1, Enabled = 0x41, OtherSocket = 1;
        const ushort NoCache = 0xffff, SixtyFourBit = 4;
        byte[] body = new byte[38];
        body[0] = 1;
        body[1] = Central;
        body[2] = OtherFamily;
        body[3] = 2;
        BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(4), Reset.CpuidSignature);
        body[12] = 3;
        BinaryPrimitives.WriteUInt16LittleEndian(body.AsSpan(16), 1000);
        BinaryPrimitives.WriteUInt16LittleEndian(body.AsSpan(18), 1000);
        body[20] = Enabled;
        body[21] = OtherSocket;
        for (int cache = 22; cache < 28; cache += 2) BinaryPrimitives.WriteUInt16LittleEndian(body.AsSpan(cache), NoCache);
        body[31] = body[32] = body[33] = 1;
        BinaryPrimitives.WriteUInt16LittleEndian(body.AsSpan(34), SixtyFourBit);
        BinaryPrimitives.WriteUInt16LittleEndian(body.AsSpan(36), OtherFamily);
        return Structure(4, (ushort)(0x400 + index), body, string.Create(CultureInfo.InvariantCulture, $"CPU {index}"), "Ringfence", "Ringfence Virtual Processor");
    }

    /// <summary>Type 16.</summary>
    private static byte[] MemoryArray(ulong ram)
    {
        const byte Other = 1, SystemMemory = 3, MultiBitCorrection = 6;
        const uint InExtendedField = 0x8000_0000, NoErrorInformation = 0xfffe;
        byte[] body = new byte[19];
        body[0] = Other;
        body[1] = SystemMemory;
        body[2] = MultiBitCorrection;
        bool isLarge = ram >> 10 >= InExtendedField;
        BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(3), isLarge ? InExtendedField : (uint)(ram >> 10));
        BinaryPrimitives.WriteUInt16LittleEndian(body.AsSpan(7), (ushort)NoErrorInformation);
        BinaryPrimitives.WriteUInt16LittleEndian(body.AsSpan(9), 1);
        if (isLarge) BinaryPrimitives.WriteUInt64LittleEndian(body.AsSpan(11), ram);
        return Structure(16, MemoryArrayHandle, body);
    }

    /// <summary>Type 17: all RAM is one module.</summary>
    private static byte[] MemoryDevice(ulong ram)
    {
        const byte Module = 9, Ram = 7;
        const ushort Other = 2, InExtendedField = 0x7fff, NoErrorInformation = 0xfffe;
        ulong mebibytes = ram >> 20;
        byte[] body = new byte[36];
        BinaryPrimitives.WriteUInt16LittleEndian(body, MemoryArrayHandle);
        BinaryPrimitives.WriteUInt16LittleEndian(body.AsSpan(2), NoErrorInformation);
        body.AsSpan(4, 4).Fill(0xff);
        bool isLarge = mebibytes >= InExtendedField;
        BinaryPrimitives.WriteUInt16LittleEndian(body.AsSpan(8), isLarge ? InExtendedField : (ushort)mebibytes);
        body[10] = Module;
        body[12] = 1;
        body[14] = Ram;
        BinaryPrimitives.WriteUInt16LittleEndian(body.AsSpan(15), Other);
        body[19] = 2;
        if (isLarge) BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(24), (uint)mebibytes);
        return Structure(17, 0x1100, body, "DIMM 0", "Ringfence");
    }

    /// <summary>Type 19.</summary>
    private static byte[] MappedRange(ushort handle, ulong start, ulong end)
    {
        byte[] body = new byte[27];
        bool fits = (end - 1) >> 10 < uint.MaxValue;
        BinaryPrimitives.WriteUInt32LittleEndian(body, fits ? (uint)(start >> 10) : uint.MaxValue);
        BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(4), fits ? (uint)((end - 1) >> 10) : uint.MaxValue);
        BinaryPrimitives.WriteUInt16LittleEndian(body.AsSpan(8), MemoryArrayHandle);
        body[10] = 1;
        if (!fits)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(body.AsSpan(11), start);
            BinaryPrimitives.WriteUInt64LittleEndian(body.AsSpan(19), end - 1);
        }

        return Structure(19, handle, body);
    }

    private static byte[] Zeros(int count) => new byte[count];

    /// <summary>A structure: header, formatted part, texts that it names by their number, two zeros.</summary>
    private static byte[] Structure(byte type, ushort handle, byte[] body, params ReadOnlySpan<string> texts)
    {
        const int HeaderBytes = 4;
        List<byte> bytes = [type, (byte)(HeaderBytes + body.Length), (byte)handle, (byte)(handle >> 8), .. body];
        foreach (string text in texts)
        {
            bytes.AddRange(Encoding.ASCII.GetBytes(text));
            bytes.Add(0);
        }

        if (texts.Length == 0) bytes.Add(0);
        bytes.Add(0);
        return [.. bytes];
    }
}
