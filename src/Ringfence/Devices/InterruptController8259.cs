namespace Ringfence.Devices;

/// <summary>
/// One 8259A (Intel 8259A data sheet). Interrupt requests of edge-triggered inputs are latched until acknowledged; of
/// level-triggered inputs (by the edge/level control register of the PC) they follow the input.
/// </summary>
internal sealed class InterruptController8259 : ByteDevice
{
    private const byte Icw1 = 0x10;
    private const byte Icw1NeedsIcw4 = 0x01;
    private const byte Icw1Single = 0x02;
    private const byte Icw4AutoEoi = 0x02;
    private const byte Icw4SpecialFullyNested = 0x10;
    private const byte Ocw3 = 0x08;
    private const int SpuriousIrq = 7;

    private readonly byte _levelCapable;
    private readonly byte _cascadeInputs;
    private byte _requests;
    private byte _inService;
    private byte _mask;
    private byte _inputs;
    private byte _edgeLevel;
    private byte _vectorBase;
    private byte _initialization;
    private byte _icw1;
    private byte _icw4;
    private byte _lowest = SpuriousIrq;
    private bool _rotateOnAutoEoi;
    private bool _specialMask;
    private bool _poll;
    private bool _readInService;

    /// <summary>Makes a controller.</summary>
    /// <param name="levelCapable">Inputs that the edge/level control register may make level triggered.</param>
    /// <param name="cascadeInputs">Inputs that a slave is connected to.</param>
    /// <param name="output">The INT pin.</param>
    public InterruptController8259(byte levelCapable, byte cascadeInputs, InterruptLine output)
    {
        _levelCapable = levelCapable;
        _cascadeInputs = cascadeInputs;
        Output = output;
    }

    /// <summary>The INT pin.</summary>
    public InterruptLine Output { get; }

    /// <summary>The edge/level control register: a bit is 1 for a level-triggered input.</summary>
    public byte EdgeLevel
    {
        get => _edgeLevel;
        set
        {
            _edgeLevel = (byte)(value & _levelCapable);
            FollowLevels();
            Update();
        }
    }

    /// <summary>Interrupts acknowledged when none was requested (any more).</summary>
    public ulong SpuriousCount { get; private set; }

    /// <summary>
    /// Inputs whose requests follow their level. A slave's does: its INT pin stays high until the slave itself is acknowledged,
    /// and when it goes low before, the 8259A forgets the request.
    /// </summary>
    private int Followed => _edgeLevel | _cascadeInputs;

    /// <summary>Drives input IR0 to IR7.</summary>
    public void SetInput(int number, bool level)
    {
        byte bit = (byte)(1 << number);
        bool rises = level && (_inputs & bit) == 0;
        _inputs = (byte)(level ? _inputs | bit : _inputs & ~bit);
        if (rises) _requests |= bit;
        FollowLevels();
        Update();
    }

    /// <summary>
    /// The two INTA cycles: takes the input of highest priority into service.
    /// </summary>
    /// <param name="vector">Its vector; the spurious one of IR7 if nothing is requested any more.</param>
    /// <returns>The input's number, or -1 if the interrupt is spurious.</returns>
    public int Acknowledge(out int vector)
    {
        int number = Pending();
        if (number < 0)
        {
            SpuriousCount++;
            vector = _vectorBase | SpuriousIrq;
            Update();
            return -1;
        }

        vector = _vectorBase | number;
        TakeIntoService(number);
        return number;
    }

    /// <summary>The state after power-on; the inputs keep their levels.</summary>
    public void Reset()
    {
        Initialize();
        _initialization = 0;
        _vectorBase = 0;
        _icw1 = _icw4 = 0;
        _edgeLevel = 0;
        _requests = 0;
        Update();
    }

    /// <summary>Visits the fields, their names preceded by <paramref name="prefix"/>.</summary>
    public void DescribeState(IStateVisitor visitor, string prefix)
    {
        visitor.Field(prefix + "requests", ref _requests);
        visitor.Field(prefix + "in_service", ref _inService);
        visitor.Field(prefix + "mask", ref _mask);
        visitor.Field(prefix + "inputs", ref _inputs);
        visitor.Field(prefix + "edge_level", ref _edgeLevel);
        visitor.Field(prefix + "vector_base", ref _vectorBase);
        visitor.Field(prefix + "initialization", ref _initialization);
        visitor.Field(prefix + "icw1", ref _icw1);
        visitor.Field(prefix + "icw4", ref _icw4);
        visitor.Field(prefix + "lowest", ref _lowest);
        visitor.Field(prefix + "rotate_on_auto_eoi", ref _rotateOnAutoEoi);
        visitor.Field(prefix + "special_mask", ref _specialMask);
        visitor.Field(prefix + "poll", ref _poll);
        visitor.Field(prefix + "read_in_service", ref _readInService);
        _lowest &= 7;
        _vectorBase &= 0xf8;
        Update();
    }

