namespace Ringfence.Devices;

/// <summary>
/// The PC's keyboard controller with its keyboard and mouse (IBM Personal System/2 Technical Reference, keyboard and auxiliary
/// device controller). It starts as firmware leaves it: keyboard and mouse interrupts on, translation on.
/// </summary>
internal sealed class KeyboardController8042 : IStateful, IResettable
{
    /// <summary>Port of the data.</summary>
    public const ushort DataPortNumber = 0x60;

    /// <summary>Port of status and commands.</summary>
    public const ushort CommandPortNumber = 0x64;

    private const byte OutputFull = 1;
    private const byte SystemFlag = 4;
    private const byte CommandWritten = 8;
    private const byte NotInhibited = 0x10;
    private const byte OutputFromMouse = 0x20;

    private const byte KeyboardInterrupt = 1;
    private const byte MouseInterrupt = 2;
    private const byte KeyboardDisabled = 0x10;
    private const byte MouseDisabled = 0x20;
    private const byte Translation = 0x40;

    private const byte OutputPortNoReset = 1;
    private const byte OutputPortA20 = 2;

    private readonly InterruptLine _keyboardIrq;
    private readonly InterruptLine _mouseIrq;
    private readonly A20Gate _a20;
    private readonly Action _reset;
    private readonly Ps2Keyboard _keyboard = new();
    private readonly Ps2Mouse _mouse = new();
    private readonly ByteQueue _replies = new(16);
    private readonly byte[] _ram = new byte[32];
    private byte _status;
    private byte _output;
    private byte _command;
    private bool _breakPrefix;
    private ulong _misuse;

    /// <summary>Makes the controller.</summary>
    /// <param name="keyboardIrq">IRQ 1.</param>
    /// <param name="mouseIrq">IRQ 12.</param>
    /// <param name="a20">The A20 gate.</param>
    /// <param name="reset">Called when the guest resets the machine.</param>
    public KeyboardController8042(InterruptLine keyboardIrq, InterruptLine mouseIrq, A20Gate a20, Action reset)
    {
        _keyboardIrq = keyboardIrq;
        _mouseIrq = mouseIrq;
        _a20 = a20;
        _reset = reset;
        DataPort = new BytePorts(_ => ReadData(), (_, value) => WriteData(value));
        CommandPort = new BytePorts(_ => _status, (_, value) => WriteCommand(value));
        Reset();
    }

    private enum Source : ushort
    {
        Controller = 0,
        Mouse = 0x100,
    }

    /// <summary>Port 60h.</summary>
    public IBusDevice DataPort { get; }

    /// <summary>Port 64h.</summary>
    public IBusDevice CommandPort { get; }

    /// <summary>The keyboard's LEDs: scroll lock, num lock, caps lock.</summary>
    public byte Leds => _keyboard.Leds;

    /// <summary>Commands nobody knows.</summary>
    public ulong MisuseCount => _misuse + _keyboard.MisuseCount + _mouse.MisuseCount;

    /// <inheritdoc/>
    public string StateName => "i8042";

    /// <inheritdoc/>
    public int StateVersion => 1;

    private ref byte Mode => ref _ram[0];

    /// <summary>Presses a key. False if the guest does not listen or has not read earlier keys: try again later.</summary>
    public bool KeyDown(Key key) => Press(key, true);

    /// <summary>Releases a key.</summary>
    public bool KeyUp(Key key) => Press(key, false);

    /// <summary>Sends scan codes (set 2 unless the guest chose another) as they are; all or none.</summary>
    public bool SendScanCodes(ReadOnlySpan<byte> codes)
    {
        bool sent = _keyboard.SendRaw(codes);
        Update();
        return sent;
    }

    /// <summary>Moves the mouse: counts to the right and away from the user, wheel steps towards the user, and the buttons' states.</summary>
    /// <param name="x">Counts to the right.</param>
    /// <param name="y">Counts away from the user.</param>
    /// <param name="z">Steps of the wheel towards the user.</param>
    /// <param name="buttons">Bits 0 to 2: left, right, middle.</param>
    public void MoveMouse(int x, int y, int z, int buttons)
    {
        _mouse.Move(x, y, z, buttons);
        Update();
    }

    /// <inheritdoc/>
    public void Reset()
    {
        _keyboard.Reset();
        _mouse.Reset();
        _replies.Clear();
        _ram.AsSpan().Clear();
        Mode = KeyboardInterrupt | MouseInterrupt | SystemFlag | Translation;
        _status = SystemFlag | NotInhibited;
        _output = 0;
        _command = 0;
        _breakPrefix = false;
        _a20.Reset();
        Update();
    }

