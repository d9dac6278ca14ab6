namespace Ringfence.Devices;

/// <summary>
/// One counter of an 8254 (Intel 8254 data sheet). Its count and output are functions of time, computed when somebody asks.
/// All times are ticks of the counter's clock since power-on. A count takes effect at the tick at which it is written.
/// </summary>
internal sealed class PitChannel
{
    private const long Never = long.MaxValue;

    private byte _mode = 3;
    private byte _access = 3;
    private bool _bcd;
    private bool _gate = true;
    private ushort _reload;
    private byte _writtenLow;
    private bool _writeHigh;
    private bool _readHigh;
    private bool _countLatched;
    private ushort _latchedCount;
    private bool _statusLatched;
    private byte _latchedStatus;

    // The count the counter counts from, whether it has one, and how long it has counted: since _start, or _elapsed while it stands still.
    private long _count = 0x1_0000;
    private bool _loaded;
    private bool _running;
    private long _start;
    private long _elapsed;

    // Modes 2 and 3: the count that follows at the end of the period (mode 3: half period).
    private long _nextCount;
    private long _nextAt = Never;

    /// <summary>The gate input.</summary>
    public bool Gate => _gate;

    /// <summary>Is the output high between two ticks, for who only wants rising edges?</summary>
    public bool RestsHigh => IsPeriodic;

    /// <summary>Is the mode one in which the counter repeats by itself?</summary>
    private bool IsPeriodic => _mode is 2 or 3;

    private long Modulus => _bcd ? 10_000 : 0x1_0000;

    /// <summary>The output at a time.</summary>
    public bool Output(long now)
    {
        Settle(now);
        if (!_loaded) return _mode != 0;
        long elapsed = Elapsed(now);
        switch (_mode)
        {
            case 0:
                return elapsed >= _count;
            case 1:
                return elapsed >= _count;
            case 2:
                return !_gate || elapsed % _count != _count - 1 || _count == 1;
            case 3:
                return !_gate || elapsed % _count < (_count + 1) / 2;
            default:
                return elapsed != _count;
        }
    }

    /// <summary>The first time after <paramref name="now"/> at which the output goes high; <see cref="long.MaxValue"/> if it will not.</summary>
    public long NextRise(long now)
    {
        Settle(now);
        if (!_loaded || !_running) return Never;
        long elapsed = now - _start;
        switch (_mode)
        {
            case 0:
            case 1:
                return elapsed < _count ? _start + _count : Never;
            case 2:
            case 3:
                if (_count < 2) return Never;
                long rise = _start + (((elapsed / _count) + 1) * _count);
                return Math.Min(rise, _mode == 2 && _nextAt != Never ? _nextAt : rise);
            default:
                return elapsed <= _count ? _start + _count + 1 : Never;
        }
    }

    /// <summary>Drives the gate input.</summary>
    public void SetGate(bool gate, long now)
    {
        Settle(now);
        if (gate == _gate) return;
        _gate = gate;
        switch (_mode)
        {
            case 0:
            case 4:
                if (gate) Resume(now);
                else Pause(now);
                break;
            case 2:
            case 3:
                if (gate) Load(now);
                else Pause(now);
                break;
            default:
                if (gate) Load(now);
                break;
        }
    }

    /// <summary>Writes a control word for this counter: mode, access and BCD.</summary>
    public void WriteControl(byte value, long now)
    {
        int access = (value >> 4) & 3;
        if (access == 0)
        {
            LatchCount(now);
            return;
        }

        _access = (byte)access;
        int mode = (value >> 1) & 7;
        _mode = (byte)(mode > 5 ? mode - 4 : mode);
        _bcd = (value & 1) != 0;
        _writeHigh = _readHigh = false;
        _countLatched = _statusLatched = false;
        _loaded = _running = false;
        _elapsed = 0;
        _nextAt = Never;
    }

    /// <summary>Latches the count (counter latch and read-back commands); a count latched already stays.</summary>
    public void LatchCount(long now)
    {
        if (_countLatched) return;
        _latchedCount = Read(now);
        _countLatched = true;
        _readHigh = false;
    }

    /// <summary>Latches the status byte (read-back command).</summary>
    public void LatchStatus(long now)
    {
        if (_statusLatched) return;
        bool nullCount = !_loaded || _nextAt != Never;
        _latchedStatus = (byte)((Output(now) ? 0x80 : 0) | (nullCount ? 0x40 : 0) | (_access << 4) | (_mode << 1) | (_bcd ? 1 : 0));
        _statusLatched = true;
    }

    /// <summary>Reads the counter's port.</summary>
    public byte ReadByte(long now)
    {
        if (_statusLatched)
        {
            _statusLatched = false;
            return _latchedStatus;
        }

        ushort value = _countLatched ? _latchedCount : Read(now);
        bool high = _access == 2 || (_access == 3 && _readHigh);
        if (_access == 3) _readHigh = !_readHigh;
        if (_access != 3 || high) _countLatched = false;
        return (byte)(high ? value >> 8 : value);
    }

    /// <summary>Writes the counter's port.</summary>
    public void WriteByte(byte value, long now)
    {
        switch (_access)
        {
            case 1:
                WriteCount(value, now);
                break;
            case 2:
                WriteCount((ushort)(value << 8), now);
                break;
            default:
                if (!_writeHigh)
                {
                    _writtenLow = value;
                    _writeHigh = true;

                    // In mode 0 the first byte stops the counter and takes the output low.
                    if (_mode == 0) _loaded = _running = false;
                    return;
                }

                _writeHigh = false;
                WriteCount((ushort)(_writtenLow | (value << 8)), now);
                break;
        }
    }

