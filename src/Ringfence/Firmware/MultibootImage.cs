using System.Buffers.Binary;

namespace Ringfence.Firmware;

/// <summary>
/// A Multiboot 1 image: its header, checked, and what is to be loaded: by the address fields of the header or by the
/// program headers of an ELF file (Multiboot Specification 0.6.96, section 3.1).
/// </summary>
internal sealed class MultibootImage
{
    private const uint HeaderMagic = 0x1bad_b002;
    private const int SearchedBytes = 8192;
    private const int HeaderBytes = 12;
    private const int AddressFieldsEnd = 32;
    private const uint AlignModules = 1;
    private const uint KnownRequirements = 7;
    private const uint RequirementBits = 0xffff;
    private const uint HasAddressFields = 0x1_0000;

    private readonly byte[] _image;

    private MultibootImage(string name, byte[] image, int header)
    {
        Name = name;
        _image = image;
        uint flags = UInt32(header + 4);
        uint unknown = flags & RequirementBits & ~KnownRequirements;
        if (unknown != 0) throw Malformed($"requires features that nobody knows (flags 0x{unknown:x})");
        AlignsModules = (flags & AlignModules) != 0;
        if ((flags & HasAddressFields) != 0)
        {
            Segments = [ParseAddressFields(header, out uint entry)];
            Entry = entry;
            return;
        }

        if (image.Length < 4 || UInt32(0) != ElfImage.Magic)
            throw Malformed("is no ELF file and its header has no address fields");
        Segments = ElfImage.Parse(name, image, out ulong elfEntry);
        if (elfEntry > uint.MaxValue) throw Malformed($"has its entry at 0x{elfEntry:x}, which is no 32-bit address");
        Entry = (uint)elfEntry;
    }

    /// <summary>What error messages call it.</summary>
    public string Name { get; }

    /// <summary>Must modules begin on page boundaries? (Ours always do.)</summary>
    public bool AlignsModules { get; }

    /// <summary>What is to be loaded.</summary>
    public IReadOnlyList<LoadSegment> Segments { get; }

    /// <summary>Physical address where execution begins.</summary>
    public uint Entry { get; }

    /// <summary>The header's offset, a multiple of 4 below 8192, or -1 if there is none.</summary>
    public static int FindHeader(ReadOnlySpan<byte> image)
    {
        int end = Math.Min(image.Length, SearchedBytes) - HeaderBytes;
        for (int at = 0; at <= end; at += 4)
        {
            if (BinaryPrimitives.ReadUInt32LittleEndian(image[at..]) != HeaderMagic) continue;
            uint sum = HeaderMagic + BinaryPrimitives.ReadUInt32LittleEndian(image[(at + 4)..]) + BinaryPrimitives.ReadUInt32LittleEndian(image[(at + 8)..]);
            if (sum == 0) return at;
        }

        return -1;
    }

    /// <summary>Checks an image.</summary>
    /// <param name="name">What error messages call it.</param>
    /// <param name="image">The whole file.</param>
    /// <exception cref="BootImageException">It has no Multiboot header, is truncated, or contradicts itself.</exception>
    public static MultibootImage Parse(string name, byte[] image)
    {
        int header = FindHeader(image);
        return header >= 0 ? new MultibootImage(name, image, header) : throw new BootImageException($"{name}: is not a Multiboot 1 image");
    }

    /// <summary>The bytes of a segment that the file holds.</summary>
    public ReadOnlySpan<byte> Bytes(LoadSegment segment) => _image.AsSpan(segment.FileOffset, segment.FileBytes);

    private LoadSegment ParseAddressFields(int header, out uint entry)
    {
        if (_image.Length < header + AddressFieldsEnd) throw Malformed("is truncated within the address fields of its header");
        uint headerAddress = UInt32(header + 12);
        uint load = UInt32(header + 16);
        uint loadEnd = UInt32(header + 20);
        uint zeroedEnd = UInt32(header + 24);
        entry = UInt32(header + 28);
        if (headerAddress < load || headerAddress - load > (uint)header) throw Malformed("has a header address that contradicts its load address");
        int offset = header - (int)(headerAddress - load);
        uint bytes = loadEnd == 0 ? (uint)(_image.Length - offset) : loadEnd - load;
        if (loadEnd != 0 && loadEnd < load) throw Malformed("ends before its load address");
        if (bytes > (uint)(_image.Length - offset)) throw Malformed($"is truncated: {_image.Length - offset} of {bytes} bytes are there");
        if (zeroedEnd != 0 && zeroedEnd < load + (ulong)bytes) throw Malformed("has a zeroed end before the end of its bytes");
        ulong memoryBytes = zeroedEnd == 0 ? bytes : zeroedEnd - load;
        if (memoryBytes == 0) throw Malformed("has nothing to load");
        return new LoadSegment(load, offset, (int)bytes, memoryBytes);
    }

    private BootImageException Malformed(string what) => new($"{Name}: the Multiboot image {what}");

    private uint UInt32(int at) => BinaryPrimitives.ReadUInt32LittleEndian(_image.AsSpan(at));
}
