using Ringfence.Devices;
using Ringfence.Machines;

namespace Ringfence.Firmware.Bios;

/// <summary>
/// IRQ 1's bytes become key codes in the ring buffer of the BIOS data area, INT 16h takes them out (IBM PS/2 and PC BIOS Interface Technical Reference).
/// All state of keys is in the data area, where programs look at it and change it.
/// </summary>
/// <param name="machine">The machine.</param>
/// <param name="options">Whether keys come from COM1, too.</param>
internal sealed class BiosKeyboard(FirmwareMachine machine, FirmwareOptions options)
{
    private const byte RightShift = 0x01, LeftShift = 0x02, Control = 0x04, Alt = 0x08, ScrollLock = 0x10, NumLock = 0x20, CapsLock = 0x40, Insert = 0x80;
    private const byte SystemRequest = 0x04;
    private const byte HadE1 = 0x01, HadE0 = 0x02, RightControl = 0x04, RightAlt = 0x08;
    private const byte PrintScreen = 0x05, BreakKey = 0x1b;

    private readonly PollingRest _rest = new(machine);

    /// <summary>RESET.</summary>
    public void Reset() => _rest.Reset();

    /// <summary>Visits the state.</summary>
    public void DescribeState(IStateVisitor visitor) => _rest.DescribeState(visitor);

    /// <summary>Takes a byte of the keyboard.</summary>
    /// <returns>0, or the interrupt that the key raises.</returns>
    public byte Receive(byte value)
    {
        byte mode = machine.Read8(BiosData.KeyboardMode);
        switch (value)
        {
            case 0xe0:
                machine.Write8(BiosData.KeyboardMode, mode | HadE0);
                return 0;
            case 0xe1:
                machine.Write8(BiosData.KeyboardMode, mode | HadE1);
                return 0;
            case 0xfa or 0xfe or 0xee or 0x00 or 0xff:
                // Acknowledgements and what a keyboard reports when it lost keys; AAh is the release of the left Shift.
                return 0;
        }

        bool extended = (mode & HadE0) != 0;
        bool pause = (mode & HadE1) != 0;
        int code = value & 0x7f;
        bool released = (value & 0x80) != 0;
        if (pause)
        {
            // Pause is E1 1D 45 E1 9D C5: the prefix lasts until Num Lock's code.
            if (code != 0x45) return 0;
            machine.Write8(BiosData.KeyboardMode, mode & ~(HadE1 | HadE0));
            return 0;
        }

        machine.Write8(BiosData.KeyboardMode, mode & ~HadE0);
        // E0 2A and E0 36 are shifts that the keyboard makes up around keys that old keyboards lack.
        if (extended && (code == 0x2a || code == 0x36)) return 0;
        if (ShiftKey(code, released, extended) != 0) return 0;
        return released ? (byte)0 : Press(code, extended);
    }

    /// <summary>INT 16h.</summary>
    public bool Serve(ServiceFrame f)
    {
        _rest.End();
        PollSerial();
        switch (f.Ah)
        {
            case 0x00 or 0x10:
                if (Take(remove: true, f.Ah == 0x10) is { } key) f.Ax = key;
                else f.Answer = ServiceAnswer.Halt;
                return true;
            case 0x01 or 0x11:
                if (Take(remove: false, f.Ah == 0x11) is { } waiting)
                {
                    f.Ax = waiting;
                    f.Zero = false;
                }
                else
                {
                    f.Zero = true;
                    if (f.Step != 0 || !_rest.TryBegin(f)) return true;
                    f.Step = 1;
                    f.Answer = ServiceAnswer.Halt;
                }

                return true;
            case 0x02:
                f.Al = machine.Read8(BiosData.ShiftState);
                return true;
            case 0x03:
                return true;
            case 0x05:
                f.Al = (byte)(Put(f.Cx) ? 0 : 1);
                return true;
            case 0x09:
                f.Al = 0x20;
                return true;
            case 0x0a:
                f.Bx = 0x41ab;
                return true;
            case 0x12:
                f.Al = machine.Read8(BiosData.ShiftState);
                byte keys = machine.Read8(BiosData.ShiftKeys);
                byte mode = machine.Read8(BiosData.KeyboardMode);
                f.Ah = (byte)((keys & 0x73) | ((keys & SystemRequest) << 5) | (mode & (RightControl | RightAlt)));
                return true;
            case 0x92:
                f.Ah = 0x80;
                return true;
            case 0xa2:
                return true;
            default:
                return false;
        }
    }

