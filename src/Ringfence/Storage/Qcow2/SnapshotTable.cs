using System.Buffers.Binary;
using System.Text;

namespace Ringfence.Storage.Qcow2;

/// <summary>The table of internal snapshots (docs/interop/qcow2 "Snapshots").</summary>
internal sealed class SnapshotTable
{
    private const int EntryBytes = 40;
    private const int MaxExtraBytes = 1024;
    private const long MaxBytes = 64 << 20;

    private SnapshotTable(List<Entry> entries, long bytes)
    {
        Entries = entries;
        Bytes = bytes;
    }

    /// <summary>The snapshots in their order.</summary>
    public IReadOnlyList<Entry> Entries { get; }

    /// <summary>Bytes of the table.</summary>
    public long Bytes { get; }

    /// <summary>Reads the table.</summary>
    /// <exception cref="BlockImageException">It makes no sense.</exception>
    public static SnapshotTable Read(ImageFile file, Qcow2Header header)
    {
        List<Entry> entries = [];
        long offset = header.SnapshotsOffset;
        byte[] fixedPart = new byte[EntryBytes];
        for (int i = 0; i < header.Snapshots; i++)
        {
            file.ReadPadded(offset, fixedPart);
            long l1Offset = (long)BinaryPrimitives.ReadUInt64BigEndian(fixedPart);
            uint l1Entries = BinaryPrimitives.ReadUInt32BigEndian(fixedPart.AsSpan(8));
            int idBytes = BinaryPrimitives.ReadUInt16BigEndian(fixedPart.AsSpan(12));
            int nameBytes = BinaryPrimitives.ReadUInt16BigEndian(fixedPart.AsSpan(14));
            uint extraBytes = BinaryPrimitives.ReadUInt32BigEndian(fixedPart.AsSpan(36));
            if (extraBytes > MaxExtraBytes) throw new BlockImageException($"{file.Name}: snapshot {i + 1} has more extra data than can be");
            byte[] rest = new byte[extraBytes + idBytes + nameBytes];
            if (offset + EntryBytes + rest.Length > file.Length) throw new BlockImageException($"{file.Name}: its snapshot table is cut off");
            file.ReadPadded(offset + EntryBytes, rest);
            if (l1Entries * 8L > Qcow2Header.MaxL1Bytes
                || (l1Entries > 0 && (!header.IsTableOffset(l1Offset, file.Length) || l1Offset + l1Entries * 8L > file.Length + header.ClusterBytes)))
                throw new BlockImageException($"{file.Name}: snapshot {i + 1} has its L1 table outside of the file");
            string name = Text(rest.AsSpan((int)extraBytes + idBytes, nameBytes));
            long seconds = BinaryPrimitives.ReadUInt32BigEndian(fixedPart.AsSpan(16));
            uint nanoseconds = BinaryPrimitives.ReadUInt32BigEndian(fixedPart.AsSpan(20));
            ulong state = extraBytes >= 8 ? BinaryPrimitives.ReadUInt64BigEndian(rest) : BinaryPrimitives.ReadUInt32BigEndian(fixedPart.AsSpan(32));
            ulong size = extraBytes >= 16 ? BinaryPrimitives.ReadUInt64BigEndian(rest.AsSpan(8)) : (ulong)header.Size;
            Qcow2Snapshot snapshot = new(
                Text(rest.AsSpan((int)extraBytes, idBytes)), name, DateTimeOffset.FromUnixTimeSeconds(seconds).AddTicks(nanoseconds / 100), (long)size, (long)state);
            entries.Add(new Entry(snapshot, l1Offset, (int)l1Entries));
            offset = (offset + EntryBytes + rest.Length + 7) & ~7L;
            if (offset - header.SnapshotsOffset > MaxBytes) throw new BlockImageException($"{file.Name}: its snapshot table is larger than {MaxBytes >> 20} MiB");
        }

        return new SnapshotTable(entries, offset - header.SnapshotsOffset);
    }

    // Names come from files that anybody may have made, and go to terminals.
    private static string Text(ReadOnlySpan<byte> bytes)
    {
        char[] text = Encoding.UTF8.GetString(bytes).ToCharArray();
        for (int i = 0; i < text.Length; i++)
            if (char.IsControl(text[i])) text[i] = '?';
        return new string(text);
    }

    /// <summary>One snapshot and where its L1 table lies.</summary>
    public sealed record Entry(Qcow2Snapshot Snapshot, long L1Offset, int L1Entries);
}
