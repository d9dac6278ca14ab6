using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;

namespace Ringfence.Devices.Video;

/// <summary>Draws the packed modes of the Bochs extensions.</summary>
/// <param name="memory">The frame memory.</param>
internal sealed class PackedPainter(IFrameMemory memory)
{
    private uint[] _line = [];

    /// <summary>Draws the lines whose pages were written.</summary>
    /// <param name="canvas">The canvas, as large as the mode.</param>
    /// <param name="mode">The mode.</param>
    /// <param name="colors">Colors of pixels of 8 bits.</param>
    /// <param name="pages">The pages; null: all lines.</param>
    /// <returns>Number of lines drawn.</returns>
    public int Paint(VideoCanvas canvas, PackedMode mode, VideoColors colors, VideoPages? pages)
    {
        if (_line.Length < mode.Width) _line = new uint[mode.Width];
        Span<uint> line = _line.AsSpan(0, mode.Width);
        int bytes = (mode.BitsPerPixel + 7) / 8;
        int drawn = 0;
        for (int y = 0; y < mode.Height; y++)
        {
            long first = mode.Start + ((long)mode.Stride * y);
            long end = Math.Min(first + (mode.Width * bytes), memory.Length);
            if (pages is not null && !pages.Touches(first, end)) continue;
            drawn++;
            // What the memory has no room for is black.
            int pixels = (int)Math.Max(0, (end - first) / bytes);
            line[pixels..].Fill(VideoCanvas.Black);
            if (pixels > 0) Convert(memory.Bytes.Slice((int)first, pixels * bytes), line[..pixels], mode, colors.All);
            canvas.Put(y, line);
        }

        return drawn;
    }

    private static void Convert(ReadOnlySpan<byte> from, Span<uint> to, PackedMode mode, ReadOnlySpan<uint> colors)
    {
        switch (mode.BitsPerPixel)
        {
            case 8:
                for (int i = 0; i < to.Length; i++) to[i] = colors[from[i]];
                break;
            case 15 or 16:
                ReadOnlySpan<ushort> words = MemoryMarshal.Cast<byte, ushort>(from);
                for (int i = 0; i < to.Length; i++)
                {
                    ushort word = mode.IsBigEndian ? BinaryPrimitives.ReverseEndianness(words[i]) : words[i];
                    to[i] = mode.BitsPerPixel == 15 ? From555(word) : From565(word);
                }

                break;
            case 24:
                for (int i = 0; i < to.Length; i++)
                {
                    ReadOnlySpan<byte> pixel = from.Slice(3 * i, 3);
                    uint value = mode.IsBigEndian ? (uint)((pixel[0] << 16) | (pixel[1] << 8) | pixel[2]) : (uint)((pixel[2] << 16) | (pixel[1] << 8) | pixel[0]);
                    to[i] = VideoCanvas.Black | value;
                }

                break;
            default:
                FromDoublewords(MemoryMarshal.Cast<byte, uint>(from), to, mode.IsBigEndian);
                break;
        }
    }

    private static void FromDoublewords(ReadOnlySpan<uint> from, Span<uint> to, bool isBigEndian)
    {
        int i = 0;
        if (isBigEndian)
        {
            for (; i < to.Length; i++) to[i] = VideoCanvas.Black | BinaryPrimitives.ReverseEndianness(from[i]);
            return;
        }

        Vector<uint> black = new(VideoCanvas.Black);
        for (; i <= to.Length - Vector<uint>.Count; i += Vector<uint>.Count) (new Vector<uint>(from[i..]) | black).CopyTo(to[i..]);
        for (; i < to.Length; i++) to[i] = VideoCanvas.Black | from[i];
    }

    private static uint From555(int value) => VideoCanvas.Black | (Five(value >> 10) << 16) | (Five(value >> 5) << 8) | Five(value);

    private static uint From565(int value)
    {
        uint green = (uint)(value >> 5) & 0x3f;
        return VideoCanvas.Black | (Five(value >> 11) << 16) | (((green << 2) | (green >> 4)) << 8) | Five(value);
    }

    private static uint Five(int value) => (((uint)value & 0x1f) << 3) | (((uint)value & 0x1f) >> 2);
}
