using System.Buffers.Binary;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices.Storage;

public class AhciControllerTests
{
    private readonly AhciBench _bench = new();

    [Fact]
    public void The_function_and_its_capabilities_are_there()
    {
        _bench.Controller.Read(0, 4).ShouldBe(0x2922_8086u);
        (_bench.Controller.Read(8, 4) >> 8).ShouldBe(0x01_0601u);
        _bench.Controller.Read(0x3d, 1).ShouldBe(1u);
        _bench.Controller.Write(0x24, 4, uint.MaxValue);
        _bench.Controller.Read(0x24, 4).ShouldBe(0xffff_f000u);
        uint capabilities = _bench.Registers.Read32(0);
        (capabilities & 31).ShouldBe(5u);
        (capabilities >> 8 & 31).ShouldBe(31u);
        _bench.Registers.Read32(0x0c).ShouldBe(0x3fu);
        _bench.Registers.Read32(0x10).ShouldBe(0x0001_0300u);
        _bench.Registers.Read32(4).ShouldBe(0x8000_0000u);
    }

    [Fact]
    public void A_device_is_seen_on_its_link_and_signs_when_it_is_heard()
    {
        _bench.Read(0, 0x28).ShouldBe(0x113u);
        _bench.Read(2, 0x28).ShouldBe(0u);
        _bench.Read(0, 0x24).ShouldBe(uint.MaxValue);
        _bench.Start(0);
        _bench.Start(1);
        _bench.Read(0, 0x24).ShouldBe(0x0000_0101u);
        _bench.Read(1, 0x24).ShouldBe(0xeb14_0101u);
        _bench.Read(0, 0x20).ShouldBe(0x0150u);
        _bench.Memory.Data[AhciBench.ReceiveArea + 0x40].ShouldBe((byte)0x34);
        (_bench.Read(0, 0x18) & 0xc011).ShouldBe(0xc011u);
        _bench.Interrupts().ShouldBe(0);
    }

    [Fact]
    public void Each_interrupt_that_appears_is_a_message_where_the_driver_wants_messages()
    {
        (_bench.Controller.Read(0x34, 1), _bench.Controller.Read(0x80, 2)).ShouldBe((0x80u, 0x0005u));
        _bench.Controller.Write(0x84, 4, 0xfee0_1003);
        _bench.Controller.Write(0x88, 2, 0x4041);
        _bench.Controller.Write(0x82, 2, 0xffff);
        _bench.Controller.Read(0x82, 2).ShouldBe(1u);
        _bench.Start(0);
        _bench.Start(1);
        (ulong, uint) message = (0xfee0_1000, 0x4041);
        Identify(0);
        _bench.Messages.ShouldBe([message]);
        // Another one of the same port is no other bit, that of another port is.
        Identify(0);
        _bench.Messages.ShouldBe([message]);
        _bench.Prepare(1, 0, AhciBench.Fis(0xa1), [], (AhciBench.Data, 512));
        _bench.Write(1, 0x38, 1);
        _bench.Messages.ShouldBe([message, message]);
        // A port that goes on interrupting says so again.
        _bench.Registers.Write32(8, 1);
        _bench.Messages.ShouldBe([message, message, message]);
        _bench.Write(0, 0x10, uint.MaxValue);
        _bench.Write(1, 0x10, uint.MaxValue);
        _bench.Registers.Write32(8, 3);
        (_bench.Messages.Count, _bench.Registers.Read32(8), _bench.Interrupts()).ShouldBe((3, 0u, 0));
    }

