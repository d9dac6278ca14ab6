using Ringfence.Devices;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices;

public class RealTimeClockTests
{
    private const long Second = TickMath.Second;
    private readonly FakeClock _clock = new();
    private readonly RealTimeClock _rtc;
    private bool _irq;
    private int _edges;

    public RealTimeClockTests() => _rtc = new RealTimeClock(_clock, new InterruptLine(Drive), 512UL << 20, 0);

    [Fact]
    public void The_time_begins_with_power_on_and_crosses_the_leap_day()
    {
        Time().ShouldBe("20 24-02-28 23:59:58");
        _clock.Advance(2 * Second);
        Time().ShouldBe("20 24-02-29 00:00:00");
        Read(6).ShouldBe(0x05);
        _clock.Advance(86_400 * Second);
        Time().ShouldBe("20 24-03-01 00:00:00");
    }

    [Fact]
    public void Binary_mode_and_12_hours_show_the_same_time_in_other_codes()
    {
        Write(0x0b, 0x04);
        Read(0).ShouldBe(58);
        Read(4).ShouldBe(0x8b);
        Write(0x0b, 0x00);
        Read(4).ShouldBe(0x91);
        _clock.Advance(2 * Second);
        Read(4).ShouldBe(0x12);
    }

    [Fact]
    public void A_time_set_under_the_set_bit_counts_from_its_release()
    {
        Write(0x0b, 0x82);
        _clock.Advance(10 * Second);
        int[] values = [0x56, 0x34, 0x12, 0x31, 0x12, 0x99, 0x19];
        int[] registers = [0, 2, 4, 7, 8, 9, 0x32];
        for (int i = 0; i < values.Length; i++) Write(registers[i], values[i]);
        Write(0x0b, 0x02);
        Time().ShouldBe("19 99-12-31 12:34:56");
        _clock.Advance(4 * Second);
        Time().ShouldBe("19 99-12-31 12:35:00");
    }

    [Fact]
    public void Impossible_dates_become_possible_ones()
    {
        Write(0x0b, 0x82);
        foreach (int register in new[] { 0, 2, 4, 7, 8, 9, 0x32 }) Write(register, 0xff);
        Write(0x0b, 0x02);
        _clock.Advance(400L * 86_400 * Second);
        Time().ShouldBe("99 99-12-31 23:59:59");
    }

    [Fact]
    public void The_update_in_progress_bit_announces_the_end_of_a_second()
    {
        (Read(0x0a) & 0x80).ShouldBe(0);
        _clock.Advance(Second - 1_000_000);
        (Read(0x0a) & 0x80).ShouldBe(0x80);
        _clock.Advance(1_000_000);
        (Read(0x0a) & 0x80).ShouldBe(0);
    }

    [Fact]
    public void Releasing_the_divider_makes_the_next_second_half_a_second_long()
    {
        Write(0x0a, 0x76);
        _clock.Advance(10 * Second);
        Write(0x0a, 0x26);
        int before = Read(0);
        _clock.Advance((Second / 2) - 1);
        Read(0).ShouldBe(before);
        _clock.Advance(1);
        Read(0).ShouldNotBe(before);
    }

    [Fact]
    public void The_periodic_interrupt_has_the_rate_asked_for_and_waits_for_register_C()
    {
        Write(0x0a, 0x26);
        Write(0x0b, 0x42);
        int interrupts = 0;
        for (int i = 0; i < 100_000; i++)
        {
            _clock.Advance(10_000);
            if (!_irq) continue;
            interrupts++;
            (Read(0x0c) & 0xc0).ShouldBe(0xc0);
        }

        interrupts.ShouldBe(1024);
    }

    [Fact]
    public void A_period_that_ends_while_register_C_is_read_makes_an_edge_of_its_own()
    {
        Write(0x0b, 0x42);
        _clock.Advance((Second / 1024) + 1);
        _edges.ShouldBe(1);
        _clock.PassesWhenRead = Second / 1000;
        (Read(0x0c) & 0xc0).ShouldBe(0xc0);
        _clock.PassesWhenRead = 0;
        _clock.Advance(0);
        _edges.ShouldBe(2);
        (Read(0x0c) & 0xc0).ShouldBe(0xc0);
    }

