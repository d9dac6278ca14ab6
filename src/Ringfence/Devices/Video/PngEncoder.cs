using System.Buffers.Binary;
using System.IO.Compression;

namespace Ringfence.Devices.Video;

/// <summary>Writes pictures as PNG (W3C Portable Network Graphics Specification, second edition): 8 bits for each of red, green and blue.</summary>
internal static class PngEncoder
{
    private const byte TrueColor = 2;
    private const byte FilterUp = 2;
    private const uint CrcPolynomial = 0xedb8_8320;

    private static readonly uint[] CrcTable = MakeCrcTable();

    /// <summary>Writes a picture. One without pixels becomes a single black one: the format knows no empty pictures.</summary>
    /// <param name="output">Where to.</param>
    /// <param name="width">Pixels in a row.</param>
    /// <param name="height">Rows.</param>
    /// <param name="pixels">The pixels, blue in the low byte, then green and red.</param>
    public static void Write(Stream output, int width, int height, ReadOnlySpan<uint> pixels)
    {
        if (width <= 0 || height <= 0)
        {
            Write(output, 1, 1, [0]);
            return;
        }

        output.Write([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
        Span<byte> header = stackalloc byte[13];
        header.Clear();
        BinaryPrimitives.WriteInt32BigEndian(header, width);
        BinaryPrimitives.WriteInt32BigEndian(header[4..], height);
        header[8] = 8;
        header[9] = TrueColor;
        WriteChunk(output, "IHDR"u8, header);
        using MemoryStream data = new();
        using (ZLibStream compressor = new(data, CompressionLevel.Optimal, leaveOpen: true)) WriteRows(compressor, width, height, pixels);
        WriteChunk(output, "IDAT"u8, data.GetBuffer().AsSpan(0, (int)data.Length));
        WriteChunk(output, "IEND"u8, []);
    }

    /// <summary>The check of annex D.</summary>
    internal static uint Crc(ReadOnlySpan<byte> type, ReadOnlySpan<byte> data) => ~Add(Add(uint.MaxValue, type), data);

    // Each row as its difference to the one above: screens are full of equal rows.
    private static void WriteRows(Stream output, int width, int height, ReadOnlySpan<uint> pixels)
    {
        byte[] row = new byte[1 + (width * 3)];
        byte[] above = new byte[width * 3];
        row[0] = FilterUp;
        for (int y = 0; y < height; y++)
        {
            ReadOnlySpan<uint> from = pixels.Slice(y * width, width);
            for (int x = 0; x < width; x++)
            {
                for (int i = 0; i < 3; i++)
                {
                    byte value = (byte)(from[x] >> (16 - (8 * i)));
                    int at = (3 * x) + i;
                    row[1 + at] = (byte)(value - above[at]);
                    above[at] = value;
                }
            }

            output.Write(row);
        }
    }

    private static void WriteChunk(Stream output, ReadOnlySpan<byte> type, ReadOnlySpan<byte> data)
    {
        Span<byte> number = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(number, data.Length);
        output.Write(number);
        output.Write(type);
        output.Write(data);
        BinaryPrimitives.WriteUInt32BigEndian(number, Crc(type, data));
        output.Write(number);
    }

    private static uint Add(uint crc, ReadOnlySpan<byte> data)
    {
        foreach (byte value in data) crc = CrcTable[(byte)(crc ^ value)] ^ (crc >> 8);
        return crc;
    }

    private static uint[] MakeCrcTable()
    {
        uint[] table = new uint[256];
        for (uint value = 0; value < table.Length; value++)
        {
            uint crc = value;
            for (int bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? CrcPolynomial ^ (crc >> 1) : crc >> 1;
            table[value] = crc;
        }

        return table;
    }
}
