using System.Text;
using Ringfence.Devices;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices;

public class SerialPort16550ATests
{
    private readonly FakeClock _clock = new();
    private readonly SerialPort16550A _port;
    private readonly StringBuilder _sent = new();
    private readonly Queue<byte> _waiting = new();
    private bool _irq;

    public SerialPort16550ATests()
    {
        _port = new SerialPort16550A("com1", _clock, new InterruptLine(level => _irq = level), b => _sent.Append((char)b), Feed);
        _port.Write8(4, 0x0b);
    }

    [Fact]
    public void Bytes_written_are_sent_and_the_transmitter_is_empty_at_once()
    {
        foreach (char c in "hello") _port.Write8(0, c);
        _sent.ToString().ShouldBe("hello");
        (_port.Read8(5) & 0x60).ShouldBe(0x60);
    }

    [Fact]
    public void Enabling_the_transmitter_interrupt_raises_it_and_reading_its_identification_clears_it()
    {
        _port.Write8(1, 0x02);
        _irq.ShouldBeTrue();
        _port.Read8(2).ShouldBe((byte)0x02);
        _irq.ShouldBeFalse();
        _port.Read8(2).ShouldBe((byte)0x01);
        _port.Write8(0, 'x');
        _irq.ShouldBeTrue();
        _port.Read8(2).ShouldBe((byte)0x02);
        _port.Write8(1, 0x00);
        _port.Write8(1, 0x02);
        _irq.ShouldBeTrue();
    }

    [Fact]
    public void Received_bytes_interrupt_at_the_trigger_level_and_else_after_four_character_times()
    {
        _port.Write8(2, 0x81);
        _port.Write8(1, 0x01);
        _port.Receive("1234567"u8).ShouldBe(7);
        _irq.ShouldBeFalse();
        _port.Receive("8"u8).ShouldBe(1);
        _irq.ShouldBeTrue();
        _port.Read8(2).ShouldBe((byte)0xc4);
        _port.Read8(0).ShouldBe((byte)'1');
        _irq.ShouldBeFalse();
        _clock.Advance(400_000);
        _irq.ShouldBeTrue();
        _port.Read8(2).ShouldBe((byte)0xcc);
        Drain().ShouldBe("2345678");
        _irq.ShouldBeFalse();
    }

    [Fact]
    public void No_more_bytes_are_taken_than_the_fifo_holds_and_more_are_asked_for_when_it_is_read()
    {
        _port.Write8(2, 0x01);
        _port.Write8(1, 0x01);
        Send("abcdefghijklmnopqrstuvwxyz");
        _waiting.Count.ShouldBe(10);
        Drain().ShouldBe("abcdefghijklmnopqrstuvwxyz");
    }

    [Fact]
    public void Input_waits_until_a_driver_listens_and_survives_its_fifo_resets()
    {
        Send("ls\n");
        _waiting.Count.ShouldBe(3);
        _port.Write8(2, 0x01);
        _port.Write8(2, 0x07);
        _port.Write8(2, 0x00);
        _port.Read8(5);
        _port.Read8(0);
        _port.Write8(1, 0x05);
        _port.Write8(2, 0x01);
        _port.Write8(2, 0x81);
        Drain().ShouldBe("ls\n");
    }

    [Fact]
    public void A_guest_that_polls_receives_too()
    {
        Send("k");
        int polls = 0;
        while ((_port.Read8(5) & 1) == 0) (++polls).ShouldBeLessThan(100);
        _port.Read8(0).ShouldBe((byte)'k');
    }

    [Fact]
    public void Loopback_turns_the_transmitter_to_the_receiver_and_the_outputs_to_the_modem_lines()
    {
        _port.Write8(4, 0x1a);
        (_port.Read8(6) & 0xf0).ShouldBe(0x90);
        _port.Write8(0, 0x55);
        _sent.Length.ShouldBe(0);
        (_port.Read8(5) & 1).ShouldBe(1);
        _port.Read8(0).ShouldBe((byte)0x55);
    }

    [Fact]
    public void A_modem_line_that_changes_interrupts_and_reading_the_status_clears_it()
    {
        _port.Write8(4, 0x18);
        _port.Read8(6);
        _port.Write8(1, 0x08);
        _port.Write8(4, 0x1a);
        _port.Read8(2).ShouldBe((byte)0x00);
        (_port.Read8(6) & 0x0f).ShouldBe(0x01);
        _port.Read8(2).ShouldBe((byte)0x01);
    }

    [Fact]
    public void An_overrun_in_loopback_is_a_line_error_until_it_is_read()
    {
        _port.Write8(4, 0x10);
        _port.Write8(0, 1);
        _port.Write8(0, 2);
        _port.Write8(1, 0x04);
        _port.Read8(2).ShouldBe((byte)0x06);
        (_port.Read8(5) & 0x02).ShouldBe(0x02);
        _port.Read8(2).ShouldBe((byte)0x01);
    }

    [Fact]
    public void A_break_is_a_zero_with_the_break_bit()
    {
        _port.Write8(1, 0x05);
        _port.ReceiveBreak().ShouldBeTrue();
        _port.Read8(2).ShouldBe((byte)0x06);
        (_port.Read8(5) & 0x11).ShouldBe(0x11);
        _port.Read8(0).ShouldBe((byte)0);
    }

    [Fact]
    public void The_divisor_hides_behind_its_latch_bit_and_the_scratch_register_keeps_its_byte()
    {
        _port.Write8(3, 0x83);
        _port.Write8(0, 0x0c);
        _port.Write8(1, 0x34);
        _port.Write8(3, 0x03);
        _port.Read8(1).ShouldBe((byte)0);
        _port.Write8(3, 0x83);
        _port.Read8(0).ShouldBe((byte)0x0c);
        _port.Read8(1).ShouldBe((byte)0x34);
        _port.Write8(7, 0xa5);
        _port.Read8(7).ShouldBe((byte)0xa5);
        _sent.Length.ShouldBe(0);
    }

    [Fact]
    public void Without_out2_the_interrupt_does_not_reach_the_bus()
    {
        _port.Write8(1, 0x02);
        _port.Write8(4, 0x03);
        _irq.ShouldBeFalse();
        _port.Write8(4, 0x08);
        _irq.ShouldBeTrue();
    }

    [Fact]
    public void Only_implemented_bits_of_the_interrupt_enable_register_stick()
    {
        _port.Write8(1, 0xff);
        _port.Read8(1).ShouldBe((byte)0x0f);
        _port.Write8(2, 0xe7);
        (_port.Read8(2) & 0xf0).ShouldBe(0xc0);
    }

    private void Send(string text)
    {
        foreach (byte b in Encoding.ASCII.GetBytes(text)) _waiting.Enqueue(b);
        Feed();
    }

    private void Feed()
    {
        while (_waiting.Count > 0 && _port.Receive([_waiting.Peek()]) == 1) _waiting.Dequeue();
    }

    private string Drain()
    {
        StringBuilder text = new();
        while ((_port.Read8(5) & 1) != 0) text.Append((char)_port.Read8(0));
        return text.ToString();
    }
}
