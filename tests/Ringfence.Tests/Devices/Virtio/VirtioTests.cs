using System.Text;
using Ringfence.Devices.Virtio;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices.Virtio;

public sealed class VirtioTests
{
    private const int Header = 0x8000;
    private const int Data = 0x9000;
    private const int Status = 0xa000;
    private const ulong EventIndex = 1UL << 29;
    private const ulong Version1 = 1UL << 32;

    [Fact]
    public void Capabilities_lead_to_the_four_structures_and_the_table_of_messages()
    {
        VirtioGuest guest = new(new VirtioRandom("rng0", () => 1));
        (guest.Function.Read(0, 4), guest.Function.Read(8, 1)).ShouldBe((0x1044_1af4U, 1U));
        List<uint> kinds = [];
        for (uint at = guest.Function.Read(0x34, 1); at != 0; at = guest.Function.Read((int)at + 1, 1))
        {
            kinds.Count.ShouldBeLessThan(10);
            kinds.Add(guest.Function.Read((int)at, 1) == 9 ? guest.Function.Read((int)at + 3, 1) : 0x100);
        }

        kinds.ShouldBe([0x100U, 1U, 3U, 4U, 2U, 5U]);
    }

    [Fact]
    public void A_driver_that_wants_what_was_not_offered_is_refused()
    {
        VirtioGuest guest = new(new VirtioRandom("rng0", () => 1));
        guest.Start(0).ShouldBeFalse();
        guest.Start(Version1 | 1).ShouldBeFalse();
        guest.Start().ShouldBeTrue();
    }

    [Fact]
    public void Entropy_fills_the_buffer_and_interrupts_by_the_pin()
    {
        VirtioGuest guest = new(new VirtioRandom("rng0", () => 0x0807_0605_0403_0201));
        guest.Start();
        guest.Describe(0, Data, 12, writable: true);
        guest.Offer(0);
        guest.Memory.Data.AsSpan(Data, 12).ToArray().ShouldBe([1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4]);
        (guest.UsedIndex, guest.Read32(VirtioGuest.Used + 4), guest.Read32(VirtioGuest.Used + 8)).ShouldBe(((ushort)1, 0U, 12U));
        guest.Pin.ShouldBeTrue();
        guest.Read(0x1000, 1).ShouldBe(1UL);
        guest.Pin.ShouldBeFalse();
    }

    [Fact]
    public void A_message_is_sent_where_the_table_says_and_waits_while_it_is_masked()
    {
        VirtioGuest guest = new(new VirtioRandom("rng0", () => 1));
        guest.Start();
        guest.Write(0x14, 1, 0);
        guest.Function.Write(0x42, 2, 0x8000);
        var table = (Ringfence.Devices.IBusDevice)guest.Function.Bars.Single(b => b.Index == 1).Target!;
        table.Write(16, [0, 0x10, 0xe0, 0xfe, 0, 0, 0, 0]);
        table.Write(24, [0x55, 0, 0, 0]);
        guest.Start();
        guest.Write(0x16, 2, 0);
        guest.Write(0x1a, 2, 1);
        guest.Describe(0, Data, 4, writable: true);
        guest.Offer(0);
        guest.Messages.ShouldBeEmpty();
        byte[] pending = new byte[1];
        table.Read(0x800, pending);
        pending[0].ShouldBe((byte)2);
        table.Write(28, [0, 0, 0, 0]);
        guest.Messages.ShouldBe([(0xfee0_1000UL, 0x55U)]);
        guest.Pin.ShouldBeFalse();
    }

    [Fact]
    public void A_disk_reads_and_writes_sectors_and_ends_when_its_drive_has()
    {
        MemoryStore store = new(new byte[64 << 10]);
        FakeDrive drive = new(store);
        VirtioGuest guest = Disk(drive);
        guest.Start();
        Encoding.ASCII.GetBytes("written by the guest").CopyTo(guest.Memory.Data, Data);
        Request(guest, type: 1, sector: 3, dataWritable: false);
        guest.UsedIndex.ShouldBe((ushort)0);
        drive.Run();
        (guest.UsedIndex, guest.Memory.Data[Status]).ShouldBe(((ushort)1, (byte)0));
        Encoding.ASCII.GetString(store.Data, 3 * 512, 20).ShouldBe("written by the guest");
        guest.Memory.Data.AsSpan(Data, 512).Clear();
        Request(guest, type: 0, sector: 3, dataWritable: true);
        drive.Run();
        Encoding.ASCII.GetString(guest.Memory.Data, Data, 20).ShouldBe("written by the guest");
        guest.Read32(VirtioGuest.Used + 4 + 8 + 4).ShouldBe(513U);
    }

    [Theory]
    [InlineData(1, 128, 1)]   // write beyond the end
    [InlineData(99, 0, 2)]    // no such request
    public void Requests_that_cannot_be_done_say_so(int type, int sector, byte status)
    {
        MemoryStore store = new(new byte[64 << 10]);
        FakeDrive drive = new(store);
        VirtioGuest guest = Disk(drive);
        guest.Start();
        guest.Memory.Data[Status] = 0xee;
        Request(guest, type, sector, dataWritable: false);
        drive.Run();
        guest.Memory.Data[Status].ShouldBe(status);
    }

