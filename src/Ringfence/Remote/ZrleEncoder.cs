using System.IO.Compression;

namespace Ringfence.Remote;

/// <summary>ZRLE (RFC 6143 7.7.6): tiles of 64 by 64 pixels, with a palette or in runs where that is shorter, in one zlib stream a client.</summary>
internal sealed class ZrleEncoder : IDisposable
{
    /// <summary>Number of the encoding.</summary>
    public const int Encoding = 16;

    private const int TileSize = 64;
    private const int MostColors = 16;
    private const int PlainRuns = 128;

    private readonly MemoryStream _compressed = new();
    private readonly ZLibStream _zlib;
    private readonly RfbWriter _tiles = new();
    private readonly uint[] _pixels = new uint[TileSize * TileSize];
    private readonly byte[] _indices = new byte[TileSize * TileSize];
    private readonly uint[] _palette = new uint[MostColors];

    public ZrleEncoder() => _zlib = new ZLibStream(_compressed, CompressionLevel.Fastest, true);

    /// <inheritdoc/>
    public void Dispose() => _zlib.Dispose();

    /// <summary>Writes a rectangle.</summary>
    public void Write(RfbWriter writer, ClientPicture picture, in RfbRectangle area, RfbPixelFormat format)
    {
        _tiles.Clear();
        for (int y = area.Y; y < area.Y + area.Height; y += TileSize)
        {
            int height = Math.Min(TileSize, area.Y + area.Height - y);
            for (int x = area.X; x < area.X + area.Width; x += TileSize)
            {
                int width = Math.Min(TileSize, area.X + area.Width - x);
                for (int row = 0; row < height; row++) picture.Row(x, y + row, width).CopyTo(_pixels.AsSpan(row * width));
                WriteTile(_pixels.AsSpan(0, width * height), width, format);
            }
        }

        _compressed.SetLength(0);
        _zlib.Write(_tiles.Written.Span);
        // A client must be able to decode what it has: Z_SYNC_FLUSH.
        _zlib.Flush();
        writer.Rectangle(area, Encoding);
        writer.U32((uint)_compressed.Length);
        writer.Add(_compressed.GetBuffer().AsSpan(0, (int)_compressed.Length));
    }

    private void WriteTile(ReadOnlySpan<uint> pixels, int width, RfbPixelFormat format)
    {
        (int colors, int runs) = Analyze(pixels);
        int bytes = format.CompactBytes;
        if (colors > MostColors)
        {
            bool usesRuns = runs * (bytes + 1) < pixels.Length * bytes;
            _tiles.U8(usesRuns ? PlainRuns : 0);
            if (usesRuns) WriteRuns(pixels, format);
            else format.WriteCompact(pixels, _tiles.Take(pixels.Length * bytes));
            return;
        }

        // A palette of one color is all of its tile.
        _tiles.U8(colors);
        format.WriteCompact(_palette.AsSpan(0, colors), _tiles.Take(colors * bytes));
        if (colors > 1) WriteIndices(_indices.AsSpan(0, pixels.Length), width, colors <= 2 ? 1 : colors <= 4 ? 2 : 4);
    }

    private (int Colors, int Runs) Analyze(ReadOnlySpan<uint> pixels)
    {
        int colors = 0;
        int runs = 0;
        uint last = 0;
        byte index = 0;
        for (int i = 0; i < pixels.Length; i++)
        {
            uint pixel = pixels[i];
            if (pixel != last)
            {
                last = pixel;
                runs++;
                if (colors <= MostColors)
                {
                    int found = _palette.AsSpan(0, colors).IndexOf(pixel);
                    if (found < 0)
                    {
                        found = colors++;
                        if (found < MostColors) _palette[found] = pixel;
                    }

                    index = (byte)found;
                    if (colors > MostColors) continue;
                }
            }

            _indices[i] = index;
        }

        return (colors, runs);
    }

    // Packed palette: rows begin at bytes, the leftmost pixel in the high bits.
    private void WriteIndices(ReadOnlySpan<byte> indices, int width, int bits)
    {
        for (int start = 0; start < indices.Length; start += width)
        {
            int value = 0;
            int room = 8;
            for (int x = 0; x < width; x++)
            {
                room -= bits;
                value |= indices[start + x] << room;
                if (room > 0) continue;
                _tiles.U8(value);
                (value, room) = (0, 8);
            }

            if (room < 8) _tiles.U8(value);
        }
    }

    private void WriteRuns(ReadOnlySpan<uint> pixels, RfbPixelFormat format)
    {
        for (int i = 0; i < pixels.Length;)
        {
            int length = pixels[i..].IndexOfAnyExcept(pixels[i]);
            if (length < 0) length = pixels.Length - i;
            format.WriteCompact(pixels.Slice(i, 1), _tiles.Take(format.CompactBytes));
            i += length;
            for (length--; length >= 255; length -= 255) _tiles.U8(255);
            _tiles.U8(length);
        }
    }
}
