namespace Ringfence.Devices;

/// <summary>
/// The 8254 of the PC and the part of system control port B (61h) that belongs to it: counter 0 drives IRQ 0, counter 2 the speaker.
/// Host timers are armed only for rising edges of IRQ 0; ticks that could not be delivered in time coalesce into one.
/// </summary>
internal sealed class IntervalTimer8254 : ByteDevice, IStateful, IResettable
{
    /// <summary>First of the four ports.</summary>
    public const ushort Port = 0x40;

    /// <summary>Number of ports.</summary>
    public const int PortLength = 4;

    /// <summary>System control port B.</summary>
    public const ushort SystemControlPortB = 0x61;

    /// <summary>Rate of the counters' clock in Hz.</summary>
    public const long Frequency = 1_193_182;

    private const int RefreshPeriod = 15_085;

    private readonly IMachineClock _clock;
    private readonly InterruptLine _irq;
    private readonly IMachineTimer _timer;
    private readonly PitChannel[] _channels = [new(), new(), new()];
    private byte _portB;

    /// <summary>Makes the timer.</summary>
    /// <param name="clock">Guest time.</param>
    /// <param name="irq">The output of counter 0: IRQ 0 and pin 2 of the I/O APIC.</param>
    public IntervalTimer8254(IMachineClock clock, InterruptLine irq)
    {
        _clock = clock;
        _irq = irq;
        _timer = clock.CreateTimer(Expired);
        ControlPort = new BytePorts(_ => ReadPortB(), (_, value) => WritePortB(value));
        foreach (PitChannel channel in _channels) channel.Reset(channel != _channels[2]);
        Update();
    }

    /// <summary>Port 61h: bit 0 gate of counter 2, 1 speaker, 4 refresh, 5 output of counter 2.</summary>
    public IBusDevice ControlPort { get; }

    /// <summary>Is the speaker connected to counter 2's output?</summary>
    public bool SpeakerEnabled => (_portB & 3) == 3;

    /// <inheritdoc/>
    public string StateName => "pit";

    /// <inheritdoc/>
    public int StateVersion => 1;

    private long Ticks => TickMath.ToTicks(_clock.Now, Frequency);

    /// <inheritdoc/>
    public void Reset()
    {
        foreach (PitChannel channel in _channels) channel.Reset(channel != _channels[2]);
        _portB = 0;
        Update();
    }

    /// <inheritdoc/>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Field("port_b", ref _portB);
        for (int i = 0; i < _channels.Length; i++) _channels[i].DescribeState(visitor, $"counter{i}_");
        Update();
    }

    /// <inheritdoc/>
    protected override byte ReadByte(int offset)
    {
        if (offset < 3) return _channels[offset].ReadByte(Ticks);
        MisuseCount++;
        return 0xff;
    }

    /// <inheritdoc/>
    protected override void WriteByte(int offset, byte value)
    {
        long now = Ticks;
        if (offset < 3) _channels[offset].WriteByte(value, now);
        else if (value >> 6 != 3) _channels[value >> 6].WriteControl(value, now);
        else ReadBack(value, now);
        if (offset == 0 || (offset == 3 && value >> 6 == 0)) Update(now);
    }

    private void ReadBack(byte value, long now)
    {
        for (int i = 0; i < 3; i++)
        {
            if ((value & (2 << i)) == 0) continue;
            if ((value & 0x20) == 0) _channels[i].LatchCount(now);
            if ((value & 0x10) == 0) _channels[i].LatchStatus(now);
        }
    }

    private byte ReadPortB()
    {
        int refresh = (int)(_clock.Now / RefreshPeriod & 1) << 4;
        return (byte)(_portB | refresh | (_channels[2].Output(Ticks) ? 0x20 : 0));
    }

    private void WritePortB(byte value)
    {
        _portB = (byte)(value & 0x0f);
        _channels[2].SetGate((value & 1) != 0, Ticks);
    }

    private void Expired()
    {
        // An edge for this tick; in the periodic modes the line rests high between ticks.
        _irq.Set(false);
        _irq.Set(true);
        Arm(Ticks);
    }

    private void Update() => Update(Ticks);

    /// <param name="now">The time of the change: a count that ended since then has its edge still before it.</param>
    private void Update(long now)
    {
        _irq.Set(_channels[0].RestsHigh || _channels[0].Output(now));
        Arm(now);
    }

    private void Arm(long now)
    {
        long rise = _channels[0].NextRise(now);
        if (rise == long.MaxValue) _timer.Cancel();
        else _timer.Arm(TickMath.NotTooSoon(TickMath.ToNanoseconds(rise, Frequency), _clock.Now));
    }
}
