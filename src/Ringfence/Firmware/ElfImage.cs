using System.Buffers.Binary;

namespace Ringfence.Firmware;

/// <summary>A part of an image and where in guest-physical memory it goes; what lies behind its bytes is zeroed.</summary>
/// <param name="Address">Physical address.</param>
/// <param name="FileOffset">Where its bytes begin in the file.</param>
/// <param name="FileBytes">How many bytes the file holds.</param>
/// <param name="MemoryBytes">How many bytes it occupies in memory.</param>
internal readonly record struct LoadSegment(ulong Address, int FileOffset, int FileBytes, ulong MemoryBytes)
{
    /// <summary>First address behind it.</summary>
    public ulong End => Address + MemoryBytes;
}

/// <summary>The program headers of an ELF executable for x86, checked (System V ABI, "Program Loading").</summary>
internal static class ElfImage
{
    /// <summary>The first four bytes, little-endian.</summary>
    public const uint Magic = 0x464c_457f;

    private const int Class64 = 2;
    private const ushort MachineI386 = 3;
    private const ushort MachineX64 = 62;
    private const uint LoadType = 1;

    /// <summary>Finds what is to be loaded and where execution begins, as physical addresses.</summary>
    /// <exception cref="BootImageException">The file is truncated, malformed, or not for x86.</exception>
    public static IReadOnlyList<LoadSegment> Parse(string name, ReadOnlySpan<byte> file, out ulong entry)
    {
        if (file.Length < 0x40) throw Malformed(name, "is truncated within its header");
        bool is64 = file[4] == Class64;
        if (file[4] is not (1 or Class64) || file[5] != 1) throw Malformed(name, "is neither 32-bit nor 64-bit little-endian");
        ushort machine = UInt16(file, 18);
        if (machine != (is64 ? MachineX64 : MachineI386)) throw Malformed(name, $"is for machine {machine}, not for x86");
        if (UInt16(file, 16) is not (2 or 3)) throw Malformed(name, "is not an executable");
        entry = is64 ? UInt64(file, 24) : UInt32(file, 24);
        ulong table = is64 ? UInt64(file, 32) : UInt32(file, 28);
        int entryBytes = UInt16(file, is64 ? 54 : 42);
        int count = UInt16(file, is64 ? 56 : 44);
        if (count == 0) throw Malformed(name, "has no program headers");
        if (entryBytes < (is64 ? 56 : 32)) throw Malformed(name, $"has program headers of {entryBytes} bytes, which is impossible");
        if (table > (ulong)file.Length || (ulong)(count * entryBytes) > (ulong)file.Length - table)
            throw Malformed(name, "is truncated: its program headers lie behind its end");

        List<LoadSegment> segments = [];
        ulong virtualEntry = entry;
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> header = file[((int)table + (i * entryBytes))..];
            if (UInt32(header, 0) != LoadType) continue;
            ulong offset = is64 ? UInt64(header, 8) : UInt32(header, 4);
            ulong linear = is64 ? UInt64(header, 16) : UInt32(header, 8);
            ulong physical = is64 ? UInt64(header, 24) : UInt32(header, 12);
            ulong fileBytes = is64 ? UInt64(header, 32) : UInt32(header, 16);
            ulong memoryBytes = is64 ? UInt64(header, 40) : UInt32(header, 20);
            if (memoryBytes == 0) continue;
            if (fileBytes > memoryBytes) throw Malformed(name, $"has a segment with more bytes in the file ({fileBytes}) than in memory ({memoryBytes})");
            if (offset > (ulong)file.Length || fileBytes > (ulong)file.Length - offset)
                throw Malformed(name, $"is truncated: a segment ends at byte {(UInt128)offset + fileBytes} of {file.Length}");
            if (physical + memoryBytes < physical) throw Malformed(name, "has a segment that ends behind the last address");
            segments.Add(new LoadSegment(physical, (int)offset, (int)fileBytes, memoryBytes));
            if (virtualEntry >= linear && virtualEntry - linear < memoryBytes) entry = virtualEntry - linear + physical;
        }

        return segments.Count != 0 ? segments : throw Malformed(name, "has nothing to load");
    }

    private static BootImageException Malformed(string name, string what) => new($"{name}: the ELF file {what}");

    private static ushort UInt16(ReadOnlySpan<byte> from, int at) => BinaryPrimitives.ReadUInt16LittleEndian(from[at..]);

    private static uint UInt32(ReadOnlySpan<byte> from, int at) => BinaryPrimitives.ReadUInt32LittleEndian(from[at..]);

    private static ulong UInt64(ReadOnlySpan<byte> from, int at) => BinaryPrimitives.ReadUInt64LittleEndian(from[at..]);
}