    [Fact]
    public void Identify_ends_with_a_pio_setup_fis()
    {
        _bench.Start(0);
        _bench.Prepare(0, 3, AhciBench.Fis(0xec), [], (AhciBench.Data, 512));
        _bench.Write(0, 0x38, 1u << 3);
        _bench.Read(0, 0x38).ShouldBe(0u);
        _bench.Read(0, 0x10).ShouldBe(2u);
        _bench.Registers.Read32(8).ShouldBe(1u);
        _bench.Interrupts().ShouldBe(1);
        _bench.Moved(0, 3).ShouldBe(512u);
        byte[] fis = _bench.Memory.Data[(AhciBench.ReceiveArea + 0x20)..(AhciBench.ReceiveArea + 0x34)];
        (fis[0], fis[2], fis[15]).ShouldBe(((byte)0x5f, (byte)0x58, (byte)0x50));
        BinaryPrimitives.ReadUInt32LittleEndian(_bench.Memory.Data.AsSpan(AhciBench.Data + 120)).ShouldBe(2048u);
        _bench.Write(0, 0x10, uint.MaxValue);
        _bench.Registers.Write32(8, 1);
        _bench.Registers.Read32(8).ShouldBe(0u);
    }

    [Fact]
    public void Reads_scatter_and_writes_gather()
    {
        _bench.Start(0);
        _bench.Prepare(0, 0, AhciBench.Fis(0x25, 9, 4), [], (AhciBench.Data, 1024), (AhciBench.Data + 0x2000, 1024));
        _bench.Write(0, 0x38, 1);
        (_bench.Read(0, 0x20) & 0x80).ShouldBe(0x80u);
        _bench.Run();
        _bench.Read(0, 0x38).ShouldBe(0u);
        _bench.Read(0, 0x10).ShouldBe(1u);
        byte[] read = [.. _bench.Memory.Data[AhciBench.Data..(AhciBench.Data + 1024)], .. _bench.Memory.Data[(AhciBench.Data + 0x2000)..(AhciBench.Data + 0x2400)]];
        read.ShouldBe(_bench.Disk.Data[(9 * 512)..(13 * 512)]);

        _bench.Prepare(0, 1, AhciBench.Fis(0x35, 100, 2), [], (AhciBench.Data, 512), (AhciBench.Data + 0x2000, 512));
        _bench.Write(0, 0x38, 2);
        _bench.Run();
        byte[] written = [.. _bench.Memory.Data[AhciBench.Data..(AhciBench.Data + 512)], .. _bench.Memory.Data[(AhciBench.Data + 0x2000)..(AhciBench.Data + 0x2200)]];
        _bench.Disk.Data[(100 * 512)..(102 * 512)].ShouldBe(written);
        _bench.Moved(0, 1).ShouldBe(1024u);
    }

    [Fact]
    public void Issued_commands_are_carried_out_in_the_order_of_their_slots()
    {
        _bench.Start(0);
        for (int i = 0; i < 32; i++) _bench.Prepare(0, i, AhciBench.Fis(0x25, i, 1), [], ((uint)(AhciBench.Data + (512 * i)), 512));
        _bench.Write(0, 0x38, uint.MaxValue);
        _bench.Run();
        _bench.Read(0, 0x38).ShouldBe(0u);
        _bench.Memory.Data.AsSpan(AhciBench.Data, 32 * 512).SequenceEqual(_bench.Disk.Data.AsSpan(0, 32 * 512)).ShouldBeTrue();
    }

    [Fact]
    public void A_failed_command_stops_the_list_until_it_is_started_again()
    {
        _bench.Start(0);
        _bench.Prepare(0, 0, AhciBench.Fis(0x25, 1 << 20, 1), [], (AhciBench.Data, 512));
        _bench.Prepare(0, 1, AhciBench.Fis(0xe7), []);
        _bench.Write(0, 0x38, 3);
        _bench.Run();
        _bench.Read(0, 0x38).ShouldBe(3u);
        (_bench.Read(0, 0x10) & 0x4000_0000).ShouldBe(0x4000_0000u);
        _bench.Read(0, 0x20).ShouldBe(0x1051u);
        _bench.Write(0, 0x18, 0x10);
        _bench.Read(0, 0x38).ShouldBe(0u);
        _bench.Write(0, 0x18, 0x11);
        _bench.Write(0, 0x38, 2);
        _bench.Run();
        _bench.Read(0, 0x38).ShouldBe(0u);
        _bench.Disk.Flushes.ShouldBe(1);
    }

