namespace Ringfence.Devices;

/// <summary>
/// The MC146818 real-time clock and its CMOS RAM (Motorola MC146818 data sheet; IBM PC/AT Technical Reference). The time is
/// computed when asked for; host timers are armed only for interrupts that are enabled and not pending already.
/// </summary>
internal sealed class RealTimeClock : ByteDevice, IStateful, IResettable
{
    /// <summary>First of the two ports, index and data.</summary>
    public const ushort Port = 0x70;

    /// <summary>Number of ports.</summary>
    public const int PortLength = 2;

    /// <summary>Register of the century (FADT field CENTURY).</summary>
    public const byte CenturyRegister = 0x32;

    /// <summary>Register of the shutdown status.</summary>
    public const byte ShutdownRegister = 0x0f;

    private const int Hours = 4;
    private const int RegisterA = 0x0a;
    private const int RegisterB = 0x0b;
    private const int RegisterC = 0x0c;
    private const int RegisterD = 0x0d;
    private const int ChecksumFirst = 0x10;
    private const int ChecksumLast = 0x2d;

    private const byte UpdateInProgress = 0x80;
    private const byte DividerReset = 0x60;
    private const byte SetBit = 0x80;
    private const byte Periodic = 0x40;
    private const byte Alarm = 0x20;
    private const byte UpdateEnded = 0x10;
    private const byte SquareWave = 0x08;
    private const byte InterruptRequest = 0x80;
    private const byte ValidRamAndTime = 0x80;
    private const long UpdateCycle = 244_000 + 1_984_000;
    private const long Crystal = 32_768;

    private readonly IMachineClock _clock;
    private readonly InterruptLine _irq;
    private readonly IMachineTimer _timer;
    private readonly byte[] _ram = new byte[128];
    private byte _index;
    private bool _nmiMasked;
    private byte _flags;

    // Seconds begin at _origin + k seconds of guest time, and the clock shows _seconds + k then (seconds since the year 1).
    private long _origin;
    private long _seconds;
    private long _seenSecond;
    private long _seenPeriod;

    /// <summary>Makes the clock, showing UTC.</summary>
    /// <param name="clock">Guest time.</param>
    /// <param name="irq">IRQ 8.</param>
    /// <param name="lowRamBytes">RAM that begins at 0, as the firmware would have recorded it.</param>
    /// <param name="highRamBytes">RAM that begins at 4 GiB.</param>
    public RealTimeClock(IMachineClock clock, InterruptLine irq, ulong lowRamBytes, ulong highRamBytes)
    {
        _clock = clock;
        _irq = irq;
        _timer = clock.CreateTimer(Update);
        long ticks = clock.PowerOn.UtcTicks;
        _seconds = ticks / TimeSpan.TicksPerSecond;
        _origin = -(ticks % TimeSpan.TicksPerSecond) * 100;
        _ram[RegisterA] = 0x26;
        _ram[RegisterB] = 0x02;
        RecordMemory(lowRamBytes, highRamBytes);
        ShowTime(clock.Now);
        Forget(clock.Now);
    }

    /// <summary>Does the guest hold back NMIs (bit 7 of the index port)?</summary>
    public bool NmiMasked => _nmiMasked;

    /// <inheritdoc/>
    public string StateName => "rtc";

    /// <inheritdoc/>
    public int StateVersion => 1;

    private bool Stopped => (_ram[RegisterB] & SetBit) != 0 || DividerHeld;

    private bool DividerHeld => (_ram[RegisterA] & DividerReset) == DividerReset;

    private bool IsBinary => (_ram[RegisterB] & 4) != 0;

    private bool Is24Hour => (_ram[RegisterB] & 2) != 0;

    /// <summary>A byte of the CMOS RAM (registers 0 to 127), for firmware and tests.</summary>
    public byte this[int register]
    {
        get => _ram[register & 0x7f];
        set => _ram[register & 0x7f] = value;
    }

