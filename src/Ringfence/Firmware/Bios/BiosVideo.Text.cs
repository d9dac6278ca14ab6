using Ringfence.Machines;

namespace Ringfence.Firmware.Bios;

/// <summary>INT 10h: the cursor and characters.</summary>
internal sealed partial class BiosVideo
{
    private (int Column, int Row) Cursor(int page)
    {
        ushort position = _machine.Read16(BiosData.CursorPositions + (2UL * (uint)page));
        return (position & 0xff, position >> 8);
    }

    private void SetCursor(int page, int column, int row)
    {
        _machine.Write16(BiosData.CursorPositions + (2UL * (uint)page), (row << 8) | column);
        if (page != ActivePage) return;
        int address = (_machine.Read16(BiosData.PageStart) / 2) + (row * Columns) + column;
        Set(CrtcPort, 0x0e, (address >> 8) & 0xff);
        Set(CrtcPort, 0x0f, address & 0xff);
    }

    /// <summary>Programs give the lines of a character of 8: they are stretched to what it has, unless they say otherwise.</summary>
    private void SetCursorShape(byte first, byte last)
    {
        int height = CharacterHeight;
        int start = first & 0x1f, end = last & 0x1f;
        bool emulates = (_machine.Read8(BiosData.VideoControl) & 1) == 0;
        if (emulates && height > 8 && start < 8 && end < 8 && (first & 0x20) == 0)
        {
            bool isLow = end == start + 1 || end == start;
            start = isLow && end >= 6 ? height - 3 : (start + 1) * height / 8 - 1;
            end = isLow && end >= 6 ? height - 2 : ((end + 1) * height / 8) - 1;
        }

        Set(CrtcPort, 0x0a, (first & 0x20) | start);
        Set(CrtcPort, 0x0b, end);
    }

    private ulong CellAddress(VideoMode mode, int page, int column, int row) =>
        mode.Window + ((ulong)(uint)((page * _machine.Read16(BiosData.PageBytes)) + (2 * ((row * Columns) + column))) & 0x7fff);

    private ushort ReadCell(int page)
    {
        VideoMode mode = Mode;
        (int column, int row) = Cursor(page);
        return mode.Memory == VideoMemory.Text ? _machine.Read16(CellAddress(mode, page, column, row)) : (ushort)RecognizeCharacter(mode, page, column, row);
    }

    private void WriteCells(int page, byte character, byte attribute, int count, bool withAttribute)
    {
        VideoMode mode = Mode;
        (int column, int row) = Cursor(page);
        int columns = Columns;
        count = Math.Min(count, (columns * Rows) - Math.Min(columns * Rows, (row * columns) + column));
        for (; count > 0; count--)
        {
            PutCell(mode, page, column, row, character, attribute, withAttribute);
            if (++column < columns) continue;
            column = 0;
            row++;
        }
    }

    private void PutCell(VideoMode mode, int page, int column, int row, byte character, byte attribute, bool withAttribute)
    {
        if (mode.Memory != VideoMemory.Text)
        {
            DrawCharacter(mode, page, column, row, character, attribute);
            return;
        }

        ulong at = CellAddress(mode, page, column, row);
        if (withAttribute) _machine.Write16(at, character | (attribute << 8));
        else _machine.Write8(at, character);
    }

    /// <summary>Function 0Eh.</summary>
    private void Teletype(int page, byte character, byte color)
    {
        Mirror(character);
        Advance(page, character, color, withAttribute: false);
    }

    private void Advance(int page, byte character, byte color, bool withAttribute)
    {
        VideoMode mode = Mode;
        (int column, int row) = Cursor(page);
        switch (character)
        {
            case 0x07:
                return;
            case 0x08:
                column = Math.Max(column - 1, 0);
                break;
            case 0x0a:
                row++;
                break;
            case 0x0d:
                column = 0;
                break;
            default:
                PutCell(mode, page, column, row, character, color, withAttribute);
                column++;
                break;
        }

        int columns = Columns, rows = Rows;
        if (column >= columns)
        {
            column = 0;
            row++;
        }

        if (row >= rows)
        {
            row = rows - 1;
            byte attribute = mode.Memory == VideoMemory.Text ? _machine.Read8(CellAddress(mode, page, column, row) + 1) : (byte)0;
            Scroll(page, 1, attribute, 0, 0, columns - 1, rows - 1, up: true);
        }

        SetCursor(page, column, row);
    }

    private void Mirror(byte character)
    {
        switch (_options.Console)
        {
            case FirmwareConsole.Debug:
                _machine.Platform.WriteConsole(character);
                break;
            case FirmwareConsole.Serial when _machine.Read16(BiosData.SerialPorts) is var port && port != 0:
                _machine.Out8(port, character);
                break;
        }
    }

    /// <summary>Functions 06h and 07h: moves the lines of a window; 0 lines empty it.</summary>
    private void Scroll(int page, int lines, byte attribute, int left, int top, int right, int bottom, bool up)
    {
        VideoMode mode = Mode;
        right = Math.Min(right, Columns - 1);
        bottom = Math.Min(bottom, Rows - 1);
        if (left > right || top > bottom) return;
        int height = bottom - top + 1;
        if (lines == 0 || lines > height) lines = height;
        if (mode.Memory != VideoMemory.Text)
        {
            ScrollGraphics(mode, page, lines, attribute, left, top, right, bottom, up);
            return;
        }

        byte[] line = new byte[2 * (right - left + 1)];
        for (int i = 0; i < height - lines; i++)
        {
            int to = up ? top + i : bottom - i;
            _machine.Read(CellAddress(mode, page, left, up ? to + lines : to - lines), line);
            _machine.Write(CellAddress(mode, page, left, to), line);
        }

        for (int i = 0; i < line.Length; i += 2)
        {
            line[i] = (byte)' ';
            line[i + 1] = attribute;
        }

        for (int i = 0; i < lines; i++) _machine.Write(CellAddress(mode, page, left, up ? bottom - i : top + i), line);
    }

    /// <summary>Function 13h: AL bit 0 moves the cursor, bit 1: attributes stand between the characters.</summary>
    private void WriteString(ServiceFrame f)
    {
        int page = f.Bh & 7;
        (int column, int row) = Cursor(page);
        SetCursor(page, f.Dl, f.Dh);
        ulong at = ServiceFrame.Address(f.Es, f.Bp);
        int count = Math.Min((int)f.Cx, 0x1000);
        byte attribute = f.Bl;
        for (int i = 0; i < count; i++)
        {
            byte character = _machine.Read8(at++);
            if ((f.Al & 2) != 0) attribute = _machine.Read8(at++);
            Mirror(character);
            Advance(page, character, attribute, withAttribute: true);
        }

        if ((f.Al & 1) == 0) SetCursor(page, column, row);
    }
}
