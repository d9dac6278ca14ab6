namespace Ringfence.Devices;

/// <summary>
/// A 16550A (National Semiconductor PC16550D data sheet) whose transmitter takes no time and whose other end is always connected.
/// Bytes from outside are never lost: the port takes them only when the guest is ready to receive (its receive interrupt is
/// enabled, or it polls), takes no more than fit, and gives bytes that a FIFO reset would destroy again afterwards, because drivers
/// clear the FIFOs while they start.
/// </summary>
internal sealed class SerialPort16550A : ByteDevice, IStateful, IResettable
{
    /// <summary>Number of ports.</summary>
    public const int PortLength = 8;

    private const int FifoSize = 16;
    private const int PollsOfAReceiver = 8;
    private const long BaudClock = 1_843_200;
    private const long LongestTimeout = 10_000_000;

    private const byte EnableReceive = 1;
    private const byte EnableTransmit = 2;
    private const byte EnableLineStatus = 4;
    private const byte EnableModemStatus = 8;
    private const byte DivisorLatch = 0x80;
    private const byte Out2 = 8;
    private const byte Loopback = 0x10;
    private const byte FifoEnable = 1;
    private const byte DataReady = 1;
    private const byte Overrun = 2;
    private const byte BreakInterrupt = 0x10;
    private const byte LineErrors = 0x1e;
    private const byte TransmitterIdle = 0x60;
    private const byte Connected = 0xb0;

    // A received byte, and whether it came from outside or is the end of a break.
    private const ushort Outside = 0x100;
    private const ushort Break = 0x200;

    private readonly string _name;
    private readonly IMachineClock _clock;
    private readonly InterruptLine _irq;
    private readonly Action<byte> _output;
    private readonly Action _readyToReceive;
    private readonly IMachineTimer _timer;
    private readonly ByteQueue _received = new(FifoSize);
    private readonly ByteQueue _held = new(FifoSize);
    private byte _interruptEnable;
    private byte _fifoControl;
    private byte _lineControl;
    private byte _modemControl;
    private byte _lineErrors;
    private byte _modemDelta;
    private byte _scratch;
    private ushort _divisor = 1;
    private bool _transmitterEmptied;
    private bool _timedOut;
    private int _polls;
    private bool _announcing;

    /// <summary>Makes a port.</summary>
    /// <param name="name">Its name in the machine's state, such as <c>com1</c>.</param>
    /// <param name="clock">Guest time.</param>
    /// <param name="irq">Its interrupt.</param>
    /// <param name="output">Takes each byte sent.</param>
    /// <param name="readyToReceive">Called when <see cref="Receive"/> takes bytes again; may call it.</param>
    public SerialPort16550A(string name, IMachineClock clock, InterruptLine irq, Action<byte> output, Action readyToReceive)
    {
        _name = name;
        _clock = clock;
        _irq = irq;
        _output = output;
        _readyToReceive = readyToReceive;
        _timer = clock.CreateTimer(TimeOut);
    }

    /// <summary>Would <see cref="Receive"/> take a byte?</summary>
    public bool CanReceive => Listening && _held.Count == 0 && _received.Count < Capacity;

    /// <summary>Is the guest's end ready (DTR)?</summary>
    public bool DataTerminalReady => (_modemControl & 1) != 0;

    /// <inheritdoc/>
    public string StateName => _name;

    /// <inheritdoc/>
    public int StateVersion => 1;

    private bool Listening => !InLoopback && ((_interruptEnable & EnableReceive) != 0 || _polls >= PollsOfAReceiver);

    private bool InLoopback => (_modemControl & Loopback) != 0;

    private bool FifosEnabled => (_fifoControl & FifoEnable) != 0;

    private int Capacity => FifosEnabled ? FifoSize : 1;

    private int Trigger => !FifosEnabled ? 1 : (_fifoControl >> 6) switch { 0 => 1, 1 => 4, 2 => 8, _ => 14 };