    /// <summary>Leaves the floppy drives in CMOS as firmware would (IBM PC/AT Technical Reference: registers 10h and 14h).</summary>
    /// <param name="first">Type of drive A; 0: there is none.</param>
    /// <param name="second">Type of drive B; 0: there is none.</param>
    public void RecordFloppyDrives(byte first, byte second = 0)
    {
        int drives = (first != 0 ? 1 : 0) + (second != 0 ? 1 : 0);
        _ram[0x10] = (byte)((first << 4) | (second & 15));
        _ram[0x14] = (byte)((_ram[0x14] & 0x3e) | (drives == 0 ? 0 : 1 | ((drives - 1) << 6)));
        RecordChecksum();
    }

    /// <inheritdoc/>
    public void Reset()
    {
        _ram[RegisterB] &= unchecked((byte)~(Periodic | Alarm | UpdateEnded | SquareWave));
        _flags = 0;
        _index = 0;
        _nmiMasked = false;
        Forget(_clock.Now);
        Update();
    }

    /// <inheritdoc/>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Bytes("ram", _ram);
        visitor.Field("index", ref _index);
        visitor.Field("nmi_masked", ref _nmiMasked);
        visitor.Field("flags", ref _flags);
        visitor.Field("origin", ref _origin);
        visitor.Field("seconds", ref _seconds);
        visitor.Field("seen_second", ref _seenSecond);
        visitor.Field("seen_period", ref _seenPeriod);
        _index &= 0x7f;
        Update();
    }

    /// <inheritdoc/>
    protected override byte ReadByte(int offset)
    {
        if (offset == 0) return 0xff;
        long now = _clock.Now;
        switch (_index)
        {
            case <= 9 or CenturyRegister:
                if (!Stopped) ShowTime(now);
                return _ram[_index];
            case RegisterA:
                bool updating = !Stopped && Fraction(now) >= TickMath.Second - UpdateCycle;
                return (byte)(_ram[RegisterA] | (updating ? UpdateInProgress : 0));
            case RegisterC:
                // At one time: were another period to end between the two, the line would stay high, and an edge-triggered input wait for ever.
                Update(now);
                byte flags = _flags;
                _flags = 0;
                Update(now);
                return flags;
            case RegisterD:
                return ValidRamAndTime;
            default:
                return _ram[_index];
        }
    }

    /// <inheritdoc/>
    protected override void WriteByte(int offset, byte value)
    {
        if (offset == 0)
        {
            _index = (byte)(value & 0x7f);
            _nmiMasked = (value & 0x80) != 0;
            return;
        }

        long now = _clock.Now;
        Update(now);
        switch (_index)
        {
            case 1 or 3 or 5:
                _ram[_index] = value;
                break;
            case 6:
                // The day of the week follows from the date.
                break;
            case <= 9 or CenturyRegister:
                if (!Stopped) ShowTime(now);
                _ram[_index] = value;
                if (!Stopped) TakeTime(now);
                break;
            case RegisterA:
                WriteA((byte)(value & ~UpdateInProgress), now);
                break;
            case RegisterB:
                WriteB(value, now);
                break;
            case RegisterC or RegisterD:
                MisuseCount++;
                break;
            default:
                _ram[_index] = value;
                break;
        }

        Update(now);
    }

    private void WriteA(byte value, long now)
    {
        bool wasStopped = Stopped;
        bool wasHeld = DividerHeld;
        if (!wasStopped) ShowTime(now);
        _ram[RegisterA] = value;

        // The first update comes half a second after the divider is released.
        if (wasHeld && !DividerHeld) _origin = now - (TickMath.Second / 2);
        if (wasStopped && !Stopped) TakeTime(now);
        Forget(now);
    }

    private void WriteB(byte value, long now)
    {
        bool wasStopped = Stopped;
        if (!wasStopped) ShowTime(now);
        if ((value & SetBit) != 0) value &= unchecked((byte)~UpdateEnded);

        // The time keeps its value when the data mode changes while the clock runs.
        _ram[RegisterB] = value;
        if (wasStopped && !Stopped) TakeTime(now);
        else if (!Stopped) ShowTime(now);
        if (wasStopped != Stopped) Forget(now);
    }

    private long SecondsAt(long now) => _seconds + FloorDivide(now - _origin, TickMath.Second);

    private long Fraction(long now) => now - _origin - (FloorDivide(now - _origin, TickMath.Second) * TickMath.Second);

    private long PeriodAt(long now)
    {
        long period = PeriodTicks();
        return period == 0 ? 0 : TickMath.ToTicks(Math.Max(now - _origin, 0), Crystal) / period;
    }

    /// <summary>The periodic interrupt's period in ticks of the 32,768 Hz crystal; 0 if it is off.</summary>
    private long PeriodTicks()
    {
        int rate = _ram[RegisterA] & 15;
        if (rate == 0 || DividerHeld) return 0;
        return 1L << (rate <= 2 ? rate + 6 : rate - 1);
    }

    private void Forget(long now)
    {
        _seenSecond = SecondsAt(now);
        _seenPeriod = PeriodAt(now);
    }

    private void ShowTime(long now)
    {
        long seconds = Math.Clamp(SecondsAt(now), 0, DateTime.MaxValue.Ticks / TimeSpan.TicksPerSecond);
        DateTime time = new(seconds * TimeSpan.TicksPerSecond, DateTimeKind.Utc);
        _ram[0] = Encode(time.Second);
        _ram[2] = Encode(time.Minute);
        _ram[Hours] = EncodeHour(time.Hour);
        _ram[6] = Encode((int)time.DayOfWeek + 1);
        _ram[7] = Encode(time.Day);
        _ram[8] = Encode(time.Month);
        _ram[9] = Encode(time.Year % 100);
        _ram[CenturyRegister] = Encode(time.Year / 100);
    }

    /// <summary>Sets the clock to what the registers say; impossible dates become the nearest possible.</summary>
    private void TakeTime(long now)
    {
        int year = Math.Clamp((Decode(_ram[CenturyRegister]) * 100) + Decode(_ram[9]), 1, 9999);
        int month = Math.Clamp(Decode(_ram[8]), 1, 12);
        int day = Math.Clamp(Decode(_ram[7]), 1, DateTime.DaysInMonth(year, month));
        DateTime time = new(
            year,
            month,
            day,
            Math.Min(DecodeHour(_ram[Hours]), 23),
            Math.Min(Decode(_ram[2]), 59),
            Math.Min(Decode(_ram[0]), 59),
            DateTimeKind.Utc);
        _seconds += (time.Ticks / TimeSpan.TicksPerSecond) - SecondsAt(now);
        _seenSecond = SecondsAt(now);
    }

    private byte Encode(int value) => (byte)(IsBinary ? value : (value / 10 << 4) | (value % 10));

    private int Decode(byte value) => IsBinary ? value : ((value >> 4) * 10) + (value & 15);

    private byte EncodeHour(int hour)
    {
        if (Is24Hour) return Encode(hour);
        byte value = Encode(hour % 12 == 0 ? 12 : hour % 12);
        return (byte)(hour >= 12 ? value | 0x80 : value);
    }

    private int DecodeHour(byte value)
    {
        if (Is24Hour) return Decode(value);
        int hour = Decode((byte)(value & 0x7f)) % 12;
        return (value & 0x80) != 0 ? hour + 12 : hour;
    }

    /// <summary>Brings flags, interrupt line and timer up to date.</summary>
    private void Update() => Update(_clock.Now);

    private void Update(long now)
    {
        long period = PeriodAt(now);
        if (period != _seenPeriod) _flags |= Periodic;
        _seenPeriod = period;
        if (!Stopped)
        {
            long second = SecondsAt(now);
            if (second > _seenSecond)
            {
                _flags |= UpdateEnded;
                if (NextAlarm(_seenSecond) is { } alarm && alarm <= second) _flags |= Alarm;
            }

            _seenSecond = second;
        }

        byte enabled = (byte)(_ram[RegisterB] & (Periodic | Alarm | UpdateEnded));
        bool request = (_flags & enabled) != 0;
        _flags = (byte)(request ? _flags | InterruptRequest : _flags & ~InterruptRequest);
        _irq.Set(request);
        if (request || enabled == 0) _timer.Cancel();
        else Arm(enabled, now);
    }

    private void Arm(byte enabled, long now)
    {
        long due = long.MaxValue;
        if ((enabled & Periodic) != 0 && PeriodTicks() is > 0 and long ticks)
            due = _origin + TickMath.ToNanoseconds((PeriodAt(now) + 1) * ticks, Crystal);
        if (!Stopped)
        {
            if ((enabled & UpdateEnded) != 0) due = Math.Min(due, now - Fraction(now) + TickMath.Second);
            if ((enabled & Alarm) != 0 && NextAlarm(_seenSecond) is { } alarm)
                due = Math.Min(due, now - Fraction(now) + ((alarm - SecondsAt(now)) * TickMath.Second));
        }

        if (due == long.MaxValue) _timer.Cancel();
        else _timer.Arm(TickMath.NotTooSoon(due, now));
    }

    /// <summary>The first second after <paramref name="after"/> at which the alarm matches; null if its registers match no time.</summary>
    private long? NextAlarm(long after)
    {
        const int Day = 86_400;
        long next = after + 1;
        long day = FloorDivide(next, Day) * Day;
        int found = FirstMatch((int)(next - day));
        if (found >= 0) return day + found;
        found = FirstMatch(0);
        return found >= 0 ? day + Day + found : null;
    }

    private int FirstMatch(int from)
    {
        for (int hour = from / 3600; hour < 24; hour++)
        {
            if (!Matches(_ram[5], hour, true)) continue;
            for (int minute = Math.Max(0, (from - (hour * 3600)) / 60); minute < 60; minute++)
            {
                if (!Matches(_ram[3], minute, false)) continue;
                int start = (hour * 3600) + (minute * 60);
                for (int second = Math.Max(0, from - start); second < 60; second++)
                    if (Matches(_ram[1], second, false)) return start + second;
            }
        }

        return -1;
    }

    private bool Matches(byte register, int value, bool hour) =>
        (register & 0xc0) == 0xc0 || (hour ? DecodeHour(register) : Decode(register)) == value;

    /// <summary>What firmware leaves in CMOS about memory (low byte first) and equipment.</summary>
    private void RecordMemory(ulong lowRam, ulong highRam)
    {
        const ulong MiB = 1 << 20;
        _ram[0x14] = 0x06;
        SetWord(0x15, 640);
        ulong extended = lowRam > MiB ? (lowRam - MiB) >> 10 : 0;
        SetWord(0x17, Math.Min(extended, 0xffff));
        SetWord(0x30, Math.Min(extended, 0xffff));
        ulong above16 = lowRam > 16 * MiB ? (lowRam - (16 * MiB)) >> 16 : 0;
        SetWord(0x34, Math.Min(above16, 0xffff));
        ulong high = highRam >> 16;
        SetWord(0x5b, high & 0xffff);
        _ram[0x5d] = (byte)(high >> 16);
        RecordChecksum();
    }

    private void RecordChecksum()
    {
        int sum = 0;
        for (int i = ChecksumFirst; i <= ChecksumLast; i++) sum += _ram[i];
        _ram[0x2e] = (byte)(sum >> 8);
        _ram[0x2f] = (byte)sum;
    }

    private void SetWord(int register, ulong value)
    {
        _ram[register] = (byte)value;
        _ram[register + 1] = (byte)(value >> 8);
    }

    private static long FloorDivide(long value, long divisor) => value >= 0 ? value / divisor : -((divisor - 1 - value) / divisor);
}
