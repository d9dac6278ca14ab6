using System.Buffers.Binary;
using System.Diagnostics;
using Ringfence.Storage;
using Ringfence.Storage.Qcow2;

namespace Ringfence.Tests.Storage;

/// <summary>Images that somebody made to do harm: one line, nothing written, no time or memory taken.</summary>
public sealed class HostileImageTests : IDisposable
{
    private const int Cluster = 4096;

    private readonly ImageFolder _folder = new();
    private readonly byte[] _image;
    private readonly int _l1;
    private readonly int _l2;

    public HostileImageTests()
    {
        DiskImage.CreateQcow2(_folder["sound"], 8 << 20, clusterBytes: Cluster);
        using (BlockStore disk = DiskImage.Open(_folder["sound"]))
        {
            disk.Write(0, new byte[5 * Cluster]);
            disk.Write(4 << 20, new byte[Cluster]);
        }

        _image = File.ReadAllBytes(_folder["sound"]);
        _l1 = (int)Get64(40);
        _l2 = (int)(Get64(_l1) & L2Entry.OffsetMask);
    }

    [Fact]
    public void Headers_that_cannot_be_are_refused()
    {
        Refused(4, 1U, "has qcow version 1; 2 and 3 can be used");
        Refused(4, 4U, "has qcow version 4; 2 and 3 can be used");
        Refused(20, 8U, "says its clusters have 2^8 bytes");
        Refused(20, 22U, "says its clusters have 2^22 bytes");
        Refused(20, uint.MaxValue, "says its clusters have");
        Refused(24, ulong.MaxValue, "has an impossible size");
        Refused(24, 1UL << 50, "has an L1 table that is too small for its size");
        Refused(32, 1U, "is encrypted");
        Refused(36, uint.MaxValue, "has an L1 table of");
        Refused(36, 1U, "has an L1 table that is too small for its size");
        Refused(36, 1U << 20, "has its L1 table outside of the file");
        Refused(40, 1UL << 40, "has its L1 table outside of the file");
        Refused(40, 513UL, "has its L1 table outside of the file");
        Refused(40, 0UL, "has its L1 table outside of the file");
        Refused(48, 1UL << 40, "has its refcount table outside of the file");
        Refused(48, (ulong)_l1, "has an L1 table and a refcount table that overlap");
        Refused(56, 0U, "has no refcount table");
        Refused(56, uint.MaxValue, "has a refcount table of");
        Refused(60, uint.MaxValue, "says it has");
        Refused(60, 1U, "has its snapshot table outside of the file");
        Refused(72, 1UL << 63, "needs a feature that is not known here (bit 63)");
        Refused(96, 7U, "says its reference counts have 2^7 bits");
        Refused(100, 8U, "says its header has an impossible length");
        Refused(100, 5000U, "says its header has an impossible length");
        Refused(100, 1U << 31, "is cut off in its header");
        Refused(108, 0x8000_0000U, "has a header extension that does not fit its header", type: 1);
        Refused(8, (ulong)Cluster - 2, "has the name of its backing file outside of its header", length: 100);
    }

