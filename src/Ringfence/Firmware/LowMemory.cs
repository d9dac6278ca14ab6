using System.Buffers.Binary;
using Ringfence.Memory;

namespace Ringfence.Firmware;

/// <summary>
/// The first MiB as our loaders leave it: the BIOS data area that kernels still read, room for what loaders hand over,
/// and the firmware's tables below 1 MiB, where systems search for them.
/// </summary>
internal static class LowMemory
{
    /// <summary>The BIOS data area.</summary>
    public const ulong BiosDataArea = 0x400;

    /// <summary>The loaders' global descriptor table.</summary>
    public const ulong Gdt = 0x1000;

    /// <summary>Six pages: the page tables of the 64-bit Linux entry.</summary>
    public const ulong PageTables = 0x2000;

    /// <summary>Linux's boot_params.</summary>
    public const ulong ZeroPage = 0x1_0000;

    /// <summary>The Linux command line.</summary>
    public const ulong CommandLine = 0x2_0000;

    /// <summary>Bytes kept for the command line with its final zero.</summary>
    public const int CommandLineBytes = 0x1_0000;

    /// <summary>The extended BIOS data area: the last KiB of conventional memory.</summary>
    public const ulong ExtendedBiosDataArea = 0x9_fc00;

    /// <summary>End of conventional memory.</summary>
    public const ulong VideoMemory = 0xa_0000;

    /// <summary>ACPI, MP and SMBIOS tables.</summary>
    public const ulong Tables = 0xf_0000;

    /// <summary>End of <see cref="Tables"/>: our own firmware's fonts and code follow.</summary>
    public const ulong TablesEnd = 0xf_8000;

    private static readonly ushort[] SerialPortBases = [0x3f8, 0x2f8, 0x3e8, 0x2e8];

    /// <summary>Fills in the BIOS data area: serial ports, equipment, conventional memory, extended BIOS data area.</summary>
    public static void WriteBiosDataArea(PhysicalMemory memory, int serialPorts)
    {
        Span<byte> area = stackalloc byte[0x16];
        area.Clear();
        int ports = Math.Min(serialPorts, SerialPortBases.Length);
        for (int i = 0; i < ports; i++) BinaryPrimitives.WriteUInt16LittleEndian(area[(2 * i)..], SerialPortBases[i]);
        BinaryPrimitives.WriteUInt16LittleEndian(area[0xe..], (ushort)(ExtendedBiosDataArea >> 4));
        BinaryPrimitives.WriteUInt16LittleEndian(area[0x10..], (ushort)((ports << 9) | 6));
        BinaryPrimitives.WriteUInt16LittleEndian(area[0x13..], (ushort)(ExtendedBiosDataArea >> 10));
        memory.Write(new GuestPhysical(BiosDataArea), area);
        memory.Write(new GuestPhysical(ExtendedBiosDataArea), [1]);
    }
}
