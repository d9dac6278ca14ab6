using System.Buffers.Binary;
using System.Text;
using Ringfence.Devices.Storage;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices.Storage;

public class AtapiDeviceTests
{
    private readonly IdeBench _bench = new();

    [Fact]
    public void The_signature_is_a_packet_devices()
    {
        _bench.CdPorts.Read8(4).ShouldBe((byte)0x14);
        _bench.CdPorts.Read8(5).ShouldBe((byte)0xeb);
        _bench.CdPorts.Write8(4, 0);
        _bench.CdPorts.Write8(7, 0xec);
        _bench.CdPorts.Read8(7).ShouldBe((byte)(AtaStatus.Idle | AtaStatus.Error));
        _bench.CdPorts.Read8(4).ShouldBe((byte)0x14);
        _bench.CdPorts.Write8(7, 0xa1);
        byte[] data = IdeBench.ReadData(_bench.CdPorts, 512);
        BinaryPrimitives.ReadUInt16LittleEndian(data).ShouldBe((ushort)0x85c0);
    }

    [Fact]
    public void Power_on_is_reported_once_and_then_the_drive_is_ready()
    {
        _bench.Packet([0]);
        _bench.CdPorts.Read8(7).ShouldBe((byte)(AtaStatus.Idle | AtaStatus.Error));
        _bench.CdPorts.Read8(1).ShouldBe((byte)0x60);
        _bench.Sense().ShouldBe("6/29/00");
        _bench.Sense().ShouldBe("0/00/00");
        _bench.Packet([0]);
        _bench.CdPorts.Read8(7).ShouldBe(AtaStatus.Idle);
    }

    [Fact]
    public void Inquiry_leaves_the_unit_attention_alone()
    {
        _bench.Packet([0x12, 0, 0, 0, 36]);
        byte[] data = _bench.Answer();
        data.Length.ShouldBe(36);
        data[0].ShouldBe((byte)5);
        Encoding.ASCII.GetString(data, 8, 8).ShouldBe("RINGFENC");
        _bench.Packet([0x12, 0, 0, 0, 5]);
        _bench.Answer().Length.ShouldBe(5);
        _bench.Sense().ShouldBe("6/29/00");
    }

