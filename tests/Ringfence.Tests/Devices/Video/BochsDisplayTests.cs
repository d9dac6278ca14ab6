using System.Buffers.Binary;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices.Video;

public class BochsDisplayTests
{
    private readonly VgaFixture _vga = new(16 << 20);

    [Fact]
    public void Drivers_find_the_extensions_and_their_limits()
    {
        _vga.Dispi(0).ShouldBe(0xb0c5);
        for (int id = 0xb0c0; id <= 0xb0c5; id++)
        {
            _vga.Dispi(0, id);
            _vga.Dispi(0).ShouldBe(id);
        }

        _vga.Dispi(0, 0x1234);
        _vga.Dispi(0).ShouldBe(0xb0c5);
        _vga.Dispi(10).ShouldBe(256);
        _vga.Dispi(4, 2);
        _vga.Dispi(1).ShouldBe(2560);
        _vga.Dispi(2).ShouldBe(1600);
        _vga.Dispi(3).ShouldBe(32);
    }

    [Theory]
    [InlineData(8, 0x05, 1, 0xff0000ff)]
    [InlineData(15, 0x7c1f, 2, 0xffff00ff)]
    [InlineData(16, 0x07e0, 2, 0xff00ff00)]
    [InlineData(24, 0x123456, 3, 0xff123456)]
    [InlineData(32, 0x123456, 4, 0xff123456)]
    public void Every_depth_shows_its_colors(int bits, uint pixel, int bytes, uint color)
    {
        _vga.Color(5, 0, 0, 63);
        _vga.SetPacked(1024, 768, bits);
        _vga.Draw();
        _vga.Output.Size.ShouldBe((1024, 768));
        Span<byte> data = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(data, pixel);
        _vga.Memory.Write((ulong)(((1024 * 700) + 33) * bytes), data[..bytes]);
        _vga.Draw().ShouldBe((700, 701));
        _vga.Pixel(33, 700).ShouldBe(color);
        _vga.Pixel(32, 700).ShouldBe(VgaFixture.Black);
        _vga.Pixel(34, 700).ShouldBe(VgaFixture.Black);
    }

    [Fact]
    public void The_wide_converter_has_all_bits()
    {
        _vga.SetPacked(640, 480, 8, 0x61);
        _vga.Color(1, 0x81, 0x02, 0xff);
        _vga.Memory.Write8(0, 1);
        _vga.Draw();
        _vga.Pixel(0, 0).ShouldBe(0xff8102ff);
    }

    [Fact]
    public void The_window_shows_a_bank()
    {
        _vga.Out(0x3c2, 3);
        _vga.SetPacked(1024, 768, 32);
        _vga.Dispi(5, 3);
        _vga.Write(0xa0010, 0x77);
        _vga.Memory.Bytes[0x30010].ShouldBe((byte)0x77);
        _vga.Read(0xa0010).ShouldBe(0x77);
        _vga.Read(0xb0010).ShouldBe(0xff);
        _vga.Draw();
        _vga.Pixel(4, 48).ShouldBe(0xff000077);
        _vga.Dispi(4, 0);
        _vga.Dispi(5).ShouldBe(0);
    }

    [Fact]
    public void The_virtual_screen_is_scrolled_by_offsets()
    {
        _vga.SetPacked(640, 480, 32);
        _vga.Dispi(6, 1024);
        _vga.Dispi(7).ShouldBe(4096);
        _vga.Dispi(8, 10);
        _vga.Dispi(9, 20);
        _vga.Memory.Write32((ulong)(((1024 * 21) + 13) * 4), 0xffffff);
        _vga.Draw();
        _vga.Pixel(3, 1).ShouldBe(VgaFixture.White);
        _vga.Dispi(9, 21);
        _vga.Draw();
        _vga.Pixel(3, 0).ShouldBe(VgaFixture.White);
    }

    [Fact]
    public void What_lies_behind_the_memory_is_black()
    {
        _vga.Memory.Bytes.Fill(0xff);
        _vga.SetPacked(2560, 1600, 32, 0xc1);
        _vga.Dispi(9, 100);
        _vga.Draw();
        _vga.Pixel(0, 0).ShouldBe(VgaFixture.White);
        _vga.Pixel(2559, 1599).ShouldBe(VgaFixture.Black);
        _vga.Dispi(9, 0xffff);
        _vga.Draw();
        _vga.Pixel(0, 0).ShouldBe(VgaFixture.Black);
    }

    [Fact]
    public void Enabling_clears_the_screen_unless_told_not_to()
    {
        _vga.Memory.Write8(5, 1);
        _vga.SetPacked(640, 480, 8, 0xc1);
        _vga.Memory.Bytes[5].ShouldBe((byte)1);
        _vga.SetPacked(640, 480, 8);
        _vga.Memory.Bytes[5].ShouldBe((byte)0);
    }

    [Fact]
    public void Four_bits_a_pixel_are_planar_with_banks_beyond_64_KiB()
    {
        _vga.SetMode(VgaMode.Planar640);
        _vga.SetPacked(1280, 1024, 4);
        _vga.Output.Size.ShouldBe((1280, 1024));
        _vga.Dispi(5, 2);
        _vga.Write(0xa0000 + (160 * 1000) - 0x20000 + 1, 0x80);
        _vga.Draw();
        _vga.Pixel(8, 1000).ShouldNotBe(VgaFixture.Black);
        _vga.Pixel(9, 1000).ShouldBe(VgaFixture.Black);
    }

    [Fact]
    public void The_driver_of_Linux_sets_its_mode_through_memory()
    {
        void Set(int index, int value) => _vga.Adapter.Registers.Write16((ulong)(0x500 + (2 * index)), value);
        _vga.Adapter.Registers.Write8(0x402, 1);
        _vga.Adapter.Registers.Read8(0x41a);
        _vga.Adapter.Registers.Write8(0x400, 0x20);
        Set(4, 0);
        Set(3, 32);
        Set(1, 1024);
        Set(2, 768);
        Set(5, 0);
        Set(6, 1024);
        Set(7, 4096);
        Set(8, 0);
        Set(9, 0);
        Set(4, 0x41);
        _vga.Memory.Write32(0, 0x00ff0000);
        _vga.Draw().ShouldBe((0, 768));
        _vga.Pixel(0, 0).ShouldBe(0xffff0000);
        _vga.Adapter.Registers.Write32(0x604, 0xbebebebe);
        _vga.Memory.Write32(0, 0x00ff0000);
        _vga.Draw();
        _vga.Pixel(0, 0).ShouldBe(0xff00ff00);
        _vga.Adapter.Registers.Read8(0x41a);
        _vga.Adapter.Registers.Write8(0x400, 0);
        _vga.Clock.Advance(1_000_000_000);
        _vga.Draw();
        _vga.Pixel(0, 0).ShouldBe(VgaFixture.Black);
    }

    [Fact]
    public void An_idle_frame_buffer_is_not_drawn_and_a_page_costs_its_lines()
    {
        _vga.SetPacked(1024, 768, 32);
        _vga.Draw();
        long lines = _vga.LinesDrawn;
        for (int i = 0; i < 10; i++) _vga.Draw().ShouldBe((0, 0));
        _vga.LinesDrawn.ShouldBe(lines);
        _vga.Memory.Write32(4096 * 100, 1);
        _vga.Draw().ShouldBe((100, 101));
        _vga.LinesDrawn.ShouldBe(lines + 1);
        _vga.Memory.Write32(4096 * 100, 1);
        _vga.Draw().ShouldBe((0, 0), "it looks as before");
    }
}
