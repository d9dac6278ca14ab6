using Ringfence.Devices;

namespace Ringfence.Machines;

/// <summary>
/// What both clocks share: the set of armed timers. A machine has a dozen timers, so the earliest is found by looking at all.
/// Everything but <see cref="Now"/> is used under the machine lock.
/// </summary>
internal abstract class MachineClock : IMachineClock, IDisposable
{
    /// <summary>The due time of a timer that is not armed, and of a clock without armed timers.</summary>
    public const long Never = long.MaxValue;

    private readonly List<Timer> _timers = [];

    /// <inheritdoc/>
    public abstract long Now { get; }

    /// <inheritdoc/>
    public abstract DateTimeOffset PowerOn { get; }

    /// <inheritdoc/>
    public IMachineTimer CreateTimer(Action expired)
    {
        var timer = new Timer(this, expired);
        _timers.Add(timer);
        return timer;
    }

    /// <summary>Lets guest time run.</summary>
    public abstract void Resume();

    /// <summary>Stops guest time. No timer's action runs any more when it returns. Not under the machine lock.</summary>
    public abstract void Pause();

    /// <inheritdoc/>
    public abstract void Dispose();

    /// <summary>Guest time of the earliest armed timer.</summary>
    protected long EarliestDue
    {
        get
        {
            long earliest = Never;
            foreach (Timer timer in _timers) earliest = Math.Min(earliest, timer.Due);
            return earliest;
        }
    }

    /// <summary>
    /// Runs the timers that are due, earliest first, each at most once: a timer that a guest arms for the past again and again gets
    /// its turn once a pass and cannot keep the machine lock.
    /// </summary>
    protected void RunDueTimers()
    {
        long now = Now;
        foreach (Timer timer in _timers) timer.IsDue = timer.Due <= now;
        while (true)
        {
            Timer? next = null;
            foreach (Timer timer in _timers)
                if (timer.IsDue && timer.Due <= now && (next is null || timer.Due < next.Due)) next = timer;
            if (next is null) return;
            next.IsDue = false;
            next.Due = Never;
            next.Expired();
        }
    }

    /// <summary>A timer has been armed for <paramref name="due"/>.</summary>
    protected abstract void OnArmed(long due);

    private sealed class Timer(MachineClock clock, Action expired) : IMachineTimer
    {
        public long Due = Never;
        public bool IsDue;

        public Action Expired { get; } = expired;

        public void Arm(long due)
        {
            Due = Math.Min(due, Never - 1);
            clock.OnArmed(Due);
        }

        public void Cancel() => Due = Never;
    }
}
