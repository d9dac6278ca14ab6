using Ringfence.Devices;
using Ringfence.Devices.Storage;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices.Storage;

/// <summary>A floppy controller with one drive, its DMA controllers, and a driver's hand on their registers.</summary>
internal sealed class FloppyBench
{
    public const int Buffer = 0x2_0000;

    private int _interrupts;

    public FloppyBench(int bytes = 1_474_560, bool isReadOnly = false)
    {
        byte[] data = new byte[bytes];
        for (int i = 0; i < data.Length; i++) data[i] = (byte)((i / 512) ^ (i >> 3));
        Disk = new MemoryStore(data, isReadOnly);
        Drive = new FakeDrive(Disk);
        Dma = new DmaController8237(Memory);
        Controller = new FloppyController(Clock, new InterruptLine(level => _interrupts += level ? 1 : 0), Dma, Drive);
    }

    public FakeClock Clock { get; } = new();

    public FakeGuestMemory Memory { get; } = new(1 << 18);

    public MemoryStore Disk { get; }

    public FakeDrive Drive { get; }

    public DmaController8237 Dma { get; }

    public FloppyController Controller { get; }

    public int Interrupts()
    {
        int taken = _interrupts;
        _interrupts = 0;
        return taken;
    }

    /// <summary>Lets time pass until nothing happens any more.</summary>
    public void Wait()
    {
        for (int i = 0; i < 8; i++)
        {
            Clock.Advance(1_000_000);
            Drive.Run();
        }
    }

    /// <summary>Takes the controller out of reset and asks about every drive, as drivers do.</summary>
    public void Start(int rate = 0)
    {
        Controller.Write8(2, 0x1c);
        Wait();
        Interrupts().ShouldBe(1);
        for (int i = 0; i < 4; i++) Command(0x08).ShouldBe([(byte)(0xc0 | i), 0]);
        Controller.InputPort.Write8(0, rate);
        Command(0x03, 0xdf, 0x02);
        Command(0x13, 0x00, 0x17, 0x00);
    }

    /// <summary>Sends a command, waits, and takes its results.</summary>
    public byte[] Command(params ReadOnlySpan<int> bytes)
    {
        foreach (int value in bytes)
        {
            (Controller.Read8(4) & 0xc0).ShouldBe(0x80);
            Controller.Write8(5, value);
        }

        Wait();
        return Results();
    }

    public byte[] Results()
    {
        List<byte> results = [];
        while ((Controller.Read8(4) & 0xf0) == 0xd0) results.Add(Controller.Read8(5));
        return [.. results];
    }

    /// <summary>Sets channel 2 up.</summary>
    public void Channel(int bytes, bool toMemory)
    {
        Dma.First.Write8(10, 6);
        Dma.First.Write8(12, 0);
        Dma.First.Write8(11, toMemory ? 0x46 : 0x4a);
        Dma.First.Write8(4, Buffer & 0xff);
        Dma.First.Write8(4, Buffer >> 8);
        Dma.Pages.Write8(0, Buffer >> 16);
        Dma.First.Write8(5, bytes - 1);
        Dma.First.Write8(5, (bytes - 1) >> 8);
        Dma.First.Write8(10, 2);
    }

    public void Seek(int track)
    {
        Command(0x0f, 0, track);
        Command(0x08).ShouldBe([0x20, (byte)track]);
        Interrupts();
    }
}