    /// <summary>Receives bytes from outside.</summary>
    /// <returns>How many were taken, from the beginning; the rest is to be offered again when the port says so.</returns>
    public int Receive(ReadOnlySpan<byte> data)
    {
        int taken = 0;
        while (taken < data.Length && CanReceive) _received.Add((ushort)(data[taken++] | Outside));
        if (taken > 0) Received();
        return taken;
    }

    /// <summary>Receives a break. Taken only when a byte would be.</summary>
    public bool ReceiveBreak()
    {
        if (!CanReceive) return false;
        _received.Add(Outside | Break);
        Received();
        return true;
    }

    /// <inheritdoc/>
    public void Reset()
    {
        ClearReceiver();
        _interruptEnable = _fifoControl = _lineControl = _modemControl = 0;
        _lineErrors = _modemDelta = 0;
        _transmitterEmptied = false;
        _polls = 0;
        Update();
    }

    /// <inheritdoc/>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Field("interrupt_enable", ref _interruptEnable);
        visitor.Field("fifo_control", ref _fifoControl);
        visitor.Field("line_control", ref _lineControl);
        visitor.Field("modem_control", ref _modemControl);
        visitor.Field("line_errors", ref _lineErrors);
        visitor.Field("modem_delta", ref _modemDelta);
        visitor.Field("scratch", ref _scratch);
        visitor.Field("divisor", ref _divisor);
        visitor.Field("transmitter_emptied", ref _transmitterEmptied);
        visitor.Field("timed_out", ref _timedOut);
        visitor.Field("polls", ref _polls);
        _received.DescribeState(visitor, "received");
        _held.DescribeState(visitor, "held");
        ArmTimeout();
        Update();
    }

    /// <inheritdoc/>
    protected override byte ReadByte(int offset)
    {
        if (offset is not 5 and not 6) _polls = 0;
        switch (offset & 7)
        {
            case 0:
                return (_lineControl & DivisorLatch) != 0 ? (byte)_divisor : ReadReceiver();
            case 1:
                return (_lineControl & DivisorLatch) != 0 ? (byte)(_divisor >> 8) : _interruptEnable;
            case 2:
                byte identification = Identification();
                if (identification == 2)
                {
                    _transmitterEmptied = false;
                    Update();
                }

                return (byte)(identification | (FifosEnabled ? 0xc0 : 0));
            case 3:
                return _lineControl;
            case 4:
                return _modemControl;
            case 5:
                return ReadLineStatus();
            case 6:
                byte status = (byte)(ModemLines() | _modemDelta);
                _modemDelta = 0;
                Update();
                return status;
            default:
                return _scratch;
        }
    }

    /// <inheritdoc/>
    protected override void WriteByte(int offset, byte value)
    {
        _polls = 0;
        switch (offset & 7)
        {
            case 0 when (_lineControl & DivisorLatch) != 0:
                _divisor = (ushort)((_divisor & 0xff00) | value);
                break;
            case 0:
                Transmit(value);
                break;
            case 1 when (_lineControl & DivisorLatch) != 0:
                _divisor = (ushort)((_divisor & 0x00ff) | (value << 8));
                break;
            case 1:
                // Enabling the interrupt of an empty transmitter raises it.
                if ((value & ~_interruptEnable & EnableTransmit) != 0) _transmitterEmptied = true;
                _interruptEnable = (byte)(value & 0x0f);
                break;
            case 2:
                if (((value ^ _fifoControl) & FifoEnable) != 0 || (value & 2) != 0) ClearReceiver();
                _fifoControl = (byte)((value & FifoEnable) != 0 ? value & 0xc9 : 0);
                break;
            case 3:
                _lineControl = value;
                break;
            case 4:
                byte before = ModemLines();
                _modemControl = (byte)(value & 0x1f);
                NoteModemChange(before, ModemLines());
                break;
            case 7:
                _scratch = value;
                break;
            default:
                MisuseCount++;
                break;
        }

        Update();
        Announce();
    }

    private byte ReadReceiver()
    {
        if (_received.Count == 0) return 0;
        byte value = (byte)_received.Take();
        _timedOut = false;
        ExposeErrors();
        Refill();
        ArmTimeout();
        Update();
        Announce();
        return value;
    }

    private byte ReadLineStatus()
    {
        if (_received.Count == 0 && _polls < PollsOfAReceiver && ++_polls == PollsOfAReceiver)
        {
            Refill();
            Update();
            Announce();
        }

        byte status = (byte)(TransmitterIdle | _lineErrors | (_received.Count > 0 ? DataReady : 0));
        _lineErrors = 0;
        Update();
        return status;
    }

    private void Transmit(byte value)
    {
        if (!InLoopback)
        {
            _output(value);
        }
        else if (_received.Count < Capacity)
        {
            _received.Add(value);
            Received();
        }
        else
        {
            _lineErrors |= Overrun;
        }

        _transmitterEmptied = true;
    }

    private void Received()
    {
        ExposeErrors();
        ArmTimeout();
        Update();
    }

    /// <summary>Errors belong to the byte at the head of the FIFO.</summary>
    private void ExposeErrors()
    {
        if (_received.Count > 0 && (_received.Peek() & Break) != 0)
        {
            _received.ReplaceHead(Outside);
            _lineErrors |= BreakInterrupt;
        }
    }

    private void ClearReceiver()
    {
        // What came from outside and what is held never exceed one FIFO together.
        for (int i = _received.Count; i > 0; i--)
        {
            ushort entry = _received.Take();
            if ((entry & Outside) != 0) _received.Add(entry);
        }

        while (_held.Count > 0) _received.Add(_held.Take());
        while (_received.Count > 0) _held.Add(_received.Take());

        _timedOut = false;
        _timer.Cancel();
    }

    private void Refill()
    {
        while (Listening && _held.Count > 0 && _received.Count < Capacity) _received.Add(_held.Take());
        ExposeErrors();
    }

    private void Announce()
    {
        if (_announcing) return;
        _announcing = true;
        if (_held.Count > 0 && Listening)
        {
            Refill();
            Received();
        }

        if (CanReceive) _readyToReceive();
        _announcing = false;
    }

    /// <summary>Bytes below the trigger level wait four character times for company.</summary>
    private void ArmTimeout()
    {
        if (!FifosEnabled || _received.Count == 0 || _received.Count >= Trigger || _timedOut)
        {
            _timer.Cancel();
            return;
        }

        long wait = Math.Min(TickMath.ToNanoseconds(4L * 10 * 16 * Math.Max((int)_divisor, 1), BaudClock), LongestTimeout);
        _timer.Arm(_clock.Now + wait);
    }

    private void TimeOut()
    {
        if (_received.Count == 0) return;
        _timedOut = true;
        Update();
    }

    private byte ModemLines()
    {
        if (!InLoopback) return Connected;
        int control = _modemControl;
        return (byte)(((control & 1) << 5) | ((control & 2) << 3) | ((control & 0x0c) << 4));
    }

    private void NoteModemChange(byte before, byte after)
    {
        int changed = before ^ after;
        int delta = (changed >> 4) & 0x0b;

        // Trailing edge of RI.
        if ((before & ~after & 0x40) != 0) delta |= 4;
        _modemDelta |= (byte)delta;
    }

    /// <summary>IIR without the FIFO bits: the pending interrupt of highest priority, 1 if none.</summary>
    private byte Identification()
    {
        if ((_interruptEnable & EnableLineStatus) != 0 && (_lineErrors & LineErrors) != 0) return 6;
        if ((_interruptEnable & EnableReceive) != 0 && _received.Count >= Trigger) return 4;
        if ((_interruptEnable & EnableReceive) != 0 && _timedOut) return 12;
        if ((_interruptEnable & EnableTransmit) != 0 && _transmitterEmptied) return 2;
        if ((_interruptEnable & EnableModemStatus) != 0 && _modemDelta != 0) return 0;
        return 1;
    }

    /// <summary>OUT2 connects the interrupt to the PC's bus; in loopback it is disconnected.</summary>
    private void Update() => _irq.Set((_modemControl & (Out2 | Loopback)) == Out2 && Identification() != 1);
}
