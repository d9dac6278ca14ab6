using Ringfence.Devices.Storage;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices.Storage;

public class FloppyControllerTests
{
    private readonly FloppyBench _bench = new();

    [Fact]
    public void A_reset_takes_time_and_is_answered_for_every_drive()
    {
        _bench.Controller.Read8(4).ShouldBe((byte)0);
        _bench.Controller.Write8(2, 0x0c);
        _bench.Interrupts().ShouldBe(0);
        _bench.Start();
        _bench.Command(0x08).ShouldBe([0x80]);
    }

    [Fact]
    public void It_is_a_82077()
    {
        _bench.Start();
        _bench.Command(0x10).ShouldBe([0x90]);
        _bench.Command(0x18).ShouldBe([0x80]);
        _bench.Command(0x94).ShouldBe([0x10]);
        _bench.Command(0x0e).ShouldBe([0, 0, 0, 0, 0xdf, 0x02, 0, 0x80, 0x17, 0]);
        // What is locked survives a reset by software.
        _bench.Controller.Write8(4, 0x80);
        _bench.Wait();
        _bench.Command(0x0e)[8].ShouldBe((byte)0x17);
        _bench.Command(0x14).ShouldBe([0x00]);
    }

    [Fact]
    public void Recalibrate_and_seek_end_with_an_interrupt_that_is_sensed()
    {
        _bench.Start();
        _bench.Seek(40);
        _bench.Controller.Write8(5, 0x07);
        _bench.Controller.Write8(5, 0x00);
        (_bench.Controller.Read8(4) & 1).ShouldBe(1);
        _bench.Interrupts().ShouldBe(0);
        _bench.Wait();
        _bench.Interrupts().ShouldBe(1);
        _bench.Command(0x08).ShouldBe([0x20, 0]);
        (_bench.Controller.Read8(4) & 1).ShouldBe(0);
        _bench.Command(0x04, 0).ShouldBe([0x38]);
    }

    [Fact]
    public void A_drive_that_is_not_there_has_no_track_0()
    {
        _bench.Start();
        _bench.Command(0x07, 1);
        _bench.Command(0x08)[0].ShouldBe((byte)0x71);
    }

    [Fact]
    public void Sectors_are_read_by_dma_until_terminal_count()
    {
        _bench.Start();
        _bench.Seek(3);
        _bench.Channel(3 * 512, toMemory: true);
        _bench.Command(0x46, 0x04, 3, 1, 5, 2, 18, 0x1b, 0xff).ShouldBe([0x04, 0, 0, 3, 1, 8, 2]);
        _bench.Interrupts().ShouldBe(1);
        int offset = ((((3 * 2) + 1) * 18) + 4) * 512;
        _bench.Memory.Data[FloppyBench.Buffer..(FloppyBench.Buffer + 1536)].ShouldBe(_bench.Disk.Data[offset..(offset + 1536)]);
        (_bench.Dma.First.Read8(8) & 4).ShouldBe(4);
    }

    [Fact]
    public void With_multi_track_a_read_goes_on_on_the_other_side()
    {
        _bench.Start();
        _bench.Channel(36 * 512, toMemory: true);
        _bench.Command(0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff).ShouldBe([0x00, 0, 0, 1, 0, 1, 2]);
        _bench.Memory.Data.AsSpan(FloppyBench.Buffer, 36 * 512).SequenceEqual(_bench.Disk.Data.AsSpan(0, 36 * 512)).ShouldBeTrue();
    }

    [Fact]
    public void The_end_of_the_cylinder_without_terminal_count_is_an_error()
    {
        _bench.Start();
        _bench.Channel(20 * 512, toMemory: true);
        _bench.Command(0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff)[..2].ShouldBe([0x40, 0x80]);
    }

    [Fact]
    public void Sectors_are_written_by_dma()
    {
        _bench.Start();
        _bench.Seek(79);
        new Random(1).NextBytes(_bench.Memory.Data);
        _bench.Channel(1024, toMemory: false);
        _bench.Command(0x45, 0x00, 79, 0, 17, 2, 18, 0x1b, 0xff).ShouldBe([0, 0, 0, 80, 0, 1, 2]);
        int offset = ((79 * 2 * 18) + 16) * 512;
        _bench.Disk.Data[offset..(offset + 1024)].ShouldBe(_bench.Memory.Data[FloppyBench.Buffer..(FloppyBench.Buffer + 1024)]);
    }

