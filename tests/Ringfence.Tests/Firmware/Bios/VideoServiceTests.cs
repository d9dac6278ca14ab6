using Ringfence.Firmware.Bios;

namespace Ringfence.Tests.Firmware.Bios;

/// <summary>INT 10h on the real display adapter.</summary>
public sealed class VideoServiceTests
{
    private readonly FakePlatform _platform = new();

    [Fact]
    public void Power_on_shows_a_line_of_text()
    {
        _platform.Vga.Output.Size.ShouldBe((720, 400));
        _platform.Text![0].ShouldStartWith("Ringfence ");
        _platform.Text[0].ShouldContain("2 MiB RAM, 1 processor");
    }

    [Fact]
    public void The_teletype_wraps_and_scrolls()
    {
        SetMode(3);
        for (int i = 0; i < 26; i++) Print($"{i}\r\n");
        Print(new string('x', 81));
        IReadOnlyList<string> rows = _platform.Text!;
        rows[0].ShouldBe("3");
        rows[22].ShouldBe("25");
        rows[23].ShouldBe(new string('x', 80));
        rows[24].ShouldBe("x");
        _platform.Vga.Output.Cursor.ShouldBe((1, 24));
    }

    [Fact]
    public void Characters_are_written_with_attributes_and_read_back()
    {
        SetMode(3);
        _platform.Call(0x10, 0x0200, edx: 0x0305);
        _platform.Call(0x10, 0x0941, 0x001e, 3);
        _platform.Call(0x10, 0x0800).Ax.ShouldBe((ushort)0x1e41);
        _platform.Text![3].ShouldBe("     AAA");
        ServiceFrame cursor = _platform.Call(0x10, 0x0300);
        (cursor.Dx, cursor.Cx).ShouldBe(((ushort)0x0305, (ushort)0x0607));
    }

    [Fact]
    public void A_window_scrolls_in_both_directions()
    {
        SetMode(3);
        for (int i = 0; i < 5; i++) Print($"{i}{i}{i}\r\n");
        _platform.Call(0x10, 0x0601, 0x0700, 0x0101, 0x0301);
        _platform.Text!.Take(5).ShouldBe(["000", "121", "232", "3 3", "444"]);
        _platform.Call(0x10, 0x0701, 0x0700, 0x0000, 0x0402);
        _platform.Text!.Take(5).ShouldBe(["", "000", "121", "232", "3 3"]);
    }

    [Theory]
    [InlineData(0x0d, 320, 200)]
    [InlineData(0x0e, 640, 200)]
    [InlineData(0x10, 640, 350)]
    [InlineData(0x12, 640, 480)]
    [InlineData(0x13, 320, 200)]
    [InlineData(0x04, 320, 200)]
    [InlineData(0x06, 640, 200)]
    public void Points_and_characters_are_drawn_in_graphics(byte mode, int width, int height)
    {
        SetMode(mode);
        int color = mode is 6 ? 1 : mode is 4 ? 3 : 10;
        _platform.Call(0x10, (uint)(0x0c00 | color), 0, (uint)(width - 1), (uint)(height - 1));
        _platform.Call(0x10, 0x0d00, 0, (uint)(width - 1), (uint)(height - 1)).Al.ShouldBe((byte)color);
        _platform.Call(0x10, 0x0d00, 0, (uint)(width - 2), (uint)(height - 1)).Al.ShouldBe((byte)0);
        _platform.Call(0x10, 0x0200, edx: 0x0102);
        _platform.Call(0x10, 0x0952, (uint)color, 1);
        _platform.Call(0x10, 0x0800).Al.ShouldBe((byte)'R');
        Print("\b\b\n");
        _platform.Call(0x10, 0x0601, 0, 0, 0x184f);
        _platform.Call(0x10, 0x0200, edx: 0x0002);
        _platform.Call(0x10, 0x0800).Al.ShouldBe((byte)'R');
        (int seenWidth, int seenHeight) = _platform.Vga.Output.Size;
        (seenWidth % width, seenHeight % height).ShouldBe((0, 0));
    }

