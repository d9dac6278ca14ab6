using System.Buffers.Binary;
using System.Numerics;

namespace Ringfence.Firmware;

/// <summary>
/// A Linux bzImage: its setup header, checked, and the protected-mode code behind it
/// (Linux documentation, "The Linux/x86 Boot Protocol").
/// </summary>
internal sealed class LinuxImage
{
    /// <summary>No image is shorter: boot sector and setup header.</summary>
    public const int SmallestImage = HeaderEndSmallest;

    /// <summary>Offset of the setup header, in the file and in boot_params.</summary>
    public const int HeaderStart = 0x1f1;

    private const int BootFlagAt = 0x1fe;
    private const int JumpDistanceAt = 0x201;
    private const int SignatureAt = 0x202;
    private const int VersionAt = 0x206;
    private const int LoadFlagsAt = 0x211;
    private const int RamDiskLimitAt = 0x22c;
    private const int AlignmentAt = 0x230;
    private const int RelocatableAt = 0x234;
    private const int ExtendedLoadFlagsAt = 0x236;
    private const int CommandLineSizeAt = 0x238;
    private const int PayloadOffsetAt = 0x248;
    private const int PayloadLengthAt = 0x24c;
    private const int PreferredAddressAt = 0x258;
    private const int InitSizeAt = 0x260;
    private const int HeaderEndSmallest = 0x228;
    private const int HeaderEndLargest = 0x290;
    private const int SectorBytes = 512;
    private const uint Signature = 0x5372_6448;
    private const ushort OldestVersion = 0x202;
    private const ulong DefaultAddress = 0x10_0000;

    private readonly byte[] _image;
    private readonly int _setupBytes;

    private LinuxImage(string name, byte[] image)
    {
        Name = name;
        _image = image;
        if (image.Length < HeaderEndSmallest) throw Malformed($"is truncated: {image.Length} bytes are no setup header");
        Version = UInt16(VersionAt);
        if (Version < OldestVersion) throw Malformed($"its boot protocol {VersionText} is too old (2.02 is the oldest)");
        if ((image[LoadFlagsAt] & 1) == 0) throw Malformed("is a zImage, which loads low; a bzImage is needed");
        HeaderEnd = SignatureAt + image[JumpDistanceAt];
        if (HeaderEnd < HeaderEndSmallest + (Version >= 0x203 ? 8 : 4) || HeaderEnd > HeaderEndLargest)
            throw Malformed($"its setup header has a length of {HeaderEnd - HeaderStart} bytes, which is impossible");
        int sectors = image[HeaderStart] == 0 ? 4 : image[HeaderStart];
        _setupBytes = (sectors + 1) * SectorBytes;
        if (image.Length <= Math.Max(_setupBytes, HeaderEnd)) throw Malformed($"is truncated: it ends within its {_setupBytes} bytes of setup code");
        CheckCode();
        Alignment = Version >= 0x205 ? UInt32(AlignmentAt) : 0;
        IsRelocatable = Version >= 0x205 && image[RelocatableAt] != 0;
        if (IsRelocatable && !BitOperations.IsPow2(Alignment)) throw Malformed($"its alignment of {Alignment} bytes is no power of two");
        PreferredAddress = Version >= 0x20a ? UInt64(PreferredAddressAt) : DefaultAddress;
        InitSize = Math.Max(Version >= 0x20a ? UInt32(InitSizeAt) : 0, (uint)Code.Length);
        Has64BitEntry = Version >= 0x20c && (UInt16(ExtendedLoadFlagsAt) & 1) != 0;
        if (Has64BitEntry && Code.Length <= 0x200) throw Malformed("is truncated: its 64-bit entry lies behind its end");
        CommandLineLimit = Version >= 0x206 ? UInt32(CommandLineSizeAt) : 255;
        uint limit = Version >= 0x203 ? UInt32(RamDiskLimitAt) : 0;
        RamDiskLimit = (limit == 0 ? 0x37ff_ffff : limit) + 1UL;
    }

