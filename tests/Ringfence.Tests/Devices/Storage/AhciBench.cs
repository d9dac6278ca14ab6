using System.Buffers.Binary;
using Ringfence.Devices;
using Ringfence.Devices.Storage;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices.Storage;

/// <summary>An AHCI controller with a disk at port 0 and a CD-ROM drive at port 1, and a driver's hand on its registers and lists.</summary>
internal sealed class AhciBench
{
    public const int List = 0x1_0000;
    public const int ReceiveArea = 0x2_0000;
    public const int Tables = 0x3_0000;
    public const int Data = 0x4_0000;

    private int _interrupts;

    public AhciBench(bool isReadOnly = false)
    {
        Disk = new MemoryStore([.. Enumerable.Range(0, 1 << 20).Select(i => (byte)((i / 512) ^ i))], isReadOnly);
        Disc = new MemoryStore([.. Enumerable.Range(0, 64 * 2048).Select(i => (byte)((i / 2048) + i))], isReadOnly: true);
        DiskDrive = new FakeDrive(Disk);
        DiscDrive = new FakeDrive(Disc);
        Controller = new AhciController(Memory, (address, data) => Messages.Add((address, data)), new AtaDisk(DiskDrive, "RF0001"), new AtapiDevice(DiscDrive, "RF0002"))
        {
            Interrupt = new InterruptLine(level => _interrupts += level ? 1 : 0),
        };
        Controller.Write(4, 2, 6);
        Registers = (IBusDevice)Controller.Bars[0].Target!;
    }

    public AhciController Controller { get; }

    public List<(ulong Address, uint Data)> Messages { get; } = [];

    public FakeGuestMemory Memory { get; } = new(1 << 20);

    public MemoryStore Disk { get; }

    public MemoryStore Disc { get; }

    public FakeDrive DiskDrive { get; }

    public FakeDrive DiscDrive { get; }

    public IBusDevice Registers { get; }

    public int Interrupts()
    {
        int taken = _interrupts;
        _interrupts = 0;
        return taken;
    }

    public uint Read(int port, int register) => Registers.Read32((ulong)(0x100 + (0x80 * port) + register));

    public void Write(int port, int register, uint value) => Registers.Write32((ulong)(0x100 + (0x80 * port) + register), value);

    /// <summary>Sets a port up as drivers do.</summary>
    public void Start(int port)
    {
        Registers.Write32(4, 0x8000_0002);
        Write(port, 0x00, (uint)(List + (port * 0x400)));
        Write(port, 0x04, 0);
        Write(port, 0x08, (uint)(ReceiveArea + (port * 0x100)));
        Write(port, 0x0c, 0);
        Write(port, 0x30, uint.MaxValue);
        Write(port, 0x18, 0x10);
        Write(port, 0x18, 0x11);
        Write(port, 0x10, uint.MaxValue);
        Write(port, 0x14, 0x7dc0_007f);
        Registers.Write32(8, uint.MaxValue);
    }

    /// <summary>Writes a command into a slot.</summary>
    public void Prepare(int port, int slot, ReadOnlySpan<byte> fis, ReadOnlySpan<byte> packet, params (uint Address, int Bytes)[] regions)
    {
        int table = Tables + (slot * 0x400) + (port * 0x8000);
        Span<byte> header = Memory.Data.AsSpan(List + (port * 0x400) + (slot * 32), 32);
        header.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(header, (ushort)(5 | (packet.Length > 0 ? 0x20 : 0)));
        BinaryPrimitives.WriteUInt16LittleEndian(header[2..], (ushort)regions.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(header[8..], (ulong)table);
        Memory.Data.AsSpan(table, 0x400).Clear();
        fis.CopyTo(Memory.Data.AsSpan(table));
        packet.CopyTo(Memory.Data.AsSpan(table + 0x40));
        for (int i = 0; i < regions.Length; i++)
        {
            Span<byte> entry = Memory.Data.AsSpan(table + 0x80 + (16 * i));
            BinaryPrimitives.WriteUInt64LittleEndian(entry, regions[i].Address);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[12..], (uint)regions[i].Bytes - 1);
        }
    }

    public void Run()
    {
        DiskDrive.Run();
        DiscDrive.Run();
    }

    /// <summary>Bytes that the command in a slot has moved.</summary>
    public uint Moved(int port, int slot) => BinaryPrimitives.ReadUInt32LittleEndian(Memory.Data.AsSpan(List + (port * 0x400) + (slot * 32) + 4));

    public static byte[] Fis(byte command, long lba = 0, int count = 0, int features = 0, byte control = 0, bool isCommand = true) =>
    [
        0x27, (byte)(isCommand ? 0x80 : 0), command, (byte)features, (byte)lba, (byte)(lba >> 8), (byte)(lba >> 16), 0xe0,
        (byte)(lba >> 24), (byte)(lba >> 32), (byte)(lba >> 40), (byte)(features >> 8), (byte)count, (byte)(count >> 8), 0, control, 0, 0, 0, 0,
    ];
}
