using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices.Video;

public class VgaRegisterTests
{
    private readonly VgaFixture _vga = new();

    [Fact]
    public void Indexed_registers_read_back_the_bits_they_have()
    {
        _vga.Out(0x3c2, 1);
        _vga.Sequencer(1, 0xff);
        _vga.In(0x3c4).ShouldBe(1);
        _vga.In(0x3c5).ShouldBe(0x3d);
        _vga.Graphics(5, 0xff);
        _vga.In(0x3cf).ShouldBe(0x7b);
        _vga.Crtc(0x0c, 0x12);
        _vga.In(0x3d5).ShouldBe(0x12);
        _vga.Crtc(0x30, 0x12);
        _vga.In(0x3d5).ShouldBe(0);
        _vga.Adapter.MisuseCount.ShouldBeGreaterThan(0UL);
    }

    [Fact]
    public void The_ports_of_the_other_monitor_do_not_answer()
    {
        _vga.Out(0x3c2, 1);
        _vga.Crtc(0x0e, 0x55);
        _vga.In(0x3b5).ShouldBe(0xff);
        _vga.In(0x3ba).ShouldBe(0xff);
        _vga.Out(0x3c2, 0);
        _vga.In(0x3cc).ShouldBe(0);
        _vga.In(0x3d5).ShouldBe(0xff);
        _vga.In(0x3b5).ShouldBe(0x55);
    }

    [Fact]
    public void Timing_is_protected_and_line_compare_is_not()
    {
        _vga.SetMode(VgaMode.Text);
        _vga.Crtc(0x11, 0x8e);
        _vga.Crtc(0x00, 0x12);
        _vga.In(0x3d5).ShouldBe(0x5f);
        _vga.Crtc(0x07, 0x00);
        _vga.In(0x3d5).ShouldBe(0x0f);
        _vga.Crtc(0x11, 0x0e);
        _vga.Crtc(0x00, 0x12);
        _vga.In(0x3d5).ShouldBe(0x12);
    }

    [Fact]
    public void The_attribute_port_takes_index_and_data_in_turns_from_a_read_of_the_status_on()
    {
        _vga.Out(0x3c2, 1);
        _vga.In(0x3da);
        _vga.Out(0x3c0, 0x33);
        _vga.In(0x3da);
        _vga.Out(0x3c0, 0x33);
        _vga.Out(0x3c0, 0x05);
        _vga.In(0x3c0).ShouldBe(0x33);
        _vga.In(0x3c1).ShouldBe(0x05);
    }

    [Fact]
    public void The_converter_counts_through_its_colors()
    {
        _vga.Out(0x3c8, 254);
        foreach (int value in (int[])[1, 2, 3, 0xff, 5, 6, 7, 8, 9]) _vga.Out(0x3c9, value);
        _vga.In(0x3c7).ShouldBe(0);
        _vga.In(0x3c8).ShouldBe(1);
        _vga.Out(0x3c7, 254);
        _vga.In(0x3c7).ShouldBe(3);
        Enumerable.Range(0, 9).Select(_ => (int)_vga.In(0x3c9)).ShouldBe([1, 2, 3, 0x3f, 5, 6, 7, 8, 9]);
        _vga.In(0x3c6).ShouldBe(0xff);
    }

    [Fact]
    public void Retraces_follow_guest_time()
    {
        _vga.SetMode(VgaMode.Text);
        // 900 dots of 28.322 MHz a line, 449 lines: 70.08 Hz, as the monitor has it.
        int retraces = 0;
        int disabled = 0;
        bool was = false;
        for (int i = 0; i < 100_000; i++)
        {
            _vga.Clock.Advance(10_000);
            int status = _vga.In(0x3da);
            bool retrace = (status & 8) != 0;
            if (retrace && !was) retraces++;
            was = retrace;
            disabled += status & 1;
        }

        retraces.ShouldBe(70);
        disabled.ShouldBeInRange(20_000, 40_000);
    }

