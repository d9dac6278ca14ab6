using Ringfence.Devices;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices;

public class IntervalTimer8254Tests
{
    private readonly FakeClock _clock = new();
    private readonly IntervalTimer8254 _pit;
    private int _edges;
    private bool _level;

    public IntervalTimer8254Tests()
    {
        _pit = new IntervalTimer8254(_clock, new InterruptLine(level =>
        {
            _level = level;
            if (level) _edges++;
        }));
        _edges = 0;
    }

    [Fact]
    public void Mode_2_interrupts_once_a_period()
    {
        Program(0, 0x34, 11932);
        _edges = 0;
        AdvanceTicks(11932 * 100 + 10);
        _edges.ShouldBe(100);
    }

    [Fact]
    public void Mode_3_interrupts_once_a_period_and_a_count_of_0_is_65536()
    {
        Program(0, 0x36, 0);
        _edges = 0;
        AdvanceTicks(65536 * 3 + 10);
        _edges.ShouldBe(3);
    }

    [Fact]
    public void Mode_0_raises_the_output_once_when_the_count_ends()
    {
        Program(0, 0x30, 1000);
        _level.ShouldBeFalse();
        _edges = 0;
        AdvanceTicks(999);
        _edges.ShouldBe(0);
        AdvanceTicks(2);
        _edges.ShouldBe(1);
        AdvanceTicks(200_000);
        _edges.ShouldBe(1);
        _level.ShouldBeTrue();
        _clock.Armed.ShouldBe(0);
    }

    [Fact]
    public void Mode_4_strobes_once_after_the_count()
    {
        Program(0, 0x38, 100);
        _edges = 0;
        AdvanceTicks(100_000);
        _edges.ShouldBe(1);
    }

    [Fact]
    public void Ticks_that_came_too_late_coalesce()
    {
        Program(0, 0x34, 1193);
        _edges = 0;
        _clock.Jump(1_000_000_000);
        _edges.ShouldBe(1);
    }

    [Fact]
    public void A_latched_count_stays_until_both_bytes_are_read()
    {
        Program(0, 0x34, 0x8000);
        AdvanceTicks(0x10);
        _pit.Write8(3, 0x00);
        AdvanceTicks(0x1000);
        int latched = _pit.Read8(0) | (_pit.Read8(0) << 8);
        latched.ShouldBe(0x8000 - 0x10);
        int live = _pit.Read8(0) | (_pit.Read8(0) << 8);
        live.ShouldBe(0x8000 - 0x1010);
    }

    [Fact]
    public void Read_back_latches_status_before_count()
    {
        Program(0, 0x34, 0x8000);
        AdvanceTicks(4);
        _pit.Write8(3, 0xc2);
        _pit.Read8(0).ShouldBe((byte)0xb4);
        (_pit.Read8(0) | (_pit.Read8(0) << 8)).ShouldBe(0x7ffc);
    }

    [Fact]
    public void The_status_shows_a_null_count_until_a_count_is_written()
    {
        _pit.Write8(3, 0x34);
        _pit.Write8(3, 0xe2);
        (_pit.Read8(0) & 0x40).ShouldBe(0x40);
    }

    [Fact]
    public void A_bcd_counter_counts_decimals()
    {
        _pit.Write8(3, 0x35);
        _pit.Write8(0, 0x00);
        _pit.Write8(0, 0x10);
        AdvanceTicks(1);
        _pit.Write8(3, 0x00);
        (_pit.Read8(0) | (_pit.Read8(0) << 8)).ShouldBe(0x0999);
    }

    [Fact]
    public void A_square_wave_counts_down_by_two()
    {
        Program(0, 0x36, 0x1000);
        AdvanceTicks(0x10);
        _pit.Write8(3, 0x00);
        (_pit.Read8(0) | (_pit.Read8(0) << 8)).ShouldBe(0x1000 - 0x20);
    }

    [Fact]
    public void A_new_count_of_mode_2_takes_effect_at_the_end_of_the_period()
    {
        Program(0, 0x34, 1000);
        AdvanceTicks(500);
        _edges = 0;
        _pit.Write8(0, 100);
        _pit.Write8(0, 0);
        AdvanceTicks(450);
        _edges.ShouldBe(0);
        AdvanceTicks(60);
        _edges.ShouldBe(1);
        AdvanceTicks(100);
        _edges.ShouldBe(2);
    }