    [Fact]
    public void Without_dma_data_passes_through_the_fifo()
    {
        _bench.Start();
        _bench.Command(0x03, 0xdf, 0x03);
        _bench.Command(0x46, 0, 0, 0, 18, 2, 18, 0x1b, 0xff).ShouldBeEmpty();
        _bench.Interrupts().ShouldBe(1);
        byte[] data = new byte[512];
        for (int i = 0; i < data.Length; i++)
        {
            (_bench.Controller.Read8(4) & 0xf0).ShouldBe(0xf0);
            data[i] = _bench.Controller.Read8(5);
        }

        data.ShouldBe(_bench.Disk.Data[(17 * 512)..(18 * 512)]);
        _bench.Interrupts().ShouldBe(1);
        _bench.Results()[..2].ShouldBe([0x40, 0x80]);

        _bench.Command(0x45, 0, 0, 0, 18, 2, 18, 0x1b, 0xff).ShouldBeEmpty();
        for (int i = 0; i < 512; i++) _bench.Controller.Write8(5, i * 3);
        _bench.Wait();
        _bench.Results()[..2].ShouldBe([0x40, 0x80]);
        _bench.Disk.Data[(17 * 512) + 100].ShouldBe(unchecked((byte)300));
    }

    [Fact]
    public void Formatting_fills_the_track()
    {
        _bench.Start();
        _bench.Seek(2);
        for (int i = 0; i < 18; i++) ((byte[])[2, 1, (byte)(i + 1), 2]).CopyTo(_bench.Memory.Data, FloppyBench.Buffer + (4 * i));
        _bench.Channel(18 * 4, toMemory: false);
        _bench.Controller.Write8(5, 0x4d);
        foreach (int value in (int[])[0x04, 2, 18, 0x54, 0xf6]) _bench.Controller.Write8(5, value);
        _bench.Wait();
        _bench.Results()[..3].ShouldBe([0x04, 0, 0]);
        int track = ((2 * 2) + 1) * 18 * 512;
        _bench.Disk.Data[track..(track + (18 * 512))].ShouldAllBe(value => value == 0xf6);
        _bench.Disk.Data[(track - 512)..track].ShouldContain(value => value != 0xf6);
    }

    [Fact]
    public void Read_id_tells_sectors_in_turn_at_the_right_data_rate_only()
    {
        _bench.Start();
        _bench.Seek(1);
        byte first = _bench.Command(0x4a, 0)[5];
        byte[] next = _bench.Command(0x4a, 0);
        next[..5].ShouldBe([0, 0, 0, 1, 0]);
        next[5].ShouldBe((byte)((first % 18) + 1));
        _bench.Controller.InputPort.Write8(0, 2);
        _bench.Command(0x4a, 0)[..2].ShouldBe([0x40, 0x01]);
        _bench.Channel(512, toMemory: true);
        _bench.Command(0x46, 0, 1, 0, 1, 2, 18, 0x1b, 0xff)[..2].ShouldBe([0x40, 0x01]);
    }

    [Fact]
    public void Errors_are_told_as_the_data_sheet_says()
    {
        _bench.Start();
        _bench.Channel(512, toMemory: true);
        // The head is not on that cylinder, there is no such sector, the channel is masked.
        _bench.Command(0x46, 0, 5, 0, 1, 2, 18, 0x1b, 0xff)[..3].ShouldBe([0x40, 0x04, 0x10]);
        _bench.Command(0x46, 0, 0, 0, 19, 2, 19, 0x1b, 0xff)[..3].ShouldBe([0x40, 0x04, 0x00]);
        _bench.Dma.First.Write8(10, 6);
        _bench.Command(0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff)[..3].ShouldBe([0x40, 0x10, 0x00]);
        _bench.Drive.Outcome = BlockStatus.Failed;
        _bench.Command(0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff)[..3].ShouldBe([0x40, 0x20, 0x20]);
    }

    [Fact]
    public void A_read_only_medium_is_write_protected()
    {
        FloppyBench bench = new(isReadOnly: true);
        bench.Start();
        (bench.Command(0x04, 0)[0] & 0x40).ShouldBe(0x40);
        bench.Channel(512, toMemory: false);
        bench.Command(0x45, 0, 0, 0, 1, 2, 18, 0x1b, 0xff)[..2].ShouldBe([0x40, 0x02]);
    }

    [Fact]
    public void The_disk_change_line_is_released_by_a_seek_with_a_medium_in()
    {
        _bench.Start();
        _bench.Controller.InputPort.Read8(0).ShouldBe((byte)0x80);
        _bench.Seek(1);
        _bench.Controller.InputPort.Read8(0).ShouldBe((byte)0);
        _bench.Drive.Change(null);
        _bench.Seek(2);
        _bench.Controller.InputPort.Read8(0).ShouldBe((byte)0x80);
        _bench.Drive.Change(_bench.Disk);
        _bench.Seek(1);
        _bench.Controller.InputPort.Read8(0).ShouldBe((byte)0);
    }

