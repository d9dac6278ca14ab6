namespace Ringfence.Firmware.Bios;

/// <summary>
/// INT 10h (IBM PS/2 and PC BIOS Interface Technical Reference, "video"; EGA and VGA functions there). It programs the adapter at its ports and draws in
/// its memory like any program; in a machine without an adapter both go nowhere. This part: modes and what belongs to them.
/// </summary>
internal sealed partial class BiosVideo
{
    private const int SequencerPort = 0x3c4;
    private const int GraphicsPort = 0x3ce;
    private const int AttributePort = 0x3c0;
    private const int StatusPort = 0x3da;
    private const int DacMask = 0x3c6;
    private const int DacWriteIndex = 0x3c8;
    private const int DacReadIndex = 0x3c7;
    private const int DacData = 0x3c9;
    private const byte ShowAttributes = 0x20;
    private const byte NoClear = 0x80;

    private readonly FirmwareMachine _machine;
    private readonly FirmwareOptions _options;
    private readonly BiosVesa _vesa;

    /// <summary>Makes the service.</summary>
    /// <param name="machine">The machine.</param>
    /// <param name="options">Where else text goes.</param>
    public BiosVideo(FirmwareMachine machine, FirmwareOptions options)
    {
        _machine = machine;
        _options = options;
        _vesa = new BiosVesa(machine, this);
    }

    private int CrtcPort => _machine.Read16(BiosData.CrtcPort) is var port && port is 0x3b4 or 0x3d4 ? port : 0x3d4;

    private VideoMode Mode => VideoMode.Find(_machine.Read8(BiosData.VideoMode) & 0x7f) ?? VideoMode.All[3];

    private int Columns => Math.Clamp(_machine.Read16(BiosData.Columns), (ushort)1, (ushort)160);

    private int Rows => Math.Clamp(_machine.Read8(BiosData.LastRow) + 1, 1, 120);

    private int CharacterHeight => Math.Clamp(_machine.Read16(BiosData.CharacterHeight), (ushort)1, (ushort)32);

    private int ActivePage => _machine.Read8(BiosData.ActivePage) & 7;

    /// <summary>INT 10h.</summary>
    public bool Serve(ServiceFrame f)
    {
        switch (f.Ah)
        {
            case 0x00:
                _vesa.Off();
                SetMode(f.Al);
                f.Al = (f.Al & 0x7f) switch { 6 => 0x3f, > 7 => 0x20, _ => 0x30 };
                return true;
            case 0x01:
                _machine.Write16(BiosData.CursorShape, f.Cx);
                SetCursorShape(f.Ch, f.Cl);
                return true;
            case 0x02:
                SetCursor(f.Bh & 7, f.Dl, f.Dh);
                return true;
            case 0x03:
                (int column, int row) = Cursor(f.Bh & 7);
                f.Dx = (ushort)((row << 8) | column);
                f.Cx = _machine.Read16(BiosData.CursorShape);
                return true;
            case 0x04:
                f.Ah = 0;
                return true;
            case 0x05:
                SelectPage(f.Al & 7);
                return true;
            case 0x06:
                Scroll(ActivePage, f.Al, f.Bh, f.Cl, f.Ch, f.Dl, f.Dh, up: true);
                return true;
            case 0x07:
                Scroll(ActivePage, f.Al, f.Bh, f.Cl, f.Ch, f.Dl, f.Dh, up: false);
                return true;
            case 0x08:
                f.Ax = ReadCell(f.Bh & 7);
                return true;
            case 0x09:
                WriteCells(f.Bh & 7, f.Al, f.Bl, f.Cx, withAttribute: true);
                return true;
            case 0x0a:
                WriteCells(f.Bh & 7, f.Al, f.Bl, f.Cx, withAttribute: false);
                return true;
            case 0x0b:
                SetCgaPalette(f.Bh, f.Bl);
                return true;
            case 0x0c:
                WritePoint(f.Bh & 7, f.Cx, f.Dx, f.Al);
                return true;
            case 0x0d:
                f.Al = ReadPoint(f.Bh & 7, f.Cx, f.Dx);
                return true;
            case 0x0e:
                // Programs put anything into BH; the character belongs to the page that is seen.
                Teletype(ActivePage, f.Al, f.Bl);
                return true;
            case 0x0f:
                f.Al = _machine.Read8(BiosData.VideoMode);
                f.Al |= (byte)(_machine.Read8(BiosData.VideoControl) & NoClear);
                f.Ah = (byte)Columns;
                f.Bh = (byte)ActivePage;
                return true;
            case 0x10:
                return ServePalette(f);
            case 0x11:
                return ServeFont(f);
            case 0x12:
                return ServeAlternate(f);
            case 0x13:
                WriteString(f);
                return true;
            case 0x1a:
                if (f.Al == 0) f.Bx = _machine.Read8(BiosData.DisplayCombination) == 7 ? (ushort)7 : (ushort)8;
                f.Al = 0x1a;
                return true;
            case 0x1b:
                ReportState(f);
                return true;
            case 0x4f:
                return _vesa.Serve(f);
            default:
                return false;
        }
    }

