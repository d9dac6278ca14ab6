using Ringfence.Devices.Video;

namespace Ringfence.Tests.Devices.Video;

public class VgaPictureTests
{
    private static readonly byte[] Letter = [0x00, 0x18, 0x24, 0x42, 0x7e, 0x42, 0x42, 0x00];
    private readonly VgaFixture _vga = new();

    [Fact]
    public void An_adapter_without_a_signal_has_no_size()
    {
        _vga.Output.Size.ShouldBe((0, 0));
        _vga.Draw().ShouldBe((0, 0));
        _vga.Picture.Pixels.ShouldBeEmpty();
        _vga.Output.ReadText().ShouldBeNull();
    }

    [Fact]
    public void Text_is_drawn_with_the_loaded_font_in_nine_dots()
    {
        Text();
        _vga.LoadGlyph(0, 'A', Letter);
        Put(0, 0, 'A', 0x0f);
        _vga.Draw().ShouldBe((0, 400));
        _vga.Output.Size.ShouldBe((720, 400));
        _vga.Shape(0, 0, 10, 8, VgaFixture.White).ShouldBe(
        [
            "..........",
            "...##.....",
            "..#..#....",
            ".#....#...",
            ".######...",
            ".#....#...",
            ".#....#...",
            "..........",
        ]);
    }

    [Fact]
    public void Box_characters_reach_into_the_ninth_dot()
    {
        Text();
        _vga.LoadGlyph(0, 0xc4, 0xff);
        _vga.LoadGlyph(0, 0x80, 0xff);
        Put(0, 0, 0xc4, 0x0f);
        Put(1, 0, 0x80, 0x0f);
        _vga.Draw();
        _vga.Shape(0, 0, 19, 1, VgaFixture.White).ShouldBe(["#################.."]);
    }

    [Fact]
    public void Colors_come_from_palette_and_converter()
    {
        Text();
        _vga.LoadGlyph(0, 'A', 0xf0);
        _vga.Attribute(1, 0x2a);
        _vga.Color(0x2a, 63, 32, 0);
        Put(0, 0, 'A', 0x1f);
        _vga.Draw();
        _vga.Pixel(0, 0).ShouldBe(VgaFixture.White);
        _vga.Pixel(5, 0).ShouldBe(0xffff8200);
        _vga.Color(0x2a, 0, 0, 63);
        _vga.Draw().ShouldBe((0, 16), "the other rows look as before");
        _vga.Pixel(5, 0).ShouldBe(0xff0000ff);
    }

    [Fact]
    public void Two_fonts_are_chosen_by_attribute_bit_3()
    {
        Text();
        _vga.LoadGlyph(0, 'A', 0x80);
        _vga.LoadGlyph(1, 'A', 0x01);
        _vga.Sequencer(3, 0x04);
        Put(0, 0, 'A', 0x07);
        Put(1, 0, 'A', 0x0f);
        _vga.Draw();
        _vga.Pixel(0, 0).ShouldNotBe(VgaFixture.Black);
        _vga.Pixel(7, 0).ShouldBe(VgaFixture.Black);
        _vga.Pixel(9, 0).ShouldBe(VgaFixture.Black);
        _vga.Pixel(16, 0).ShouldNotBe(VgaFixture.Black);
    }

    [Fact]
    public void Blinking_follows_guest_time_and_can_be_bright_backgrounds_instead()
    {
        Text();
        _vga.LoadGlyph(0, 'A', 0xff);
        Put(0, 0, 'A', 0x8f);
        _vga.Draw();
        _vga.Pixel(0, 0).ShouldBe(VgaFixture.White);
        _vga.Clock.Advance(2 * TextPainter.CursorBlink);
        _vga.Draw().ShouldBe((0, 16));
        _vga.Pixel(0, 0).ShouldBe(VgaFixture.Black);
        _vga.Attribute(0x10, 0x04);
        _vga.Draw();
        _vga.Pixel(0, 0).ShouldBe(VgaFixture.White);
        _vga.Pixel(8, 0).ShouldBe(0xffe3e3e3, "color 38h");
    }

    [Fact]
    public void The_cursor_is_drawn_where_it_is_and_blinks()
    {
        Text();
        Put(2, 1, ' ', 0x0f);
        Cursor(82);
        _vga.Draw();
        _vga.Shape(17, 16 + 12, 11, 4, VgaFixture.White).ShouldBe(["...........", ".#########.", ".#########.", "..........."]);
        _vga.Output.Cursor.ShouldBe((2, 1));
        _vga.Clock.Advance(TextPainter.CursorBlink);
        _vga.Draw().ShouldBe((16, 32));
        _vga.Pixel(18, 29).ShouldBe(VgaFixture.Black);
        _vga.Crtc(0x0a, 0x20);
        _vga.Output.Cursor.ShouldBeNull();
    }

