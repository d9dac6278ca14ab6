namespace Ringfence.Devices;

/// <summary>
/// The fixed hardware of ACPI (ACPI specification 4.8): PM1 event and control registers, the power management timer,
/// one block of general-purpose events, and the SMI command port that turns ACPI on.
/// </summary>
internal sealed class AcpiPowerManagement : IBusDevice, IStateful, IResettable
{
    /// <summary>First port of the registers.</summary>
    public const ushort PortBase = 0x600;

    /// <summary>Number of ports of the registers.</summary>
    public const int PortLength = 0x10;

    /// <summary>PM1a_EVT_BLK, 4 ports: status and enable.</summary>
    public const ushort Pm1EventBlock = PortBase;

    /// <summary>Bytes of PM1a_EVT_BLK.</summary>
    public const byte Pm1EventLength = 4;

    /// <summary>PM1a_CNT_BLK.</summary>
    public const ushort Pm1ControlBlock = PortBase + 4;

    /// <summary>Bytes of PM1a_CNT_BLK.</summary>
    public const byte Pm1ControlLength = 2;

    /// <summary>PM_TMR_BLK: counts 32 bits (FADT flag TMR_VAL_EXT).</summary>
    public const ushort PmTimerBlock = PortBase + 8;

    /// <summary>Bytes of PM_TMR_BLK.</summary>
    public const byte PmTimerLength = 4;

    /// <summary>GPE0_BLK: 16 status and 16 enable bits.</summary>
    public const ushort Gpe0Block = PortBase + 12;

    /// <summary>Bytes of GPE0_BLK.</summary>
    public const byte Gpe0Length = 4;

    /// <summary>SMI_CMD.</summary>
    public const ushort SmiCommandPort = 0xb2;

    /// <summary>Written to SMI_CMD to set SCI_EN.</summary>
    public const byte EnableAcpi = 0xf1;

    /// <summary>Written to SMI_CMD to clear SCI_EN.</summary>
    public const byte DisableAcpi = 0xf0;

    /// <summary>The IRQ (and I/O APIC pin) of the system control interrupt, level triggered.</summary>
    public const byte SciInterrupt = 9;

    /// <summary>SLP_TYP of soft-off (S5), for the \_S5 package.</summary>
    public const byte SoftOffSleepType = 5;

    /// <summary>Rate of the power management timer.</summary>
    public const long TimerFrequency = 3_579_545;

    private const ushort TimerStatus = 1 << 0;
    private const ushort PowerButton = 1 << 8;
    private const ushort WakeStatus = 1 << 15;
    private const ushort StatusBits = TimerStatus | 1 << 4 | 1 << 5 | PowerButton | 1 << 9 | 1 << 10 | WakeStatus;
    private const ushort EnableBits = TimerStatus | 1 << 5 | PowerButton | 1 << 9 | 1 << 10;
    private const ushort SciEnable = 1 << 0;
    private const ushort ControlBits = SciEnable | 1 << 1 | 0x1c00;
    private const byte SleepEnable = 1 << 5;

    private readonly IMachineClock _clock;
    private readonly InterruptLine _sci;
    private readonly Action _softOff;
    private readonly IMachineTimer _timer;
    private ushort _status;
    private ushort _enable;
    private ushort _control;
    private ushort _gpeStatus;
    private ushort _gpeEnable;
    private byte _command;
    private byte _commandStatus;
    private long _carries;

    /// <summary>Makes the registers, with ACPI off (SCI_EN clear).</summary>
    /// <param name="clock">Drives the timer.</param>
    /// <param name="sci">The system control interrupt.</param>
    /// <param name="softOff">Called when the guest enters S5.</param>
    public AcpiPowerManagement(IMachineClock clock, InterruptLine sci, Action softOff)
    {
        _clock = clock;
        _sci = sci;
        _softOff = softOff;
        _timer = clock.CreateTimer(Update);
        CommandPorts = new BytePorts(offset => offset == 0 ? _command : _commandStatus, WriteCommand);
    }

    /// <summary>Ports B2h (SMI command) and B3h (status).</summary>
    public IBusDevice CommandPorts { get; }

    /// <summary>Sleeps asked for that this machine does not have.</summary>
    public ulong MisuseCount { get; private set; }

    /// <inheritdoc/>
    public string StateName => "acpi";

    /// <inheritdoc/>
    public int StateVersion => 1;

    /// <summary>Is ACPI on?</summary>
    public bool SciEnabled => (_control & SciEnable) != 0;

