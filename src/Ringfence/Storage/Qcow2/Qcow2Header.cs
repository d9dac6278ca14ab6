using System.Buffers.Binary;
using System.Text;

namespace Ringfence.Storage.Qcow2;

/// <summary>
/// The header of a qcow2 image (docs/interop/qcow2 "Header"). Reading it refuses everything that the rest of the code does not have to think
/// about any more: features that change the meaning of tables, and tables that do not lie within the file or lie upon the header.
/// </summary>
internal sealed class Qcow2Header
{
    /// <summary>Bits of <see cref="IncompatibleFeatures"/>: reference counts may be wrong.</summary>
    public const ulong Dirty = 1 << 0;

    /// <summary>Somebody found the image damaged.</summary>
    public const ulong Corrupt = 1 << 1;

    /// <summary>Where <see cref="IncompatibleFeatures"/> lies in the file; the other two feature words follow.</summary>
    public const int FeaturesOffset = 72;

    /// <summary>Where the offset of the refcount table lies in the file; the number of its clusters follows.</summary>
    public const int RefcountTableField = 48;

    /// <summary>Of version 3, without optional fields.</summary>
    public const int Version3Bytes = 104;

    /// <summary>A header extension: the backing file's format.</summary>
    public const uint BackingFormatExtension = 0xe2792aca;

    /// <summary>QEMU's own limit of an L1 table, without which a few bytes could ask for any amount of memory.</summary>
    public const long MaxL1Bytes = 32 << 20;

    /// <summary>QEMU's own limit of a refcount table.</summary>
    public const long MaxRefcountTableBytes = 8 << 20;

    /// <summary>The least and the greatest size of a cluster, as a power of two.</summary>
    public const int MinClusterBits = 9;

    /// <inheritdoc cref="MinClusterBits"/>
    public const int MaxClusterBits = 21;

    private const ulong External = 1 << 2;
    private const ulong Compression = 1 << 3;
    private const ulong ExtendedL2 = 1 << 4;
    private const uint FeatureNamesExtension = 0x6803f857;
    private const uint BitmapsExtension = 0x23852875;
    private const int Version2Bytes = 72;
    private const int MaxBackingNameBytes = 1023;
    private const int MaxSnapshots = 65536;

    private Qcow2Header()
    {
    }

    /// <summary>2 or 3.</summary>
    public int Version { get; private init; }

    /// <summary>Size of a cluster as a power of two.</summary>
    public int ClusterBits { get; private init; }

    /// <summary>Bytes of a cluster.</summary>
    public int ClusterBytes => 1 << ClusterBits;

    /// <summary>Bytes of the disk.</summary>
    public long Size { get; private init; }

    /// <summary>Entries of the active L1 table.</summary>
    public int L1Entries { get; private init; }

    /// <summary>Where it lies.</summary>
    public long L1Offset { get; private init; }

    /// <summary>Where the refcount table lies.</summary>
    public long RefcountTableOffset { get; private init; }

    /// <summary>Clusters it takes.</summary>
    public int RefcountTableClusters { get; private init; }

    /// <summary>Bits of a refcount as a power of two, 0 to 6.</summary>
    public int RefcountOrder { get; private init; }

    /// <summary>How many internal snapshots there are.</summary>
    public int Snapshots { get; private init; }

    /// <summary>Where their table lies.</summary>
    public long SnapshotsOffset { get; private init; }

    /// <summary>Features without which the image cannot be read.</summary>
    public ulong IncompatibleFeatures { get; private init; }

    /// <summary>Features that a writer who does not know them takes away.</summary>
    public ulong AutoclearFeatures { get; private init; }

    /// <summary>The backing file's name; null: there is none.</summary>
    public string? BackingFile { get; private init; }

    /// <summary>Its format; null: the image does not say.</summary>
    public string? BackingFormat { get; private init; }

    /// <summary>Bitmaps of changes are stored, which a writer would have to keep up to date.</summary>
    public bool HasBitmaps { get; private init; }

    /// <summary>How many clusters of the disk one L2 table describes, as a power of two.</summary>
    public int L2Bits => ClusterBits - 3;

    /// <summary>Entries of an L1 table for a disk of <paramref name="size"/> bytes.</summary>
    public static long L1EntriesFor(long size, int clusterBits)
    {
        int shift = clusterBits + clusterBits - 3;
        return (size >> shift) + ((size & ((1L << shift) - 1)) != 0 ? 1 : 0);
    }