    [Fact]
    public void An_interrupt_that_is_not_acknowledged_fires_no_more_timers()
    {
        Write(0x0b, 0x42);
        _clock.Advance(Second);
        int before = _clock.Fired;
        _clock.Advance(Second);
        _clock.Fired.ShouldBe(before);
        _irq.ShouldBeTrue();
    }

    [Fact]
    public void The_update_ended_interrupt_comes_every_second()
    {
        Write(0x0b, 0x12);
        _clock.Advance(Second - 1);
        _irq.ShouldBeFalse();
        _clock.Advance(1);
        _irq.ShouldBeTrue();
        (Read(0x0c) & 0x90).ShouldBe(0x90);
        _irq.ShouldBeFalse();
        _clock.Advance(Second);
        _irq.ShouldBeTrue();
    }

    [Fact]
    public void The_alarm_comes_when_all_its_registers_match()
    {
        Write(1, 0x30);
        Write(3, 0x00);
        Write(5, 0x01);
        Write(0x0b, 0x22);
        _clock.Advance((3600 + 31) * Second);
        _irq.ShouldBeFalse();
        _clock.Advance(Second);
        _irq.ShouldBeTrue();
        (Read(0x0c) & 0x20).ShouldBe(0x20);
    }

    [Fact]
    public void Alarm_registers_of_C0h_and_above_match_always_and_an_impossible_alarm_never()
    {
        Write(1, 0x00);
        Write(3, 0xff);
        Write(5, 0xc0);
        Write(0x0b, 0x22);
        _clock.Advance(2 * Second);
        _irq.ShouldBeTrue();
        Read(0x0c);
        Write(3, 0x75);
        _clock.Advance(3 * 86_400 * Second);
        _irq.ShouldBeFalse();
    }

    [Fact]
    public void Flags_are_set_without_interrupts_and_cleared_by_reading()
    {
        _clock.Advance(Second);
        (Read(0x0c) & 0xd0).ShouldBe(0x50);
        _irq.ShouldBeFalse();
        Read(0x0c).ShouldBe(0);
    }

    [Fact]
    public void Memory_sizes_are_where_firmware_looks_for_them()
    {
        RealTimeClock rtc = new(_clock, new InterruptLine(_ => { }), 0xc000_0000, 5UL << 30);
        (rtc[0x15] | (rtc[0x16] << 8)).ShouldBe(640);
        (rtc[0x17] | (rtc[0x18] << 8)).ShouldBe(0xffff);
        (rtc[0x34] | (rtc[0x35] << 8)).ShouldBe(0xbf00);
        (rtc[0x5b] | (rtc[0x5c] << 8) | (rtc[0x5d] << 16)).ShouldBe(5 << 14);
    }

    [Fact]
    public void Bit_7_of_the_index_masks_nmi_and_the_shutdown_byte_survives_reset()
    {
        _rtc.Write8(0, 0x8f);
        _rtc.NmiMasked.ShouldBeTrue();
        _rtc.Write8(1, 0x0a);
        _rtc.Reset();
        _rtc.NmiMasked.ShouldBeFalse();
        Read(0x0f).ShouldBe(0x0a);
        Read(0x0d).ShouldBe(0x80);
    }

    private void Drive(bool level)
    {
        _irq = level;
        if (level) _edges++;
    }

    private int Read(int register)
    {
        _rtc.Write8(0, register);
        return _rtc.Read8(1);
    }

    private void Write(int register, int value)
    {
        _rtc.Write8(0, register);
        _rtc.Write8(1, value);
    }

    private string Time() => $"{Read(0x32):x2} {Read(9):x2}-{Read(8):x2}-{Read(7):x2} {Read(4):x2}:{Read(2):x2}:{Read(0):x2}";
}
