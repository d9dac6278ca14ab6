using System.Buffers.Binary;

namespace Ringfence.Remote;

/// <summary>
/// How a client wants pixels (RFC 6143 7.4). Whatever a client asks for has a defined result. Where it wants a color map it gets one of three bits of red,
/// three of green and two of blue.
/// </summary>
internal sealed class RfbPixelFormat
{
    /// <summary>Bytes of its description.</summary>
    public const int Bytes = 16;

    private readonly uint[] _red;
    private readonly uint[] _green;
    private readonly uint[] _blue;
    private readonly bool _isBigEndian;
    private readonly int _compactFrom;

    /// <summary>Reads a description.</summary>
    /// <exception cref="RfbProtocolException">No server has such pixels.</exception>
    public RfbPixelFormat(ReadOnlySpan<byte> text)
    {
        if (text[0] is not (8 or 16 or 32)) throw new RfbProtocolException("pixels have 8, 16 or 32 bits");
        PixelBytes = text[0] / 8;
        _isBigEndian = text[2] != 0;
        UsesColorMap = text[3] == 0;
        ReadOnlySpan<byte> colors = UsesColorMap ? MapIndices : text[4..];
        _red = Table(colors, colors[6]);
        _green = Table(colors[2..], colors[7]);
        _blue = Table(colors[4..], colors[8]);
        uint used = _red[255] | _green[255] | _blue[255];
        // CPIXEL (RFC 6143 7.7.5): three bytes where all bits of the colors are in them.
        bool isLow = used >> 24 == 0;
        bool isCompact = PixelBytes == 4 && !UsesColorMap && text[1] <= 24 && (isLow || (used & 0xff) == 0);
        CompactBytes = isCompact ? 3 : PixelBytes;
        _compactFrom = isCompact && isLow == _isBigEndian ? 1 : 0;
    }

    /// <summary>The server's own: 32 bits, little-endian, as <see cref="Devices.Video.VideoPicture"/> has them.</summary>
    public static ReadOnlySpan<byte> Native => [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];

    /// <summary>Pixels are numbers of colors in a map that the client must be told.</summary>
    public bool UsesColorMap { get; }

    // Maxima and shifts of red, green and blue in a number.
    private static ReadOnlySpan<byte> MapIndices => [0, 7, 0, 7, 0, 3, 5, 2, 0];

    /// <summary>Bytes of a pixel.</summary>
    public int PixelBytes { get; }

    /// <summary>Bytes of a pixel in ZRLE.</summary>
    public int CompactBytes { get; }

    /// <summary>Writes the color map (RFC 6143 7.6.2).</summary>
    public static void WriteColorMap(RfbWriter writer)
    {
        const int Colors = 256;
        writer.U16(1 << 8);
        writer.U16(0);
        writer.U16(Colors);
        for (int i = 0; i < Colors; i++)
        {
            writer.U16((i >> 5) * ushort.MaxValue / 7);
            writer.U16(((i >> 2) & 7) * ushort.MaxValue / 7);
            writer.U16((i & 3) * ushort.MaxValue / 3);
        }
    }

    /// <summary>Writes pixels.</summary>
    public void Write(ReadOnlySpan<uint> pixels, Span<byte> to)
    {
        for (int i = 0; i < pixels.Length; i++) Put(pixels[i], to.Slice(i * PixelBytes, PixelBytes));
    }

    /// <summary>Writes pixels as ZRLE has them.</summary>
    public void WriteCompact(ReadOnlySpan<uint> pixels, Span<byte> to)
    {
        Span<byte> pixel = stackalloc byte[4];
        for (int i = 0; i < pixels.Length; i++)
        {
            Put(pixels[i], pixel[..PixelBytes]);
            pixel.Slice(_compactFrom, CompactBytes).CopyTo(to[(i * CompactBytes)..]);
        }
    }

    private void Put(uint pixel, Span<byte> to)
    {
        uint value = _red[(byte)(pixel >> 16)] | _green[(byte)(pixel >> 8)] | _blue[(byte)pixel];
        if (to.Length == 4)
        {
            if (_isBigEndian) BinaryPrimitives.WriteUInt32BigEndian(to, value);
            else BinaryPrimitives.WriteUInt32LittleEndian(to, value);
        }
        else if (to.Length == 2)
        {
            if (_isBigEndian) BinaryPrimitives.WriteUInt16BigEndian(to, (ushort)value);
            else BinaryPrimitives.WriteUInt16LittleEndian(to, (ushort)value);
        }
        else
        {
            to[0] = (byte)value;
        }
    }

    private static uint[] Table(ReadOnlySpan<byte> maximum, int shift)
    {
        uint most = BinaryPrimitives.ReadUInt16BigEndian(maximum);
        uint[] table = new uint[256];
        for (uint i = 0; i < 256; i++) table[i] = shift < 32 ? ((i * most) + 127) / 255 << shift : 0;
        return table;
    }
}