    /// <summary>Reads and judges the header.</summary>
    /// <exception cref="BlockImageException">It cannot be used.</exception>
    public static Qcow2Header Read(ImageFile file)
    {
        byte[] start = new byte[Version3Bytes + 8];
        file.ReadPadded(0, start);
        if (!FormatProbe.IsQcow(start)) throw Wrong(file, "is not a qcow2 image");
        int version = (int)Math.Min(U32(start, 4), int.MaxValue);
        if (version is not (2 or 3)) throw Wrong(file, $"has qcow version {U32(start, 4)}; 2 and 3 can be used");
        int headerBytes = version == 2 ? Version2Bytes : (int)Math.Min(U32(start, 100), int.MaxValue);
        if (file.Length < headerBytes) throw Wrong(file, "is cut off in its header");
        uint clusterBits = U32(start, 20);
        if (clusterBits is < MinClusterBits or > MaxClusterBits) throw Wrong(file, $"says its clusters have 2^{clusterBits} bytes; 2^{MinClusterBits} to 2^{MaxClusterBits} can be used");
        int clusterBytes = 1 << (int)clusterBits;
        if (headerBytes < (version == 2 ? Version2Bytes : Version3Bytes) || headerBytes > clusterBytes || headerBytes % 8 != 0) throw Wrong(file, "says its header has an impossible length");

        byte[] cluster = new byte[clusterBytes];
        file.ReadPadded(0, cluster);
        Extensions extensions = ReadExtensions(file, cluster, headerBytes);
        ulong features = version == 2 ? 0 : U64(cluster, FeaturesOffset);
        CheckFeatures(file, features, headerBytes > Version3Bytes ? cluster[Version3Bytes] : (byte)0, U32(cluster, 32), extensions.FeatureNames);
        uint order = version == 2 ? 4 : U32(cluster, 96);
        if (order > 6) throw Wrong(file, $"says its reference counts have 2^{order} bits");

        Qcow2Header header = new()
        {
            Version = version,
            ClusterBits = (int)clusterBits,
            Size = Range(file, U64(cluster, 24), "size"),
            L1Entries = (int)Math.Min(U32(cluster, 36), int.MaxValue),
            L1Offset = Range(file, U64(cluster, 40), "L1 table"),
            RefcountTableOffset = Range(file, U64(cluster, RefcountTableField), "refcount table"),
            RefcountTableClusters = (int)Math.Min(U32(cluster, 56), int.MaxValue),
            RefcountOrder = (int)order,
            Snapshots = (int)Math.Min(U32(cluster, 60), int.MaxValue),
            SnapshotsOffset = Range(file, U64(cluster, 64), "snapshot table"),
            IncompatibleFeatures = features,
            AutoclearFeatures = version == 2 ? 0 : U64(cluster, FeaturesOffset + 16),
            BackingFile = ReadBackingName(file, cluster),
            BackingFormat = extensions.BackingFormat,
            HasBitmaps = extensions.HasBitmaps,
        };
        header.CheckTables(file);
        return header;
    }

    /// <summary>Is this a place where a table can begin?</summary>
    public bool IsTableOffset(long offset, long fileLength) => offset > 0 && (offset & (ClusterBytes - 1)) == 0 && offset < fileLength;

    private static BlockImageException Wrong(ImageFile file, string what) => new($"{file.Name}: {what}");

