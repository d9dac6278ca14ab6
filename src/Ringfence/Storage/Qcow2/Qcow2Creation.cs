using System.Buffers.Binary;
using System.Text;

namespace Ringfence.Storage.Qcow2;

/// <summary>
/// Makes empty qcow2 images of version 3: header, refcount table, refcount blocks and L1 table, one after the other.
/// </summary>
internal static class Qcow2Creation
{
    /// <summary>What an image is to be.</summary>
    /// <param name="Size">Bytes of the disk.</param>
    /// <param name="ClusterBits">Size of a cluster as a power of two.</param>
    /// <param name="RefcountOrder">Bits of a refcount as a power of two.</param>
    /// <param name="BackingFile">Name of a backing file, as it is to stand in the image; null: none.</param>
    /// <param name="BackingFormat">The backing file's format.</param>
    public sealed record Request(long Size, int ClusterBits = 16, int RefcountOrder = 4, string? BackingFile = null, string? BackingFormat = null);

    /// <summary>Writes the image into an empty file.</summary>
    /// <exception cref="BlockImageException">It cannot be made like that.</exception>
    public static void Write(ImageFile file, Request request)
    {
        int bits = request.ClusterBits;
        long l1Entries = Math.Max(1, Qcow2Header.L1EntriesFor(request.Size, bits));
        if (l1Entries * 8 > Qcow2Header.MaxL1Bytes) throw new BlockImageException($"{file.Name}: {request.Size} bytes are too many for clusters of {1 << bits} bytes");
        Layout layout = Plan(bits, request.RefcountOrder, ((l1Entries * 8) + (1 << bits) - 1) >> bits);
        byte[] header = Header(file, request, layout, (int)l1Entries);
        file.SetLength(layout.Clusters << bits);

        ulong[] table = new ulong[layout.Blocks];
        for (int i = 0; i < table.Length; i++) table[i] = (ulong)(1 + layout.TableClusters + i) << bits;
        int blockBits = bits + 3 - request.RefcountOrder;
        byte[] block = new byte[1 << bits];
        for (int i = 0; i < table.Length; i++)
        {
            Array.Clear(block);
            long first = (long)i << blockBits;
            for (long cluster = first; cluster < Math.Min(first + (1L << blockBits), layout.Clusters); cluster++) SetOne(block, (int)(cluster - first), request.RefcountOrder);
            file.Write((long)table[i], block);
        }

        Words.Write(file, 1L << bits, table);
        file.Write(0, header);
        file.Flush();
    }

    // The blocks count themselves, so their number follows from itself.
    private static Layout Plan(int bits, int order, long l1Clusters)
    {
        int blockBits = bits + 3 - order;
        long tableClusters = 1, blocks = 1;
        while (true)
        {
            long clusters = 1 + tableClusters + blocks + l1Clusters;
            long neededBlocks = (clusters + (1L << blockBits) - 1) >> blockBits;
            long neededTable = (neededBlocks * 8 + (1 << bits) - 1) >> bits;
            if (neededBlocks <= blocks && neededTable <= tableClusters) return new Layout((int)tableClusters, (int)blocks, clusters);
            blocks = neededBlocks;
            tableClusters = neededTable;
        }
    }

    private static byte[] Header(ImageFile file, Request request, Layout layout, int l1Entries)
    {
        int bits = request.ClusterBits;
        byte[] name = Encoding.UTF8.GetBytes(request.BackingFile ?? "");
        byte[] format = Encoding.UTF8.GetBytes(request.BackingFormat ?? "");
        int extensions = Qcow2Header.Version3Bytes + (format.Length > 0 ? 8 + ((format.Length + 7) & ~7) : 0) + 8;
        if (name.Length > 1023 || extensions + name.Length > 1 << bits) throw new BlockImageException($"{file.Name}: the name of the backing file is too long");
        byte[] header = new byte[1 << bits];
        Put32(header, 0, FormatProbe.Qcow2Magic);
        Put32(header, 4, 3);
        if (name.Length > 0)
        {
            Put64(header, 8, extensions);
            Put32(header, 16, (uint)name.Length);
            name.CopyTo(header, extensions);
        }

        Put32(header, 20, (uint)bits);
        Put64(header, 24, request.Size);
        Put32(header, 36, (uint)l1Entries);
        Put64(header, 40, (1L + layout.TableClusters + layout.Blocks) << bits);
        Put64(header, Qcow2Header.RefcountTableField, 1L << bits);
        Put32(header, 56, (uint)layout.TableClusters);
        Put32(header, 96, (uint)request.RefcountOrder);
        Put32(header, 100, Qcow2Header.Version3Bytes);
        if (format.Length > 0)
        {
            Put32(header, Qcow2Header.Version3Bytes, Qcow2Header.BackingFormatExtension);
            Put32(header, Qcow2Header.Version3Bytes + 4, (uint)format.Length);
            format.CopyTo(header, Qcow2Header.Version3Bytes + 8);
        }

        return header;
    }

    private static void SetOne(byte[] block, int index, int order)
    {
        // The lowest bit of an entry: in its last byte, or somewhere in a byte that it shares.
        if (order < 3) block[index << order >> 3] |= (byte)(1 << ((index << order) & 7));
        else block[((index + 1) << (order - 3)) - 1] = 1;
    }

    private static void Put32(byte[] bytes, int offset, uint value) => BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(offset), value);

    private static void Put64(byte[] bytes, int offset, long value) => BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(offset), value);

    private readonly record struct Layout(int TableClusters, int Blocks, long Clusters);
}
