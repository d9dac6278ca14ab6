using System.Buffers.Binary;
using System.Text;
using Ringfence.Devices;
using Ringfence.Devices.Storage;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices.Storage;

public class IdeDiskTests
{
    private const byte Idle = AtaStatus.Idle;
    private const byte Requesting = AtaStatus.Idle | AtaStatus.DataRequest;
    private const byte Failed = AtaStatus.Idle | AtaStatus.Error;

    private readonly IdeBench _bench = new();

    [Fact]
    public void The_function_is_the_piix3s()
    {
        _bench.Controller.Read(0, 4).ShouldBe(0x7010_8086u);
        (_bench.Controller.Read(8, 4) >> 8).ShouldBe(0x01_0180u);
        _bench.Controller.Write(0x20, 4, uint.MaxValue);
        _bench.Controller.Read(0x20, 4).ShouldBe(0xffff_fff1u);
        _bench.Controller.Read(0x40, 4).ShouldBe(0x8000_8000u);
    }

    [Fact]
    public void After_power_on_the_signature_of_a_disk_is_in_the_registers()
    {
        _bench.Ports.Read8(7).ShouldBe(Idle);
        _bench.Ports.Read8(1).ShouldBe((byte)1);
        Registers().ShouldBe("01 01 00 00");
    }

    [Fact]
    public void Identify_tells_capacity_geometry_and_modes()
    {
        _bench.Command(0xec);
        _bench.Interrupts().ShouldBe(1);
        _bench.Ports.Read8(7).ShouldBe(Requesting);
        byte[] data = IdeBench.ReadData(_bench.Ports, 512);
        _bench.Ports.Read8(7).ShouldBe(Idle);
        _bench.Interrupts().ShouldBe(0);
        uint sectors = IdeBench.DiskBytes / 512;
        BinaryPrimitives.ReadUInt32LittleEndian(data.AsSpan(120)).ShouldBe(sectors);
        BinaryPrimitives.ReadUInt64LittleEndian(data.AsSpan(200)).ShouldBe(sectors);
        Word(data, 1).ShouldBe((int)sectors / (16 * 63));
        Word(data, 3).ShouldBe(16);
        Word(data, 6).ShouldBe(63);
        (Word(data, 49) & 0x300).ShouldBe(0x300);
        (Word(data, 83) & 0x400).ShouldBe(0x400);
        data.Sum(value => value).ShouldSatisfyAllConditions(sum => (sum & 0xff).ShouldBe(0));
        byte[] model = data[54..94];
        for (int i = 0; i < model.Length; i += 2) (model[i], model[i + 1]) = (model[i + 1], model[i]);
        Encoding.ASCII.GetString(model).Trim().ShouldBe("RINGFENCE DISK");
    }

    [Fact]
    public void Pio_reads_interrupt_before_each_sector_and_not_after_the_last()
    {
        _bench.Command(0x20, lba: 5, count: 3);
        _bench.Control.Read8(0).ShouldBe((byte)(Idle | AtaStatus.Busy));
        _bench.Interrupts().ShouldBe(0);
        _bench.DiskDrive.Run();
        for (int i = 0; i < 3; i++)
        {
            _bench.Interrupts().ShouldBe(1);
            _bench.Ports.Read8(7).ShouldBe(Requesting);
            IdeBench.ReadData(_bench.Ports, 512).ShouldBe(_bench.Disk.Data[((5 + i) * 512)..((6 + i) * 512)]);
        }

        _bench.Ports.Read8(7).ShouldBe(Idle);
        _bench.Interrupts().ShouldBe(0);
    }

    [Fact]
    public void Pio_writes_interrupt_after_each_sector_and_reach_the_medium_before_the_last_one()
    {
        byte[] data = Pattern(1024);
        _bench.Command(0x30, lba: 7, count: 2);
        _bench.Interrupts().ShouldBe(0);
        _bench.Ports.Read8(7).ShouldBe(Requesting);
        IdeBench.WriteData(_bench.Ports, data.AsSpan(0, 512));
        _bench.Interrupts().ShouldBe(1);
        _bench.Ports.Read8(7).ShouldBe(Requesting);
        IdeBench.WriteData(_bench.Ports, data.AsSpan(512));
        _bench.Ports.Read8(7).ShouldBe((byte)(Idle | AtaStatus.Busy));
        _bench.Interrupts().ShouldBe(0);
        _bench.DiskDrive.Run();
        _bench.Interrupts().ShouldBe(1);
        _bench.Ports.Read8(7).ShouldBe(Idle);
        _bench.Disk.Data[(7 * 512)..(9 * 512)].ShouldBe(data);
        _bench.Disk.Flushes.ShouldBe(0);
    }

