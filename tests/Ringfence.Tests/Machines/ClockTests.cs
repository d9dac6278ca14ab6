using System.Diagnostics;
using Ringfence.Devices;
using Ringfence.Machines;

namespace Ringfence.Tests.Machines;

public sealed class ClockTests
{
    private const long Millisecond = 1_000_000;

    [Fact]
    public void A_host_clock_stands_still_until_it_is_resumed_and_while_it_is_paused()
    {
        using var clock = new HostClock("test", new Lock(), _ => { });
        clock.Now.ShouldBe(0);
        clock.Resume();
        SpinWait.SpinUntil(() => clock.Now > Millisecond, TestPrograms.Patience).ShouldBeTrue();
        clock.Pause();
        long now = clock.Now;
        Thread.Sleep(5);
        clock.Now.ShouldBe(now);
        clock.Resume();
        clock.Now.ShouldBeInRange(now, now + (1000 * Millisecond));
    }

    [Fact]
    public void Timers_of_one_millisecond_fire_in_time_and_do_not_drift()
    {
        const int Periods = 200;
        var machineLock = new Lock();
        using var clock = new HostClock("test", machineLock, _ => { });
        using var done = new ManualResetEventSlim();
        int fired = 0;
        bool early = false;
        IMachineTimer timer = null!;
        timer = clock.CreateTimer(() =>
        {
            fired++;
            early |= clock.Now < fired * Millisecond;
            if (fired < Periods) timer.Arm((fired + 1) * Millisecond);
            else done.Set();
        });
        lock (machineLock) timer.Arm(Millisecond);
        clock.Resume();
        done.Wait(TestPrograms.Patience).ShouldBeTrue();
        early.ShouldBeFalse();
        clock.Now.ShouldBeInRange(Periods * Millisecond, Periods * Millisecond * 3);
    }

    [Fact]
    public void Timers_fire_in_the_order_of_their_due_times_and_cancelled_ones_never()
    {
        var machineLock = new Lock();
        using var clock = new HostClock("test", machineLock, _ => { });
        using var done = new ManualResetEventSlim();
        List<int> fired = [];
        lock (machineLock)
        {
            IMachineTimer third = clock.CreateTimer(() =>
            {
                fired.Add(3);
                done.Set();
            });
            IMachineTimer first = clock.CreateTimer(() => fired.Add(1));
            IMachineTimer second = clock.CreateTimer(() => fired.Add(2));
            IMachineTimer cancelled = clock.CreateTimer(() => fired.Add(4));
            third.Arm(30);
            second.Arm(20);
            first.Arm(10);
            cancelled.Arm(15);
            cancelled.Cancel();
        }

        clock.Resume();
        done.Wait(TestPrograms.Patience).ShouldBeTrue();
        fired.ShouldBe([1, 2, 3]);
    }

    [Fact]
    public void A_timer_armed_for_the_past_for_ever_leaves_the_machine_lock_to_others()
    {
        var machineLock = new Lock();
        using var clock = new HostClock("test", machineLock, _ => { });
        IMachineTimer timer = null!;
        long fired = 0;
        timer = clock.CreateTimer(() =>
        {
            Interlocked.Increment(ref fired);
            timer.Arm(0);
        });
        lock (machineLock) timer.Arm(0);
        clock.Resume();
        SpinWait.SpinUntil(() => Interlocked.Read(ref fired) > 10, TestPrograms.Patience).ShouldBeTrue();
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < 100; i++)
        {
            lock (machineLock)
            {
            }
        }

        Stopwatch.GetElapsedTime(start).ShouldBeLessThan(TimeSpan.FromSeconds(5));
    }

    [Fact]
    public void A_timer_that_throws_is_reported()
    {
        var machineLock = new Lock();
        using var reported = new ManualResetEventSlim();
        using var clock = new HostClock("test", machineLock, _ => reported.Set());
        lock (machineLock) clock.CreateTimer(() => throw new FormatException()).Arm(1);
        clock.Resume();
        reported.Wait(TestPrograms.Patience).ShouldBeTrue();
    }
}