    [Fact]
    public void Packets_come_from_the_commands_table()
    {
        _bench.Start(1);
        _bench.Prepare(1, 0, AhciBench.Fis(0xa0), [0x00, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        _bench.Write(1, 0x38, 1);
        _bench.Read(1, 0x20).ShouldBe(0x6051u);
        _bench.Write(1, 0x18, 0x10);
        _bench.Write(1, 0x18, 0x11);
        foreach (int features in (int[])[0, 1])
        {
            _bench.Prepare(1, 0, AhciBench.Fis(0xa0, features: features), [0x28, 0, 0, 0, 0, 5, 0, 0, 2, 0, 0, 0], (AhciBench.Data, 4096));
            _bench.Write(1, 0x38, 1);
            _bench.Run();
            _bench.Read(1, 0x38).ShouldBe(0u);
            _bench.Moved(1, 0).ShouldBe(4096u);
            _bench.Memory.Data[AhciBench.Data..(AhciBench.Data + 4096)].ShouldBe(_bench.Disc.Data[(5 * 2048)..(7 * 2048)]);
            _bench.Memory.Data.AsSpan(AhciBench.Data, 4096).Clear();
        }
    }

    [Fact]
    public void Regions_that_are_too_short_overflow_and_nothing_is_stored()
    {
        _bench.Start(0);
        byte[] before = [.. _bench.Disk.Data];
        _bench.Prepare(0, 0, AhciBench.Fis(0x35, 0, 2), [], (AhciBench.Data, 512));
        _bench.Write(0, 0x38, 1);
        _bench.Run();
        (_bench.Read(0, 0x10) & 0x4100_0000).ShouldBe(0x4100_0000u);
        _bench.Disk.Data.ShouldBe(before);
    }

    [Fact]
    public void Comreset_and_software_reset_bring_the_signature_back()
    {
        _bench.Start(0);
        _bench.Prepare(0, 0, AhciBench.Fis(0x25, 0, 1), [], (AhciBench.Data, 512));
        _bench.Write(0, 0x38, 1);
        _bench.DiskDrive.Waiting.ShouldBe(1);
        _bench.Write(0, 0x18, 0x10);
        _bench.Write(0, 0x2c, 0x301);
        _bench.Read(0, 0x28).ShouldBe(0u);
        _bench.Write(0, 0x2c, 0x300);
        _bench.DiskDrive.Waiting.ShouldBe(0);
        _bench.Read(0, 0x28).ShouldBe(0x113u);
        _bench.Read(0, 0x20).ShouldBe(0x0150u);
        (_bench.Read(0, 0x30) >> 26 & 1).ShouldBe(1u);
        (_bench.Read(0, 0x10) >> 6 & 1).ShouldBe(1u);
        _bench.Write(0, 0x30, uint.MaxValue);
        (_bench.Read(0, 0x10) >> 6 & 1).ShouldBe(0u);

        _bench.Write(0, 0x18, 0x11);
        _bench.Prepare(0, 0, AhciBench.Fis(0, control: 4, isCommand: false), []);
        _bench.Prepare(0, 1, AhciBench.Fis(0, control: 0, isCommand: false), []);
        _bench.Write(0, 0x38, 1);
        _bench.Read(0, 0x38).ShouldBe(0u);
        _bench.Read(0, 0x20).ShouldBe(0x80u);
        _bench.Write(0, 0x38, 2);
        _bench.Read(0, 0x20).ShouldBe(0x0150u);
        _bench.Read(0, 0x24).ShouldBe(0x0000_0101u);
    }

    [Fact]
    public void Interrupts_can_be_held_back_at_three_places()
    {
        _bench.Start(0);
        _bench.Write(0, 0x14, 0);
        Flush();
        _bench.Interrupts().ShouldBe(0);
        _bench.Write(0, 0x14, 1);
        _bench.Interrupts().ShouldBe(1);
        _bench.Registers.Write32(4, 0x8000_0000);
        _bench.Registers.Write32(4, 0x8000_0002);
        _bench.Interrupts().ShouldBe(1);
        (_bench.Controller.Read(6, 2) & 8).ShouldBe(8u);
        _bench.Controller.Write(4, 2, 0x406);
        _bench.Controller.Write(4, 2, 0x006);
        _bench.Interrupts().ShouldBe(1);
    }

    [Fact]
    public void A_reset_of_the_controller_forgets_everything()
    {
        _bench.Start(0);
        _bench.Prepare(0, 0, AhciBench.Fis(0x25, 0, 1), [], (AhciBench.Data, 512));
        _bench.Write(0, 0x38, 1);
        _bench.Registers.Write32(4, 0x8000_0001);
        _bench.Registers.Read32(4).ShouldBe(0x8000_0000u);
        _bench.Read(0, 0x38).ShouldBe(0u);
        _bench.Read(0, 0x18).ShouldBe(6u);
        _bench.Run();
        _bench.Interrupts().ShouldBe(0);
    }

    [Fact]
    public void Random_programs_neither_throw_nor_hang_nor_leave_the_medium()
    {
        byte[] commands = [0x06, 0x08, 0x20, 0x24, 0x25, 0x30, 0x34, 0x35, 0x39, 0x3d, 0x40, 0x90, 0xa0, 0xa0, 0xa0, 0xa1, 0xc4, 0xc6, 0xc8, 0xca, 0xe0, 0xe7, 0xec, 0xef, 0xf8];
        Random random = new(1);
        AhciBench? bench = null;
        for (int program = 0; program < 2_000; program++)
        {
            if (program % 20 == 0) bench = new AhciBench(random.Next(8) == 0);
            for (int i = 0; i < 40; i++) Step(bench!, random, commands);
            bench!.Controller.Reset();
            bench.Controller.Write(4, 2, 6);
            bench.DiskDrive.Waiting.ShouldBe(0);
            bench.DiscDrive.Waiting.ShouldBe(0);
        }
    }

    private static void Step(AhciBench bench, Random random, byte[] commands)
    {
        int port = random.Next(2);
        switch (random.Next(9))
        {
            case 0:
                bench.Run();
                break;
            case 1:
                bench.Start(port);
                break;
            case 2:
                bench.Write(port, random.Next(32) * 4, (uint)random.NextInt64(1L << 32));
                bench.Read(random.Next(8), random.Next(32) * 4);
                break;
            case 3:
                bench.Registers.Write32((ulong)random.Next(0x400) * 4, (uint)random.NextInt64(1L << 32));
                bench.Registers.Read32((ulong)random.Next(0x400) * 4);
                break;
            case 4:
                random.NextBytes(bench.Memory.Data.AsSpan(AhciBench.Tables + random.Next(0x8000), 64));
                break;
            case 5:
                if (random.Next(4) == 0) bench.DiscDrive.Change(random.Next(2) == 0 ? null : bench.Disc);
                bench.Write(port, 0x2c, (uint)random.Next(5));
                break;
            default:
                int slot = random.Next(32);
                byte[] packet = new byte[12];
                random.NextBytes(packet);
                packet[0] = (byte)(random.Next(2) == 0 ? 0x28 : packet[0]);
                packet.AsSpan(2, 3).Clear();
                packet[7] = 0;
                (uint, int)[] regions = [.. Enumerable.Range(0, random.Next(4)).Select(_ => ((uint)random.Next(1 << 20), random.Next(1, 1 << 16)))];
                byte command = commands[random.Next(commands.Length)];
                bench.Prepare(port, slot, AhciBench.Fis(command, random.Next(2100), random.Next(40), random.Next(4), (byte)random.Next(8), random.Next(8) != 0), packet, regions);
                bench.Write(port, 0x38, 1u << slot);
                break;
        }
    }

    private void Flush()
    {
        _bench.Prepare(0, 0, AhciBench.Fis(0xe7), []);
        _bench.Write(0, 0x38, 1);
        _bench.Run();
    }

    private void Identify(int slot)
    {
        _bench.Prepare(0, slot, AhciBench.Fis(0xec), [], (AhciBench.Data, 512));
        _bench.Write(0, 0x38, 1u << slot);
    }
}
