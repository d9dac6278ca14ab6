using System.Buffers.Binary;

namespace Ringfence.Virtualizability.HostProcessors;

/// <summary>
/// The child's executable file: a static ELF64 program whose segments are its whole address space, so that it maps nothing itself.
/// In the file: headers and code, the data page, and zeros, which the stacks and the three areas are private copies of.
/// </summary>
internal static class HostProbeImage
{
    private const int PageBytes = 4096;
    private const int HeaderBytes = 64;
    private const int SegmentHeaderBytes = 56;
    private const int CodeOffset = 0x400;
    private const int DataOffset = PageBytes;
    private const int ZerosOffset = 2 * PageBytes;

    private const uint Execute = 1, Write = 2, Read = 4;
    private const uint Load = 1, GnuStack = 0x6474_e551;

    /// <summary>The file's bytes.</summary>
    public static byte[] Build(HostProbeLayout layout)
    {
        byte[] image = new byte[ZerosOffset + HostProbeLayout.ProbeStackBytes];
        byte[] code = HostProbeCode.Assemble(layout, HostProbeLayout.ProbeCode + CodeOffset, out ulong handler);
        code.CopyTo(image.AsSpan(CodeOffset, PageBytes - CodeOffset));
        HostProbeRecords.Initialize(image.AsSpan(DataOffset, PageBytes), handler);

        // The kernel wants them in the order of their addresses.
        List<Segment> segments =
        [
            new(HostProbeLayout.ProbeCode, 0, PageBytes, Read | Execute),
            new(HostProbeLayout.ProbeData, DataOffset, PageBytes, Read | Write),
            new(HostProbeLayout.ProbeStacks, ZerosOffset, HostProbeLayout.ProbeStackBytes, Read | Write),
            new(layout.Code, ZerosOffset, HostProbeLayout.AreaBytes, Read | Write | Execute),
            new(layout.Data, ZerosOffset, HostProbeLayout.AreaBytes, Read | Write),
            new(layout.Stack, ZerosOffset, HostProbeLayout.AreaBytes, Read | Write),
        ];
        segments.Sort((a, b) => a.Address.CompareTo(b.Address));
        WriteHeader(image, HostProbeLayout.ProbeCode + CodeOffset, segments.Count + 1);
        Span<byte> headers = image.AsSpan(HeaderBytes);
        for (int i = 0; i < segments.Count; i++) WriteSegment(headers[(i * SegmentHeaderBytes)..], Load, segments[i]);
        WriteSegment(headers[(segments.Count * SegmentHeaderBytes)..], GnuStack, new Segment(0, 0, 0, Read | Write));
        return image;
    }

    private static void WriteHeader(Span<byte> file, ulong entry, int segments)
    {
        // 64-bit, little-endian, System V; an executable for x86-64.
        ReadOnlySpan<byte> identification = [0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1];
        identification.CopyTo(file);
        BinaryPrimitives.WriteUInt16LittleEndian(file[16..], 2);
        BinaryPrimitives.WriteUInt16LittleEndian(file[18..], 62);
        BinaryPrimitives.WriteUInt32LittleEndian(file[20..], 1);
        BinaryPrimitives.WriteUInt64LittleEndian(file[24..], entry);
        BinaryPrimitives.WriteUInt64LittleEndian(file[32..], HeaderBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(file[52..], HeaderBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(file[54..], SegmentHeaderBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(file[56..], (ushort)segments);
    }

    private static void WriteSegment(Span<byte> header, uint type, Segment segment)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(header, type);
        BinaryPrimitives.WriteUInt32LittleEndian(header[4..], segment.Rights);
        BinaryPrimitives.WriteUInt64LittleEndian(header[8..], segment.Offset);
        BinaryPrimitives.WriteUInt64LittleEndian(header[16..], segment.Address);
        BinaryPrimitives.WriteUInt64LittleEndian(header[24..], segment.Address);
        BinaryPrimitives.WriteUInt64LittleEndian(header[32..], segment.Bytes);
        BinaryPrimitives.WriteUInt64LittleEndian(header[40..], segment.Bytes);
        BinaryPrimitives.WriteUInt64LittleEndian(header[48..], PageBytes);
    }

    private readonly record struct Segment(uint Address, uint Offset, uint Bytes, uint Rights);
}
