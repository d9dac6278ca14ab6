using Ringfence.Devices;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices;

public class KeyboardController8042Tests
{
    private readonly List<string> _log = [];
    private readonly A20Gate _a20;
    private readonly KeyboardController8042 _controller;
    private int _keyboardEdges;
    private int _mouseEdges;

    public KeyboardController8042Tests()
    {
        _a20 = new A20Gate(enabled => _log.Add($"a20 {enabled}"));
        _controller = new KeyboardController8042(
            new InterruptLine(level => _keyboardEdges += level ? 1 : 0),
            new InterruptLine(level => _mouseEdges += level ? 1 : 0),
            _a20,
            () => _log.Add("reset"));
    }

    [Fact]
    public void Keys_arrive_as_scan_code_set_1_with_one_interrupt_a_byte()
    {
        _controller.KeyDown(Key.A).ShouldBeTrue();
        _controller.KeyUp(Key.A).ShouldBeTrue();
        _controller.KeyDown(Key.Up);
        _controller.KeyUp(Key.Up);
        Drain().ShouldBe("1e 9e e0 48 e0 c8");
        _keyboardEdges.ShouldBe(6);
    }

    [Fact]
    public void Without_translation_keys_arrive_as_scan_code_set_2()
    {
        Command(0x60, 0x05);
        _controller.KeyDown(Key.A);
        _controller.KeyUp(Key.A);
        Drain().ShouldBe("1c f0 1c");
    }

    [Fact]
    public void Set_1_of_the_keyboard_itself_needs_no_translation()
    {
        Command(0x60, 0x05);
        Keyboard(0xf0, 0x01).ShouldBe("fa fa");
        _controller.KeyDown(Key.RightControl);
        _controller.KeyUp(Key.RightControl);
        Drain().ShouldBe("e0 1d e0 9d");
    }

    [Fact]
    public void Print_screen_and_pause_have_their_long_codes()
    {
        _controller.KeyDown(Key.PrintScreen);
        _controller.KeyUp(Key.PrintScreen);
        Drain().ShouldBe("e0 2a e0 37 e0 b7 e0 aa");
        _controller.KeyDown(Key.Pause);
        _controller.KeyUp(Key.Pause);
        Drain().ShouldBe("e1 1d 45 e1 9d c5");
    }

    [Fact]
    public void The_keyboard_answers_its_commands()
    {
        Command(0x60, 0x05);
        Keyboard(0xff).ShouldBe("fa aa");
        Keyboard(0xf2).ShouldBe("fa ab 83");
        Keyboard(0xee).ShouldBe("ee");
        Keyboard(0xed, 0x07).ShouldBe("fa fa");
        _controller.Leds.ShouldBe((byte)7);
        Keyboard(0xf0, 0x00).ShouldBe("fa fa 02");
        Keyboard(0xf3, 0x20).ShouldBe("fa fa");
        Keyboard(0x12).ShouldBe("fe");
        Keyboard(0xf5).ShouldBe("fa");
        _controller.KeyDown(Key.A).ShouldBeFalse();
        Keyboard(0xf4).ShouldBe("fa");
        _controller.KeyDown(Key.A).ShouldBeTrue();
    }

    [Fact]
    public void The_id_is_translated_as_drivers_expect()
    {
        Keyboard(0xf2).ShouldBe("fa ab 41");
    }

    [Fact]
    public void The_controller_tests_itself_and_its_ports()
    {
        CommandReply(0xaa).ShouldBe("55");
        CommandReply(0xab).ShouldBe("00");
        CommandReply(0xa9).ShouldBe("00");
        CommandReply(0x20).ShouldBe("47");
    }

    [Fact]
    public void A_disabled_keyboard_keeps_its_bytes()
    {
        Command(0xad);
        _controller.KeyDown(Key.A);
        (_controller.CommandPort.Read8(0) & 1).ShouldBe(0);
        Command(0xae);
        Drain().ShouldBe("1e");
    }

    [Fact]
    public void The_output_port_drives_a20_and_reset()
    {
        Command(0xd1, 0xdd);
        _a20.Enabled.ShouldBeFalse();
        CommandReply(0xd0).ShouldBe("c1");
        Command(0xd1, 0xdf);
        Command(0xfe);
        _log.ShouldBe(["a20 False", "a20 True", "reset"]);
    }

    [Fact]
    public void The_loopback_of_the_aux_port_looks_like_the_mouse()
    {
        Command(0xd3, 0x5a);
        (_controller.CommandPort.Read8(0) & 0x21).ShouldBe(0x21);
        _mouseEdges.ShouldBe(1);
        Drain().ShouldBe("5a");
    }

    [Fact]
    public void The_mouse_answers_its_commands()
    {
        Mouse(0xff).ShouldBe("fa aa 00");
        Mouse(0xf2).ShouldBe("fa 00");
        Mouse(0xe8, 0x03).ShouldBe("fa fa");
        Mouse(0xe9).ShouldBe("fa 00 03 64");
        foreach (int rate in new[] { 200, 100, 80 }) Mouse(0xf3, rate).ShouldBe("fa fa");
        Mouse(0xf2).ShouldBe("fa 03");
    }

    [Fact]
    public void The_mouse_reports_movement_only_when_enabled()
    {
        _controller.MoveMouse(5, 5, 0, 1);
        Drain().ShouldBe("");
        Mouse(0xf4).ShouldBe("fa");
        _controller.MoveMouse(5, -3, 0, 1);
        Drain().ShouldBe("29 05 fd");
        _mouseEdges.ShouldBe(4);
    }

    [Fact]
    public void Long_movements_are_several_reports_and_the_wheel_a_fourth_byte()
    {
        foreach (int rate in new[] { 200, 100, 80 }) Mouse(0xf3, rate);
        Mouse(0xf4);
        _controller.MoveMouse(300, 0, -1, 0);
        Drain().ShouldBe("08 ff 00 ff 08 2d 00 00");
    }

    [Fact]
    public void Movement_the_guest_does_not_read_is_bounded_and_not_forgotten()
    {
        Mouse(0xf4);
        for (int i = 0; i < 10_000; i++) _controller.MoveMouse(1, 0, 0, 0);
        int sum = Drain().Split(' ').Chunk(3).Sum(packet => Convert.ToInt32(packet[1], 16));
        sum.ShouldBe(10_000);
    }

    [Fact]
    public void A_full_keyboard_refuses_keys_whole()
    {
        Command(0xad);
        int accepted = 0;
        while (_controller.KeyDown(Key.Up)) (++accepted).ShouldBeLessThan(1000);
        Command(0xae);
        Drain().Split(' ').Length.ShouldBe(accepted * 2);
    }

    private void Command(int command, int? parameter = null)
    {
        _controller.CommandPort.Write8(0, command);
        if (parameter is { } value) _controller.DataPort.Write8(0, value);
    }

    private string CommandReply(int command)
    {
        Command(command);
        return Drain();
    }

    private string Keyboard(params int[] bytes)
    {
        List<string> replies = [];
        foreach (int value in bytes)
        {
            _controller.DataPort.Write8(0, value);
            replies.Add(Drain());
        }

        return string.Join(' ', replies);
    }

    private string Mouse(params int[] bytes)
    {
        List<string> replies = [];
        foreach (int value in bytes)
        {
            Command(0xd4, value);
            replies.Add(Drain());
        }

        return string.Join(' ', replies);
    }

    private string Drain()
    {
        List<string> bytes = [];
        while ((_controller.CommandPort.Read8(0) & 1) != 0) bytes.Add($"{_controller.DataPort.Read8(0):x2}");
        return string.Join(' ', bytes);
    }
}