    /// <summary>Prints a text with the teletype function.</summary>
    public void Print(string text)
    {
        foreach (char character in text)
        {
            if (character == '\n') Teletype(ActivePage, 0x0d, 7);
            Teletype(ActivePage, (byte)character, 7);
        }
    }

    /// <summary>Sets a mode.</summary>
    /// <param name="number">Its number; bit 7: memory stays as it is.</param>
    public void SetMode(byte number)
    {
        if (VideoMode.Find(number & 0x7f) is not { } mode) return;
        bool keep = (number & NoClear) != 0;
        SetRegisters(mode);
        SetColors(mode);

        int port = (mode.Miscellaneous & 1) != 0 ? 0x3d4 : 0x3b4;
        _machine.Write8(BiosData.VideoMode, mode.Number);
        _machine.Write16(BiosData.Columns, mode.Columns);
        _machine.Write16(BiosData.PageBytes, mode.PageBytes);
        _machine.Write16(BiosData.PageStart, 0);
        for (ulong page = 0; page < 8; page++) _machine.Write16(BiosData.CursorPositions + (2 * page), 0);
        _machine.Write16(BiosData.CursorShape, 0x0607);
        _machine.Write8(BiosData.ActivePage, 0);
        _machine.Write16(BiosData.CrtcPort, port);
        _machine.Write8(BiosData.CgaMode, mode.Number switch { 0 => 0x2c, 1 => 0x28, 2 => 0x2d, 3 => 0x29, 4 => 0x2a, 5 => 0x2e, 6 => 0x1e, _ => 0x29 });
        _machine.Write8(BiosData.CgaPalette, mode.Number == 6 ? 0x3f : 0x30);
        _machine.Write8(BiosData.LastRow, mode.Rows - 1);
        _machine.Write16(BiosData.CharacterHeight, mode.CharacterHeight);
        _machine.Write8(BiosData.VideoControl, 0x60 | (keep ? NoClear : 0));
        _machine.Write8(BiosData.VideoSwitches, 0xf9);
        _machine.Write8(BiosData.VideoFlags, 0x51);
        _machine.Write8(BiosData.DisplayCombination, (mode.Miscellaneous & 1) != 0 ? 8 : 7);
        _machine.Write32(0x43 * 4, FontPointer(mode.CharacterHeight));
        _machine.Write32(0x1f * 4, ((uint)BiosImage.Segment << 16) | BiosImage.Font8Upper);

        if (mode.Memory == VideoMemory.Text)
        {
            LoadFont(0, BiosFont.Tall, 0, 16);
            if (!keep) ClearText(mode);
        }
        else if (!keep)
        {
            Clear(mode.Window, mode.Memory == VideoMemory.Cga ? 0x4000 : 0x1_0000);
        }

        SetCursorShape(0x06, 0x07);
        SetCursor(0, 0, 0);
        ShowAttributeColors();
    }

    private static uint FontPointer(int height) => ((uint)BiosImage.Segment << 16) | height switch { 16 => BiosImage.Font16, 14 => BiosImage.Font14, _ => BiosImage.Font8 };