    /// <inheritdoc/>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Bytes("ram", _ram);
        visitor.Field("status", ref _status);
        visitor.Field("output", ref _output);
        visitor.Field("command", ref _command);
        visitor.Field("break_prefix", ref _breakPrefix);
        _replies.DescribeState(visitor, "replies");
        _keyboard.DescribeState(visitor);
        _mouse.DescribeState(visitor);
        Update();
    }

    private bool Press(Key key, bool down)
    {
        bool sent = _keyboard.Press(key, down);
        Update();
        return sent;
    }

    private byte ReadData()
    {
        byte value = _output;
        if ((_status & OutputFull) != 0)
        {
            _status &= unchecked((byte)~(OutputFull | OutputFromMouse));

            // The line goes low between two bytes, so that each makes an edge.
            Drive();
            Update();
        }

        return value;
    }

    private void WriteData(byte value)
    {
        _status &= unchecked((byte)~CommandWritten);
        byte command = _command;
        _command = 0;
        switch (command)
        {
            case 0:
                Mode &= unchecked((byte)~KeyboardDisabled);
                _keyboard.Write(value);
                break;
            case >= 0x60 and <= 0x7f:
                WriteRam(command & 0x1f, value);
                break;
            case 0xd1:
                WriteOutputPort(value);
                break;
            case 0xd2:
                Reply(value, Source.Controller);
                break;
            case 0xd3:
                Reply(value, Source.Mouse);
                break;
            case 0xd4:
                Mode &= unchecked((byte)~MouseDisabled);
                _mouse.Write(value);
                break;
        }

        Update();
    }

    private void WriteCommand(byte value)
    {
        _status |= CommandWritten;
        _command = 0;
        switch (value)
        {
            case >= 0x20 and <= 0x3f:
                Reply(_ram[value & 0x1f]);
                break;
            case (>= 0x60 and <= 0x7f) or 0xd1 or 0xd2 or 0xd3 or 0xd4:
                _command = value;
                break;
            case 0xa4:
                Reply(0xf1);
                break;
            case 0xa7:
                Mode |= MouseDisabled;
                break;
            case 0xa8:
                Mode &= unchecked((byte)~MouseDisabled);
                break;
            case 0xa9 or 0xab:
                Reply(0x00);
                break;
            case 0xaa:
                _status |= SystemFlag;
                Reply(0x55);
                break;
            case 0xad:
                Mode |= KeyboardDisabled;
                break;
            case 0xae:
                Mode &= unchecked((byte)~KeyboardDisabled);
                break;
            case 0xc0:
                Reply(0x80);
                break;
            case 0xd0:
                Reply(ReadOutputPort());
                break;
            case 0xdd or 0xdf:
                _a20.Enabled = value == 0xdf;
                break;
            case 0xe0:
                Reply(0x00);
                break;
            case >= 0xf0:
                // Pulses low the output port bits whose bits in the command are 0.
                if ((value & OutputPortNoReset) == 0) _reset();
                break;
            default:
                _misuse++;
                break;
        }

        Update();
    }

    private void WriteRam(int index, byte value)
    {
        _ram[index] = value;
        if (index == 0) _status = (byte)((_status & ~SystemFlag) | (value & SystemFlag));
    }

    private byte ReadOutputPort()
    {
        int full = (_status & OutputFull) == 0 ? 0 : (_status & OutputFromMouse) != 0 ? 0x20 : 0x10;
        return (byte)(0xc0 | OutputPortNoReset | (_a20.Enabled ? OutputPortA20 : 0) | full);
    }

    private void WriteOutputPort(byte value)
    {
        _a20.Enabled = (value & OutputPortA20) != 0;
        if ((value & OutputPortNoReset) == 0) _reset();
    }

    private void Reply(byte value, Source source = Source.Controller) => _replies.Add((ushort)(value | (ushort)source));

    /// <summary>Fills the output buffer if it is empty: replies first, then keyboard, then mouse, if they are not disabled.</summary>
    private void Update()
    {
        while ((_status & OutputFull) == 0)
        {
            if (_replies.Count > 0)
            {
                ushort reply = _replies.Take();
                Present((byte)reply, (reply & (ushort)Source.Mouse) != 0);
            }
            else if (_keyboard.Count > 0 && (Mode & KeyboardDisabled) == 0)
            {
                if (Translate(_keyboard.Take(), out byte code)) Present(code, false);
            }
            else if (_mouse.Count > 0 && (Mode & MouseDisabled) == 0)
            {
                Present(_mouse.Take(), true);
            }
            else
            {
                break;
            }
        }

        Drive();
    }

    /// <summary>Translates a keyboard byte if the guest wants that. False: it was the break prefix, which joins the next byte.</summary>
    private bool Translate(byte value, out byte code)
    {
        code = value;
        if ((Mode & Translation) == 0)
        {
            _breakPrefix = false;
            return true;
        }

        if (value == ScanCodes.Break)
        {
            _breakPrefix = true;
            return false;
        }

        code = ScanCodes.Translate(value);
        if (_breakPrefix) code |= ScanCodes.Set1Break;
        _breakPrefix = false;
        return true;
    }

    private void Present(byte value, bool fromMouse)
    {
        _output = value;
        _status |= (byte)(fromMouse ? OutputFull | OutputFromMouse : OutputFull);
    }

    private void Drive()
    {
        bool full = (_status & OutputFull) != 0;
        bool fromMouse = (_status & OutputFromMouse) != 0;
        _keyboardIrq.Set(full && !fromMouse && (Mode & KeyboardInterrupt) != 0);
        _mouseIrq.Set(full && fromMouse && (Mode & MouseInterrupt) != 0);
    }
}