    [Fact]
    public void Counter_2_measures_time_through_port_61h()
    {
        // How kernels calibrate the processor's counter: gate on, mode 0, wait for the output.
        _pit.ControlPort.Write8(0, 0x01);
        Program(2, 0xb0, 59659);
        (_pit.ControlPort.Read8(0) & 0x20).ShouldBe(0);
        AdvanceTicks(59658);
        (_pit.ControlPort.Read8(0) & 0x20).ShouldBe(0);
        AdvanceTicks(2);
        (_pit.ControlPort.Read8(0) & 0x20).ShouldBe(0x20);
        _clock.Armed.ShouldBe(0);
    }

    [Fact]
    public void A_low_gate_stops_mode_0_and_a_high_one_lets_it_go_on()
    {
        _pit.ControlPort.Write8(0, 0x01);
        Program(2, 0xb0, 1000);
        AdvanceTicks(400);
        _pit.ControlPort.Write8(0, 0x00);
        AdvanceTicks(5000);
        _pit.ControlPort.Write8(0, 0x01);
        AdvanceTicks(590);
        (_pit.ControlPort.Read8(0) & 0x20).ShouldBe(0);
        AdvanceTicks(20);
        (_pit.ControlPort.Read8(0) & 0x20).ShouldBe(0x20);
    }

    [Theory]
    [InlineData(0xb2)]
    [InlineData(0xba)]
    public void Modes_1_and_5_wait_for_the_gate(int control)
    {
        Program(2, control, 1000);
        AdvanceTicks(5000);
        (_pit.ControlPort.Read8(0) & 0x20).ShouldBe(0x20);
        _pit.ControlPort.Write8(0, 0x01);
        AdvanceTicks(500);
        (_pit.ControlPort.Read8(0) & 0x20).ShouldBe(control == 0xb2 ? 0 : 0x20);
        AdvanceTicks(600);
        (_pit.ControlPort.Read8(0) & 0x20).ShouldBe(0x20);
    }

    [Fact]
    public void The_refresh_bit_toggles_every_15_microseconds()
    {
        int first = _pit.ControlPort.Read8(0) & 0x10;
        _clock.Advance(15_085);
        (_pit.ControlPort.Read8(0) & 0x10).ShouldBe(first ^ 0x10);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void The_smallest_counts_do_not_drown_the_host(int count)
    {
        Program(0, 0x34, count);
        int before = _clock.Fired;
        _clock.Advance(1_000_000);
        (_clock.Fired - before).ShouldBeLessThanOrEqualTo(1000);
    }

    [Fact]
    public void A_restored_timer_ticks_at_the_same_times()
    {
        Program(0, 0x34, 1000);
        AdvanceTicks(500);
        int edges = 0;
        IntervalTimer8254 other = new(_clock, new InterruptLine(level => edges += level ? 1 : 0));
        edges = 0;
        StateRecorder.Restore(other, StateRecorder.Save(_pit));
        AdvanceTicks(400);
        edges.ShouldBe(0);
        AdvanceTicks(110);
        edges.ShouldBe(1);
    }

    [Theory]
    [InlineData(0x30)]
    [InlineData(0x38)]
    public void A_count_that_ends_while_it_is_written_makes_its_edge_all_the_same(int control)
    {
        _pit.Write8(3, control);
        _edges = 0;
        _clock.PassesWhenRead = TickMath.Second / 1000;
        _pit.Write8(0, 1000);
        _pit.Write8(0, 1000 >> 8);
        _clock.PassesWhenRead = 0;
        _clock.Advance(TickMath.LeastDelay);
        _edges.ShouldBe(1);
        AdvanceTicks(70_000);
        _edges.ShouldBe(1);
    }

    private void Program(int counter, int control, int count)
    {
        _pit.Write8(3, control);
        _pit.Write8((ulong)counter, count);
        _pit.Write8((ulong)counter, count >> 8);
    }

    private void AdvanceTicks(long ticks)
    {
        long target = TickMath.ToTicks(_clock.Now, IntervalTimer8254.Frequency) + ticks;
        _clock.Advance(TickMath.ToNanoseconds(target, IntervalTimer8254.Frequency) - _clock.Now);
    }
}
