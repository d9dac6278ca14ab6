using System.Buffers.Binary;

namespace Ringfence.Tests.Firmware;

/// <summary>The smallest images that are what they claim, to be spoiled by tests.</summary>
internal static class SampleImages
{
    public const int SetupBytes = 1024;

    /// <summary>A relocatable 64-bit bzImage of protocol 2.15.</summary>
    public static byte[] Linux(int codeBytes = 0x1000)
    {
        byte[] image = new byte[SetupBytes + codeBytes];
        image[0x1f1] = 1;
        Put32(image, 0x1f4, (uint)codeBytes >> 4);
        Put16(image, 0x1fe, 0xaa55);
        image[0x200] = 0xeb;
        image[0x201] = 0x6a;
        "HdrS"u8.CopyTo(image.AsSpan(0x202));
        Put16(image, 0x206, 0x20f);
        image[0x211] = 1;
        Put32(image, 0x214, 0x10_0000);
        Put32(image, 0x22c, 0x7fff_ffff);
        Put32(image, 0x230, 0x20_0000);
        image[0x234] = 1;
        Put16(image, 0x236, 1);
        Put32(image, 0x238, 2047);
        Put64(image, 0x258, 0x100_0000);
        Put32(image, 0x260, 0x40_0000);
        for (int i = 0; i < codeBytes; i++) image[SetupBytes + i] = (byte)i;
        return image;
    }

    /// <summary>A Multiboot ELF file of one class with one segment of 16 bytes in the file and 8 KiB in memory at 1 MiB.</summary>
    public static byte[] MultibootElf(bool is64)
    {
        const int Header = 0x100;
        const int Segment = 0x200;
        byte[] image = new byte[Segment + 16];
        Put32(image, 0, 0x464c_457f);
        image[4] = is64 ? (byte)2 : (byte)1;
        image[5] = 1;
        image[6] = 1;
        Put16(image, 16, 2);
        Put16(image, 18, is64 ? (ushort)62 : (ushort)3);
        if (is64)
        {
            Put64(image, 24, 0x10_0008);
            Put64(image, 32, 0x40);
            Put16(image, 54, 56);
            Put16(image, 56, 1);
            Put32(image, 0x40, 1);
            Put64(image, 0x48, Segment);
            Put64(image, 0x50, 0x10_0000);
            Put64(image, 0x58, 0x10_0000);
            Put64(image, 0x60, 16);
            Put64(image, 0x68, 0x2000);
        }
        else
        {
            Put32(image, 24, 0x10_0008);
            Put32(image, 28, 0x40);
            Put16(image, 42, 32);
            Put16(image, 44, 1);
            Put32(image, 0x40, 1);
            Put32(image, 0x44, Segment);
            Put32(image, 0x48, 0x10_0000);
            Put32(image, 0x4c, 0x10_0000);
            Put32(image, 0x50, 16);
            Put32(image, 0x54, 0x2000);
        }

        PutMultibootHeader(image, Header, 3);
        for (int i = 0; i < 16; i++) image[Segment + i] = (byte)(i + 1);
        return image;
    }

    /// <summary>A flat Multiboot image that says in its header where it goes: 256 bytes at 2 MiB, zeroed up to 2 MiB + 4 KiB.</summary>
    public static byte[] MultibootFlat()
    {
        byte[] image = new byte[0x100];
        PutMultibootHeader(image, 0x10, 0x1_0000);
        Put32(image, 0x1c, 0x20_0010);
        Put32(image, 0x20, 0x20_0000);
        Put32(image, 0x24, 0);
        Put32(image, 0x28, 0x20_1000);
        Put32(image, 0x2c, 0x20_0040);
        for (int i = 0x40; i < 0x100; i++) image[i] = (byte)i;
        return image;
    }

    public static void PutMultibootHeader(byte[] image, int at, uint flags)
    {
        const uint Magic = 0x1bad_b002;
        Put32(image, at, Magic);
        Put32(image, at + 4, flags);
        Put32(image, at + 8, unchecked(0 - Magic - flags));
    }

    public static void Put16(byte[] image, int at, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(at), value);

    public static void Put32(byte[] image, int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(at), value);

    public static void Put64(byte[] image, int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(image.AsSpan(at), value);
}