    [Fact]
    public void Tables_that_lead_outside_or_to_each_other_are_refused()
    {
        const ulong Flag = L2Entry.Copied;
        Refused(_l1, Flag | 1UL << 50, "is damaged: L1 entry 0 (0x8004000000000000) leads to no place of the file");
        Refused(_l1, Flag | 512UL, "leads to no place of the file");
        Refused(_l1, L2Entry.At(_l1).Bits, "lie upon each other");
        Refused(_l1, Flag | 0x1000, "lie upon each other");
        Refused(_l1 + 8, L2Entry.At(_l2).Bits, "two L1 entries share the L2 table");
        Refused(_l1 + 8, 1UL, "leads to no place of the file");
        Refused(_l2, Flag | 1UL << 45, "lies outside of the file");
        Refused(_l2, L2Entry.At(_l2).Bits, "lie upon each other");
        Refused(_l2, Flag, "is said to be at the file's start");
        Refused(_l2, L2Entry.At(_l1).Bits, "lie upon each other");
        Refused(_l2, Flag | 0x2000, "lie upon each other");
        Refused(_l2, Get64(_l2 + 8), "two clusters of the disk lie at the same place");
        Refused(_l2, Flag | 0x1200, "is not aligned");
        Refused(_l2, 1UL << 60, "has reserved bits set");
        Refused(_l2, 1UL << 62, "has compressed data outside of the file");
        Refused(_l2, (1UL << 62) | (1UL << 45), "has compressed data outside of the file");
        int refcounts = (int)Get64(48);
        Refused(refcounts, 1UL << 50, "refcount table entry 0 (0x4000000000000) leads to no place of the file");
        Refused(refcounts, (ulong)refcounts, "lie upon each other");
        Refused(refcounts + 8, Get64(refcounts), "lie upon each other");
        Refused(refcounts, 0UL, "its reference counts are wrong", alsoForReading: false);
        int block = (int)Get64(refcounts);
        Refused(block, 0U, "its reference counts are wrong", alsoForReading: false);
        Refused(_l2, Get64(_l2) & ~Flag, "its reference counts are wrong", alsoForReading: false);
    }

