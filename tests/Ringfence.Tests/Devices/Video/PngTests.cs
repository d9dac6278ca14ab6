using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using Ringfence.Devices.Video;

namespace Ringfence.Tests.Devices.Video;

public class PngTests
{
    [Fact]
    public void A_picture_decodes_to_its_pixels()
    {
        Random random = new(2);
        foreach ((int width, int height) in ((int, int)[])[(1, 1), (3, 2), (17, 31), (640, 480)])
        {
            uint[] pixels = [.. Enumerable.Range(0, width * height).Select(_ => VideoCanvas.Black | (uint)random.Next(1 << 24))];
            (int w, int h, uint[] decoded) = Decode(new VideoPicture(width, height, pixels).ToPng());
            (w, h).ShouldBe((width, height));
            decoded.ShouldBe(pixels);
        }
    }

    [Fact]
    public void The_check_is_that_of_the_specification() => PngEncoder.Crc("IEND"u8, []).ShouldBe(0xae42_6082U);

    [Fact]
    public void No_picture_becomes_a_black_one() => Decode(default(VideoPicture).ToPng()).Pixels.ShouldBe([VideoCanvas.Black]);

    private static (int Width, int Height, uint[] Pixels) Decode(byte[] png)
    {
        png[..8].ShouldBe([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
        Dictionary<string, byte[]> chunks = [];
        for (int at = 8; at < png.Length;)
        {
            int length = BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(at));
            ReadOnlySpan<byte> type = png.AsSpan(at + 4, 4);
            byte[] data = png.AsSpan(at + 8, length).ToArray();
            BinaryPrimitives.ReadUInt32BigEndian(png.AsSpan(at + 8 + length)).ShouldBe(Check(png.AsSpan(at + 4, length + 4)));
            chunks.Add(Encoding.ASCII.GetString(type), data);
            at += length + 12;
        }

        chunks.Keys.ShouldBe(["IHDR", "IDAT", "IEND"]);
        byte[] header = chunks["IHDR"];
        header[8..].ShouldBe([8, 2, 0, 0, 0]);
        int width = BinaryPrimitives.ReadInt32BigEndian(header);
        int height = BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(4));
        using ZLibStream stream = new(new MemoryStream(chunks["IDAT"]), CompressionMode.Decompress);
        byte[] above = new byte[width * 3];
        List<uint> pixels = [];
        for (int y = 0; y < height; y++)
        {
            int filter = stream.ReadByte();
            filter.ShouldBeOneOf(0, 2);
            byte[] row = new byte[width * 3];
            stream.ReadExactly(row);
            if (filter == 2)
                for (int i = 0; i < row.Length; i++) row[i] += above[i];
            for (int x = 0; x < width; x++) pixels.Add(VideoCanvas.Black | (uint)((row[3 * x] << 16) | (row[(3 * x) + 1] << 8) | row[(3 * x) + 2]));
            above = row;
        }

        stream.ReadByte().ShouldBe(-1);
        return (width, height, [.. pixels]);
    }

    /// <summary>The definition of annex D, bit by bit.</summary>
    private static uint Check(ReadOnlySpan<byte> data)
    {
        uint crc = uint.MaxValue;
        foreach (byte value in data)
        {
            crc ^= value;
            for (int i = 0; i < 8; i++) crc = (crc >> 1) ^ ((crc & 1) * 0xedb8_8320);
        }

        return ~crc;
    }
}