    /// <summary>Sets SCI_EN as firmware would; for guests that are loaded without firmware.</summary>
    public void Enable()
    {
        _control |= SciEnable;
        Update();
    }

    /// <summary>Presses the power button.</summary>
    public void PressPowerButton()
    {
        _status |= PowerButton;
        Update();
    }

    /// <summary>Raises a general-purpose event, 0 to 15.</summary>
    public void RaiseGeneralPurposeEvent(int number)
    {
        _gpeStatus |= (ushort)(1 << (number & 15));
        Update();
    }

    /// <inheritdoc/>
    public void Reset()
    {
        _status = _enable = _control = _gpeStatus = _gpeEnable = 0;
        _command = _commandStatus = 0;
        _carries = Carries();
        Update();
    }

    /// <inheritdoc/>
    public void Read(ulong offset, Span<byte> data)
    {
        Update();
        Span<byte> image = stackalloc byte[PortLength];
        image.Clear();
        BitConverter.TryWriteBytes(image, _status);
        BitConverter.TryWriteBytes(image[2..], _enable);
        BitConverter.TryWriteBytes(image[4..], _control);
        BitConverter.TryWriteBytes(image[8..], (uint)TickMath.ToTicks(_clock.Now, TimerFrequency));
        BitConverter.TryWriteBytes(image[12..], _gpeStatus);
        BitConverter.TryWriteBytes(image[14..], _gpeEnable);
        for (int i = 0; i < data.Length; i++) data[i] = (int)offset + i < PortLength ? image[(int)offset + i] : (byte)0xff;
    }

    /// <inheritdoc/>
    public void Write(ulong offset, ReadOnlySpan<byte> data)
    {
        Update();
        for (int i = 0; i < data.Length; i++) WriteByte((int)offset + i, data[i]);
        Update();
    }

    /// <inheritdoc/>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Field("pm1_status", ref _status);
        visitor.Field("pm1_enable", ref _enable);
        visitor.Field("pm1_control", ref _control);
        visitor.Field("gpe0_status", ref _gpeStatus);
        visitor.Field("gpe0_enable", ref _gpeEnable);
        visitor.Field("smi_command", ref _command);
        visitor.Field("smi_status", ref _commandStatus);
        visitor.Field("timer_carries", ref _carries);
        Update();
    }

    private static ushort WithByte(ushort word, int index, byte value) =>
        index == 0 ? (ushort)((word & 0xff00) | value) : (ushort)((word & 0x00ff) | (value << 8));

    private void WriteByte(int offset, byte value)
    {
        ushort shifted = (ushort)(value << ((offset & 1) * 8));
        switch (offset & ~1)
        {
            case 0:
                _status &= (ushort)~shifted;
                break;
            case 2:
                _enable = (ushort)(WithByte(_enable, offset & 1, value) & EnableBits);
                break;
            case 4:
                _control = (ushort)(WithByte(_control, offset & 1, value) & ControlBits);
                if (offset == 5 && (value & SleepEnable) != 0) Sleep((value >> 2) & 7);
                break;
            case 12:
                _gpeStatus &= (ushort)~shifted;
                break;
            case 14:
                _gpeEnable = WithByte(_gpeEnable, offset & 1, value);
                break;
        }
    }

    private void Sleep(int type)
    {
        if (type == SoftOffSleepType) _softOff();
        else MisuseCount++;
    }

    private void WriteCommand(int offset, byte value)
    {
        if (offset != 0)
        {
            _commandStatus = value;
            return;
        }

        _command = value;
        if (value == EnableAcpi) _control |= SciEnable;
        else if (value == DisableAcpi) _control &= unchecked((ushort)~SciEnable);
        Update();
    }

    /// <summary>How often the timer's most significant bit has changed.</summary>
    private long Carries() => TickMath.ToTicks(_clock.Now, TimerFrequency) >> 31;

    private void Update()
    {
        long carries = Carries();
        if (carries != _carries)
        {
            _carries = carries;
            _status |= TimerStatus;
        }

        _status &= StatusBits;
        bool event1 = (_status & _enable & EnableBits) != 0 || (_gpeStatus & _gpeEnable) != 0;
        _sci.Set(event1 && SciEnabled);
        if ((_enable & TimerStatus) != 0 && (_status & TimerStatus) == 0)
            _timer.Arm(TickMath.NotTooSoon(TickMath.ToNanoseconds((carries + 1) << 31, TimerFrequency), _clock.Now));
        else _timer.Cancel();
    }
}