    [Fact]
    public void A_count_of_zero_is_256_sectors()
    {
        _bench.Command(0x20, lba: 16, count: 0);
        _bench.DiskDrive.Run();
        IdeBench.ReadData(_bench.Ports, 256 * 512).ShouldBe(_bench.Disk.Data[(16 * 512)..(272 * 512)]);
        _bench.Ports.Read8(7).ShouldBe(Idle);
    }

    [Fact]
    public void Multiple_sectors_share_an_interrupt()
    {
        _bench.Command(0xc4, count: 8);
        Failure().ShouldBe(AtaError.Aborted);
        _bench.Command(0xc6, count: 3);
        Failure().ShouldBe(AtaError.Aborted);
        _bench.Command(0xc6, count: 4);
        _bench.Interrupts();
        _bench.Command(0xc4, lba: 1, count: 10);
        _bench.DiskDrive.Run();
        int interrupts = 0;
        foreach (int sectors in (int[])[4, 4, 2])
        {
            interrupts += _bench.Interrupts();
            _bench.Ports.Read8(7).ShouldBe(Requesting);
            IdeBench.ReadData(_bench.Ports, sectors * 512);
        }

        interrupts.ShouldBe(3);
        _bench.Ports.Read8(7).ShouldBe(Idle);

        byte[] data = Pattern(3 * 512);
        _bench.CommandExt(0x39, lba: 100, count: 3);
        IdeBench.WriteData(_bench.Ports, data);
        _bench.DiskDrive.Run();
        _bench.Disk.Data[(100 * 512)..(103 * 512)].ShouldBe(data);
    }

    [Fact]
    public void Cylinders_heads_and_sectors_follow_the_translation_that_was_set()
    {
        // INITIALIZE DEVICE PARAMETERS: 8 heads of 32 sectors.
        _bench.Command(0x91, count: 32, device: 0xa7);
        _bench.Ports.Read8(7).ShouldBe(Idle);
        _bench.Ports.Write8(6, 0xa3);
        _bench.Ports.Write8(2, 1);
        _bench.Ports.Write8(3, 6);
        _bench.Ports.Write8(4, 2);
        _bench.Ports.Write8(5, 0);
        _bench.Ports.Write8(7, 0x20);
        _bench.DiskDrive.Run();
        int sector = (((2 * 8) + 3) * 32) + 5;
        IdeBench.ReadData(_bench.Ports, 512).ShouldBe(_bench.Disk.Data[(sector * 512)..((sector + 1) * 512)]);
        _bench.Interrupts();
        _bench.Ports.Write8(3, 0);
        _bench.Ports.Write8(7, 0x20);
        Failure().ShouldBe(AtaError.NotFound);
    }

    [Fact]
    public void Dma_scatters_a_read_over_its_regions()
    {
        _bench.Regions(0, (0x8000, 1024), (0xa002, 510), (0xc000, 514));
        _bench.Command(0xc8, lba: 9, count: 4);
        _bench.DiskDrive.Run();
        _bench.Control.Read8(0).ShouldBe(Requesting);
        _bench.BusMaster.Write8(0, 0x09);
        _bench.Interrupts().ShouldBe(1);
        _bench.BusMaster.Read8(2).ShouldBe((byte)0x04);
        _bench.Ports.Read8(7).ShouldBe(Idle);
        byte[] read = [.. _bench.Memory.Data[0x8000..0x8400], .. _bench.Memory.Data[0xa002..0xa200], .. _bench.Memory.Data[0xc000..0xc202]];
        read.ShouldBe(_bench.Disk.Data[(9 * 512)..(13 * 512)]);
        _bench.BusMaster.Write8(0, 0);
        _bench.BusMaster.Write8(2, 0x04);
        _bench.BusMaster.Read8(2).ShouldBe((byte)0);
    }

    [Fact]
    public void Dma_that_was_started_first_waits_for_the_command()
    {
        byte[] data = Pattern(2048);
        data.CopyTo(_bench.Memory.Data, 0x8000);
        _bench.Regions(0, (0x8000, 4096));
        _bench.BusMaster.Write8(0, 0x01);
        _bench.BusMaster.Read8(2).ShouldBe((byte)0x01);
        _bench.CommandExt(0x35, lba: 50, count: 4);
        _bench.DiskDrive.Run();
        // The table is longer than the transfer: still active, and the device has interrupted.
        _bench.BusMaster.Read8(2).ShouldBe((byte)0x05);
        _bench.Disk.Data[(50 * 512)..(54 * 512)].ShouldBe(data);
    }

    [Fact]
    public void A_long_dma_transfer_is_made_of_several_requests()
    {
        _bench.Regions(0, [.. Enumerable.Range(0, 10).Select(i => ((uint)(0x10000 * (i + 2)), 0))]);
        _bench.CommandExt(0x25, lba: 0, count: 1200);
        _bench.BusMaster.Write8(0, 0x09);
        _bench.DiskDrive.Run();
        _bench.Interrupts().ShouldBe(1);
        _bench.Memory.Data.AsSpan(0x20000, 1200 * 512).SequenceEqual(_bench.Disk.Data.AsSpan(0, 1200 * 512)).ShouldBeTrue();
    }