    [Fact]
    public void The_font_of_8_lines_makes_50_rows()
    {
        SetMode(3);
        _platform.Call(0x10, 0x1112);
        _platform.Call(0x10, 0x1130).Dl.ShouldBe((byte)49);
        for (int i = 0; i < 49; i++) Print($"{i}\r\n");
        Print("last");
        _platform.Text!.Count.ShouldBe(50);
        _platform.Text[49].ShouldBe("last");
    }

    [Fact]
    public void Colors_are_set_and_read_back()
    {
        SetMode(3);
        _platform.Call(0x10, 0x1010, 0x0007, 0x2030, 0x1000);
        ServiceFrame color = _platform.Call(0x10, 0x1015, 0x0007);
        (color.Dh, color.Ch, color.Cl).ShouldBe(((byte)0x10, (byte)0x20, (byte)0x30));
        _platform.Call(0x10, 0x1000, 0x0503);
        _platform.Call(0x10, 0x1007, 0x0003).Bh.ShouldBe((byte)5);
    }

    [Fact]
    public void Vesa_modes_are_listed_described_and_set()
    {
        "VBE2"u8.CopyTo(_platform.Memory[0x1_0000..]);
        _platform.Call(0x10, 0x4f00, change: f => f.Es = 0x1000).Ax.ShouldBe((ushort)0x004f);
        Span<byte> info = _platform.Memory.Slice(0x1_0000, 512);
        info[..4].SequenceEqual("VESA"u8).ShouldBeTrue();
        int list = (BitConverter.ToUInt16(info[16..]) << 4) + BitConverter.ToUInt16(info[14..]);
        List<ushort> modes = [];
        for (int at = list; BitConverter.ToUInt16(_platform.Memory[at..]) != 0xffff; at += 2) modes.Add(BitConverter.ToUInt16(_platform.Memory[at..]));

        // The test's adapter has 1 MiB: modes that need more are not offered.
        modes.ShouldContain((ushort)0x101);
        modes.ShouldNotContain((ushort)0x118);
        foreach (ushort mode in modes)
        {
            _platform.Call(0x10, 0x4f01, ecx: mode, change: f => f.Es = 0x1100).Ax.ShouldBe((ushort)0x004f);
            Span<byte> described = _platform.Memory.Slice(0x1_1000, 256);
            int width = BitConverter.ToUInt16(described[18..]), height = BitConverter.ToUInt16(described[20..]);
            _platform.Call(0x10, 0x4f02, (uint)(mode | 0x4000)).Ax.ShouldBe((ushort)0x004f);
            _platform.Vga.Output.Size.ShouldBe((width, height));
            _platform.Call(0x10, 0x4f03).Bx.ShouldBe((ushort)(mode | 0x4000));
        }

        _platform.Call(0x10, 0x4f02, 0x0118).Ah.ShouldBe((byte)1);
        _platform.Call(0x10, 0x0003);
        _platform.Vga.Output.Size.ShouldBe((720, 400));
    }

    [Fact]
    public void Every_character_has_its_own_glyph_and_lines_join()
    {
        HashSet<string> glyphs = [];
        for (int code = 0; code < 256; code++) glyphs.Add(Convert.ToHexString(BiosFont.Tall.Slice(16 * code, 16)));
        glyphs.Count.ShouldBeGreaterThanOrEqualTo(252);
        byte Row(int code, int row) => BiosFont.Tall[(16 * code) + row];
        foreach (int upright in (int[])[0xb3, 0xb4, 0xc3, 0xc5, 0xd9, 0xc0]) Row(upright, 0).ShouldBe((byte)0x18);
        foreach (int twice in (int[])[0xba, 0xb9, 0xcc, 0xce, 0xbc, 0xc8]) Row(twice, 0).ShouldBe((byte)0x36);
        foreach (int across in (int[])[0xc4, 0xc1, 0xc2, 0xc5]) Row(across, 7).ShouldBe((byte)0xff);
        BiosFont.Small.Length.ShouldBe(2048);
        BiosFont.Medium.Length.ShouldBe(3584);
    }

    private void SetMode(byte mode) => _platform.Call(0x10, mode);

    private void Print(string text)
    {
        foreach (char character in text) _platform.Call(0x10, 0x0e00u | character, 7);
    }
}
