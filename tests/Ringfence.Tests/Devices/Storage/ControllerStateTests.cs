using Ringfence.Devices;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices.Storage;

public class ControllerStateTests
{
    [Fact]
    public void An_ide_controllers_registers_are_its_state()
    {
        IdeBench bench = new();
        bench.Command(0xc6, count: 8);
        bench.Control.Write8(0, 0x02);
        bench.Settle();
        bench.Packet([0xff]);
        Dictionary<string, byte[]> saved = StateRecorder.Save(bench.Controller);
        IdeBench other = new();
        StateRecorder.Restore(other.Controller, saved);
        foreach ((string name, byte[] value) in StateRecorder.Save(other.Controller)) value.ShouldBe(saved[name], name);
        other.Sense().ShouldBe("5/20/00");
        other.Command(0xec);
        IdeBench.ReadData(other.Ports, 512)[2 * 59].ShouldBe((byte)8);
    }

    [Fact]
    public void A_command_that_an_ahci_port_had_not_finished_is_fetched_again()
    {
        AhciBench bench = new();
        bench.Start(0);
        bench.Prepare(0, 0, AhciBench.Fis(0x25, 9, 4), [], (AhciBench.Data, 2048));
        bench.Write(0, 0x38, 1);
        Dictionary<string, byte[]> saved = StateRecorder.Save(bench.Controller);
        AhciBench other = new();
        bench.Memory.Data.CopyTo(other.Memory.Data, 0);
        StateRecorder.Restore(other.Controller, saved);
        other.Run();
        other.Read(0, 0x38).ShouldBe(0u);
        other.Memory.Data[AhciBench.Data..(AhciBench.Data + 2048)].ShouldBe(other.Disk.Data[(9 * 512)..(13 * 512)]);
    }

    [Fact]
    public void A_read_that_a_floppy_controller_had_not_finished_is_begun_again()
    {
        FloppyBench bench = new();
        bench.Start();
        bench.Channel(512, toMemory: true);
        foreach (int value in (int[])[0x46, 0, 0, 0, 3, 2, 18, 0x1b, 0xff]) bench.Controller.Write8(5, value);
        Dictionary<string, byte[]> saved = StateRecorder.Save(bench.Controller);
        FloppyBench other = new();
        StateRecorder.Restore(other.Dma, StateRecorder.Save(bench.Dma));
        StateRecorder.Restore(other.Controller, saved);
        other.Wait();
        other.Results().ShouldBe([0, 0, 0, 0, 0, 4, 2]);
        other.Memory.Data[FloppyBench.Buffer..(FloppyBench.Buffer + 512)].ShouldBe(other.Disk.Data[1024..1536]);
    }

    [Fact]
    public void Any_saved_state_of_random_bytes_can_be_restored_and_used()
    {
        Random random = new(7);
        for (int round = 0; round < 200; round++)
        {
            IdeBench ide = new();
            Scramble(ide.Controller, random);
            Poke(ide.Ports, 8, random);
            Poke(ide.CdPorts, 8, random);
            Poke(ide.BusMaster, 16, random);
            ide.DiskDrive.Run();
            ide.DiscDrive.Run();

            AhciBench ahci = new();
            random.NextBytes(ahci.Memory.Data.AsSpan(0, 1 << 12));
            Scramble(ahci.Controller, random);
            Poke(ahci.Registers, 0x400, random);
            ahci.Run();

            FloppyBench floppy = new(512 * random.Next(1, 3000));
            Scramble(floppy.Dma, random);
            Scramble(floppy.Controller, random);
            Poke(floppy.Controller, 6, random);
            floppy.Wait();
        }
    }

    private static void Scramble(IStateful part, Random random)
    {
        Dictionary<string, byte[]> fields = StateRecorder.Save(part);
        foreach (byte[] field in fields.Values) random.NextBytes(field);
        StateRecorder.Restore(part, fields);
    }

    private static void Poke(IBusDevice device, int length, Random random)
    {
        byte[] data = new byte[4];
        for (int i = 0; i < 100; i++)
        {
            int size = Math.Min(length, 1 << random.Next(3));
            ulong offset = (ulong)(random.Next(length / size) * size);
            random.NextBytes(data);
            if (random.Next(2) == 0) device.Read(offset, data.AsSpan(0, size));
            else device.Write(offset, data.AsSpan(0, size));
        }
    }
}