    [Fact]
    public void A_disk_that_is_read_only_says_so_and_refuses_writes()
    {
        FakeDrive drive = new(new MemoryStore(new byte[64 << 10], isReadOnly: true));
        VirtioGuest guest = Disk(drive);
        (guest.Read(4, 4) & (1 << 5)).ShouldNotBe(0UL);
        guest.Start();
        Request(guest, type: 1, sector: 0, dataWritable: false);
        drive.Run();
        guest.Memory.Data[Status].ShouldBe((byte)1);
    }

    [Fact]
    public void A_flush_reaches_the_drive()
    {
        MemoryStore store = new(new byte[64 << 10]);
        FakeDrive drive = new(store);
        VirtioGuest guest = Disk(drive);
        guest.Start();
        guest.Write32(Header, 4);
        guest.Describe(0, Header, 16, writable: false, next: 1);
        guest.Describe(1, Status, 1, writable: true);
        guest.Offer(0);
        drive.Run();
        store.Flushes.ShouldBe(1);
    }

    [Fact]
    public void What_was_taken_before_a_reset_is_not_given_back_after_it()
    {
        MemoryStore store = new(new byte[64 << 10]);
        FakeDrive drive = new(store);
        VirtioGuest guest = Disk(drive);
        guest.Start();
        Request(guest, type: 0, sector: 0, dataWritable: true);
        var waiting = drive;
        guest.Write(0x14, 1, 0);
        waiting.Run();
        guest.UsedIndex.ShouldBe((ushort)0);
    }

    [Fact]
    public void Indirect_descriptors_and_event_indices_work()
    {
        MemoryStore store = new(new byte[64 << 10]);
        FakeDrive drive = new(store);
        VirtioGuest guest = Disk(drive);
        guest.Start(Version1 | EventIndex | (1UL << 28)).ShouldBeTrue();
        const ulong Table = 0xb000;
        guest.Write32(Header, 8);
        guest.Describe(0, Header, 16, writable: false, next: 1, table: Table);
        guest.Describe(1, Data, 20, writable: true, next: 2, table: Table);
        guest.Describe(2, Status, 1, writable: true, table: Table);
        guest.Describe(0, Table, 48, writable: false);
        guest.Write16(VirtioGuest.Descriptors + 12, 4);
        // used_event 0: interrupt after the first.
        guest.Offer(0);
        guest.Pin.ShouldBeTrue();
        Encoding.ASCII.GetString(guest.Memory.Data, Data, 5).ShouldBe("disk0");
        guest.Read(0x1000, 1);
        // used_event stays 0: no interrupt for the second.
        guest.Offer(0);
        guest.UsedIndex.ShouldBe((ushort)2);
        guest.Pin.ShouldBeFalse();
    }

    [Fact]
    public void A_chain_that_goes_round_stops_the_queue_until_it_is_reset()
    {
        MemoryStore store = new(new byte[64 << 10]);
        FakeDrive drive = new(store);
        VirtioGuest guest = Disk(drive);
        guest.Start();
        guest.Describe(0, Data, 16, writable: false, next: 1);
        guest.Describe(1, Data, 16, writable: false, next: 0);
        guest.Offer(0);
        guest.Function.Queue(0).MisuseCount.ShouldBe(1UL);
        guest.Offer(0);
        guest.UsedIndex.ShouldBe((ushort)0);
        guest.Start();
        guest.Function.Queue(0).IsEnabled.ShouldBeTrue();
    }

    [Fact]
    public void Random_drivers_find_no_way_to_crash_or_hang_a_disk()
    {
        var random = new Random(20261121);
        for (int program = 0; program < 2000; program++)
        {
            FakeDrive drive = new(new MemoryStore(new byte[16 << 10]));
            VirtioGuest guest = Disk(drive);
            if (random.Next(4) != 0) guest.Start(Version1 | (random.Next(2) == 0 ? EventIndex : 0));
            random.NextBytes(guest.Memory.Data.AsSpan(0x1000, 0x3000));
            for (int step = 0; step < 30; step++)
            {
                if (random.Next(6) == 0) drive.Run();
                else guest.TakeRandomStep(random);
            }
        }
    }

    private static VirtioGuest Disk(FakeDrive drive) => new(new VirtioBlock("disk0", drive, 1));

    private static void Request(VirtioGuest guest, int type, int sector, bool dataWritable)
    {
        guest.Write32(Header, (uint)type);
        guest.Write64(Header + 8, (ulong)sector);
        guest.Describe(0, Header, 16, writable: false, next: 1);
        guest.Describe(1, Data, 512, dataWritable, next: 2);
        guest.Describe(2, Status, 1, writable: true);
        guest.Offer(0);
    }
}
