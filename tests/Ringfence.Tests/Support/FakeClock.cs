using Ringfence.Devices;

namespace Ringfence.Tests.Support;

/// <summary>Guest time that a test moves by hand. Timers fire in the order of their due times while it moves.</summary>
internal sealed class FakeClock : IMachineClock
{
    private readonly List<Timer> _timers = [];
    private long _now;

    public long Now
    {
        get
        {
            long now = _now;
            _now += PassesWhenRead;
            return now;
        }
    }

    /// <summary>Nanoseconds that pass after each reading, as on a host that gives its processor to somebody else just then.</summary>
    public long PassesWhenRead { get; set; }

    public DateTimeOffset PowerOn { get; init; } = new(2024, 2, 28, 23, 59, 58, TimeSpan.Zero);

    /// <summary>How many timers are armed.</summary>
    public int Armed => _timers.Count(t => t.Due is not null);

    /// <summary>How many timers have fired.</summary>
    public int Fired { get; private set; }

    public IMachineTimer CreateTimer(Action expired)
    {
        Timer timer = new(expired);
        _timers.Add(timer);
        return timer;
    }

    /// <summary>Moves time forward.</summary>
    public void Advance(long nanoseconds)
    {
        long end = _now + nanoseconds;
        while (_timers.Where(t => t.Due <= end).MinBy(t => t.Due) is { } next)
        {
            _now = Math.Max(_now, next.Due!.Value);
            next.Due = null;
            Fired++;
            next.Expired();
        }

        _now = end;
    }

    /// <summary>Moves time forward at once, as a host that was late would; due timers fire only then.</summary>
    public void Jump(long nanoseconds)
    {
        _now += nanoseconds;
        Advance(0);
    }

    private sealed class Timer(Action expired) : IMachineTimer
    {
        public long? Due { get; set; }

        public Action Expired => expired;

        public void Arm(long due) => Due = due;

        public void Cancel() => Due = null;
    }
}