    /// <summary>What error messages call it.</summary>
    public string Name { get; }

    /// <summary>Boot protocol version, major in the high byte.</summary>
    public ushort Version { get; }

    /// <summary>First byte behind the setup header.</summary>
    public int HeaderEnd { get; }

    /// <summary>May it be loaded elsewhere than at <see cref="PreferredAddress"/>?</summary>
    public bool IsRelocatable { get; }

    /// <summary>Alignment of the load address of a relocatable kernel, a power of two.</summary>
    public uint Alignment { get; }

    /// <summary>Where the kernel wants to run.</summary>
    public ulong PreferredAddress { get; }

    /// <summary>Bytes it needs from where it runs, before it has looked at the memory map.</summary>
    public uint InitSize { get; }

    /// <summary>Has it the 64-bit entry, 200h behind the 32-bit one?</summary>
    public bool Has64BitEntry { get; }

    /// <summary>Longest command line, without the final zero.</summary>
    public uint CommandLineLimit { get; }

    /// <summary>First address an initial RAM disk must not occupy.</summary>
    public ulong RamDiskLimit { get; }

    /// <summary>The setup header, as it goes into boot_params.</summary>
    public ReadOnlySpan<byte> Header => _image.AsSpan(HeaderStart, HeaderEnd - HeaderStart);

    /// <summary>The protected-mode code.</summary>
    public ReadOnlySpan<byte> Code => _image.AsSpan(_setupBytes);

    private string VersionText => $"{Version >> 8}.{Version & 0xff:00}";

    /// <summary>Is this the beginning of a Linux kernel for x86?</summary>
    public static bool HasSignature(ReadOnlySpan<byte> image) =>
        image.Length >= SignatureAt + 4
        && BinaryPrimitives.ReadUInt16LittleEndian(image[BootFlagAt..]) == 0xaa55
        && BinaryPrimitives.ReadUInt32LittleEndian(image[SignatureAt..]) == Signature;

    /// <summary>Checks an image.</summary>
    /// <param name="name">What error messages call it.</param>
    /// <param name="image">The whole file.</param>
    /// <exception cref="BootImageException">It is no bzImage, truncated, or contradicts itself.</exception>
    public static LinuxImage Parse(string name, byte[] image) =>
        HasSignature(image) ? new LinuxImage(name, image) : throw new BootImageException($"{name}: is not a Linux bzImage");

    private void CheckCode()
    {
        // syssize counts 16-byte units and is 32 bits wide since 2.04; signatures may follow the code.
        const int SizeAt = 0x1f4;
        if (Version >= 0x204)
        {
            long announced = (long)UInt32(SizeAt) << 4;
            if (Code.Length <= announced - 16) throw Malformed($"is truncated: {Code.Length} bytes of {announced} bytes of code are there");
        }

        if (Version < 0x208) return;
        long payloadEnd = (long)UInt32(PayloadOffsetAt) + UInt32(PayloadLengthAt);
        if (payloadEnd > Code.Length) throw Malformed($"is truncated: its payload ends at byte {payloadEnd} of {Code.Length} bytes of code");
    }

    private BootImageException Malformed(string what) => new($"{Name}: the Linux kernel {what}");

    // Fields behind the header's end do not exist and read as zero.
    private ushort UInt16(int at) => at + 2 <= End ? BinaryPrimitives.ReadUInt16LittleEndian(_image.AsSpan(at)) : (ushort)0;

    private uint UInt32(int at) => at + 4 <= End ? BinaryPrimitives.ReadUInt32LittleEndian(_image.AsSpan(at)) : 0;

    private ulong UInt64(int at) => at + 8 <= End ? BinaryPrimitives.ReadUInt64LittleEndian(_image.AsSpan(at)) : 0;

    private int End => HeaderEnd == 0 ? HeaderEndSmallest : HeaderEnd;
}
