using System.Text.RegularExpressions;
using Ringfence.Devices;
using Ringfence.Devices.Video;
using Ringfence.Machines;
using Ringfence.Tests.Devices.Video;

namespace Ringfence.Tests.Machines;

public class ScreenTests
{
    private readonly VgaFixture _vga = new();
    private readonly List<(Key Key, bool Down)> _keys = [];
    private readonly List<(int X, int Y, int Wheel, int Buttons)> _moves = [];
    private readonly Screen _screen;
    private int _refusals;

    public ScreenTests()
    {
        _screen = new Screen(_vga.Output, Press, (x, y, wheel, buttons) => _moves.Add((x, y, wheel, buttons))) { KeyInterval = TimeSpan.Zero };
        _vga.SetMode(VgaMode.Text);
    }

    [Fact]
    public void The_generation_grows_with_changes_only()
    {
        long first = _screen.Generation;
        _screen.Generation.ShouldBe(first);
        _vga.LoadGlyph(0, 'x', 0xff);
        Print("x");
        long second = _screen.Generation;
        second.ShouldBeGreaterThan(first);
        _screen.Generation.ShouldBe(second);
        _vga.SetMode(VgaMode.Planar640);
        _screen.Generation.ShouldBeGreaterThan(second);
        _screen.Size.ShouldBe((640, 480));
    }

    [Fact]
    public void A_capture_is_a_picture_of_its_moment()
    {
        _vga.LoadGlyph(0, 'x', 0x80);
        Print("x");
        ScreenImage image = _screen.Capture();
        (image.Width, image.Height).ShouldBe((720, 400));
        image[0, 0].ShouldNotBe(VgaFixture.Black);
        Print(" ");
        image[0, 0].ShouldNotBe(VgaFixture.Black);
        _screen.Capture()[0, 0].ShouldBe(VgaFixture.Black);
        using MemoryStream png = new();
        image.SavePng(png);
        png.ToArray()[1..4].ShouldBe("PNG"u8.ToArray());
    }

    [Fact]
    public async Task Texts_are_awaited()
    {
        Task<TextScreen> found = _screen.WaitForTextAsync("grub>", TimeSpan.FromSeconds(20));
        Print("grub> _");
        (await found).Lines[0].ShouldBe("grub> _");
        await _screen.WaitForTextAsync(new Regex("^gr.b> _$", RegexOptions.Multiline), TimeSpan.FromSeconds(20));
        TimeoutException error = await Should.ThrowAsync<TimeoutException>(() => _screen.WaitForTextAsync("login:", TimeSpan.FromMilliseconds(50)));
        error.Message.ShouldContain("grub> _");
        _screen.Complete("the machine was switched off.");
        await Should.ThrowAsync<MachineEndedException>(() => _screen.WaitForTextAsync("login:", TimeSpan.FromSeconds(20)));
        await _screen.WaitForTextAsync("grub>", TimeSpan.FromSeconds(20));
    }

    [Fact]
    public void The_last_picture_stays_when_the_machine_has_gone()
    {
        Print("bye");
        _vga.Adapter.Close();
        _vga.Memory.Bytes.Clear();
        _vga.Adapter.Reset();
        _screen.ReadText()!.Lines[0].ShouldBe("bye");
        _screen.Size.ShouldBe((720, 400));
        _screen.Capture().Width.ShouldBe(720);
    }

    [Fact]
    public async Task Typed_texts_are_keys_of_a_us_keyboard()
    {
        _screen.TypeText("a!\n");
        _screen.PressKey(Key.LeftControl, Key.LeftAlt, Key.Delete);
        await _screen.WaitForKeysAsync(TimeSpan.FromSeconds(20));
        _keys.ShouldBe(
        [
            (Key.A, true), (Key.A, false),
            (Key.LeftShift, true), (Key.D1, true), (Key.D1, false), (Key.LeftShift, false),
            (Key.Enter, true), (Key.Enter, false),
            (Key.LeftControl, true), (Key.LeftAlt, true), (Key.Delete, true), (Key.Delete, false), (Key.LeftAlt, false), (Key.LeftControl, false),
        ]);
        Should.Throw<ArgumentException>(() => _screen.TypeText("naïve")).Message.ShouldContain("U+00EF");
    }

    [Fact]
    public async Task Keys_wait_in_order_while_the_guest_does_not_read_them()
    {
        _refusals = 3;
        _screen.TypeText("ab");
        _screen.KeyDown(Key.F12);
        await _screen.WaitForKeysAsync(TimeSpan.FromSeconds(20));
        _keys.Select(k => k.Key).ShouldBe([Key.A, Key.A, Key.B, Key.B, Key.F12]);
    }

    [Fact]
    public void Every_printable_character_can_be_typed()
    {
        for (char character = ' '; character < 0x7f; character++) Screen.CanType(character).ShouldBeTrue($"{character}");
        Enumerable.Range(' ', 95).Select(c => UsKeyboard.TryFind((char)c, out Key key, out bool shift) ? (key, shift) : default).Distinct().Count().ShouldBe(95);
    }

    [Fact]
    public void The_mouse_moves_in_the_screens_directions()
    {
        _screen.MoveMouse(3, 4, -1, 1);
        _moves.ShouldBe([(3, -4, -1, 1)]);
    }

    private bool Press(Key key, bool down)
    {
        if (_refusals-- > 0) return false;
        _keys.Add((key, down));
        return true;
    }

    private void Print(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            _vga.Write(0xb8000 + (2 * i), text[i]);
            _vga.Write(0xb8001 + (2 * i), 7);
        }
    }
}
