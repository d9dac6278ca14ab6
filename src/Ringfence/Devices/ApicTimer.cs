namespace Ringfence.Devices;

/// <summary>
/// The timer of a local APIC (Intel SDM 3A 10.5.4): counts down at 1 GHz divided, or waits for a time-stamp counter value.
/// The count is computed when read; a host timer is armed only while an interrupt would be delivered.
/// </summary>
internal sealed class ApicTimer
{
    /// <summary>Rate of the APIC's bus clock in Hz, before the divider.</summary>
    public const long BusFrequency = TickMath.Second;

    private const long Farthest = 100L * 365 * 86_400 * TickMath.Second;
    private const uint ModeMask = 3u << 17;
    private const uint PeriodicMode = 1u << 17;
    private const uint DeadlineMode = 2u << 17;
    private const uint Masked = 1u << 16;

    private readonly IMachineClock _clock;
    private readonly Func<ulong> _timestamp;
    private readonly ulong _timestampFrequency;
    private readonly Action _expired;
    private readonly IMachineTimer _timer;
    private uint _entry = Masked;
    private uint _initial;
    private uint _divide;
    private long _start;
    private bool _running;
    private ulong _deadline;
    private long _due = long.MaxValue;

    /// <summary>Makes a timer.</summary>
    /// <param name="clock">Guest time.</param>
    /// <param name="timestamp">The processor's time-stamp counter as RDTSC would give it.</param>
    /// <param name="timestampFrequency">Its rate in Hz.</param>
    /// <param name="expired">Called for each interrupt, which is not masked.</param>
    public ApicTimer(IMachineClock clock, Func<ulong> timestamp, ulong timestampFrequency, Action expired)
    {
        _clock = clock;
        _timestamp = timestamp;
        _timestampFrequency = Math.Max(timestampFrequency, 1);
        _expired = expired;
        _timer = clock.CreateTimer(Expired);
    }

    /// <summary>Is the timer in TSC-deadline mode?</summary>
    public bool IsDeadline => (_entry & ModeMask) == DeadlineMode;

    /// <summary>The divide configuration register.</summary>
    public uint Divide
    {
        get => _divide;
        set
        {
            long now = Settle();
            uint left = CurrentAt(now);
            _divide = value & 0xb;
            if (_running) _start = now - ((long)(_initial - left) * Divisor);
            Arm(now);
        }
    }

    /// <summary>The initial count register; writing it starts the timer.</summary>
    public uint Initial
    {
        get => IsDeadline ? 0 : _initial;
        set
        {
            if (IsDeadline) return;
            _start = Settle();
            _initial = value;
            _running = value != 0;
            Arm(_start);
        }
    }

    /// <summary>The current count register.</summary>
    public uint Current => IsDeadline ? 0 : CurrentAt(_clock.Now);

    /// <summary>IA32_TSC_DEADLINE; 0 when disarmed.</summary>
    public ulong Deadline
    {
        get => IsDeadline ? _deadline : 0;
        set
        {
            if (!IsDeadline) return;
            long now = Settle();
            _deadline = value;
            Arm(now);
        }
    }

    private long Divisor => 1L << ((int)((_divide & 3) | ((_divide >> 1) & 4)) + 1 & 7);

    private long Period => _initial * Divisor;

    /// <summary>Takes a new value of the timer's local vector table entry.</summary>
    public void SetEntry(uint entry)
    {
        long now = Settle();
        bool wasDeadline = IsDeadline;
        uint left = CurrentAt(now);
        _entry = entry;
        if (wasDeadline != IsDeadline)
        {
            _running = false;
            _initial = 0;
            _deadline = 0;
        }
        else if (_running)
        {
            // One-shot and periodic share the count: what is left goes on.
            _start = now - ((long)(_initial - left) * Divisor);
            if (left == 0) _running = false;
        }

        Arm(now);
    }

    /// <summary>The processor's time-stamp counter was written: the deadline is at another time now.</summary>
    public void TimestampChanged()
    {
        if (IsDeadline) Arm(_clock.Now);
    }

    /// <summary>The state after RESET and INIT.</summary>
    public void Reset()
    {
        _entry = Masked;
        _initial = _divide = 0;
        _running = false;
        _deadline = 0;
        Cancel();
    }

    /// <summary>Visits the fields.</summary>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Field("timer_entry", ref _entry);
        visitor.Field("timer_initial", ref _initial);
        visitor.Field("timer_divide", ref _divide);
        visitor.Field("timer_start", ref _start);
        visitor.Field("timer_running", ref _running);
        visitor.Field("timer_deadline", ref _deadline);
        long now = _clock.Now;
        _start = Math.Min(_start, now);
        if (_initial == 0) _running = false;
        Arm(now);
    }

    private uint CurrentAt(long now)
    {
        if (!_running) return 0;
        long elapsed = Math.Max(0, now - _start);
        if ((_entry & ModeMask) == PeriodicMode) elapsed %= Period;
        long left = _initial - (elapsed / Divisor);
        return left > 0 ? (uint)left : 0;
    }

    private void ArmAt(long due)
    {
        _due = due;
        _timer.Arm(due);
    }

    private void Cancel()
    {
        _due = long.MaxValue;
        _timer.Cancel();
    }

    /// <summary>An interrupt that is due comes before the change that would take it away.</summary>
    /// <returns>The time of the change. It is asked for once: a count that ended between two answers would never interrupt.</returns>
    private long Settle()
    {
        long now = _clock.Now;
        if (now >= _due) Expired();
        return now;
    }

    private void Arm(long now)
    {
        Cancel();
        if ((_entry & Masked) != 0) return;
        if (IsDeadline)
        {
            if (_deadline != 0) ArmDeadline(now);
            return;
        }

        if (!_running) return;
        if ((_entry & ModeMask) == PeriodicMode)
        {
            long periods = ((now - _start) / Period) + 1;
            ArmAt(TickMath.NotTooSoon(_start + (periods * Period), now));
        }
        else if (_start + Period > now)
        {
            ArmAt(_start + Period);
        }
    }

    private void ArmDeadline(long now)
    {
        ulong timestamp = _timestamp();
        if (timestamp >= _deadline)
        {
            ArmAt(now);
            return;
        }

        UInt128 wait = (((UInt128)(_deadline - timestamp) * TickMath.Second) + _timestampFrequency - 1) / _timestampFrequency;
        if (wait < Farthest) ArmAt(now + (long)wait);
    }

    private void Expired()
    {
        Cancel();
        if ((_entry & Masked) != 0) return;
        if (IsDeadline)
        {
            if (_deadline == 0) return;
            ulong timestamp = _timestamp();

            // A host timer may be a little early against the counter: what is less than a microsecond away is now.
            if (timestamp < _deadline && _deadline - timestamp > _timestampFrequency / 1_000_000)
            {
                ArmDeadline(_clock.Now);
                return;
            }

            _deadline = 0;
        }
        else if (!_running)
        {
            return;
        }
        else if ((_entry & ModeMask) == PeriodicMode)
        {
            Arm(_clock.Now);
        }

        _expired();
    }
}