    /// <summary>The state after power-on, which the data sheet leaves open: no count.</summary>
    public void Reset(bool gate)
    {
        WriteControl(0x36, 0);
        _gate = gate;
        _reload = 0;
        _count = 0x1_0000;
    }

    /// <summary>Visits the fields, their names preceded by <paramref name="prefix"/>.</summary>
    public void DescribeState(IStateVisitor visitor, string prefix)
    {
        visitor.Field(prefix + "mode", ref _mode);
        visitor.Field(prefix + "access", ref _access);
        visitor.Field(prefix + "bcd", ref _bcd);
        visitor.Field(prefix + "gate", ref _gate);
        visitor.Field(prefix + "reload", ref _reload);
        visitor.Field(prefix + "written_low", ref _writtenLow);
        visitor.Field(prefix + "write_high", ref _writeHigh);
        visitor.Field(prefix + "read_high", ref _readHigh);
        visitor.Field(prefix + "count_latched", ref _countLatched);
        visitor.Field(prefix + "latched_count", ref _latchedCount);
        visitor.Field(prefix + "status_latched", ref _statusLatched);
        visitor.Field(prefix + "latched_status", ref _latchedStatus);
        visitor.Field(prefix + "count", ref _count);
        visitor.Field(prefix + "loaded", ref _loaded);
        visitor.Field(prefix + "running", ref _running);
        visitor.Field(prefix + "start", ref _start);
        visitor.Field(prefix + "elapsed", ref _elapsed);
        visitor.Field(prefix + "next_count", ref _nextCount);
        visitor.Field(prefix + "next_at", ref _nextAt);
        _mode = Math.Min(_mode, (byte)5);
        _count = Math.Clamp(_count, 1, 0x1_0000);
        _nextCount = Math.Clamp(_nextCount, 1, 0x1_0000);
    }

    private void WriteCount(ushort value, long now)
    {
        Settle(now);
        _reload = value;
        switch (_mode)
        {
            case 0:
            case 4:
                Load(now);
                if (!_gate) Pause(now);
                break;
            case 2:
            case 3:
                if (!_loaded)
                {
                    Load(now);
                    if (!_gate) Pause(now);
                }
                else if (_running)
                {
                    _nextCount = Reload();
                    _nextAt = PeriodEnd(now);
                }

                break;
            default:
                // Modes 1 and 5 wait for the gate's trigger; before the first one the output is high.
                if (!_loaded)
                {
                    _count = Reload();
                    _loaded = true;
                    _elapsed = _count + 1;
                }

                break;
        }
    }

    private long PeriodEnd(long now)
    {
        long elapsed = now - _start;
        long periodStart = elapsed - (elapsed % _count);
        if (_mode == 3)
        {
            long half = (_count + 1) / 2;
            if (elapsed - periodStart < half) return _start + periodStart + half;
        }

        return _start + periodStart + _count;
    }

    /// <summary>Lets a new count of modes 2 and 3 take effect if its time has come.</summary>
    private void Settle(long now)
    {
        if (_nextAt > now) return;

        // After the first half of a square wave's period the new count begins with its second half.
        bool low = _mode == 3 && (_nextAt - _start) % _count != 0;
        _count = _nextCount;
        _start = low ? _nextAt - ((_count + 1) / 2) : _nextAt;
        _nextAt = Never;
    }

    private long Reload()
    {
        if (!_bcd) return _reload == 0 ? 0x1_0000 : _reload;
        long value = ((_reload >> 12) * 1000) + (((_reload >> 8) & 15) * 100) + (((_reload >> 4) & 15) * 10) + (_reload & 15);
        value %= 10_000;
        return value == 0 ? 10_000 : value;
    }

    private void Load(long now)
    {
        _count = Reload();
        _loaded = true;
        _running = true;
        _start = now;
        _nextAt = Never;
    }

    private void Pause(long now)
    {
        if (!_running) return;
        _elapsed = Elapsed(now);
        _running = false;
        _nextAt = Never;
    }

    private void Resume(long now)
    {
        if (!_loaded || _running) return;
        _start = now - _elapsed;
        _running = true;
    }

    private long Elapsed(long now) => _running ? now - _start : _elapsed;

    /// <summary>The counting element's value.</summary>
    private ushort Read(long now)
    {
        Settle(now);
        long elapsed = Elapsed(now);
        long value;
        if (!_loaded)
        {
            value = _count;
        }
        else if (!IsPeriodic)
        {
            value = _count - (elapsed % Modulus);
            if (value < 0) value += Modulus;
        }
        else
        {
            long phase = elapsed % _count;
            if (_mode == 2)
            {
                value = _count - phase;
            }
            else
            {
                // A square wave counts down by two, twice a period.
                long half = (_count + 1) / 2;
                value = _count - (2 * (phase < half ? phase : phase - half));
                if ((_count & 1) != 0) value--;
            }
        }

        value %= Modulus;
        return (ushort)(_bcd ? ToBcd(value) : value);
    }

    private static long ToBcd(long value) =>
        ((value / 1000) << 12) | ((value / 100 % 10) << 8) | ((value / 10 % 10) << 4) | (value % 10);
}