    /// <summary>The oldest key, taken out of the buffer; null if there is none. For the boot menu.</summary>
    public ushort? TakeKey()
    {
        PollSerial();
        return Take(remove: true, extended: true);
    }

    /// <summary>Puts a key into the buffer.</summary>
    /// <returns>Whether there was room.</returns>
    public bool Put(ushort key)
    {
        ushort tail = machine.Read16(BiosData.KeyTail);
        ushort next = Next(tail);
        if (next == machine.Read16(BiosData.KeyHead)) return false;
        machine.Write16(0x400UL + tail, key);
        machine.Write16(BiosData.KeyTail, next);
        return true;
    }

    private ushort Next(ushort at)
    {
        ushort start = machine.Read16(BiosData.KeyBufferStart);
        ushort end = machine.Read16(BiosData.KeyBufferEnd);
        at += 2;
        return at >= end ? start : at;
    }

    /// <summary>The oldest key. The old functions know neither keys that only 101-key keyboards have nor the code E0h.</summary>
    private ushort? Take(bool remove, bool extended)
    {
        // As often as keys fit: pointers that a program has broken may never meet.
        const int MostKeys = (BiosData.EndOfKeys - BiosData.FirstKey) / 2;
        for (int i = 0; i < MostKeys; i++)
        {
            ushort head = machine.Read16(BiosData.KeyHead);
            if (head == machine.Read16(BiosData.KeyTail)) return null;
            ushort key = machine.Read16(0x400UL + head);
            bool known = true;
            if (!extended)
            {
                if ((byte)key == 0xe0 && key >> 8 != 0) key &= 0xff00;
                else if (key >> 8 == 0xe0) key = (ushort)((byte)key is 0x0d or 0x0a ? 0x1c00 | (byte)key : 0x3500 | (byte)key);
                else if ((byte)key == 0xf0 && key >> 8 != 0) known = false;
                else if (key >> 8 > 0x84) known = false;
            }
            else if ((byte)key == 0xf0 && key >> 8 != 0)
            {
                key &= 0xff00;
            }

            if (remove || !known) machine.Write16(BiosData.KeyHead, Next(head));
            if (known) return key;
        }

        return null;
    }

    /// <summary>Follows the keys that change what others mean.</summary>
    /// <returns>Other than 0 if it is one of them.</returns>
    private byte ShiftKey(int code, bool released, bool extended)
    {
        byte state = machine.Read8(BiosData.ShiftState);
        byte keys = machine.Read8(BiosData.ShiftKeys);
        byte mode = machine.Read8(BiosData.KeyboardMode);
        void Hold(ref byte value, byte bit) => value = (byte)(released ? value & ~bit : value | bit);
        void Toggle(byte bit)
        {
            if (!released && (keys & bit) == 0) state ^= bit;
            Hold(ref keys, bit);
        }

        switch (code)
        {
            case 0x2a:
                Hold(ref state, LeftShift);
                break;
            case 0x36:
                Hold(ref state, RightShift);
                break;
            case 0x1d:
                if (extended) Hold(ref mode, RightControl);
                else Hold(ref keys, 0x01);
                state = (byte)((keys & 0x01) != 0 || (mode & RightControl) != 0 ? state | Control : state & ~Control);
                break;
            case 0x38:
                if (extended) Hold(ref mode, RightAlt);
                else Hold(ref keys, 0x02);
                state = (byte)((keys & 0x02) != 0 || (mode & RightAlt) != 0 ? state | Alt : state & ~Alt);
                if (released) FinishAltNumber();
                break;
            case 0x3a when !extended:
                Toggle(CapsLock);
                break;
            case 0x45 when !extended:
                Toggle(NumLock);
                break;
            case 0x46 when !extended && (state & Control) == 0:
                Toggle(ScrollLock);
                break;
            case 0x52 when released:
                keys &= unchecked((byte)~Insert);
                break;
            default:
                return 0;
        }

        machine.Write8(BiosData.ShiftState, state);
        machine.Write8(BiosData.ShiftKeys, keys);
        machine.Write8(BiosData.KeyboardMode, mode);
        ShowLeds(state);
        return 1;
    }