    [Fact]
    public void A_packet_has_its_phases()
    {
        _bench.Settle();
        _bench.CdPorts.Write8(4, 8);
        _bench.CdPorts.Write8(5, 0);
        _bench.CdPorts.Write8(1, 0);
        _bench.CdPorts.Write8(7, 0xa0);
        _bench.CdInterrupts().ShouldBe(0);
        _bench.CdPorts.Read8(7).ShouldBe((byte)(AtaStatus.Idle | AtaStatus.DataRequest));
        _bench.CdPorts.Read8(2).ShouldBe((byte)1);
        IdeBench.WriteData(_bench.CdPorts, [0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        _bench.CdInterrupts().ShouldBe(1);
        _bench.CdPorts.Read8(2).ShouldBe((byte)2);
        _bench.CdPorts.Read8(7).ShouldBe((byte)(AtaStatus.Idle | AtaStatus.DataRequest));
        byte[] data = IdeBench.ReadData(_bench.CdPorts, 8);
        _bench.CdInterrupts().ShouldBe(1);
        _bench.CdPorts.Read8(2).ShouldBe((byte)3);
        _bench.CdPorts.Read8(7).ShouldBe(AtaStatus.Idle);
        BinaryPrimitives.ReadUInt32BigEndian(data).ShouldBe(IdeBench.DiscBlocks - 1u);
        BinaryPrimitives.ReadUInt32BigEndian(data.AsSpan(4)).ShouldBe(2048u);
    }

    [Theory]
    [InlineData(2048, 3)]
    [InlineData(0xfffe, 1)]
    [InlineData(2000, 4)]
    [InlineData(2001, 4)]
    public void Blocks_are_no_longer_than_the_byte_count_limit(int limit, int blocks)
    {
        _bench.Settle();
        _bench.Packet([0x28, 0, 0, 0, 0, 7, 0, 0, 3], limit: limit);
        _bench.Answer().ShouldBe(_bench.Disc.Data[(7 * 2048)..(10 * 2048)]);
        // The last interrupt reports the end.
        _bench.CdInterrupts().ShouldBe(blocks + 1);
    }

    [Fact]
    public void Blocks_are_read_by_dma()
    {
        _bench.Settle();
        _bench.Regions(1, (0x8000, 8192));
        _bench.Packet([0xa8, 0, 0, 0, 0, 2, 0, 0, 0, 4], isDma: true);
        _bench.BusMaster.Write8(8, 0x09);
        _bench.DiscDrive.Run();
        _bench.CdInterrupts().ShouldBe(1);
        _bench.BusMaster.Read8(10).ShouldBe((byte)0x04);
        _bench.Memory.Data[0x8000..0xa000].ShouldBe(_bench.Disc.Data[(2 * 2048)..(6 * 2048)]);
    }

    [Fact]
    public void Whole_sectors_have_synchronisation_and_header()
    {
        _bench.Settle();
        _bench.Packet([0xbe, 0, 0, 0, 0, 3, 0, 0, 2, 0xf8]);
        byte[] data = _bench.Answer();
        data.Length.ShouldBe(2 * 2352);
        data[..16].ShouldBe([0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0x00, 0x02, 0x03, 1]);
        data[16..2064].ShouldBe(_bench.Disc.Data[(3 * 2048)..(4 * 2048)]);
        data[(2352 + 16)..(2352 + 2064)].ShouldBe(_bench.Disc.Data[(4 * 2048)..(5 * 2048)]);
    }

    [Fact]
    public void Misuse_has_its_sense()
    {
        _bench.Settle();
        Failing([0x28, 0, 0, 0, 0, 63, 0, 0, 2]).ShouldBe("5/21/00");
        Failing([0xff]).ShouldBe("5/20/00");
        Failing([0x2a, 0, 0, 0, 0, 0, 0, 0, 1]).ShouldBe("7/27/00");
        Failing([0x5a, 0, 0x05, 0, 0, 0, 0, 0, 100]).ShouldBe("5/24/00");
        Failing([0x5a, 0, 0xea, 0, 0, 0, 0, 0, 100]).ShouldBe("5/39/00");
        _bench.DiscDrive.Outcome = BlockStatus.Failed;
        Failing([0x28, 0, 0, 0, 0, 0, 0, 0, 1]).ShouldBe("3/11/00");
    }

    [Fact]
    public void The_table_of_contents_has_one_data_track()
    {
        _bench.Settle();
        _bench.Packet([0x43, 0, 0, 0, 0, 0, 0, 0, 100]);
        _bench.Answer().ShouldBe([0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xaa, 0, 0, 0, 0, 64]);
        _bench.Packet([0x43, 2, 0, 0, 0, 0, 0xaa, 0, 100]);
        _bench.Answer().ShouldBe([0, 10, 1, 1, 0, 0x14, 0xaa, 0, 0, 0, 2, 64]);
        _bench.Packet([0x43, 0, 1, 0, 0, 0, 0, 0, 12]);
        _bench.Answer().ShouldBe([0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0]);
        _bench.Packet([0x43, 0, 2, 0, 0, 0, 0, 0, 100]);
        _bench.Answer().Length.ShouldBe(48);
    }

    [Fact]
    public void Pages_and_features_are_told()
    {
        _bench.Settle();
        _bench.Packet([0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 100]);
        byte[] page = _bench.Answer();
        page.Length.ShouldBe(28);
        page[1].ShouldBe((byte)26);
        page[8].ShouldBe((byte)0x2a);
        _bench.Packet([0x1a, 0, 0x3f, 0, 100]);
        _bench.Answer().Length.ShouldBe(4 + 8 + 16 + 20);
        _bench.Packet([0x46, 2, 0, 0x1e, 0, 0, 0, 0, 100]);
        _bench.Answer().ShouldBe([0, 0, 0, 12, 0, 0, 0, 8, 0, 0x1e, 1, 4, 0, 0, 0, 0]);
        _bench.Packet([0x51, 0, 0, 0, 0, 0, 0, 0, 34]);
        _bench.Answer()[2].ShouldBe((byte)0x0e);
        _bench.Packet([0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8]);
        _bench.Answer().Length.ShouldBe(8);
    }

    [Fact]
    public void A_change_of_the_medium_is_reported_as_event_and_as_unit_attention()
    {
        _bench.Settle();
        _bench.DiscDrive.Change(null);
        Event().ShouldBe([0, 6, 4, 0x10, 3, 0, 0, 0]);
        Failing([0]).ShouldBe("2/3a/01");
        _bench.DiscDrive.Change(new MemoryStore(new byte[4096], isReadOnly: true));
        Event().ShouldBe([0, 6, 4, 0x10, 2, 2, 0, 0]);
        Event().ShouldBe([0, 6, 4, 0x10, 0, 2, 0, 0]);
        Failing([0]).ShouldBe("6/28/00");
        _bench.Packet([0x25]);
        _bench.Answer()[..4].ShouldBe([0, 0, 0, 1]);
    }

    [Fact]
    public void The_tray_opens_unless_the_medium_is_held()
    {
        _bench.Settle();
        _bench.Packet([0x1e, 0, 0, 0, 1]);
        Failing([0x1b, 0, 0, 0, 2]).ShouldBe("5/53/02");
        _bench.Packet([0x1e, 0, 0, 0, 0]);
        _bench.Packet([0x1b, 0, 0, 0, 2]);
        Event()[5].ShouldBe((byte)1);
        Failing([0x28, 0, 0, 0, 0, 0, 0, 0, 1]).ShouldBe("2/3a/02");
        _bench.Packet([0x1b, 0, 0, 0, 3]);
        Failing([0]).ShouldBe("6/28/00");
        _bench.Packet([0]);
        _bench.CdPorts.Read8(7).ShouldBe(AtaStatus.Idle);
    }

    [Fact]
    public void Device_reset_works_while_the_drive_is_busy()
    {
        _bench.Settle();
        _bench.CdPorts.Write8(7, 0xa0);
        IdeBench.WriteData(_bench.CdPorts, [0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        _bench.CdPorts.Read8(7).ShouldBe((byte)(AtaStatus.Idle | AtaStatus.Busy));
        _bench.CdPorts.Write8(7, 0x08);
        _bench.CdPorts.Read8(7).ShouldBe((byte)0);
        _bench.CdPorts.Read8(4).ShouldBe((byte)0x14);
        _bench.DiscDrive.Run();
        _bench.CdPorts.Read8(7).ShouldBe((byte)0);
    }

    private string Failing(ReadOnlySpan<byte> packet)
    {
        _bench.Packet(packet);
        _bench.CdPorts.Read8(7).ShouldBe((byte)(AtaStatus.Idle | AtaStatus.Error));
        return _bench.Sense();
    }

    private byte[] Event()
    {
        _bench.Packet([0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8]);
        return _bench.Answer();
    }
}