    private static uint U32(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt32BigEndian(bytes[offset..]);

    private static ulong U64(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt64BigEndian(bytes[offset..]);

    // Nothing in an image reaches 2^62 bytes: sums of two such numbers cannot overflow.
    private static long Range(ImageFile file, ulong value, string what) =>
        value < 1UL << 62 ? (long)value : throw Wrong(file, $"has an impossible {what} (0x{value:x})");

    private static string? ReadBackingName(ImageFile file, ReadOnlySpan<byte> cluster)
    {
        ulong offset = U64(cluster, 8);
        uint length = U32(cluster, 16);
        if (offset == 0 || length == 0) return null;
        if (length > MaxBackingNameBytes || offset > (ulong)cluster.Length || offset + length > (ulong)cluster.Length)
            throw Wrong(file, "has the name of its backing file outside of its header");
        string name = Encoding.UTF8.GetString(cluster.Slice((int)offset, (int)length));
        return name.Any(char.IsControl) ? throw Wrong(file, "has a backing file whose name is not text") : name;
    }

    private static Extensions ReadExtensions(ImageFile file, ReadOnlySpan<byte> cluster, int offset)
    {
        Extensions found = new();
        while (offset + 8 <= cluster.Length)
        {
            uint type = U32(cluster, offset);
            uint length = U32(cluster, offset + 4);
            offset += 8;
            if (type == 0) break;
            if (length > cluster.Length - offset) throw Wrong(file, "has a header extension that does not fit its header");
            ReadOnlySpan<byte> data = cluster.Slice(offset, (int)length);
            if (type == BackingFormatExtension) found.BackingFormat = Encoding.UTF8.GetString(data);
            if (type == FeatureNamesExtension) found.FeatureNames = data.ToArray();
            if (type == BitmapsExtension) found.HasBitmaps = true;
            offset += (int)((length + 7) & ~7U);
        }

        return found;
    }

    private static void CheckFeatures(ImageFile file, ulong features, byte compression, uint encryption, byte[] names)
    {
        if (encryption != 0) throw Wrong(file, "is encrypted, which is not supported");
        if ((features & External) != 0) throw Wrong(file, "keeps its data in another file, which is not supported");
        if ((features & ExtendedL2) != 0) throw Wrong(file, "has extended L2 entries, which are not supported");
        if ((features & Compression) != 0) throw Wrong(file, $"has clusters compressed by {(compression == 1 ? "zstd" : $"method {compression}")}, which is not supported");
        ulong unknown = features & ~(Dirty | Corrupt);
        if (unknown == 0) return;
        int bit = System.Numerics.BitOperations.TrailingZeroCount(unknown);
        throw Wrong(file, $"needs a feature that is not known here (bit {bit}{FeatureName(names, bit)})");
    }

    // A feature name table has entries of 48 bytes: type (0: incompatible), bit, name.
    private static string FeatureName(ReadOnlySpan<byte> names, int bit)
    {
        for (; names.Length >= 48; names = names[48..])
        {
            if (names[0] != 0 || names[1] != bit) continue;
            string name = Encoding.UTF8.GetString(names[2..48]).TrimEnd('\0');
            return name.Any(char.IsControl) ? "" : $", {name}";
        }

        return "";
    }

    private void CheckTables(ImageFile file)
    {
        long length = file.Length;
        long l1Bytes = (long)L1Entries * 8;
        if (l1Bytes > MaxL1Bytes) throw Wrong(file, $"has an L1 table of {L1Entries} entries; at most {MaxL1Bytes / 8} can be used");
        if (Size > long.MaxValue - 511 || L1EntriesFor(Size, ClusterBits) > L1Entries) throw Wrong(file, "has an L1 table that is too small for its size");
        if (L1Entries > 0 && (!IsTableOffset(L1Offset, length) || L1Offset + l1Bytes > RoundUp(length))) throw Wrong(file, "has its L1 table outside of the file");
        if (RefcountTableClusters == 0) throw Wrong(file, "has no refcount table");
        long refcountBytes = (long)RefcountTableClusters << ClusterBits;
        if (refcountBytes > MaxRefcountTableBytes) throw Wrong(file, $"has a refcount table of {refcountBytes} bytes; at most {MaxRefcountTableBytes} can be used");
        if (!IsTableOffset(RefcountTableOffset, length) || RefcountTableOffset + refcountBytes > RoundUp(length)) throw Wrong(file, "has its refcount table outside of the file");
        if (Snapshots > MaxSnapshots) throw Wrong(file, $"says it has {Snapshots} snapshots; at most {MaxSnapshots} can be used");
        if (Snapshots > 0 && !IsTableOffset(SnapshotsOffset, length)) throw Wrong(file, "has its snapshot table outside of the file");
        if (L1Entries > 0 && L1Offset < RefcountTableOffset + refcountBytes && RefcountTableOffset < L1Offset + l1Bytes) throw Wrong(file, "has an L1 table and a refcount table that overlap");
    }

    private long RoundUp(long length) => (length + ClusterBytes - 1) & -ClusterBytes;

    private sealed class Extensions
    {
        public string? BackingFormat { get; set; }

        public byte[] FeatureNames { get; set; } = [];

        public bool HasBitmaps { get; set; }
    }
}
