using System.Buffers.Binary;
using System.Text;

namespace Ringfence.Firmware;

/// <summary>
/// Encodes the few terms of the ACPI Machine Language that our DSDT needs (ACPI specification 6.4, chapter 20).
/// Every method returns the bytes of one term.
/// </summary>
internal static class AmlWriter
{
    private const byte NameOp = 0x08;
    private const byte ScopeOp = 0x10;
    private const byte BufferOp = 0x11;
    private const byte PackageOp = 0x12;
    private const byte ExtendedPrefix = 0x5b;
    private const byte DeviceOp = 0x82;

    /// <summary>DefName: gives a value a name.</summary>
    public static byte[] Name(string path, byte[] value) => [NameOp, .. NameString(path), .. value];

    /// <summary>DefScope: opens an existing scope.</summary>
    public static byte[] Scope(string path, params byte[][] terms) => [ScopeOp, .. WithLength([.. NameString(path), .. Join(terms)])];

    /// <summary>DefDevice.</summary>
    public static byte[] Device(string name, params byte[][] terms) =>
        [ExtendedPrefix, DeviceOp, .. WithLength([.. NameString(name), .. Join(terms)])];

    /// <summary>DefPackage.</summary>
    public static byte[] Package(params byte[][] elements) => [PackageOp, .. WithLength([(byte)elements.Length, .. Join(elements)])];

    /// <summary>An integer in its shortest form.</summary>
    public static byte[] Integer(ulong value)
    {
        switch (value)
        {
            case 0:
                return [0x00];
            case 1:
                return [0x01];
            case <= byte.MaxValue:
                return [0x0a, (byte)value];
            case <= ushort.MaxValue:
                return [0x0b, (byte)value, (byte)(value >> 8)];
            case <= uint.MaxValue:
                byte[] four = new byte[5];
                four[0] = 0x0c;
                BinaryPrimitives.WriteUInt32LittleEndian(four.AsSpan(1), (uint)value);
                return four;
            default:
                byte[] eight = new byte[9];
                eight[0] = 0x0e;
                BinaryPrimitives.WriteUInt64LittleEndian(eight.AsSpan(1), value);
                return eight;
        }
    }

    /// <summary>A plug-and-play identifier such as <c>PNP0501</c>, compressed to an integer.</summary>
    public static byte[] EisaId(string id)
    {
        uint vendor = ((uint)(id[0] & 31) << 10) | ((uint)(id[1] & 31) << 5) | (uint)(id[2] & 31);
        uint product = Convert.ToUInt32(id[3..], 16);
        return Integer(BinaryPrimitives.ReverseEndianness((vendor << 16) | product));
    }

    /// <summary>A buffer of resource descriptors with their end tag.</summary>
    public static byte[] Resources(params byte[][] descriptors)
    {
        byte[] bytes = [.. Join(descriptors), 0x79, 0];
        return [BufferOp, .. WithLength([.. Integer((ulong)bytes.Length), .. bytes])];
    }

    /// <summary>I/O port descriptor: ports of a fixed address, 16 address bits decoded (6.4.2.5).</summary>
    public static byte[] Ports(ushort start, byte count) =>
        [0x47, 1, (byte)start, (byte)(start >> 8), (byte)start, (byte)(start >> 8), 1, count];

    /// <summary>IRQ descriptor: an edge-triggered ISA interrupt (6.4.2.1).</summary>
    public static byte[] Interrupt(int irq) => [0x22, (byte)(1 << irq), (byte)((1 << irq) >> 8)];

    /// <summary>Word address space descriptor: bus numbers a bridge passes on (6.4.3.5.3).</summary>
    public static byte[] BusRange(ushort first, ushort last) => WordSpace(2, 0, first, last);

    /// <summary>Word address space descriptor: ports a bridge passes on.</summary>
    public static byte[] PortRange(ushort first, ushort last) => WordSpace(1, 3, first, last);

    /// <summary>Double-word address space descriptor: memory a bridge passes on (6.4.3.5.2).</summary>
    public static byte[] MemoryRange(uint first, uint last)
    {
        const byte Memory = 0;
        const byte ReadWrite = 1;
        byte[] d = new byte[26];
        d[0] = 0x87;
        d[1] = 23;
        d[3] = Memory;
        d[4] = FixedRange;
        d[5] = ReadWrite;
        BinaryPrimitives.WriteUInt32LittleEndian(d.AsSpan(10), first);
        BinaryPrimitives.WriteUInt32LittleEndian(d.AsSpan(14), last);
        BinaryPrimitives.WriteUInt32LittleEndian(d.AsSpan(22), last - first + 1);
        return d;
    }

    private const byte FixedRange = 0x0c;

    private static byte[] WordSpace(byte type, byte typeFlags, ushort first, ushort last)
    {
        byte[] d = new byte[16];
        d[0] = 0x88;
        d[1] = 13;
        d[3] = type;
        d[4] = FixedRange;
        d[5] = typeFlags;
        BinaryPrimitives.WriteUInt16LittleEndian(d.AsSpan(8), first);
        BinaryPrimitives.WriteUInt16LittleEndian(d.AsSpan(10), last);
        BinaryPrimitives.WriteUInt16LittleEndian(d.AsSpan(14), (ushort)(last - first + 1));
        return d;
    }

    // PkgLength counts itself: one byte up to 63, otherwise a lead byte with the low nibble and one byte for each further eight bits.
    private static byte[] WithLength(byte[] contents)
    {
        if (contents.Length + 1 < 1 << 6) return [(byte)(contents.Length + 1), .. contents];
        int more = contents.Length + 2 < 1 << 12 ? 1 : 2;
        int length = contents.Length + 1 + more;
        byte[] encoded = new byte[1 + more];
        encoded[0] = (byte)((more << 6) | (length & 15));
        for (int i = 0; i < more; i++) encoded[i + 1] = (byte)(length >> (4 + (8 * i)));
        return [.. encoded, .. contents];
    }

    private static byte[] NameString(string path)
    {
        byte[] root = path.StartsWith('\\') ? "\\"u8.ToArray() : [];
        byte[][] segments = [.. path.TrimStart('\\').Split('.').Select(s => Encoding.ASCII.GetBytes(s.PadRight(4, '_')))];
        byte[] prefix = segments.Length switch
        {
            1 => [],
            2 => [0x2e],
            _ => [0x2f, (byte)segments.Length],
        };
        return [.. root, .. prefix, .. Join(segments)];
    }

    private static byte[] Join(byte[][] parts) => [.. parts.SelectMany(p => p)];
}