    [Fact]
    public void A_cluster_with_more_references_than_can_be_counted_is_refused()
    {
        File.Delete(_folder["bad"]);
        using (ImageFile file = ImageFile.Create(_folder["bad"])) Qcow2Creation.Write(file, new Qcow2Creation.Request(1 << 20, 12, RefcountOrder: 0));
        using (BlockStore disk = DiskImage.Open(_folder["bad"])) disk.Write(0, new byte[Cluster]);
        byte[] image = File.ReadAllBytes(_folder["bad"]);
        int l2 = (int)(BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan((int)BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(40)))) & L2Entry.OffsetMask);
        ulong compressed = (1UL << 62) | (BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(l2)) & L2Entry.OffsetMask);
        for (int i = 0; i < 2; i++) BinaryPrimitives.WriteUInt64BigEndian(image.AsSpan(l2 + 8 * i), compressed);
        File.WriteAllBytes(_folder["bad"], image);
        Should.Throw<BlockImageException>(() => DiskImage.Open(_folder["bad"])).Message.ShouldContain("has 2 references, more than can be counted");
        File.ReadAllBytes(_folder["bad"]).ShouldBe(image);
    }

    [Fact]
    public void Images_that_are_cut_off_are_refused()
    {
        for (int length = 4; length < _image.Length; length += length < 200 ? 1 : 509)
        {
            File.WriteAllBytes(_folder["bad"], _image[..length]);
            try
            {
                DiskImage.Open(_folder["bad"]).Dispose();
                length.ShouldBeGreaterThan(_image.Length - Cluster);
            }
            catch (BlockImageException error)
            {
                error.Message.Contains(Environment.NewLine, StringComparison.Ordinal).ShouldBeFalse();
            }
        }
    }

    [Fact]
    public void A_chain_of_backing_files_that_loops_is_refused()
    {
        File.WriteAllBytes(_folder["a"], []);
        void Make(string name, string below)
        {
            File.Delete(_folder[name]);
            using ImageFile file = ImageFile.Create(_folder[name]);
            Qcow2Creation.Write(file, new Qcow2Creation.Request(1 << 20, BackingFile: below, BackingFormat: "qcow2"));
        }

        Make("a", "a");
        Should.Throw<BlockImageException>(() => DiskImage.Open(_folder["a"])).Message.ShouldBe($"{_folder["a"]}: its backing file cannot be used: {_folder["a"]}: is its own backing file");
        Make("a", "b");
        Make("b", "c");
        Make("c", "./a");
        Should.Throw<BlockImageException>(() => DiskImage.Open(_folder["a"])).Message.ShouldEndWith(": is its own backing file");
        for (int i = 0; i < 100; i++) Make($"d{i}", $"d{i + 1}");
        Should.Throw<BlockImageException>(() => DiskImage.Open(_folder["d0"])).Message.ShouldEndWith(": more than 64 images lie upon each other");
        Make("e", "nbd://host/disk");
        Should.Throw<BlockImageException>(() => DiskImage.Open(_folder["e"])).Message.ShouldEndWith(": its backing file 'nbd://host/disk' is not a file of this host");
        Make("e", "json:{}");
        Should.Throw<BlockImageException>(() => DiskImage.Open(_folder["e"])).Message.ShouldEndWith(": its backing file 'json:{}' is not a file of this host");
        Make("e", "missing");
        Should.Throw<BlockImageException>(() => DiskImage.Open(_folder["e"])).Message.ShouldBe($"{_folder["e"]}: its backing file cannot be used: {_folder["missing"]}: no such file or folder");
    }

    // 8 MiB that really exist, and terabytes of holes that they lead to.
    [Fact]
    public void Many_tables_in_holes_take_neither_time_nor_memory()
    {
        string path = _folder["bad"];
        using (ImageFile file = ImageFile.Create(path)) Qcow2Creation.Write(file, new Qcow2Creation.Request(1L << 53, 21));
        DiskImageInfo info = DiskImage.Inspect(path);
        info.VirtualBytes.ShouldBe(1L << 53);
        using (FileStream file = new(path, FileMode.Open))
        {
            byte[] header = new byte[64];
            file.ReadExactly(header);
            long l1 = BinaryPrimitives.ReadInt64BigEndian(header.AsSpan(40));
            int entries = BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(36));
            byte[] table = new byte[entries * 8];
            for (int i = 0; i < entries; i++) BinaryPrimitives.WriteUInt64BigEndian(table.AsSpan(i * 8), (ulong)(i + 100) << 21 | L2Entry.Copied);
            file.Position = l1;
            file.Write(table);
            file.SetLength((entries + 200L) << 21);
        }

        Stopwatch time = Stopwatch.StartNew();
        DiskImage.Open(path, new DiskImageOptions { ReadOnly = true }).Dispose();
        Should.Throw<BlockImageException>(() => DiskImage.Open(path)).Message.ShouldContain("its reference counts are wrong");
        // A second or two where nothing else runs.
        time.Elapsed.TotalSeconds.ShouldBeLessThan(60);
    }

    public void Dispose() => _folder.Dispose();

    private ulong Get64(int offset) => BinaryPrimitives.ReadUInt64BigEndian(_image.AsSpan(offset));

    private void Refused(int offset, uint value, string expected, bool alsoForReading = true, uint type = 0)
    {
        byte[] image = [.. _image];
        BinaryPrimitives.WriteUInt32BigEndian(image.AsSpan(offset), value);
        if (type != 0) BinaryPrimitives.WriteUInt32BigEndian(image.AsSpan(offset - 4), type);
        Refused(image, expected, alsoForReading);
    }

    private void Refused(int offset, ulong value, string expected, bool alsoForReading = true, uint length = 0)
    {
        byte[] image = [.. _image];
        BinaryPrimitives.WriteUInt64BigEndian(image.AsSpan(offset), value);
        if (length != 0) BinaryPrimitives.WriteUInt32BigEndian(image.AsSpan(offset + 8), length);
        Refused(image, expected, alsoForReading);
    }

    private void Refused(byte[] image, string expected, bool alsoForReading)
    {
        string path = _folder["bad"];
        File.WriteAllBytes(path, image);
        string message = Should.Throw<BlockImageException>(() => DiskImage.Open(path)).Message;
        message.ShouldStartWith($"{path}: ");
        message.ShouldContain(expected);
        message.ShouldNotContain('\n');
        if (alsoForReading) Should.Throw<BlockImageException>(() => DiskImage.Open(path, new DiskImageOptions { ReadOnly = true })).Message.ShouldBe(message);
        ImageFolder.ShouldBeEqual(File.ReadAllBytes(path), image);
    }
}