    private byte Press(int code, bool extended)
    {
        byte state = machine.Read8(BiosData.ShiftState);
        bool alt = (state & Alt) != 0;
        bool control = (state & Control) != 0;
        if (code == 0x53 && alt && control)
        {
            machine.Write16(BiosData.ResetFlag, BiosData.WarmStart);
            machine.Out8(ResetControl.Port, 0);
            machine.Out8(ResetControl.Port, ResetControl.ResetValue);
            return 0;
        }

        if (extended && code == 0x37) return PrintScreen;
        if (extended && code == 0x46)
        {
            ushort start = machine.Read16(BiosData.KeyBufferStart);
            machine.Write16(BiosData.KeyHead, start);
            machine.Write16(BiosData.KeyTail, start);
            machine.Write8(BiosData.Break, 0x80);
            Put(0);
            return BreakKey;
        }

        if (code == 0x52 && !alt && !control)
        {
            byte keys = machine.Read8(BiosData.ShiftKeys);
            if ((keys & Insert) == 0) machine.Write8(BiosData.ShiftState, state ^ Insert);
            machine.Write8(BiosData.ShiftKeys, keys | Insert);
        }

        bool isKeypad = !extended && code is >= KeyTable.KeypadFirst and <= KeyTable.KeypadLast;
        if (alt && isKeypad && AltDigit(code)) return 0;
        bool shift = (state & (LeftShift | RightShift)) != 0;
        if (KeyTable.IsLetter(code) && !extended) shift ^= (state & CapsLock) != 0;
        if (isKeypad) shift ^= (state & NumLock) != 0;
        int column = alt ? 3 : control ? 2 : shift ? 1 : 0;
        ushort key = extended ? KeyTable.Extended(code, column) : KeyTable.Lookup(code, column);
        if (key != 0) Put(key);
        return 0;
    }

    /// <summary>Alt with digits of the number pad makes the character with that number when Alt is released.</summary>
    private bool AltDigit(int code)
    {
        ReadOnlySpan<sbyte> digits = [7, 8, 9, -1, 4, 5, 6, -1, 1, 2, 3, 0, -1];
        int digit = digits[code - KeyTable.KeypadFirst];
        if (digit < 0) return false;
        machine.Write8(BiosData.KeypadNumber, (machine.Read8(BiosData.KeypadNumber) * 10) + digit);
        return true;
    }

    private void FinishAltNumber()
    {
        byte number = machine.Read8(BiosData.KeypadNumber);
        if (number == 0) return;
        machine.Write8(BiosData.KeypadNumber, 0);
        Put(number);
    }

    private void ShowLeds(byte state)
    {
        byte leds = (byte)((state >> 4) & 7);
        byte shown = machine.Read8(BiosData.KeyboardLeds);
        if ((shown & 7) == leds) return;
        // Behind a key that waits no answer would be found; the next key tries again.
        if ((machine.In8(0x64) & 1) != 0) return;
        machine.Write8(BiosData.KeyboardLeds, (shown & ~7) | leds);

        // With its interrupt off, so that the acknowledgements do not come here again.
        machine.Out8(0x64, 0x20);
        byte mode = machine.In8(0x60);
        WriteMode((byte)(mode & ~1));
        machine.Out8(0x60, 0xed);
        TakeAcknowledge();
        machine.Out8(0x60, leds);
        TakeAcknowledge();
        WriteMode(mode);
    }

    private void WriteMode(byte mode)
    {
        machine.Out8(0x64, 0x60);
        machine.Out8(0x60, mode);
    }

    private void TakeAcknowledge()
    {
        if ((machine.In8(0x64) & 0x21) == 1) machine.In8(0x60);
    }

    /// <summary>What was typed at COM1.</summary>
    private void PollSerial()
    {
        if (options.Console != FirmwareConsole.Serial) return;
        ushort port = machine.Read16(BiosData.SerialPorts);
        if (port == 0) return;
        for (int i = 0; i < 16 && (machine.In8(port + 5) & 1) != 0; i++)
        {
            byte character = machine.In8(port);
            if (character == 0x0a) character = 0x0d;
            if (KeyTable.OfCharacter(character) is var key && key != 0) Put(key);
        }
    }
}
