namespace Ringfence.Devices.Storage;

/// <summary>
/// The 82077AA floppy disk controller in AT mode (Intel 82077AA data sheet). A command has three phases: its bytes come through the FIFO, it is
/// executed, its results leave through the FIFO (data sheet, 5). Data moves by DMA channel 2 or, as SPECIFY tells, through the FIFO. Nothing
/// mechanical takes the time it would take, but nothing ends in the instruction that began it.
/// </summary>
internal sealed partial class FloppyController : ByteDevice, IStateful, IResettable
{
    /// <summary>First port. Port 3F6h, offset 6, belongs to the IDE controller.</summary>
    public const ushort Port = 0x3f0;

    /// <summary>Ports up to the IDE controller's.</summary>
    public const int PortLength = 6;

    /// <summary>Port of the digital input register and configuration control, which <see cref="InputPort"/> answers.</summary>
    public const ushort InputPortNumber = 0x3f7;

    /// <summary>Its interrupt.</summary>
    public const int Interrupt = 6;

    /// <summary>Its DMA channel.</summary>
    public const int DmaChannel = 2;

    private const int Drives = 4;
    private const int DigitalOutput = 2;
    private const int TapeDrive = 3;
    private const int MainStatus = 4;
    private const int Fifo = 5;

    private const byte NotReset = 0x04;
    private const byte GateOpen = 0x08;
    private const byte SoftwareReset = 0x80;

    private const byte Request = 0x80;
    private const byte ToHost = 0x40;
    private const byte NonDma = 0x20;
    private const byte CommandBusy = 0x10;

    private const long ResetTime = 50_000;
    private const long SeekTime = 100_000;
    private const long AccessTime = 50_000;

    private readonly IMachineClock _clock;
    private readonly InterruptLine _irq;
    private readonly DmaController8237 _dma;
    private readonly IMachineTimer _timer;
    private readonly FloppyDrive[] _drives;
    private readonly byte[] _parameters = new byte[16];
    private readonly byte[] _results = new byte[16];
    private byte _digitalOutput;
    private byte _tapeDrive;
    private byte _rate;
    private bool _isRequesting;

    // The phases.
    private Phase _phase;
    private byte _position;
    private byte _length;

    // What stays between commands.
    private byte _stepTimes;
    private byte _loadTimes;
    private byte _configuration;
    private byte _precompensation;
    private byte _perpendicular;
    private bool _isLocked;
    private byte _resetStatuses;
    private byte _lastSectorCount;
    private byte _rotation;

    /// <summary>Makes a controller.</summary>
    /// <param name="clock">Guest time.</param>
    /// <param name="irq">IRQ 6.</param>
    /// <param name="dma">The DMA controllers.</param>
    /// <param name="drives">Up to four drives; null: it is not there.</param>
    public FloppyController(IMachineClock clock, InterruptLine irq, DmaController8237 dma, params ReadOnlySpan<BlockDrive?> drives)
    {
        _clock = clock;
        _irq = irq;
        _dma = dma;
        _timer = clock.CreateTimer(OnTimer);
        _drives = new FloppyDrive[Drives];
        for (int i = 0; i < Drives; i++)
        {
            int number = i;
            _drives[i] = new FloppyDrive(i < drives.Length ? drives[i] : null, clock.CreateTimer(() => EndSeek(number)));
        }

        InputPort = new BytePorts(_ => ReadInput(), (_, value) => _rate = (byte)(value & 3));
        Reset();
    }

    private enum Phase : byte
    {
        Command,
        Execution,
        Result,
        DataToHost,
        DataFromHost,
        InReset,
    }

    /// <summary>Digital input and configuration control.</summary>
    public IBusDevice InputPort { get; }

    /// <inheritdoc/>
    public string StateName => "floppy";

    /// <inheritdoc/>
    public int StateVersion => 1;

    private bool UsesDma => (_loadTimes & 1) == 0;

    /// <inheritdoc/>
    public void Reset()
    {
        _digitalOutput = 0;
        _tapeDrive = 0;
        _rate = 2;
        _isLocked = false;
        _stepTimes = _loadTimes = 0;
        _perpendicular = 0;
        foreach (FloppyDrive drive in _drives) drive.Track = 0;
        ResetController();
        _phase = Phase.InReset;
    }