    [Fact]
    public void Text_is_read_as_the_screen_shows_it()
    {
        Text();
        Print(0, 0, "C:\\>dir");
        Print(0, 2, "\xc9\xcd\xbb");
        IReadOnlyList<string> lines = _vga.Output.ReadText().ShouldNotBeNull();
        lines.Count.ShouldBe(25);
        lines[0].ShouldBe("C:\\>dir");
        lines[1].ShouldBe("");
        lines[2].ShouldBe("╔═╗");
        _vga.Crtc(0x0d, 80);
        _vga.Output.ReadText()![1].ShouldBe("╔═╗");
    }

    [Fact]
    public void The_start_address_the_split_and_panning_move_the_text()
    {
        Text();
        Print(0, 0, "status");
        Print(0, 30, "scrolled");
        _vga.Crtc(0x0c, (30 * 80) >> 8);
        _vga.Crtc(0x0d, (30 * 80) & 0xff);
        SetLineCompare((24 * 16) - 1);
        IReadOnlyList<string> lines = _vga.Output.ReadText().ShouldNotBeNull();
        lines.Count.ShouldBe(25);
        lines[0].ShouldBe("scrolled");
        lines[24].ShouldBe("status");

        _vga.LoadGlyph(0, 's', 0x80);
        _vga.Attribute(0x13, 0);
        _vga.Draw();
        _vga.Pixel(0, 0).ShouldBe(VgaFixture.Black, "panned by one dot");
        _vga.Pixel(0, 24 * 16).ShouldBe(VgaFixture.Black);
        _vga.Attribute(0x10, 0x2c);
        _vga.Draw();
        _vga.Pixel(0, 24 * 16).ShouldNotBe(VgaFixture.Black, "panning ends at the split");
    }

    [Fact]
    public void The_preset_row_scan_scrolls_by_lines()
    {
        Text();
        _vga.LoadGlyph(0, 'A', 0, 0, 0, 0, 0, 0xff);
        Put(0, 0, 'A', 0x0f);
        _vga.Crtc(0x08, 5);
        _vga.Draw();
        _vga.Pixel(0, 0).ShouldBe(VgaFixture.White);
    }

    [Fact]
    public void Sixteen_colors_come_from_four_planes()
    {
        _vga.SetMode(VgaMode.Planar640);
        _vga.Graphics(5, 2);
        _vga.Graphics(8, 0x40);
        _vga.Write(0xa0000 + (80 * 3) + 2, 5);
        _vga.Draw();
        _vga.Output.Size.ShouldBe((640, 480));
        _vga.Pixel(17, 3).ShouldBe(0xff141414);
        _vga.Pixel(16, 3).ShouldBe(VgaFixture.Black);
        _vga.Write(0xa0000 + (80 * 300), 15);
        _vga.Draw().ShouldBe((300, 301));
    }

    [Fact]
    public void Low_resolutions_are_drawn_with_doubled_dots_and_lines()
    {
        _vga.SetMode(VgaMode.Planar320);
        _vga.Write(0xa0000 + 40, 0x80);
        _vga.Draw();
        _vga.Output.Size.ShouldBe((640, 400));
        _vga.Shape(0, 1, 4, 4, 0xffffffff).ShouldBe(["....", "##..", "##..", "...."]);
    }

    [Fact]
    public void Mode_13_has_256_colors()
    {
        _vga.SetMode(VgaMode.Mode13);
        _vga.Color(200, 63, 0, 0);
        _vga.Write(0xa0000 + (320 * 199) + 319, 200);
        _vga.Draw();
        _vga.Output.Size.ShouldBe((640, 400));
        _vga.Shape(636, 397, 4, 3, 0xffff0000).ShouldBe(["....", "..##", "..##"]);
        _vga.Out(0x3c6, 0x0f);
        _vga.Draw();
        _vga.Pixel(639, 399).ShouldBe(0xff202020, "200 & 15 is 8");
    }

    [Fact]
    public void Mode_X_shows_a_plane_every_fourth_pixel_and_flips_pages()
    {
        _vga.SetMode(VgaMode.Mode13);
        _vga.Sequencer(4, 6);
        _vga.Crtc(0x14, 0);
        _vga.Crtc(0x17, 0xe3);
        _vga.Sequencer(2, 4);
        _vga.Write(0xa0000 + 16000, 63);
        _vga.Draw();
        _vga.Pixel(4, 0).ShouldBe(VgaFixture.Black);
        _vga.Crtc(0x0c, 16000 >> 8);
        _vga.Crtc(0x0d, 16000 & 0xff);
        _vga.Draw();
        _vga.Shape(0, 0, 8, 3, VgaFixture.White).ShouldBe(["....##..", "....##..", "........"]);
    }