    [Fact]
    public void A_table_that_is_too_short_leaves_the_device_waiting_until_it_is_reset()
    {
        _bench.Regions(0, (0x8000, 512));
        _bench.Command(0xc8, count: 2);
        _bench.BusMaster.Write8(0, 0x09);
        _bench.DiskDrive.Run();
        _bench.Interrupts().ShouldBe(0);
        _bench.BusMaster.Read8(2).ShouldBe((byte)0);
        _bench.Ports.Read8(7).ShouldBe(Requesting);
        SoftwareReset();
        _bench.Ports.Read8(7).ShouldBe(Idle);
    }

    [Fact]
    public void Without_bus_mastering_no_memory_is_touched()
    {
        _bench.Controller.Write(4, 2, 1);
        _bench.Regions(0, (0x8000, 512));
        _bench.Command(0xc8);
        _bench.DiskDrive.Run();
        _bench.BusMaster.Write8(0, 0x09);
        _bench.BusMaster.Read8(2).ShouldBe((byte)0x02);
        _bench.Memory.Data[0x8000..0x8200].ShouldAllBe(value => value == 0);
    }

    [Fact]
    public void Sectors_beyond_the_end_are_not_found()
    {
        int last = (IdeBench.DiskBytes / 512) - 1;
        _bench.Command(0x20, lba: last, count: 2);
        Failure().ShouldBe(AtaError.NotFound);
        _bench.CommandExt(0x34, lba: 0xffff_ffff_ffff);
        Failure().ShouldBe(AtaError.NotFound);
        _bench.Command(0x40, lba: last);
        _bench.DiskDrive.Run();
        _bench.Ports.Read8(7).ShouldBe(Idle);
        _bench.Command(0xf8);
        _bench.Ports.Read8(7).ShouldBe(Idle);
        Registers()[3..].ShouldBe($"{last & 0xff:x2} {last >> 8:x2} 00");
    }

    [Fact]
    public void Errors_of_the_host_are_reported()
    {
        _bench.DiskDrive.Outcome = BlockStatus.Failed;
        _bench.Command(0x20);
        _bench.DiskDrive.Run();
        Failure().ShouldBe(AtaError.Uncorrectable);
        _bench.Command(0xe7);
        _bench.DiskDrive.Run();
        _bench.Interrupts().ShouldBe(1);
        _bench.Ports.Read8(7).ShouldBe((byte)(Failed | AtaStatus.DeviceFault));
    }

    [Fact]
    public void A_read_only_disk_aborts_writes()
    {
        IdeBench bench = new(isReadOnly: true);
        bench.Command(0x30);
        bench.Ports.Read8(7).ShouldBe(Failed);
        bench.Ports.Read8(1).ShouldBe(AtaError.Aborted);
    }

    [Fact]
    public void A_flush_ends_after_the_hosts()
    {
        _bench.CommandExt(0xea);
        _bench.Ports.Read8(7).ShouldBe((byte)(Idle | AtaStatus.Busy));
        _bench.DiskDrive.Run();
        _bench.Ports.Read8(7).ShouldBe(Idle);
        _bench.Disk.Flushes.ShouldBe(1);
    }

    [Fact]
    public void Without_a_write_cache_every_write_is_flushed()
    {
        _bench.Command(0xef, features: 0x82);
        _bench.DiskDrive.Run();
        _bench.Disk.Flushes.ShouldBe(1);
        _bench.Command(0x30);
        IdeBench.WriteData(_bench.Ports, Pattern(512));
        _bench.DiskDrive.RunOne();
        _bench.Ports.Read8(7).ShouldBe((byte)(Idle | AtaStatus.Busy));
        _bench.DiskDrive.Run();
        _bench.Disk.Flushes.ShouldBe(2);
        _bench.Ports.Read8(7).ShouldBe(Idle);
    }

    [Fact]
    public void What_is_not_implemented_is_aborted()
    {
        foreach (byte command in (byte[])[0x00, 0x22, 0xa0, 0xa1, 0xb0, 0xf1, 0xff])
        {
            _bench.Command(command);
            Failure().ShouldBe(AtaError.Aborted);
        }
    }

    [Fact]
    public void Power_modes_are_told()
    {
        _bench.Command(0xe5);
        _bench.Ports.Read8(2).ShouldBe((byte)0xff);
        _bench.Command(0xe0);
        _bench.DiskDrive.Run();
        _bench.Command(0xe5);
        _bench.Ports.Read8(2).ShouldBe((byte)0);
    }

