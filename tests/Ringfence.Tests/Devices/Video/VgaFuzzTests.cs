using System.Diagnostics;
using Ringfence.Devices.Video;

namespace Ringfence.Tests.Devices.Video;

public class VgaFuzzTests
{
    private const int Programs = 2000;
    private const int MostPixels = BochsDisplay.MaximumWidth * 2048;

    [Fact]
    public void Random_register_programs_are_drawn_in_bounded_time_and_memory()
    {
        Random random = new(20260);
        VgaFixture vga = new(1 << 20);
        VgaMode[] modes = [VgaMode.Text, VgaMode.Cga2, VgaMode.Cga4, VgaMode.Mode13, VgaMode.Planar320, VgaMode.Planar640];
        byte[] data = new byte[16];
        Stopwatch time = Stopwatch.StartNew();
        for (int program = 0; program < Programs; program++)
        {
            vga.SetMode(modes[random.Next(modes.Length)]);
            if (random.Next(3) == 0) vga.SetPacked(random.Next(700), random.Next(500), random.Next(40));
            else if (random.Next(20) == 0) vga.SetPacked(random.Next(0x10000), random.Next(0x10000), random.Next(0x10000));
            else vga.Dispi(4, 0);
            for (int i = random.Next(40); i >= 0; i--)
            {
                random.NextBytes(data);
                int size = 1 + random.Next(4);
                switch (random.Next(8))
                {
                    case 0:
                        vga.Adapter.LegacyPorts.Write((ulong)random.Next(VgaAdapter.PortLength - 3), data.AsSpan(0, size));
                        break;
                    case 1:
                        vga.Adapter.LegacyPorts.Read((ulong)random.Next(VgaAdapter.PortLength - 3), data.AsSpan(0, size));
                        break;
                    case 2:
                        vga.Crtc(random.Next(0x20), random.Next(256));
                        break;
                    case 3:
                        vga.Adapter.LegacyWindow.Write((ulong)random.Next(VgaAdapter.WindowLength - 16), data);
                        vga.Adapter.LegacyWindow.Read((ulong)random.Next(VgaAdapter.WindowLength - 16), data);
                        break;
                    case 4:
                        vga.Adapter.Registers.Write((ulong)random.Next(0x380, 0x620), data.AsSpan(0, size));
                        vga.Adapter.Registers.Read((ulong)random.Next(VgaRegisterBar.Length - 16), data);
                        break;
                    case 5:
                        vga.Dispi(random.Next(12), random.Next(2) == 0 ? random.Next(0x10000) : random.Next(64));
                        break;
                    case 6:
                        vga.Attribute(random.Next(32), random.Next(256));
                        break;
                    default:
                        vga.Memory.Write((ulong)random.Next(vga.Memory.Length - 16), data);
                        break;
                }
            }

            vga.Clock.Advance(random.Next(60_000_000));
            vga.Draw();
            (int width, int height) = vga.Output.Size;
            (width * height).ShouldBeLessThanOrEqualTo(MostPixels);
            vga.Picture.Pixels.Length.ShouldBe(width * height);
            vga.Output.ReadText();
            _ = vga.Output.Cursor;
        }

        time.Elapsed.ShouldBeLessThan(TimeSpan.FromMinutes(2));
    }

    [Fact]
    public async Task Pictures_are_drawn_while_the_guest_goes_on()
    {
        Lock machine = new();
        Support.FakeClock clock = new();
        FrameMemory memory = new(1 << 20);
        VgaAdapter adapter = new(clock, memory, machine);
        using CancellationTokenSource end = new(TimeSpan.FromSeconds(1));
        Task guest = Task.Run(() =>
        {
            Random random = new(1);
            while (!end.IsCancellationRequested)
            {
                lock (machine)
                {
                    adapter.LegacyPorts.Write((ulong)random.Next(VgaAdapter.PortLength - 1), [(byte)random.Next(256), (byte)random.Next(256)]);
                    adapter.LegacyWindow.Write((ulong)random.Next(VgaAdapter.WindowLength), [(byte)random.Next(256)]);
                    adapter.Display.Write(random.Next(11), (ushort)random.Next(800));
                }
            }
        });
        Task[] viewers = [.. Enumerable.Range(0, 2).Select(_ => Task.Run(() =>
        {
            VideoPicture picture = default;
            long generation = 0;
            while (!end.IsCancellationRequested)
            {
                adapter.Output.Draw(ref picture, ref generation);
                picture.Pixels.Length.ShouldBe(picture.Width * picture.Height);
                adapter.Output.ReadText();
            }
        }))];
        await Task.WhenAll([guest, .. viewers]);
    }
}
