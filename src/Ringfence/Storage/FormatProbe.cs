using System.Buffers.Binary;

namespace Ringfence.Storage;

/// <summary>Formats that are known by the first bytes of a file.</summary>
internal static class FormatProbe
{
    /// <summary>How many first bytes decide.</summary>
    public const int Bytes = 512;

    /// <summary>"QFI\xfb" and the version behind it.</summary>
    public const uint Qcow2Magic = 0x514649fb;

    private static readonly (byte[] Magic, int Offset, string Name)[] Foreign =
    [
        ("KDMV"u8.ToArray(), 0, "VMDK"),
        ("COWD"u8.ToArray(), 0, "VMDK"),
        ("# Disk DescriptorFile"u8.ToArray(), 0, "VMDK"),
        ([0x7f, 0x10, 0xda, 0xbe], 64, "VDI"),
        ("vhdxfile"u8.ToArray(), 0, "VHDX"),
        ("conectix"u8.ToArray(), 0, "VHD"),
        ("QED\0"u8.ToArray(), 0, "QED"),
        ("WithoutFreeSpace"u8.ToArray(), 0, "Parallels"),
        ("WithouFreSpacExt"u8.ToArray(), 0, "Parallels"),
        ([0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe], 0, "LUKS"),
    ];

    /// <summary>Do these first bytes begin with qcow's magic (of any version)?</summary>
    public static bool IsQcow(ReadOnlySpan<byte> start) => start.Length >= 4 && BinaryPrimitives.ReadUInt32BigEndian(start) == Qcow2Magic;

    /// <summary>The foreign format that these first bytes belong to; null: none that is known.</summary>
    public static string? ForeignFormat(ReadOnlySpan<byte> start)
    {
        foreach ((byte[] magic, int offset, string name) in Foreign)
            if (start.Length >= offset + magic.Length && start.Slice(offset, magic.Length).SequenceEqual(magic)) return name;
        return null;
    }
}
