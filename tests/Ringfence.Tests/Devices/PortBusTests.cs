using Ringfence.Devices;

namespace Ringfence.Tests.Devices;

public class PortBusTests
{
    [Fact]
    public void Unclaimed_ports_read_as_all_ones_in_every_width()
    {
        PortBus bus = new();
        bus.Read(0x1234, 1).ShouldBe(0xffu);
        bus.Read(0x1234, 2).ShouldBe(0xffffu);
        bus.Read(0x1234, 4).ShouldBe(0xffff_ffffu);
        bus.UnclaimedReads.ShouldBe(7ul);
    }

    [Fact]
    public void Overlapping_ranges_are_refused_and_both_names_are_told()
    {
        PortBus bus = new();
        bus.Map("first", 0x100, 8, new Recorder());
        Should.Throw<InvalidOperationException>(() => bus.Map("second", 0x107, 2, new Recorder())).Message.ShouldContain("first");
        bus.Map("second", 0x108, 2, new Recorder());
        bus.Ranges.Select(r => r.Name).ShouldBe(["first", "second"]);
    }

    [Fact]
    public void An_access_inside_a_device_arrives_whole()
    {
        PortBus bus = new();
        Recorder device = new();
        bus.Map("device", 0x100, 8, device);
        bus.Write(0x104, 4, 0x1234_5678);
        bus.Read(0x102, 2);
        device.Log.ShouldBe(["write 4 78563412", "read 2 x2"]);
    }

    [Fact]
    public void An_access_across_a_boundary_is_split_into_bytes()
    {
        PortBus bus = new();
        Recorder low = new();
        Recorder high = new();
        bus.Map("low", 0x100, 2, low);
        bus.Map("high", 0x102, 1, high);
        bus.Write(0x101, 4, 0x4433_2211);
        low.Log.ShouldBe(["write 1 11"]);
        high.Log.ShouldBe(["write 0 22"]);
        bus.UnclaimedWrites.ShouldBe(2ul);
        bus.Read(0x101, 4).ShouldBe(0xffff_5a5au);
    }

    [Fact]
    public void An_access_beyond_the_last_port_reads_ones_there()
    {
        PortBus bus = new();
        bus.Map("last", 0xffff, 1, new Recorder());
        bus.Read(0xffff, 4).ShouldBe(0xffff_ff5au);
        bus.Write(0xffff, 4, 0);
    }

    [Fact]
    public void An_unmapped_range_can_be_claimed_again()
    {
        PortBus bus = new();
        bus.Map("device", 0x100, 8, new Recorder());
        bus.Unmap(0x104);
        bus.Read(0x104, 1).ShouldBe(0x5au);
        bus.Unmap(0x100);
        bus.Read(0x104, 1).ShouldBe(0xffu);
        bus.Map("other", 0x100, 8, new Recorder());
        bus.Read(0x104, 1).ShouldBe(0x5au);
    }

    private sealed class Recorder : IBusDevice
    {
        public List<string> Log { get; } = [];

        public void Read(ulong offset, Span<byte> data)
        {
            Log.Add($"read {offset} x{data.Length}");
            data.Fill(0x5a);
        }

        public void Write(ulong offset, ReadOnlySpan<byte> data) => Log.Add($"write {offset} {Convert.ToHexStringLower(data)}");
    }
}
