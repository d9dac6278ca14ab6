using System.Buffers.Binary;

namespace Ringfence.Devices.Video;

/// <summary>The monitor's description: one block of VESA Enhanced EDID Standard, release A revision 2 (EDID 1.4).</summary>
internal static class Edid
{
    /// <summary>Bytes of a block.</summary>
    public const int Length = 128;

    private const int Manufacturer = 8;
    private const int Year = 17;
    private const int Version = 18;
    private const int Basic = 20;
    private const int Chromaticity = 25;
    private const int EstablishedTimings = 35;
    private const int StandardTimings = 38;
    private const int Descriptors = 54;
    private const int DescriptorLength = 18;

    private const byte NameTag = 0xfc;
    private const byte RangeLimitsTag = 0xfd;

    // Pictures of four by three, five by four and so on at 60 Hz (3.9).
    private static readonly (int Width, int Aspect)[] Standard = [(1280, 2), (1600, 1), (1920, 3), (1280, 3), (1440, 0), (1680, 0), (1920, 0), (1280, 0)];

    /// <summary>Makes the block. The preferred mode is 1024x768 at 60 Hz.</summary>
    /// <param name="name">The monitor's name, at most 13 characters of ASCII.</param>
    public static byte[] Create(string name)
    {
        byte[] block = new byte[Length];
        ReadOnlySpan<byte> header = [0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00];
        header.CopyTo(block);
        BinaryPrimitives.WriteUInt16BigEndian(block.AsSpan(Manufacturer), Letters("RGF"));
        block[Manufacturer + 2] = 1;
        block[Year] = 2024 - 1990;
        block[Version] = 1;
        block[Version + 1] = 4;

        // Digital with 8 bits a color, 27 x 20 cm, gamma 2.2, sRGB; the first timing is the preferred one.
        ReadOnlySpan<byte> basic = [0xa0, 27, 20, 120, 0x06];
        basic.CopyTo(block.AsSpan(Basic));

        // The primaries of sRGB (3.7).
        ReadOnlySpan<byte> chromaticity = [0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54];
        chromaticity.CopyTo(block.AsSpan(Chromaticity));

        // 640x480, 800x600 and 1024x768, all at 60 Hz.
        block[EstablishedTimings] = 0x21;
        block[EstablishedTimings + 1] = 0x08;
        for (int i = 0; i < Standard.Length; i++)
        {
            block[StandardTimings + (2 * i)] = (byte)((Standard[i].Width / 8) - 31);
            block[StandardTimings + (2 * i) + 1] = (byte)(Standard[i].Aspect << 6);
        }

        // The timings of VESA DMT (1024x768) and of CVT with reduced blanking (2560x1600).
        PutTiming(block.AsSpan(Descriptors), 6_500, new Axis(1024, 320, 24, 136), new Axis(768, 38, 3, 6));
        PutTiming(block.AsSpan(Descriptors + DescriptorLength), 26_850, new Axis(2560, 160, 48, 32), new Axis(1600, 46, 3, 6));
        Span<byte> limits = block.AsSpan(Descriptors + (2 * DescriptorLength), DescriptorLength);
        ReadOnlySpan<byte> ranges = [0, 0, 0, RangeLimitsTag, 0, 50, 75, 30, 120, 28, 1, 0x0a, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20];
        ranges.CopyTo(limits);
        PutName(block.AsSpan(Descriptors + (3 * DescriptorLength), DescriptorLength), name);

        byte sum = 0;
        foreach (byte value in block) sum += value;
        block[^1] = (byte)-sum;
        return block;
    }

    /// <summary>Three letters of five bits each (3.4.1).</summary>
    private static ushort Letters(string letters) =>
        (ushort)(((letters[0] - '@') << 10) | ((letters[1] - '@') << 5) | (letters[2] - '@'));

    /// <summary>Writes a detailed timing (3.10.2).</summary>
    private static void PutTiming(Span<byte> at, ushort clock, Axis horizontal, Axis vertical)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(at, clock);
        PutSize(at[2..], horizontal);
        PutSize(at[5..], vertical);
        at[8] = (byte)horizontal.Front;
        at[9] = (byte)horizontal.Sync;
        at[10] = (byte)((vertical.Front << 4) | vertical.Sync);
        at[12] = 270 & 0xff;
        at[13] = 203;
        at[14] = 1 << 4;
        // Digital, separate synchronization, both negative.
        at[17] = 0x18;
    }

    private static void PutSize(Span<byte> at, Axis axis)
    {
        at[0] = (byte)axis.Active;
        at[1] = (byte)axis.Blank;
        at[2] = (byte)(((axis.Active >> 8) << 4) | (axis.Blank >> 8));
    }

    private static void PutName(Span<byte> at, string name)
    {
        at[3] = NameTag;
        Span<byte> text = at[5..];
        text.Fill((byte)' ');
        int length = Math.Min(name.Length, text.Length);
        for (int i = 0; i < length; i++) text[i] = (byte)name[i];
        if (length < text.Length) text[length] = (byte)'\n';
    }

    private readonly record struct Axis(int Active, int Blank, int Front, int Sync);
}
