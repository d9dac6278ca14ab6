using Ringfence.Devices;

namespace Ringfence.Firmware.Bios;

/// <summary>INT 15h function C2h and IRQ 12: the PS/2 mouse (IBM PS/2 and PC BIOS Interface Technical Reference, "pointing device").</summary>
/// <param name="machine">The machine.</param>
internal sealed class BiosMouse(FirmwareMachine machine)
{
    private const int DataPort = 0x60;
    private const int CommandPort = 0x64;
    private const byte OutputFull = 1;
    private const byte Acknowledge = 0xfa;

    private readonly byte[] _packet = new byte[8];
    private int _received;
    private int _packetBytes = 3;
    private bool _hasHandler;

    /// <summary>RESET.</summary>
    public void Reset()
    {
        _received = 0;
        _packetBytes = 3;
        _hasHandler = false;
    }

    /// <summary>Visits the state.</summary>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Bytes("mouse_packet", _packet);
        visitor.Field("mouse_received", ref _received);
        visitor.Field("mouse_packet_bytes", ref _packetBytes);
        visitor.Field("mouse_has_handler", ref _hasHandler);
        _packetBytes = Math.Clamp(_packetBytes, 1, _packet.Length);
        _received = Math.Clamp(_received, 0, _packetBytes - 1);
    }

    /// <summary>Takes a byte of IRQ 12.</summary>
    /// <returns>Whether a movement is complete and its handler is to be called.</returns>
    public bool Receive(byte value)
    {
        if (!_hasHandler) return false;
        _packet[_received++] = value;
        if (_received < _packetBytes) return false;
        _received = 0;
        ulong arguments = machine.Extension + BiosData.MouseArguments;
        machine.Write16(arguments, _packet[0]);
        machine.Write16(arguments + 2, _packet[1]);
        machine.Write16(arguments + 4, _packetBytes > 2 ? _packet[2] : 0);
        return machine.Read32(machine.Extension + BiosData.MouseHandler) != 0;
    }

    /// <summary>INT 15h with AH = C2h.</summary>
    public bool Serve(ServiceFrame f)
    {
        const byte BadFunction = 1, BadInput = 2, NoHandler = 5;
        byte status;
        switch (f.Al)
        {
            case 0x00:
                status = f.Bh > 1 ? BadInput : f.Bh == 1 && !_hasHandler ? NoHandler : Enable(f.Bh == 1);
                break;
            case 0x01:
                status = Command(0xff);
                _received = 0;
                f.Bx = 0x00aa;
                SetMode(mouseInterrupts: false);
                break;
            case 0x02:
                ReadOnlySpan<byte> rates = [10, 20, 40, 60, 80, 100, 200];
                status = f.Bh < rates.Length ? Command(0xf3, rates[f.Bh]) : BadInput;
                break;
            case 0x03:
                status = f.Bh < 4 ? Command(0xe8, f.Bh) : BadInput;
                break;
            case 0x04:
                Span<byte> id = stackalloc byte[1];
                status = Command(id, 0xf2);
                f.Bh = id[0];
                break;
            case 0x05:
                if (f.Bh is < 1 or > 8)
                {
                    status = BadInput;
                    break;
                }

                _packetBytes = f.Bh;
                goto case 0x01;
            case 0x06:
                if (f.Bh == 0)
                {
                    Span<byte> answer = stackalloc byte[3];
                    status = Command(answer, 0xe9);
                    f.Bl = answer[0];
                    f.Cl = answer[1];
                    f.Dl = answer[2];
                }
                else
                {
                    status = f.Bh == 1 ? Command(0xe6) : f.Bh == 2 ? Command(0xe7) : BadInput;
                }

                break;
            case 0x07:
                machine.Write16(machine.Extension + BiosData.MouseHandler, f.Bx);
                machine.Write16(machine.Extension + BiosData.MouseHandler + 2, f.Es);
                _hasHandler = f.Bx != 0 || f.Es != 0;
                status = 0;
                break;
            default:
                status = BadFunction;
                break;
        }

        f.Ah = status;
        f.Carry = status != 0;
        return status != BadFunction;
    }

    private byte Enable(bool enable)
    {
        _received = 0;
        byte status = Command(enable ? (byte)0xf4 : (byte)0xf5);
        SetMode(mouseInterrupts: enable);
        if (enable) machine.Out8(0xa1, machine.In8(0xa1) & ~0x10);
        return status;
    }

    private byte Command(params ReadOnlySpan<byte> bytes) => Command([], bytes);

    /// <summary>Sends bytes to the mouse and takes their acknowledgements and its answer, with its interrupt off meanwhile.</summary>
    private byte Command(Span<byte> answer, params ReadOnlySpan<byte> bytes)
    {
        const byte InterfaceError = 3;
        byte mode = ReadMode();
        WriteMode((byte)(mode & ~0x03));
        byte status = 0;
        foreach (byte value in bytes)
        {
            machine.Out8(CommandPort, 0xd4);
            machine.Out8(DataPort, value);
            if (Take() != Acknowledge) status = InterfaceError;
        }

        for (int i = 0; i < answer.Length; i++) answer[i] = Take();
        if (bytes is [0xff])
        {
            // The result of the self-test and the mouse's identification.
            Take();
            Take();
        }

        WriteMode(mode);
        return status;
    }

    /// <summary>The next byte of the mouse: keys that come between are lost, as on a PC.</summary>
    private byte Take()
    {
        for (int i = 0; i < 32; i++)
        {
            byte state = machine.In8(CommandPort);
            if ((state & OutputFull) == 0) return 0;
            byte value = machine.In8(DataPort);
            if ((state & 0x20) != 0) return value;
        }

        return 0;
    }

    private void SetMode(bool mouseInterrupts)
    {
        byte mode = ReadMode();
        WriteMode((byte)(mouseInterrupts ? (mode | 0x02) & ~0x20 : mode & ~0x02));
    }

    private byte ReadMode()
    {
        // What waits in the output buffer would be taken for the answer.
        for (int i = 0; i < 32 && (machine.In8(CommandPort) & OutputFull) != 0; i++) machine.In8(DataPort);
        machine.Out8(CommandPort, 0x20);
        return machine.In8(DataPort);
    }

    private void WriteMode(byte mode)
    {
        machine.Out8(CommandPort, 0x60);
        machine.Out8(DataPort, mode);
    }
}