    [Fact]
    public void Trimmed_sectors_read_as_zero()
    {
        BinaryPrimitives.WriteUInt64LittleEndian(_bench.Memory.Data.AsSpan(0x8000), 20 | (3UL << 48));
        _bench.Regions(0, (0x8000, 512));
        _bench.BusMaster.Write8(0, 0x01);
        _bench.Ports.Write8(1, 1);
        _bench.CommandExt(0x06);
        _bench.DiskDrive.Run();
        _bench.Ports.Read8(7).ShouldBe(Idle);
        _bench.Disk.Data[(20 * 512)..(23 * 512)].ShouldAllBe(value => value == 0);
        _bench.Disk.Data[(23 * 512)..(24 * 512)].ShouldContain((byte)23);
    }

    [Fact]
    public void Interrupts_that_are_off_come_when_they_are_on_again()
    {
        _bench.Control.Write8(0, 0x02);
        _bench.Command(0xe5);
        _bench.Interrupts().ShouldBe(0);
        _bench.Control.Write8(0, 0x00);
        _bench.Interrupts().ShouldBe(1);
    }

    [Fact]
    public void The_high_order_byte_is_what_was_written_before()
    {
        _bench.Ports.Write8(3, 0x12);
        _bench.Ports.Write8(3, 0x34);
        _bench.Control.Write8(0, 0x80);
        _bench.Ports.Read8(3).ShouldBe((byte)0x12);
        _bench.Ports.Write8(4, 0);
        _bench.Ports.Read8(3).ShouldBe((byte)0x34);
    }

    [Fact]
    public void A_software_reset_forgets_the_command_under_way()
    {
        _bench.Command(0x20);
        _bench.DiskDrive.Waiting.ShouldBe(1);
        _bench.Control.Write8(0, 0x04);
        _bench.Ports.Read8(7).ShouldBe(AtaStatus.Busy);
        _bench.Control.Write8(0, 0x00);
        _bench.Ports.Read8(7).ShouldBe(Idle);
        Registers().ShouldBe("01 01 00 00");
        _bench.DiskDrive.Run();
        _bench.Interrupts().ShouldBe(0);
        _bench.Ports.Read8(7).ShouldBe(Idle);
    }

    [Fact]
    public void A_request_that_ends_after_a_reset_changes_nothing()
    {
        FakeDrive drive = new(new MemoryStore(new byte[512]));
        BlockRequest? kept = null;
        KeepingDrive keeping = new(drive, request => kept = request);
        IdeController controller = new(_bench.Memory, new InterruptLine(_ => { }), new InterruptLine(_ => { }), new AtaDisk(keeping, "RF"));
        controller.Primary.CommandPorts.Write8(2, 1);
        controller.Primary.CommandPorts.Write8(3, 0);
        controller.Primary.CommandPorts.Write8(6, 0xe0);
        controller.Primary.CommandPorts.Write8(7, 0x20);
        controller.Primary.ControlPort.Write8(0, 4);
        controller.Primary.ControlPort.Write8(0, 0);
        kept!.Completed(BlockStatus.Done);
        controller.Primary.CommandPorts.Read8(7).ShouldBe(Idle);
    }

    [Fact]
    public void A_device_that_is_not_there_has_a_status_of_zero()
    {
        _bench.Ports.Write8(6, 0xf0);
        _bench.Ports.Read8(6).ShouldBe((byte)0xf0);
        _bench.Ports.Read8(7).ShouldBe((byte)0);
        _bench.Ports.Write8(7, 0xec);
        _bench.Ports.Read8(7).ShouldBe((byte)0);
        _bench.Interrupts().ShouldBe(0);
    }

    [Fact]
    public void Diagnostics_select_device_0_and_interrupt()
    {
        _bench.Ports.Write8(6, 0xe0);
        _bench.Command(0x90);
        _bench.Interrupts().ShouldBe(1);
        _bench.Ports.Read8(1).ShouldBe((byte)1);
        Registers().ShouldBe("01 01 00 00");
    }

    private static int Word(byte[] data, int word) => BinaryPrimitives.ReadUInt16LittleEndian(data.AsSpan(2 * word));

    private static byte[] Pattern(int length)
    {
        byte[] data = new byte[length];
        new Random(length).NextBytes(data);
        return data;
    }

    private string Registers() => string.Join(' ', Enumerable.Range(2, 4).Select(i => _bench.Ports.Read8((ulong)i).ToString("x2")));

    /// <summary>The error register, after a command that failed as it should: with an interrupt.</summary>
    private byte Failure()
    {
        _bench.Interrupts().ShouldBe(1);
        _bench.Ports.Read8(7).ShouldBe(Failed);
        return _bench.Ports.Read8(1);
    }

    private void SoftwareReset()
    {
        _bench.Control.Write8(0, 4);
        _bench.Control.Write8(0, 0);
    }
}
