using System.Buffers.Binary;

namespace Ringfence.Guests;

/// <summary>
/// Writes an ELF32 executable for i386: what Multiboot 1 boot loaders take (Multiboot specification 0.6.96, 3.1.1). The
/// Multiboot header is part of the first segment and so lies within the file's first 8 KiB.
/// </summary>
internal sealed class GuestImage(uint entry)
{
    private const int HeaderBytes = 52;
    private const int ProgramHeaderBytes = 32;
    private readonly List<(uint Physical, byte[] Bytes, int MemoryBytes, uint Rights)> _segments = [];

    /// <summary>Rights as ELF writes them.</summary>
    public const uint Execute = 1, Write = 2, Read = 4;

    /// <summary>Adds a piece of memory.</summary>
    /// <param name="physical">Where it is loaded, a multiple of the page size.</param>
    /// <param name="bytes">Its contents.</param>
    /// <param name="memoryBytes">Its size in memory; the rest is zeros.</param>
    /// <param name="rights">What it is for.</param>
    public void Add(uint physical, byte[] bytes, int memoryBytes, uint rights) => _segments.Add((physical, bytes, memoryBytes, rights));

    /// <summary>The whole file.</summary>
    public byte[] ToArray()
    {
        int offset = (int)MemoryMap.PageBytes;
        List<int> offsets = [];
        foreach ((_, byte[] bytes, _, _) in _segments)
        {
            offsets.Add(offset);
            offset = (offset + bytes.Length + (int)MemoryMap.PageBytes - 1) & -(int)MemoryMap.PageBytes;
        }

        byte[] file = new byte[offset];
        Span<byte> header = file;
        ReadOnlySpan<byte> identification = [0x7f, (byte)'E', (byte)'L', (byte)'F', 1, 1, 1];
        identification.CopyTo(header);
        BinaryPrimitives.WriteUInt16LittleEndian(header[16..], 2); // ET_EXEC
        BinaryPrimitives.WriteUInt16LittleEndian(header[18..], 3); // EM_386
        BinaryPrimitives.WriteUInt32LittleEndian(header[20..], 1);
        BinaryPrimitives.WriteUInt32LittleEndian(header[24..], entry);
        BinaryPrimitives.WriteUInt32LittleEndian(header[28..], HeaderBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(header[40..], HeaderBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(header[42..], ProgramHeaderBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(header[44..], (ushort)_segments.Count);
        for (int i = 0; i < _segments.Count; i++)
        {
            (uint physical, byte[] bytes, int memoryBytes, uint rights) = _segments[i];
            Span<byte> segment = header.Slice(HeaderBytes + (i * ProgramHeaderBytes), ProgramHeaderBytes);
            ReadOnlySpan<uint> fields = [1, (uint)offsets[i], physical, physical, (uint)bytes.Length, (uint)memoryBytes, rights, MemoryMap.PageBytes];
            for (int j = 0; j < fields.Length; j++) BinaryPrimitives.WriteUInt32LittleEndian(segment[(4 * j)..], fields[j]);
            bytes.CopyTo(header[offsets[i]..]);
        }

        return file;
    }
}
