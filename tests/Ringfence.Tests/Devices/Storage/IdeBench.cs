using System.Buffers.Binary;
using Ringfence.Devices;
using Ringfence.Devices.Storage;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices.Storage;

/// <summary>An IDE controller with a disk as primary device 0 and a CD-ROM drive as secondary device 0, and a driver's hand on its registers.</summary>
internal sealed class IdeBench
{
    public const int DiskBytes = 2 << 20;
    public const int DiscBlocks = 64;
    public const uint Table = 0x1000;

    private static readonly byte[] DiskContents = [.. Enumerable.Range(0, DiskBytes).Select(i => (byte)((i / 512) ^ i))];
    private static readonly byte[] DiscContents = [.. Enumerable.Range(0, DiscBlocks * 2048).Select(i => (byte)((i / 2048) + i))];

    private int _interrupts14;
    private int _interrupts15;

    public IdeBench(bool isReadOnly = false)
    {
        Disk = new MemoryStore([.. DiskContents], isReadOnly);
        Disc = new MemoryStore([.. DiscContents], isReadOnly: true);
        DiskDrive = new FakeDrive(Disk);
        DiscDrive = new FakeDrive(Disc);
        Controller = new IdeController(
            Memory,
            new InterruptLine(level => _interrupts14 += level ? 1 : 0),
            new InterruptLine(level => _interrupts15 += level ? 1 : 0),
            new AtaDisk(DiskDrive, "RF0001"),
            null,
            new AtapiDevice(DiscDrive, "RF0002"));
        Controller.Write(4, 2, 5);
        BusMaster = (IBusDevice)Controller.Bars[0].Target!;
    }

    public IdeController Controller { get; }

    public FakeGuestMemory Memory { get; } = new(1 << 20);

    public MemoryStore Disk { get; }

    public MemoryStore Disc { get; }

    public FakeDrive DiskDrive { get; }

    public FakeDrive DiscDrive { get; }

    public IBusDevice BusMaster { get; }

    public IBusDevice Ports => Controller.Primary.CommandPorts;

    public IBusDevice Control => Controller.Primary.ControlPort;

    public IBusDevice CdPorts => Controller.Secondary.CommandPorts;

    public IBusDevice CdControl => Controller.Secondary.ControlPort;

    /// <summary>Interrupts of the first channel since it was asked last.</summary>
    public int Interrupts() => Take(ref _interrupts14);

    /// <summary>Interrupts of the second channel since it was asked last.</summary>
    public int CdInterrupts() => Take(ref _interrupts15);

    /// <summary>Writes the registers of a 28-bit command and the command.</summary>
    public void Command(byte command, long lba = 0, int count = 1, int features = 0, int device = 0xe0)
    {
        Ports.Write8(6, device | (int)(lba >> 24));
        Ports.Write8(1, features);
        Ports.Write8(2, count);
        Ports.Write8(3, (int)lba);
        Ports.Write8(4, (int)(lba >> 8));
        Ports.Write8(5, (int)(lba >> 16));
        Ports.Write8(7, command);
    }

    /// <summary>The same of a 48-bit command.</summary>
    public void CommandExt(byte command, long lba = 0, int count = 1)
    {
        Ports.Write8(6, 0xe0);
        Ports.Write8(2, count >> 8);
        Ports.Write8(2, count);
        for (int i = 0; i < 3; i++)
        {
            Ports.Write8((ulong)(3 + i), (int)(lba >> (24 + (8 * i))));
            Ports.Write8((ulong)(3 + i), (int)(lba >> (8 * i)));
        }

        Ports.Write8(7, command);
    }

    public static byte[] ReadData(IBusDevice ports, int bytes)
    {
        byte[] data = new byte[bytes];
        for (int i = 0; i < bytes; i += 2) BinaryPrimitives.WriteUInt16LittleEndian(data.AsSpan(i), ports.Read16(0));
        return data;
    }

    public static void WriteData(IBusDevice ports, ReadOnlySpan<byte> data)
    {
        for (int i = 0; i < data.Length; i += 2) ports.Write16(0, BinaryPrimitives.ReadUInt16LittleEndian(data[i..]));
    }

    /// <summary>Writes a table of physical regions and tells the bus master of a channel where it is.</summary>
    public void Regions(int channel, params (uint Address, int Bytes)[] regions)
    {
        for (int i = 0; i < regions.Length; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(Memory.Data.AsSpan((int)Table + (8 * i)), regions[i].Address);
            uint flags = i == regions.Length - 1 ? 0x8000_0000 : 0;
            BinaryPrimitives.WriteUInt32LittleEndian(Memory.Data.AsSpan((int)Table + (8 * i) + 4), (ushort)regions[i].Bytes | flags);
        }

        BusMaster.Write32((ulong)(8 * channel) + 4, Table);
    }

    /// <summary>Sends a command packet to the CD-ROM drive.</summary>
    public void Packet(ReadOnlySpan<byte> packet, bool isDma = false, int limit = 0xfffe)
    {
        byte[] whole = new byte[12];
        packet.CopyTo(whole);
        CdPorts.Write8(6, 0xa0);
        CdPorts.Write8(1, isDma ? 1 : 0);
        CdPorts.Write8(4, limit);
        CdPorts.Write8(5, limit >> 8);
        CdPorts.Write8(7, 0xa0);
        WriteData(CdPorts, whole);
        DiscDrive.Run();
    }

    /// <summary>Takes what the drive sends by PIO, block by block as it announces them.</summary>
    public byte[] Answer()
    {
        List<byte> data = [];
        while ((CdPorts.Read8(7) & AtaStatus.DataRequest) != 0)
        {
            (CdPorts.Read8(2) & 3).ShouldBe(2);
            int bytes = CdPorts.Read8(4) | (CdPorts.Read8(5) << 8);
            data.AddRange(ReadData(CdPorts, (bytes + 1) & ~1)[..bytes]);
            DiscDrive.Run();
        }

        (CdPorts.Read8(2) & 3).ShouldBe(3);
        return [.. data];
    }

    /// <summary>Sends REQUEST SENSE and gives key, code and qualifier as text.</summary>
    public string Sense()
    {
        Packet([0x03, 0, 0, 0, 18]);
        byte[] data = Answer();
        return $"{data[2]:x}/{data[12]:x2}/{data[13]:x2}";
    }

    /// <summary>Takes the unit attention of power-on away.</summary>
    public void Settle()
    {
        Packet([0]);
        Sense();
        CdInterrupts();
    }

    private static int Take(ref int count)
    {
        int taken = count;
        count = 0;
        return taken;
    }
}