    [Fact]
    public void Cga_modes_take_their_lines_from_two_banks()
    {
        _vga.SetMode(VgaMode.Cga4);
        _vga.Color(0x13, 0, 63, 63);
        _vga.Color(0x17, 63, 63, 63);
        _vga.Write(0xb8000, 0b01_11_00_00);
        _vga.Write(0xba000, 0b00_00_00_01);
        _vga.Draw();
        _vga.Output.Size.ShouldBe((640, 400));
        _vga.Shape(0, 0, 8, 4, 0xff00ffff).ShouldBe(["##......", "##......", "......##", "......##"]);
        _vga.Shape(0, 0, 8, 1, VgaFixture.White).ShouldBe(["..##...."]);

        _vga.SetMode(VgaMode.Cga2);
        _vga.Color(0x17, 63, 63, 63);
        for (int i = 0; i < 0x4000; i++) _vga.Write(0xb8000 + i, 0);
        _vga.Write(0xba000 + 80, 0x0f);
        _vga.Draw();
        _vga.Shape(0, 5, 8, 4, VgaFixture.White).ShouldBe(["........", "....####", "....####", "........"]);
    }

    [Fact]
    public void A_screen_turned_off_is_black_soon_and_keeps_its_size()
    {
        _vga.SetMode(VgaMode.Planar640);
        _vga.Write(0xa0000, 0xff);
        _vga.Draw();
        _vga.Sequencer(1, 0x21);
        _vga.Draw();
        _vga.Pixel(0, 0).ShouldBe(VgaFixture.White, "it may be a font being loaded");
        _vga.Clock.Advance(VideoRenderer.DarkDelay);
        _vga.Draw();
        _vga.Pixel(0, 0).ShouldBe(VgaFixture.Black);
        _vga.Output.Size.ShouldBe((640, 480));
        _vga.Sequencer(1, 0x01);
        _vga.Draw();
        _vga.Pixel(0, 0).ShouldBe(VgaFixture.White);
    }

    [Fact]
    public void An_idle_screen_is_not_drawn()
    {
        Text();
        _vga.Draw();
        long lines = _vga.LinesDrawn;
        for (int i = 0; i < 100; i++)
        {
            _vga.Clock.Advance(10_000_000);
            _vga.Draw().ShouldBe((0, 0));
        }

        _vga.LinesDrawn.ShouldBe(lines);
        Put(5, 3, 'x', 7);
        _vga.Draw();
        _vga.LinesDrawn.ShouldBe(lines + 16, "one row");
    }

    [Fact]
    public void Every_viewer_gets_what_it_has_not_seen()
    {
        _vga.SetMode(VgaMode.Mode13);
        VideoPicture first = default;
        VideoPicture second = default;
        (long a, long b) = (0, 0);
        _vga.Output.Draw(ref first, ref a).ShouldBe((0, 400));
        _vga.Write(0xa0000 + (320 * 10), 1);
        _vga.Output.Draw(ref first, ref a).ShouldBe((20, 22));
        _vga.Write(0xa0000 + (320 * 20), 1);
        _vga.Output.Draw(ref first, ref a).ShouldBe((40, 42));
        _vga.Output.Draw(ref second, ref b).ShouldBe((0, 400));
        second.Pixels.ShouldBe(first.Pixels);
        _vga.Write(0xa0000 + (320 * 30), 1);
        _vga.Output.Draw(ref second, ref b).ShouldBe((60, 62));
        _vga.Write(0xa0000 + (320 * 10), 2);
        _vga.Output.Draw(ref first, ref a).ShouldBe((20, 62));
        _vga.Output.Draw(ref first, ref a).ShouldBe((0, 0));
        _vga.Output.Draw(ref second, ref b).ShouldBe((20, 22));
        second.Pixels.ShouldBe(first.Pixels);
    }

    private void Text()
    {
        _vga.SetMode(VgaMode.Text);
        for (int i = 0; i < 0x8000; i += 2)
        {
            _vga.Write(0xb8000 + i, ' ');
            _vga.Write(0xb8001 + i, 7);
        }

        Cursor(0xffff);
    }

    private void Cursor(int address)
    {
        _vga.Crtc(0x0e, address >> 8);
        _vga.Crtc(0x0f, address & 0xff);
    }

    private void SetLineCompare(int line)
    {
        _vga.Crtc(0x18, line & 0xff);
        _vga.Crtc(0x07, 0x0f | ((line >> 4) & 0x10));
        _vga.Crtc(0x09, 0x0f | ((line >> 3) & 0x40));
    }

    private void Put(int column, int row, int character, int attribute)
    {
        _vga.Write(0xb8000 + (((row * 80) + column) * 2), character);
        _vga.Write(0xb8001 + (((row * 80) + column) * 2), attribute);
    }

    private void Print(int column, int row, string text)
    {
        for (int i = 0; i < text.Length; i++) Put(column + i, row, text[i], 7);
    }
}