    /// <inheritdoc/>
    protected override byte ReadByte(int offset)
    {
        if (_poll)
        {
            _poll = false;
            int number = Pending();
            if (number < 0) return 0;
            TakeIntoService(number);
            return (byte)(0x80 | number);
        }

        if (offset == 1) return _mask;
        return _readInService ? _inService : _requests;
    }

    /// <inheritdoc/>
    protected override void WriteByte(int offset, byte value)
    {
        if (offset == 1) WriteOdd(value);
        else if ((value & Icw1) != 0) BeginInitialization(value);
        else if ((value & Ocw3) != 0) WriteOcw3(value);
        else WriteOcw2(value);
        Update();
    }

    private void BeginInitialization(byte value)
    {
        Initialize();
        _icw1 = value;
        _icw4 = 0;
        _initialization = 2;
    }

    private void Initialize()
    {
        _mask = 0;
        _inService = 0;
        _requests = 0;
        FollowLevels();
        _lowest = 7;
        _rotateOnAutoEoi = false;
        _specialMask = false;
        _poll = false;
        _readInService = false;
    }

    private void WriteOdd(byte value)
    {
        switch (_initialization)
        {
            case 2:
                _vectorBase = (byte)(value & 0xf8);
                _initialization = (byte)((_icw1 & Icw1Single) == 0 ? 3 : AfterIcw3());
                break;
            case 3:
                _initialization = AfterIcw3();
                break;
            case 4:
                _icw4 = value;
                _initialization = 0;
                break;
            default:
                _mask = value;
                break;
        }
    }

    private byte AfterIcw3() => (byte)((_icw1 & Icw1NeedsIcw4) != 0 ? 4 : 0);

    private void WriteOcw2(byte value)
    {
        int number = value & 7;
        switch (value >> 5)
        {
            case 0:
                _rotateOnAutoEoi = false;
                break;
            case 1:
                EndOfInterrupt(false);
                break;
            case 3:
                _inService &= (byte)~(1 << number);
                break;
            case 4:
                _rotateOnAutoEoi = true;
                break;
            case 5:
                EndOfInterrupt(true);
                break;
            case 6:
                _lowest = (byte)number;
                break;
            case 7:
                _inService &= (byte)~(1 << number);
                _lowest = (byte)number;
                break;
        }
    }

    private void WriteOcw3(byte value)
    {
        if ((value & 0x40) != 0) _specialMask = (value & 0x20) != 0;
        if ((value & 0x04) != 0) _poll = true;
        if ((value & 0x02) != 0) _readInService = (value & 0x01) != 0;
    }

    private void EndOfInterrupt(bool rotate)
    {
        int number = Highest(_specialMask ? (byte)(_inService & ~_mask) : _inService);
        if (number < 0) return;
        _inService &= (byte)~(1 << number);
        if (rotate) _lowest = (byte)number;
    }

    private void TakeIntoService(int number)
    {
        byte bit = (byte)(1 << number);
        if ((_icw4 & Icw4AutoEoi) == 0) _inService |= bit;
        else if (_rotateOnAutoEoi) _lowest = (byte)number;
        if ((Followed & bit) == 0) _requests &= (byte)~bit;

        // The INT pin goes low between two interrupts, so that a master sees an edge for each.
        Output.Set(false);
        Update();
    }

    private void FollowLevels() => _requests = (byte)((_requests & ~Followed) | (_inputs & Followed));

    private int Highest(byte bits)
    {
        for (int i = 1; i <= 8; i++)
        {
            int number = (_lowest + i) & 7;
            if ((bits & (1 << number)) != 0) return number;
        }

        return -1;
    }

    /// <summary>The requested, unmasked input that no input in service blocks, or -1.</summary>
    private int Pending()
    {
        int number = Highest((byte)(_requests & ~_mask));
        if (number < 0) return -1;
        int blocking = _inService;
        if (_specialMask) blocking &= ~_mask;
        if ((_icw4 & Icw4SpecialFullyNested) != 0) blocking &= ~(_cascadeInputs & (1 << number));
        int highest = Highest((byte)blocking);
        return highest < 0 || Rank(number) < Rank(highest) ? number : -1;
    }

    private int Rank(int number) => (number - _lowest - 1) & 7;

    private void Update() => Output.Set(Pending() >= 0);
}