    private void SetRegisters(VideoMode mode)
    {
        int crtc = (mode.Miscellaneous & 1) != 0 ? 0x3d4 : 0x3b4;
        int status = crtc + 6;
        Set(SequencerPort, 0, 1);
        for (int i = 0; i < mode.Sequencer.Length; i++) Set(SequencerPort, i + 1, mode.Sequencer[i]);
        _machine.Out8(0x3c2, mode.Miscellaneous);
        Set(SequencerPort, 0, 3);

        // Bit 7 of register 11h protects the first eight.
        Set(crtc, 0x11, mode.Crtc[0x11] & 0x7f);
        for (int i = 0; i < mode.Crtc.Length; i++) Set(crtc, i, mode.Crtc[i]);
        for (int i = 0; i < mode.Graphics.Length; i++) Set(GraphicsPort, i, mode.Graphics[i]);
        _machine.In8(status);
        for (int i = 0; i < mode.Attributes.Length; i++)
        {
            _machine.Out8(AttributePort, i);
            _machine.Out8(AttributePort, mode.Attributes[i]);
        }
    }

    private void SetColors(VideoMode mode)
    {
        _machine.Out8(DacMask, 0xff);
        _machine.Out8(DacWriteIndex, 0);
        foreach (byte part in BiosPalette.Build(mode.Palette)) _machine.Out8(DacData, part);
    }

    private void ShowAttributeColors()
    {
        _machine.In8(CrtcPort + 6);
        _machine.Out8(AttributePort, ShowAttributes);
    }

    private void Set(int port, int index, int value) => _machine.Out16(port, index | (value << 8));

    private byte Get(int port, int index)
    {
        _machine.Out8(port, index);
        return _machine.In8(port + 1);
    }

    private void Clear(ulong window, int length) => _machine.Clear(window, length);

    private void ClearText(VideoMode mode)
    {
        Span<byte> blanks = stackalloc byte[256];
        for (int i = 0; i < blanks.Length; i += 2)
        {
            blanks[i] = (byte)' ';
            blanks[i + 1] = 7;
        }

        int length = 8 * mode.PageBytes;
        for (int done = 0; done < length; done += blanks.Length) _machine.Write(mode.Window + (ulong)done, blanks);
    }

    private void SelectPage(int page)
    {
        VideoMode mode = Mode;
        int start = page * _machine.Read16(BiosData.PageBytes);
        if (start >= (mode.Memory == VideoMemory.Planar ? 0x1_0000 : 0x8000)) return;
        _machine.Write8(BiosData.ActivePage, page);
        _machine.Write16(BiosData.PageStart, start);
        int address = mode.Memory == VideoMemory.Text ? start / 2 : start;
        Set(CrtcPort, 0x0c, address >> 8);
        Set(CrtcPort, 0x0d, address & 0xff);
        (int column, int row) = Cursor(page);
        SetCursor(page, column, row);
    }

    /// <summary>INT 10h function 1Bh: what the adapter can do and how it is set.</summary>
    private void ReportState(ServiceFrame f)
    {
        ulong at = ServiceFrame.Address(f.Es, f.Di);
        _machine.Clear(at, 64);
        _machine.Write16(at, BiosImage.VideoAbilities);
        _machine.Write16(at + 2, BiosImage.Segment);
        Span<byte> area = stackalloc byte[30];
        _machine.Read(BiosData.VideoMode, area);
        _machine.Write(at + 4, area);
        _machine.Write8(at + 0x22, Rows);
        _machine.Write16(at + 0x23, CharacterHeight);
        _machine.Write8(at + 0x25, 8);
        VideoMode mode = Mode;
        _machine.Write16(at + 0x27, mode.Memory == VideoMemory.Packed ? 256 : mode.BitsPerPoint == 0 ? 16 : 1 << mode.BitsPerPoint);
        _machine.Write8(at + 0x29, mode.Memory == VideoMemory.Text ? 8 : 1);
        _machine.Write8(at + 0x2a, mode.Height switch { 200 => 0, 350 => 1, 480 => 3, _ => 2 });
        _machine.Write8(at + 0x31, 3);
        f.Al = 0x1b;
    }
}