    [Fact]
    public void A_retrace_comes_whatever_the_registers_hold()
    {
        Random random = new(3);
        for (int round = 0; round < 200; round++)
        {
            _vga.Out(0x3c2, random.Next(256) | 1);
            _vga.Sequencer(1, random.Next(256));
            _vga.Crtc(0x11, 0);
            for (int i = 0; i < 0x19; i++)
                if (i != 0x11) _vga.Crtc(i, random.Next(256));
            bool seen = false;
            for (int i = 0; i < 100_000 && !seen; i++)
            {
                _vga.Clock.Advance(2_000);
                seen = (_vga.In(0x3da) & 8) != 0;
            }

            seen.ShouldBeTrue();
        }
    }

    [Fact]
    public void Memory_answers_where_and_when_it_is_mapped()
    {
        _vga.SetMode(VgaMode.Text);
        _vga.Write(0xb8000, 0x41);
        _vga.Read(0xb8000).ShouldBe(0x41);
        _vga.Read(0xb0000).ShouldBe(0xff);
        _vga.Read(0xa0000).ShouldBe(0xff);
        _vga.Graphics(6, 0x0a);
        _vga.Read(0xb0000).ShouldBe(0x41);
        _vga.Read(0xb8000).ShouldBe(0xff);
        _vga.Out(0x3c2, 0x65);
        _vga.Read(0xb0000).ShouldBe(0xff);
    }

    [Fact]
    public void Registers_in_memory_are_the_ports()
    {
        _vga.Adapter.Registers.Write8(0x402, 0x67);
        _vga.In(0x3cc).ShouldBe(0x67);
        _vga.Adapter.Registers.Write16(0x404, 0x0f02);
        _vga.In(0x3c4).ShouldBe(2);
        _vga.In(0x3c5).ShouldBe(0x0f);
        _vga.Adapter.Registers.Read16(0x404).ShouldBe((ushort)0x0f02);
        _vga.Adapter.Registers.Read16(0x500).ShouldBe((ushort)0xb0c5);
        _vga.Adapter.Registers.Read16(0x514).ShouldBe((ushort)16);
        _vga.Adapter.Registers.Read32(0x600).ShouldBe(8U);
        _vga.Adapter.Registers.Read32(0x604).ShouldBe(0x1e1e1e1eU);
        _vga.Adapter.Registers.Write32(0x604, 0xbebebebe);
        _vga.Adapter.Registers.Read32(0x604).ShouldBe(0xbebebebeU);
        _vga.Adapter.Registers.Read32(0xff0).ShouldBe(uint.MaxValue);
    }

    [Fact]
    public void The_monitor_describes_itself()
    {
        byte[] edid = new byte[256];
        for (int i = 0; i < edid.Length; i++) edid[i] = _vga.Adapter.Registers.Read8((ulong)i);
        edid[..8].ShouldBe([0, 255, 255, 255, 255, 255, 255, 0]);
        ((byte)edid[..128].Sum(b => b)).ShouldBe((byte)0);
        edid[128..].ShouldAllBe(b => b == 0);
        (edid[56] | ((edid[58] & 0xf0) << 4)).ShouldBe(1024);
        (edid[59] | ((edid[61] & 0xf0) << 4)).ShouldBe(768);
        (edid[54] | (edid[55] << 8)).ShouldBe(6500);
        System.Text.Encoding.ASCII.GetString(edid[113..126]).ShouldBe("Ringfence\n   ");
    }

    [Fact]
    public void A_state_of_random_bytes_can_be_restored_and_drawn()
    {
        Random random = new(5);
        for (int round = 0; round < 50; round++)
        {
            Dictionary<string, byte[]> fields = StateRecorder.Save(_vga.Adapter);
            foreach (byte[] field in fields.Values) random.NextBytes(field);
            StateRecorder.Restore(_vga.Adapter, fields);
            _vga.Draw();
            _vga.Read(0xa0000 + random.Next(0x20000));
        }
    }

    [Fact]
    public void A_restored_adapter_shows_the_same_picture()
    {
        _vga.SetMode(VgaMode.Mode13);
        for (int i = 0; i < 64_000; i++) _vga.Write(0xa0000 + i, i * 7);
        _vga.Draw();
        VgaFixture other = new();
        StateRecorder.Restore(other.Adapter, StateRecorder.Save(_vga.Adapter));
        StateRecorder.Restore(other.Memory, StateRecorder.Save(_vga.Memory));
        other.Draw();
        other.Picture.Pixels.ShouldBe(_vga.Picture.Pixels);
        other.Adapter.Reset();
        other.Output.Size.ShouldBe((0, 0));
    }
}
