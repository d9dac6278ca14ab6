using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Ringfence.Devices.Video;

/// <summary>Draws the graphics modes of the VGA: of 16 colors, of the CGA, and of 256 colors.</summary>
/// <param name="memory">The frame memory.</param>
internal sealed class PlanePainter(IFrameMemory memory)
{
    // A byte's bits, the highest first, as a byte each.
    private static readonly ulong[] BitsToBytes = MakeBitsToBytes();

    private uint[] _pixels = [];
    private uint[] _line = [];

    /// <summary>Draws the lines whose pages were written.</summary>
    /// <param name="canvas">The canvas, as large as the layout.</param>
    /// <param name="layout">The layout.</param>
    /// <param name="colors">The colors.</param>
    /// <param name="pages">The pages; null: all lines.</param>
    /// <returns>Number of lines drawn.</returns>
    public int Paint(VideoCanvas canvas, in VideoLayout layout, VideoColors colors, VideoPages? pages)
    {
        // One character more than is shown, for panning.
        if (_pixels.Length < (layout.Characters + 1) * 8) _pixels = new uint[(layout.Characters + 1) * 8];
        if (_line.Length < layout.Width) _line = new uint[layout.Width];
        Span<uint> line = _line.AsSpan(0, layout.Width);
        (int Counter, int RowScan, bool IsBelow) previous = (-1, 0, false);
        int drawn = 0;
        for (int y = 0; y < layout.Height; y++)
        {
            (int Counter, int RowScan, bool IsBelow) at = layout.LineAt(y);
            if (pages is not null && !IsTouched(layout, at.Counter, at.RowScan, pages)) continue;
            drawn++;
            // Lines that are repeated are drawn once, unless the row scan counter is part of the address.
            bool isRepeated = at.Counter == previous.Counter && at.IsBelow == previous.IsBelow && ((at.RowScan ^ previous.RowScan) & layout.RowScanBits) == 0;
            if (!isRepeated) Fetch(layout, at, colors, line);
            previous = at;
            canvas.Put(y, line);
        }

        return drawn;
    }

    private static bool IsTouched(in VideoLayout layout, int counter, int rowScan, VideoPages pages)
    {
        long first = layout.OffsetOf(counter, rowScan);
        long last = layout.OffsetOf(counter + (layout.Characters >> layout.CountShift), rowScan);
        return first <= last ? pages.Touches(4 * first, 4 * (last + 1)) : pages.Touches(0, 4 * (layout.AddressMask + 1L));
    }

    private static ulong[] MakeBitsToBytes()
    {
        ulong[] table = new ulong[256];
        for (int value = 0; value < 256; value++)
            for (int bit = 0; bit < 8; bit++) table[value] |= (ulong)((value >> (7 - bit)) & 1) << (8 * bit);
        return table;
    }

    private void Fetch(in VideoLayout layout, (int Counter, int RowScan, bool IsBelow) at, VideoColors colors, Span<uint> line)
    {
        ReadOnlySpan<uint> planes = MemoryMarshal.Cast<byte, uint>(memory.Bytes);
        Span<uint> pixels = _pixels;
        int perCharacter = layout.Kind == VideoKind.PlaneBytes ? 4 : 8;
        for (int character = 0; character <= layout.Characters; character++)
        {
            uint cell = planes[layout.OffsetOf(at.Counter + (character >> layout.CountShift), at.RowScan)];
            Span<uint> to = pixels.Slice(character * perCharacter, perCharacter);
            switch (layout.Kind)
            {
                case VideoKind.Planar:
                    PutPlanar(cell, to, colors.Attributes);
                    break;
                case VideoKind.PixelPairs:
                    PutPairs(cell, to, colors.Attributes);
                    break;
                default:
                    for (int i = 0; i < 4; i++) to[i] = colors.All[(byte)(cell >> (8 * i))];
                    break;
            }
        }

        int repeat = (8 / perCharacter) << (layout.IsHalfClock ? 1 : 0);
        ReadOnlySpan<uint> from = pixels[layout.PanningAt(at.IsBelow)..];
        if (repeat == 1)
        {
            from[..line.Length].CopyTo(line);
            return;
        }

        for (int x = 0; x < line.Length; x++) line[x] = from[x / repeat];
    }

    private static void PutPlanar(uint cell, Span<uint> to, ReadOnlySpan<uint> colors)
    {
        ulong numbers = BitsToBytes[(byte)cell] | (BitsToBytes[(byte)(cell >> 8)] << 1) | (BitsToBytes[(byte)(cell >> 16)] << 2) | (BitsToBytes[cell >> 24] << 3);
        for (int i = 0; i < 8; i++)
        {
            to[i] = colors[(int)numbers & 15];
            numbers >>= 8;
        }
    }

    // The serializer takes pairs of bits from planes 0 and 2 first, then from 1 and 3 (graphics mode register, shift register mode).
    private static void PutPairs(uint cell, Span<uint> to, ReadOnlySpan<uint> colors)
    {
        Span<byte> planes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(planes, cell);
        for (int i = 0; i < 8; i++)
        {
            int shift = 6 - (2 * (i & 3));
            int plane = i >> 2;
            to[i] = colors[((planes[plane] >> shift) & 3) | (((planes[plane + 2] >> shift) & 3) << 2)];
        }
    }
}
