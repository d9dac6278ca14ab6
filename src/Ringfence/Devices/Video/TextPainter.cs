using System.Runtime.InteropServices;

namespace Ringfence.Devices.Video;

/// <summary>
/// Draws text modes: of every cell it remembers what it has drawn, and draws it again when character, attribute, cursor or blinking differ.
/// Planes 0 and 1 hold characters and attributes, plane 2 the fonts, 32 bytes a character.
/// </summary>
/// <param name="memory">The frame memory.</param>
internal sealed class TextPainter(IFrameMemory memory)
{
    /// <summary>Time after which the cursor appears or vanishes: 16 pictures at 70 Hz. Characters blink half as fast.</summary>
    public const long CursorBlink = TickMath.Second * 16 / 70;

    private const int FontBytes = 256 * 32;
    private const uint IsCursor = 1 << 16;
    private const uint IsHidden = 1 << 17;
    private const int ShapeShift = 18;

    private readonly byte[] _fonts = new byte[2 * FontBytes];
    private uint[] _cells = [];
    private long _phase = -1;
    private uint _cursor;

    /// <summary>Draws what has changed.</summary>
    /// <param name="canvas">The canvas, as large as the layout.</param>
    /// <param name="layout">The layout.</param>
    /// <param name="registers">For the cursor.</param>
    /// <param name="colors">The colors.</param>
    /// <param name="now">Guest time.</param>
    /// <param name="isStale">Draw everything?</param>
    /// <param name="isTouched">Has memory been written?</param>
    /// <returns>Number of lines that were drawn in part.</returns>
    public int Paint(VideoCanvas canvas, in VideoLayout layout, VideoRegisters registers, VideoColors colors, long now, bool isStale, bool isTouched)
    {
        long phase = now / CursorBlink;
        TextCursor cursor = new(registers, layout.RowHeight);
        if (!isStale && !isTouched && phase == _phase && cursor.Key == _cursor) return 0;
        _phase = phase;
        _cursor = cursor.Key;
        if (isStale || isTouched) isStale |= CopyFonts(layout);

        int columns = layout.Characters + (layout.Panning != 0 ? 1 : 0);
        bool cursorShown = (phase & 1) == 0;
        bool blinkersHidden = (phase & 2) != 0;
        ReadOnlySpan<uint> planes = MemoryMarshal.Cast<byte, uint>(memory.Bytes);
        int drawn = 0;
        int first = 0;
        for (int y = 0; y < layout.Height;)
        {
            TextBand band = new(layout, y);
            if (_cells.Length < first + columns) Array.Resize(ref _cells, Math.Max(first + columns, _cells.Length * 2));
            Span<uint> cells = _cells.AsSpan(first, columns);
            bool isDrawn = false;
            bool isChanged = false;
            for (int column = 0; column < columns; column++)
            {
                int counter = band.Counter + (column >> layout.CountShift);
                uint cell = planes[layout.OffsetOf(counter, band.RowScan)] & 0xffff;
                if (layout.Blinks && (cell & 0x8000) != 0 && blinkersHidden) cell |= IsHidden;
                if (cursorShown && cursor.IsAt(counter)) cell |= IsCursor | (cursor.Key << ShapeShift);
                if (!isStale && cell == cells[column]) continue;
                cells[column] = cell;
                isDrawn = true;
                isChanged |= DrawCell(canvas, layout, colors.Attributes, band, column, cell, cursor);
            }

            if (isDrawn) drawn += band.End - y;
            if (isChanged) canvas.Mark(y, band.End);
            first += columns;
            y = band.End;
        }

        return drawn;
    }

    private bool CopyFonts(in VideoLayout layout) => CopyFont(layout.FontA, 0) | (layout.FontB != layout.FontA && CopyFont(layout.FontB, FontBytes));

    private bool CopyFont(int offset, int to)
    {
        ReadOnlySpan<byte> bytes = memory.Bytes.Slice(4 * offset, 4 * FontBytes);
        bool isChanged = false;
        Span<byte> font = _fonts.AsSpan(to, FontBytes);
        for (int i = 0; i < FontBytes; i++)
        {
            byte value = bytes[(4 * i) + 2];
            isChanged |= font[i] != value;
            font[i] = value;
        }

        return isChanged;
    }

    private bool DrawCell(VideoCanvas canvas, in VideoLayout layout, ReadOnlySpan<uint> colors, in TextBand band, int column, uint cell, in TextCursor cursor)
    {
        byte character = (byte)cell;
        int attribute = (int)(cell >> 8) & 0xff;
        uint foreground = colors[attribute & 15];
        uint background = colors[layout.Blinks ? (attribute >> 4) & 7 : attribute >> 4];
        bool isUnderlined = layout.UnderlineRow >= 0 && (attribute & 7) == 1;
        bool extends = layout.CharacterWidth == 9 && layout.ExtendsBoxes && character is >= 0xc0 and <= 0xdf;
        int font = (attribute & 8) != 0 || layout.FontA == layout.FontB ? 0 : FontBytes;
        ReadOnlySpan<byte> glyph = _fonts.AsSpan(font + (character * 32), 32);
        int repeat = layout.IsHalfClock ? 2 : 1;
        int left = ((column * layout.CharacterWidth) - layout.PanningAt(band.IsBelow)) * repeat;
        int width = layout.CharacterWidth * repeat;
        Span<uint> dots = stackalloc uint[18];
        bool isChanged = false;
        for (int y = band.First; y < band.End; y++)
        {
            int row = band.RowScan + ((y - band.First) >> (layout.IsDoubleScan ? 1 : 0));
            int bits = glyph[row & 31] << 1;
            if (extends) bits |= (bits >> 1) & 1;
            if ((cell & IsHidden) != 0) bits = 0;
            if (isUnderlined && row == layout.UnderlineRow) bits = 0x1ff;
            if ((cell & IsCursor) != 0 && cursor.Covers(row)) bits = 0x1ff;
            for (int dot = 0; dot < width; dot++) dots[dot] = (bits & (0x100 >> (dot / repeat))) != 0 ? foreground : background;
            int from = Math.Max(0, -left);
            int to = Math.Min(width, layout.Width - left);
            if (from >= to) continue;
            Span<uint> old = canvas.Line(y)[(left + from)..(left + to)];
            if (dots[from..to].SequenceEqual(old)) continue;
            dots[from..to].CopyTo(old);
            isChanged = true;
        }

        return isChanged;
    }
}
