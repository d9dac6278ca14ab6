using Iced.Intel;
using Ringfence.Devices;
using Ringfence.Devices.Video;
using Ringfence.Memory;
using Ringfence.Processors.Exits;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Devices.Video;

/// <summary>A VGA BIOS that is not ours finds our adapter, sets its modes and draws (Debian's package seabios).</summary>
public sealed class VgaBiosTests : IDisposable
{
    private const string Bios = "/usr/share/seabios/vgabios-stdvga.bin";
    private const uint BiosAddress = 0xc_0000;
    private const ulong Patience = 200_000_000;

    private readonly TestMachine _machine = new();
    private readonly FakeClock _clock = new();
    private readonly FrameMemory _memory = new(16 << 20);
    private readonly VgaAdapter _adapter;
    private VideoPicture _picture;
    private long _generation;

    public VgaBiosTests()
    {
        _adapter = new VgaAdapter(_clock, _memory, _machine.Memory.DeviceLock);
        PortBus ports = new();
        ports.Map("vga", VgaAdapter.Port, VgaAdapter.PortLength, _adapter.LegacyPorts);
        ports.Map("vbe", BochsDisplay.Port, BochsDisplay.PortLength, _adapter.Display);
        _machine.Bus.Ports = ports;
        _machine.Memory.MapDevice("vga", VgaAdapter.WindowAddress, VgaAdapter.WindowLength, _adapter.LegacyWindow);

        // In RAM, as firmware leaves it: while it initializes it notes in itself what it has found.
        if (File.Exists(Bios)) _machine.Memory.Write(new GuestPhysical(BiosAddress), File.ReadAllBytes(Bios));
    }

    public void Dispose() => _machine.Dispose();

    [SkippableFact]
    public void It_starts_in_text_mode_and_prints()
    {
        Run(c =>
        {
            c.mov(ax, 3);
            c.@int(0x10);
            foreach (char character in "Hello")
            {
                c.mov(ax, (short)(0x0e00 | character));
                c.mov(bx, 7);
                c.@int(0x10);
            }

            c.mov(ax, 0x0941);
            c.mov(bx, 0x004e);
            c.mov(cx, 3);
            c.@int(0x10);
        });
        _adapter.Output.Size.ShouldBe((720, 400));
        _adapter.Output.ReadText()![0].ShouldBe("HelloAAA");
        _adapter.Output.Cursor.ShouldBe((5, 0));
        _adapter.Output.ReadCells()![5, 0].ShouldBe(new TextCell((byte)'A', 14, 4, false));
        Draw();
        Enumerable.Range(0, 9 * 16).Count(i => Pixel(i % 9, i / 9) != VgaFixture.Black).ShouldBeInRange(20, 80, "the dots of an H");
        Pixel((5 * 9) + 8, 3).ShouldBe(0xffaa0000);
    }

    [SkippableTheory]
    [InlineData(0x01, 720, 400)]
    [InlineData(0x03, 720, 400)]
    [InlineData(0x04, 640, 400)]
    [InlineData(0x06, 640, 400)]
    [InlineData(0x0d, 640, 400)]
    [InlineData(0x0e, 640, 400)]
    [InlineData(0x10, 640, 350)]
    [InlineData(0x12, 640, 480)]
    [InlineData(0x13, 640, 400)]
    public void Its_standard_modes_show_its_pixels(int mode, int width, int height)
    {
        Run(c =>
        {
            c.mov(ax, (short)mode);
            c.@int(0x10);
            if (mode <= 3) return;
            c.mov(ax, 0x0c01);
            c.xor(bx, bx);
            c.mov(cx, 5);
            c.mov(dx, 7);
            c.@int(0x10);
        });
        Draw();
        (_picture.Width, _picture.Height).ShouldBe((width, height));
        if (mode <= 3) return;
        int right = mode is 0x04 or 0x0d or 0x13 ? 2 : 1;
        int down = mode is 0x04 or 0x06 or 0x0d or 0x0e or 0x13 ? 2 : 1;
        (int X, int Y)[] lit = [.. Enumerable.Range(0, width * height).Where(i => _picture.Pixels[i] != VgaFixture.Black).Select(i => (i % width, i / width))];
        lit.ShouldBe(from y in Enumerable.Range(7 * down, down) from x in Enumerable.Range(5 * right, right) select (x, y));
    }

    [SkippableTheory]
    [InlineData(0x101, 640, 480, 8)]
    [InlineData(0x102, 800, 600, 4)]
    [InlineData(0x105, 1024, 768, 8)]
    [InlineData(0x110, 640, 480, 15)]
    [InlineData(0x114, 800, 600, 16)]
    [InlineData(0x118, 1024, 768, 24)]
    [InlineData(0x144, 1024, 768, 32)]
    public void Its_VESA_modes_work(int mode, int width, int height, int bits)
    {
        Run(c =>
        {
            c.mov(ax, 0x4f02);
            c.mov(bx, (short)(mode | 0x4000));
            c.@int(0x10);
            c.mov(__[0x600], ax);
            if (bits is not 4 and not 8) return;
            c.mov(ax, 0x0c01);
            c.xor(bx, bx);
            c.mov(cx, 5);
            c.mov(dx, 7);
            c.@int(0x10);
        });
        _machine.Read16(0x600).ShouldBe((ushort)0x004f);
        _adapter.Display.BitsPerPixel.ShouldBe(bits);
        if (bits > 8) _memory.Write((ulong)(((width * 7) + 5) * ((bits + 7) / 8)), [0x1f, 0]);
        Draw();
        (_picture.Width, _picture.Height).ShouldBe((width, height));
        int[] lit = [.. Enumerable.Range(0, width * height).Where(i => _picture.Pixels[i] != VgaFixture.Black)];
        lit.ShouldBe([(7 * width) + 5]);
    }

    private uint Pixel(int x, int y) => _picture.Pixels[(y * _picture.Width) + x];

    private void Draw() => _adapter.Output.Draw(ref _picture, ref _generation);

    private unsafe void Run(Action<Assembler> program)
    {
        Skip.IfNot(File.Exists(Bios), "It needs Debian's package seabios.");
        _machine.Assemble(16, c =>
        {
            c.xor(ax, ax);
            c.mov(ds, ax);
            c.mov(es, ax);
            c.mov(ss, ax);
            c.mov(sp, 0x7c00);
            c.mov(ax, 0x0010);
            c.call((ushort)(BiosAddress >> 4), 3);
            program(c);
            c.hlt();
        }, TestMachine.Code, TestMachine.Code);
        _machine.Load(Ringfence.Processors.SegmentIndex.Cs, (ushort)(TestMachine.Code >> 4), TestMachine.Code, 0xffff, 0x9b);
        _machine.State->Rip = 0;
        _machine.Processor.Mmu.FlushCodeTlb();
        _machine.Processor.RefreshMode();
        _machine.RunToHalt(Patience).ShouldBe(ExitReason.Halt);
        _machine.State->Segment(Ringfence.Processors.SegmentIndex.Cs).Base.ShouldBe((ulong)TestMachine.Code);
    }
}
