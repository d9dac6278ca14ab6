using System.Runtime.InteropServices;

namespace Ringfence.Devices.Video;

/// <summary>Reads the characters of a text mode from the planes.</summary>
internal static class TextReader
{
    /// <summary>Reads the rows that are shown whole.</summary>
    public static TextScreen Read(in VideoLayout layout, VideoRegisters registers, IFrameMemory memory)
    {
        ReadOnlySpan<uint> planes = MemoryMarshal.Cast<byte, uint>(memory.Bytes);
        TextCursor cursor = new(registers, layout.RowHeight);
        (int Column, int Row)? cursorAt = null;
        List<TextCell> cells = [];
        int rows = 0;
        for (int y = 0; y < layout.Height;)
        {
            TextBand band = new(layout, y);
            y = band.End;
            if (band.End - band.First < layout.RowHeight << (layout.IsDoubleScan ? 1 : 0)) continue;
            for (int column = 0; column < layout.Characters; column++)
            {
                int counter = band.Counter + (column >> layout.CountShift);
                uint cell = planes[layout.OffsetOf(counter, band.RowScan)];
                int attribute = (int)(cell >> 8) & 0xff;
                int background = layout.Blinks ? (attribute >> 4) & 7 : attribute >> 4;
                cells.Add(new TextCell((byte)cell, (byte)(attribute & 15), (byte)background, layout.Blinks && attribute >= 0x80));
                if (cursor.IsAt(counter)) cursorAt ??= (column, rows);
            }

            rows++;
        }

        return new TextScreen(layout.Characters, rows, [.. cells], cursorAt);
    }
}