    [Theory]
    [InlineData(163_840, 2, 40, 1, 8)]
    [InlineData(368_640, 2, 40, 2, 9)]
    [InlineData(737_280, 2, 80, 2, 9)]
    [InlineData(1_228_800, 0, 80, 2, 15)]
    [InlineData(1_474_560, 0, 80, 2, 18)]
    [InlineData(2_949_120, 3, 80, 2, 36)]
    public void The_format_follows_from_the_images_size(int bytes, int rate, int cylinders, int heads, int sectors)
    {
        FloppyBench bench = new(bytes);
        bench.Start(rate);
        bench.Seek(cylinders - 1);
        bench.Channel(512, toMemory: true);
        int head = heads - 1;
        bench.Command(0x46, head << 2, cylinders - 1, head, sectors, 2, sectors, 0x1b, 0xff)[1].ShouldBe((byte)0);
        bench.Memory.Data[FloppyBench.Buffer..(FloppyBench.Buffer + 512)].ShouldBe(bench.Disk.Data[^512..]);
    }

    [Fact]
    public void A_reset_forgets_a_read_under_way()
    {
        _bench.Start();
        _bench.Channel(512, toMemory: true);
        foreach (int value in (int[])[0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff]) _bench.Controller.Write8(5, value);
        _bench.Clock.Advance(1_000_000);
        _bench.Drive.Waiting.ShouldBe(1);
        _bench.Controller.Write8(2, 0x18);
        _bench.Drive.Waiting.ShouldBe(0);
        _bench.Controller.Write8(2, 0x1c);
        _bench.Wait();
        _bench.Command(0x08).ShouldBe([0xc0, 0]);
        _bench.Memory.Data[FloppyBench.Buffer].ShouldBe((byte)0);
    }

    [Fact]
    public void Random_programs_neither_throw_nor_hang_nor_leave_the_medium()
    {
        int[] commands = [0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x12, 0x13, 0x14, 0x16, 0x18, 0x8f, 0xcf];
        Random random = new(1);
        FloppyBench? bench = null;
        for (int program = 0; program < 2_000; program++)
        {
            // A machine lives for a few programs.
            if (program % 20 == 0) bench = new FloppyBench(random.Next(1, 3000) * 512, isReadOnly: random.Next(8) == 0);
            for (int i = 0; i < 60; i++) Step(bench!, random, commands);
            bench!.Controller.Reset();
            bench.Dma.Reset();
            bench.Drive.Waiting.ShouldBe(0);
        }
    }

    private static void Step(FloppyBench bench, Random random, int[] commands)
    {
        switch (random.Next(12))
        {
            case 0:
                bench.Clock.Advance(random.Next(200_000));
                break;
            case 1:
                bench.Drive.Run();
                break;
            case 2:
                bench.Channel(random.Next(1, 0x1_0000), random.Next(2) == 0);
                break;
            case 3:
                bench.Dma.First.Write8((ulong)random.Next(16), random.Next(256));
                bench.Dma.Second.Write8((ulong)random.Next(32), random.Next(256));
                bench.Dma.Pages.Write8((ulong)random.Next(15), random.Next(256));
                bench.Dma.First.Read8((ulong)random.Next(16));
                break;
            case 4:
                bench.Controller.Write8(2, random.Next(2) == 0 ? 0x1c : random.Next(256));
                break;
            case 5:
                bench.Controller.InputPort.Write8(0, random.Next(4));
                bench.Controller.InputPort.Read8(0);
                break;
            case 6:
                for (int i = random.Next(1100); i > 0; i--) bench.Controller.Read8(5);
                break;
            case 7:
                if (random.Next(4) == 0) bench.Drive.Change(random.Next(2) == 0 ? null : bench.Disk);
                break;
            case 8:
                bench.Controller.Write8((ulong)random.Next(6), random.Next(256));
                bench.Controller.Read8((ulong)random.Next(6));
                break;
            default:
                bench.Controller.Write8(5, commands[random.Next(commands.Length)] | (random.Next(2) << 6) | (random.Next(2) << 7));
                bench.Controller.Write8(5, random.Next(3) == 0 ? random.Next(256) : 0);
                int track = random.Next(4) == 0 ? random.Next(256) : 0;
                foreach (int value in (int[])[track, random.Next(2), random.Next(20), 2, random.Next(40), 0x1b, random.Next(256)]) bench.Controller.Write8(5, value);
                break;
        }
    }
}
