namespace Ringfence.Devices;

/// <summary>A PS/2 keyboard with scan code sets 1 and 2, as the keyboard controller sees it: bytes in, bytes out. Keys do not repeat.</summary>
internal sealed class Ps2Keyboard
{
    private const byte Acknowledge = 0xfa;
    private const byte Resend = 0xfe;
    private const byte SelfTestPassed = 0xaa;

    private readonly ByteQueue _output = new(64);
    private bool _scanning = true;
    private byte _set = 2;
    private byte _leds;
    private byte _command;
    private byte _last;

    /// <summary>Bytes that wait for the controller.</summary>
    public int Count => _output.Count;

    /// <summary>Bits 0 to 2: scroll lock, num lock, caps lock.</summary>
    public byte Leds => _leds;

    /// <summary>Commands the keyboard does not know.</summary>
    public ulong MisuseCount { get; private set; }

    /// <summary>Presses or releases a key. False if nobody listens or the keyboard's buffer is full: nothing was sent.</summary>
    public bool Press(Key key, bool down)
    {
        if (!_scanning) return false;
        Span<byte> codes = stackalloc byte[8];
        int length = Encode(key, down, codes);
        if (_output.Space < length) return false;
        foreach (byte code in codes[..length]) _output.Add(code);
        return true;
    }

    /// <summary>Sends bytes of the current scan code set as they are. False if they do not fit.</summary>
    public bool SendRaw(ReadOnlySpan<byte> codes)
    {
        if (!_scanning || _output.Space < codes.Length) return false;
        foreach (byte code in codes) _output.Add(code);
        return true;
    }

    /// <summary>Gives the controller the next byte.</summary>
    public byte Take() => _last = (byte)_output.Take();

    /// <summary>Takes a byte from the controller.</summary>
    public void Write(byte value)
    {
        byte command = _command;
        _command = 0;
        if (command != 0 && value < 0xed)
        {
            WriteParameter(command, value);
            return;
        }

        switch (value)
        {
            case 0xed or 0xf0 or 0xf3 or 0xfb or 0xfc or 0xfd:
                _command = value;
                Reply(Acknowledge);
                break;
            case 0xee:
                Reply(0xee);
                break;
            case 0xf2:
                Reply(Acknowledge);
                _output.Add(0xab);
                _output.Add(0x83);
                break;
            case 0xf4:
                _scanning = true;
                Reply(Acknowledge);
                break;
            case 0xf5:
                SetDefaults();
                _scanning = false;
                Reply(Acknowledge);
                break;
            case 0xf6:
                SetDefaults();
                Reply(Acknowledge);
                break;
            case >= 0xf7 and <= 0xfa:
                // Typematic and make/break settings of set 3.
                Reply(Acknowledge);
                break;
            case 0xfe:
                Reply(_last);
                break;
            case 0xff:
                Reset();
                Reply(Acknowledge);
                _output.Add(SelfTestPassed);
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
        _scanning = true;
        _leds = 0;
        _command = 0;
        _output.Clear();
    }

    /// <summary>Visits the fields.</summary>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Field("keyboard_scanning", ref _scanning);
        visitor.Field("keyboard_set", ref _set);
        visitor.Field("keyboard_leds", ref _leds);
        visitor.Field("keyboard_command", ref _command);
        visitor.Field("keyboard_last", ref _last);
        _output.DescribeState(visitor, "keyboard_output");
    }

    private void WriteParameter(byte command, byte value)
    {
        switch (command)
        {
            case 0xed:
                _leds = (byte)(value & 7);
                break;
            case 0xf0 when value == 0:
                Reply(Acknowledge);
                _output.Add(_set);
                return;
            case 0xf0 when value is 1 or 2:
                _set = value;
                break;
            case 0xf0:
                MisuseCount++;
                Reply(Resend);
                return;
        }

        Reply(Acknowledge);
    }

    /// <summary>A command ends what the keyboard was sending.</summary>
    private void Reply(byte value)
    {
        _output.Clear();
        _output.Add(value);
    }

    private void SetDefaults() => _set = 2;

    private int Encode(Key key, bool down, Span<byte> codes)
    {
        int length = 0;
        byte code = (byte)key;
        if (key == Key.Pause)
        {
            // Sent when pressed, with its own break code; nothing when released.
            if (!down) return 0;
            codes[length++] = 0xe1;
            length = Put(codes, length, 0x14, true);
            length = Put(codes, length, 0x77, true);
            codes[length++] = 0xe1;
            length = Put(codes, length, 0x14, false);
            return Put(codes, length, 0x77, false);
        }

        bool extended = (ushort)key >> 8 == 0xe0;
        if (key == Key.PrintScreen)
        {
            codes[length++] = 0xe0;
            length = Put(codes, length, down ? (byte)0x12 : code, down);
            codes[length++] = 0xe0;
            return Put(codes, length, down ? code : (byte)0x12, down);
        }

        if (extended) codes[length++] = 0xe0;
        return Put(codes, length, code, down);
    }

    private int Put(Span<byte> codes, int length, byte code, bool down)
    {
        if (_set == 1)
        {
            byte translated = ScanCodes.Translate(code);
            codes[length++] = down ? translated : (byte)(translated | ScanCodes.Set1Break);
            return length;
        }

        if (!down) codes[length++] = ScanCodes.Break;
        codes[length++] = code;
        return length;
    }
}
