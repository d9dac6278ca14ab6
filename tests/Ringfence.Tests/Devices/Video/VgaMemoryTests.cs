namespace Ringfence.Tests.Devices.Video;

public class VgaMemoryTests
{
    private readonly VgaFixture _vga = new();

    public VgaMemoryTests() => _vga.SetMode(VgaMode.Planar640);

    [Fact]
    public void Write_mode_0_writes_the_planes_of_the_map_mask()
    {
        _vga.Sequencer(2, 0b0101);
        _vga.Write(0xa0010, 0xa5);
        Planes(0x10).ShouldBe([0xa5, 0, 0xa5, 0]);
    }

    [Fact]
    public void Write_mode_0_rotates_sets_and_combines_with_the_latches()
    {
        _vga.Write(0xa0000, 0xf0);
        _vga.Read(0xa0000);
        _vga.Graphics(3, 0x10 | 4);
        _vga.Write(0xa0001, 0x21);
        Planes(1).ShouldBe([0xf2, 0xf2, 0xf2, 0xf2], "21h rotated by 4 is 12h, ORed with F0h");
        _vga.Graphics(3, 0x18);
        _vga.Graphics(0, 0b0010);
        _vga.Graphics(1, 0b0011);
        _vga.Write(0xa0002, 0xff);
        Planes(2).ShouldBe([0xf0, 0x0f, 0x0f, 0x0f]);
        _vga.Graphics(3, 0x08);
        _vga.Graphics(1, 0);
        _vga.Write(0xa0003, 0x3c);
        Planes(3).ShouldBe([0x30, 0x30, 0x30, 0x30]);
    }

    [Fact]
    public void The_bit_mask_keeps_bits_of_the_latches()
    {
        _vga.Write(0xa0000, 0xaa);
        _vga.Read(0xa0000);
        _vga.Graphics(8, 0x0f);
        _vga.Write(0xa0005, 0xff);
        Planes(5).ShouldBe([0xaf, 0xaf, 0xaf, 0xaf]);
    }

    [Fact]
    public void Write_mode_1_copies_all_planes_through_the_latches()
    {
        for (int plane = 0; plane < 4; plane++)
        {
            _vga.Sequencer(2, 1 << plane);
            _vga.Write(0xa0000, 0x11 * (plane + 1));
        }

        _vga.Sequencer(2, 0x0f);
        _vga.Graphics(5, 1);
        _vga.Read(0xa0000);
        _vga.Write(0xa1234, 0);
        Planes(0x1234).ShouldBe([0x11, 0x22, 0x33, 0x44]);
    }

    [Fact]
    public void Write_mode_2_writes_a_color()
    {
        _vga.Graphics(5, 2);
        _vga.Graphics(8, 0x81);
        _vga.Read(0xa0000);
        _vga.Write(0xa0000, 0b1010);
        Planes(0).ShouldBe([0, 0x81, 0, 0x81]);
    }

    [Fact]
    public void Write_mode_3_masks_set_reset_with_the_data()
    {
        _vga.Graphics(5, 3);
        _vga.Graphics(0, 0b0110);
        _vga.Graphics(3, 1);
        _vga.Graphics(8, 0xf0);
        _vga.Read(0xa0000);
        _vga.Write(0xa0000, 0x61);
        Planes(0).ShouldBe([0, 0xb0, 0xb0, 0], "61h rotated by 1 is B0h");
    }

    [Fact]
    public void Read_mode_0_reads_a_plane()
    {
        _vga.Sequencer(2, 8);
        _vga.Write(0xa0000, 0x77);
        _vga.Read(0xa0000).ShouldBe(0);
        _vga.Graphics(4, 3);
        _vga.Read(0xa0000).ShouldBe(0x77);
    }

    [Fact]
    public void Read_mode_1_finds_a_color()
    {
        _vga.Sequencer(2, 1);
        _vga.Write(0xa0000, 0xcc);
        _vga.Sequencer(2, 2);
        _vga.Write(0xa0000, 0xf0);
        _vga.Graphics(5, 8);
        _vga.Graphics(2, 0b0011);
        _vga.Read(0xa0000).ShouldBe(0xc0);
        _vga.Graphics(2, 0b1101);
        _vga.Read(0xa0000).ShouldBe(0);
        _vga.Graphics(7, 0b0011);
        _vga.Read(0xa0000).ShouldBe(0x0c, "planes 2 and 3 do not matter");
        _vga.Graphics(7, 0);
        _vga.Read(0xa0000).ShouldBe(0xff);
    }

    [Fact]
    public void Chain_4_is_the_linear_frame_buffer()
    {
        _vga.SetMode(VgaMode.Mode13);
        for (int i = 0; i < 0x10000; i += 251) _vga.Write(0xa0000 + i, i / 251);
        for (int i = 0; i < 0x10000; i += 251)
        {
            _vga.Memory.Bytes[i].ShouldBe((byte)(i / 251));
            _vga.Read(0xa0000 + i).ShouldBe((i / 251) & 0xff);
        }
    }

    [Fact]
    public void Odd_even_puts_characters_into_plane_0_and_attributes_into_plane_1()
    {
        _vga.SetMode(VgaMode.Text);
        _vga.Write(0xb8004, 0x41);
        _vga.Write(0xb8005, 0x1e);
        _vga.Plane(0, 4).ShouldBe((byte)0x41);
        _vga.Plane(1, 4).ShouldBe((byte)0x1e);
        _vga.Read(0xb8005).ShouldBe(0x1e);
    }

    [Fact]
    public void The_large_window_reaches_both_halves_of_odd_even_planes()
    {
        _vga.SetMode(VgaMode.Text);
        _vga.Graphics(6, 2);
        _vga.Write(0xa0000, 1);
        _vga.Write(0xb0000, 2);
        _vga.Plane(0, 0).ShouldBe((byte)1);
        _vga.Plane(0, 1).ShouldBe((byte)2);
        _vga.Read(0xb0000).ShouldBe(2);
    }

    [Fact]
    public void Writes_that_change_nothing_touch_nothing()
    {
        _vga.Draw();
        long lines = _vga.LinesDrawn;
        _vga.Write(0xa0000, 0);
        _vga.Draw().ShouldBe((0, 0));
        _vga.LinesDrawn.ShouldBe(lines);
    }

    private byte[] Planes(int offset) => [.. Enumerable.Range(0, 4).Select(plane => _vga.Plane(plane, offset))];
}