    /// <inheritdoc/>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Field("digital_output", ref _digitalOutput);
        visitor.Field("tape_drive", ref _tapeDrive);
        visitor.Field("rate", ref _rate);
        visitor.Field("requesting", ref _isRequesting);
        visitor.Field("phase", ref _phase);
        visitor.Field("position", ref _position);
        visitor.Field("length", ref _length);
        visitor.Bytes("parameters", _parameters);
        visitor.Bytes("results", _results);
        visitor.Field("step_times", ref _stepTimes);
        visitor.Field("load_times", ref _loadTimes);
        visitor.Field("configuration", ref _configuration);
        visitor.Field("precompensation", ref _precompensation);
        visitor.Field("perpendicular", ref _perpendicular);
        visitor.Field("locked", ref _isLocked);
        visitor.Field("reset_statuses", ref _resetStatuses);
        visitor.Field("last_sector_count", ref _lastSectorCount);
        visitor.Field("rotation", ref _rotation);
        for (int i = 0; i < Drives; i++) _drives[i].DescribeState(visitor, $"drive{i}");
        _rate &= 3;
        _position = Math.Min(_position, (byte)(_parameters.Length - 1));
        _length = Math.Min(_length, (byte)_parameters.Length);
        bool hasData = _dataPosition < _data.Length;
        if (_phase > Phase.InReset || (_phase == Phase.Result && _position >= _length) || (_phase is Phase.DataToHost or Phase.DataFromHost && !hasData)) _phase = Phase.Execution;
        // A command or a seek under way begins again.
        if (_phase == Phase.Execution && !_isDataWaiting) _timer.Arm(_clock.Now + AccessTime);
        foreach (FloppyDrive drive in _drives)
            if (drive.IsSeeking) drive.Timer.Arm(_clock.Now + SeekTime);
        UpdateInterrupt();
    }

    /// <inheritdoc/>
    protected override byte ReadByte(int offset) => offset switch
    {
        DigitalOutput => _digitalOutput,
        TapeDrive => _tapeDrive,
        MainStatus => ReadStatus(),
        Fifo => ReadFifo(),
        _ => 0xff,
    };

    /// <inheritdoc/>
    protected override void WriteByte(int offset, byte value)
    {
        switch (offset)
        {
            case DigitalOutput:
                WriteDigitalOutput(value);
                break;
            case TapeDrive:
                _tapeDrive = (byte)(value & 3);
                break;
            case MainStatus:
                _rate = (byte)(value & 3);
                if ((value & SoftwareReset) != 0 && _phase != Phase.InReset) BeginReset();
                break;
            case Fifo:
                WriteFifo(value);
                break;
            default:
                MisuseCount++;
                break;
        }
    }

    private byte ReadInput()
    {
        int selected = _digitalOutput & 3;
        bool isTurning = (_digitalOutput & (0x10 << selected)) != 0;
        return (byte)(isTurning && _drives[selected].IsChanged ? 0x80 : 0);
    }

    private byte ReadStatus()
    {
        byte status = _phase switch
        {
            Phase.Command => _position == 0 ? Request : (byte)(Request | CommandBusy),
            Phase.Result => Request | ToHost | CommandBusy,
            Phase.DataToHost => Request | ToHost | NonDma | CommandBusy,
            Phase.DataFromHost => Request | NonDma | CommandBusy,
            Phase.Execution => CommandBusy,
            _ => 0,
        };
        for (int i = 0; i < Drives; i++)
            if (_drives[i].IsSeeking || _drives[i].SeekStatus != 0) status |= (byte)(1 << i);
        return status;
    }

    private void WriteDigitalOutput(byte value)
    {
        byte old = _digitalOutput;
        _digitalOutput = value;
        if ((value & NotReset) == 0)
        {
            ResetController();
            _phase = Phase.InReset;
        }
        else if ((old & NotReset) == 0)
        {
            BeginReset();
        }

        UpdateInterrupt();
    }

    /// <summary>What a reset by either register does at once (data sheet, 4.2).</summary>
    private void ResetController()
    {
        _timer.Cancel();
        foreach (FloppyDrive drive in _drives) drive.Cancel();
        ForgetData();
        if (!_isLocked)
        {
            _configuration = 0x20;
            _precompensation = 0;
        }

        _resetStatuses = 0;
        _perpendicular &= unchecked((byte)~3);
        _position = _length = 0;
        _isRequesting = false;
        UpdateInterrupt();
    }

    private void BeginReset()
    {
        ResetController();
        _phase = Phase.Execution;
        _resetStatuses = Drives;
        _timer.Arm(_clock.Now + ResetTime);
    }

    private void OnTimer()
    {
        if (_phase != Phase.Execution) return;
        if (_resetStatuses == Drives && _length == 0)
        {
            // Polling finds every drive's ready line changed (data sheet, 5.2.4).
            _phase = Phase.Command;
            _isRequesting = true;
            UpdateInterrupt();
            return;
        }

        ContinueCommand();
    }

    private byte ReadFifo()
    {
        switch (_phase)
        {
            case Phase.Result:
                byte value = _results[_position++];
                LowerInterrupt();
                if (_position >= _length) BeginCommandPhase();
                return value;
            case Phase.DataToHost:
                return ReadDataByte();
            default:
                MisuseCount++;
                return 0;
        }
    }

    private void WriteFifo(byte value)
    {
        switch (_phase)
        {
            case Phase.Command:
                if (_position == 0) _length = CommandLength(value);
                _parameters[_position++] = value;
                if (_position < _length) break;
                _phase = Phase.Execution;
                ExecuteCommand();
                break;
            case Phase.DataFromHost:
                WriteDataByte(value);
                break;
            default:
                MisuseCount++;
                break;
        }
    }

    private void BeginCommandPhase()
    {
        _phase = Phase.Command;
        _position = _length = 0;
    }

    /// <summary>Ends a command with results; of those that execute the host is told by an interrupt.</summary>
    private void Answer(ReadOnlySpan<byte> results, bool interrupt = false)
    {
        results.CopyTo(_results);
        _length = (byte)results.Length;
        _position = 0;
        _phase = Phase.Result;
        if (interrupt) RaiseInterrupt();
    }

    private void RaiseInterrupt()
    {
        // Who goes on after a reset without asking about every drive is not told about them later.
        _resetStatuses = 0;
        _isRequesting = true;
        UpdateInterrupt();
    }

    private void LowerInterrupt()
    {
        _isRequesting = false;
        UpdateInterrupt();
    }

    private void UpdateInterrupt() => _irq.Set(_isRequesting && (_digitalOutput & GateOpen) != 0);
}
