namespace Ringfence.Devices;

/// <summary>A PS/2 mouse with the wheel of the IntelliMouse (enabled by sample rates 200, 100, 80), as the keyboard controller sees it.</summary>
internal sealed class Ps2Mouse
{
    private const byte Acknowledge = 0xfa;
    private const byte Resend = 0xfe;
    private const byte SelfTestPassed = 0xaa;
    private const byte Wheel = 3;
    private const int Farthest = 1 << 14;

    private readonly ByteQueue _output = new(64);
    private byte _id;
    private bool _reporting;
    private bool _remote;
    private bool _wrap;
    private bool _scaling;
    private byte _resolution = 2;
    private byte _rate = 100;
    private byte _command;
    private byte _knock;
    private byte _buttons;
    private byte _reportedButtons;
    private int _x;
    private int _y;
    private int _z;
    private byte _last;

    /// <summary>Bytes that wait for the controller.</summary>
    public int Count => _output.Count;

    /// <summary>Commands the mouse does not know.</summary>
    public ulong MisuseCount { get; private set; }

    /// <summary>Moves the mouse.</summary>
    /// <param name="x">Counts to the right.</param>
    /// <param name="y">Counts away from the user.</param>
    /// <param name="z">Steps of the wheel towards the user.</param>
    /// <param name="buttons">Bits 0 to 2: left, right, middle.</param>
    public void Move(int x, int y, int z, int buttons)
    {
        _x = Math.Clamp(_x + Math.Clamp(x, -Farthest, Farthest), -Farthest, Farthest);
        _y = Math.Clamp(_y + Math.Clamp(y, -Farthest, Farthest), -Farthest, Farthest);
        _z = Math.Clamp(_z + Math.Clamp(z, -Farthest, Farthest), -Farthest, Farthest);
        _buttons = (byte)(buttons & 7);
        Report();
    }

    /// <summary>Gives the controller the next byte.</summary>
    public byte Take()
    {
        _last = (byte)_output.Take();
        if (_output.Count == 0) Report();
        return _last;
    }

    /// <summary>Takes a byte from the controller.</summary>
    public void Write(byte value)
    {
        byte command = _command;
        _command = 0;
        if (_wrap && value is not 0xec and not 0xff)
        {
            Reply(value);
            return;
        }

        if (command != 0)
        {
            WriteParameter(command, value);
            return;
        }

        switch (value)
        {
            case 0xe6 or 0xe7:
                _scaling = value == 0xe7;
                Reply(Acknowledge);
                break;
            case 0xe8 or 0xf3:
                _command = value;
                Reply(Acknowledge);
                break;
            case 0xe9:
                Reply(Acknowledge);
                int mode = (_remote ? 0x40 : 0) | (_reporting ? 0x20 : 0) | (_scaling ? 0x10 : 0);
                _output.Add((ushort)(mode | ((_buttons & 1) << 2) | ((_buttons & 4) >> 1) | ((_buttons & 2) >> 1)));
                _output.Add(_resolution);
                _output.Add(_rate);
                break;
            case 0xea:
                _remote = false;
                Reply(Acknowledge);
                break;
            case 0xeb:
                Reply(Acknowledge);
                AddPacket();
                break;
            case 0xec:
                _wrap = false;
                Reply(Acknowledge);
                break;
            case 0xee:
                _wrap = true;
                Reply(Acknowledge);
                break;
            case 0xf0:
                _remote = true;
                Reply(Acknowledge);
                break;
            case 0xf2:
                Reply(Acknowledge);
                _output.Add(_id);
                break;
            case 0xf4:
                _reporting = true;
                Forget();
                Reply(Acknowledge);
                break;
            case 0xf5:
                _reporting = false;
                Reply(Acknowledge);
                break;
            case 0xf6:
                SetDefaults();
                Reply(Acknowledge);
                break;
            case 0xfe:
                Reply(_last);
                break;
            case 0xff:
                Reset();
                Reply(Acknowledge);
                _output.Add(SelfTestPassed);
                _output.Add(0);
                break;
            default:
                MisuseCount++;
                Reply(Resend);
                break;
        }
    }

    /// <summary>The state after power-on.</summary>
    public void Reset()
    {
        SetDefaults();
        _id = 0;
        _knock = 0;
        _wrap = false;
        _command = 0;
        _output.Clear();
    }

    /// <summary>Visits the fields.</summary>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Field("mouse_id", ref _id);
        visitor.Field("mouse_reporting", ref _reporting);
        visitor.Field("mouse_remote", ref _remote);
        visitor.Field("mouse_wrap", ref _wrap);
        visitor.Field("mouse_scaling", ref _scaling);
        visitor.Field("mouse_resolution", ref _resolution);
        visitor.Field("mouse_rate", ref _rate);
        visitor.Field("mouse_command", ref _command);
        visitor.Field("mouse_knock", ref _knock);
        visitor.Field("mouse_buttons", ref _buttons);
        visitor.Field("mouse_reported_buttons", ref _reportedButtons);
        visitor.Field("mouse_x", ref _x);
        visitor.Field("mouse_y", ref _y);
        visitor.Field("mouse_z", ref _z);
        visitor.Field("mouse_last", ref _last);
        _output.DescribeState(visitor, "mouse_output");
    }

    private void WriteParameter(byte command, byte value)
    {
        if (command == 0xe8)
        {
            _resolution = (byte)(value & 3);
        }
        else
        {
            _rate = value;
            _knock = (value, _knock) switch
            {
                (200, _) => 1,
                (100, 1) => 2,
                (80, 2) => 3,
                _ => 0,
            };
            if (_knock == 3) _id = Wheel;
        }

        Reply(Acknowledge);
    }

    private void SetDefaults()
    {
        _reporting = _remote = _scaling = false;
        _resolution = 2;
        _rate = 100;
        Forget();
    }

    private void Forget()
    {
        _x = _y = _z = 0;
        _reportedButtons = _buttons;
    }

    private void Reply(byte value)
    {
        _output.Clear();
        _output.Add(value);
    }

    /// <summary>Sends movement if there is some. What does not fit into the queue waits until the guest reads.</summary>
    private void Report()
    {
        if (!_reporting || _remote || _wrap) return;
        while (_output.Space >= 4 && (_x != 0 || _y != 0 || (_id == Wheel && _z != 0) || _buttons != _reportedButtons)) AddPacket();
    }

    private void AddPacket()
    {
        int x = Math.Clamp(_x, -255, 255);
        int y = Math.Clamp(_y, -255, 255);
        int z = Math.Clamp(_z, -8, 7);
        _x -= x;
        _y -= y;
        _z -= z;
        _reportedButtons = _buttons;
        _output.Add((ushort)(0x08 | _buttons | (x < 0 ? 0x10 : 0) | (y < 0 ? 0x20 : 0)));
        _output.Add((byte)x);
        _output.Add((byte)y);
        if (_id == Wheel) _output.Add((byte)z);
        else _z = 0;
    }
}
