using System.Buffers.Binary;
using System.Text;
using Ringfence.Devices;

namespace Ringfence.Firmware;

/// <summary>What firmware written for QEMU's PC asks the configuration device for (QEMU, docs/specs/fw_cfg; SeaBIOS, docs/Runtime_config).</summary>
internal static class FirmwareItems
{
    private const ushort RamSize = 0x03, GraphicsOff = 0x04, ProcessorCount = 0x05, MachineId = 0x06, BootMenu = 0x0e, MostProcessors = 0x0f;
    private const int NameBytes = 56;
    private const int CommandBytes = 128;
    private const byte HighMemory = 1, BiosSegment = 2;

    /// <summary>Fills the device in.</summary>
    /// <param name="device">The device.</param>
    /// <param name="target">The machine.</param>
    public static void Fill(FirmwareConfiguration device, BootTarget target)
    {
        int processors = target.Processors.Count;
        device.Add(RamSize, (uint)target.Memory.LowRamEnd);
        device.Add(GraphicsOff, [0, 0]);
        device.Add(ProcessorCount, [(byte)processors, 0]);
        device.Add(MostProcessors, [(byte)processors, 0]);
        device.Add(MachineId, 0);
        device.Add(BootMenu, [1, 0]);
        device.AddFile("etc/max-cpus", [(byte)processors, 0]);
        device.AddFile("etc/e820", MemoryMap(target));
        AcpiImage acpi = AcpiTables.Build(target.Memory.LowRamEnd, processors, target.SerialPorts);
        device.AddFile(RsdpFile, acpi.Rsdp);
        device.AddFile(TablesFile, acpi.Tables);
        device.AddFile("etc/table-loader", LoaderScript(acpi));
    }

    private const string RsdpFile = "etc/acpi/rsdp";
    private const string TablesFile = "etc/acpi/tables";

    /// <summary>RAM from 0 and from 4 GiB; firmware knows the rest.</summary>
    private static byte[] MemoryMap(BootTarget target)
    {
        const ulong FourGiB = 1UL << 32;
        List<byte> map = [];
        void Add(ulong start, ulong end)
        {
            byte[] entry = new byte[20];
            BinaryPrimitives.WriteUInt64LittleEndian(entry, start);
            BinaryPrimitives.WriteUInt64LittleEndian(entry.AsSpan(8), end - start);
            entry[16] = (byte)E820Type.Usable;
            map.AddRange(entry);
        }

        Add(0, target.Memory.LowRamEnd);
        if (target.Memory.HighRamEnd > FourGiB) Add(FourGiB, target.Memory.HighRamEnd);
        return [.. map];
    }

    /// <summary>How the firmware places the tables: commands of 128 bytes (SeaBIOS, src/fw/romfile_loader.h).</summary>
    private static byte[] LoaderScript(AcpiImage image)
    {
        const uint Allocate = 1, AddPointer = 2, AddChecksum = 3;
        List<byte> script = [];
        Span<byte> Command(uint command, string first)
        {
            byte[] entry = new byte[CommandBytes];
            BinaryPrimitives.WriteUInt32LittleEndian(entry, command);
            Encoding.ASCII.GetBytes(first, entry.AsSpan(4, NameBytes));
            int at = script.Count;
            script.AddRange(entry);
            return System.Runtime.InteropServices.CollectionsMarshal.AsSpan(script)[at..];
        }

        foreach ((string file, uint alignment, byte zone) in new[] { (RsdpFile, 16u, BiosSegment), (TablesFile, (uint)AcpiImage.Alignment, HighMemory) })
        {
            Span<byte> entry = Command(Allocate, file);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[60..], alignment);
            entry[64] = zone;
        }

        foreach (AcpiPointer pointer in image.Pointers)
        {
            Span<byte> entry = Command(AddPointer, pointer.InRsdp ? RsdpFile : TablesFile);
            Encoding.ASCII.GetBytes(TablesFile, entry.Slice(60, NameBytes));
            BinaryPrimitives.WriteUInt32LittleEndian(entry[116..], (uint)pointer.Offset);
            entry[120] = (byte)pointer.Size;
        }

        foreach (AcpiChecksum checksum in image.Checksums)
        {
            Span<byte> entry = Command(AddChecksum, checksum.InRsdp ? RsdpFile : TablesFile);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[60..], (uint)checksum.Offset);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[64..], (uint)checksum.Start);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[68..], (uint)checksum.Length);
        }

        return [.. script];
    }
}
