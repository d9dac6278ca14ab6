using Ringfence.Storage;
using Ringfence.Storage.Qcow2;

namespace Ringfence.Tests.Storage;

/// <summary>Random writes, zeroes, flushes and reopenings, compared with bytes in memory and judged by QEMU and by our own check.</summary>
public sealed class Qcow2ModelTests : IDisposable
{
    private readonly ImageFolder _folder = new();

    [Theory]
    [InlineData(9, 4, 6 << 20)]
    [InlineData(9, 6, 3 << 20)]
    [InlineData(10, 0, 4 << 20)]
    [InlineData(12, 1, 16 << 20)]
    [InlineData(12, 2, 16 << 20)]
    [InlineData(12, 5, 40_000_512)]
    [InlineData(16, 3, 40 << 20)]
    [InlineData(16, 4, 33_554_944)]
    [InlineData(21, 4, 50 << 20)]
    public void A_disk_holds_what_was_written_last(int clusterBits, int refcountOrder, int size)
    {
        Random random = new(ImageFolder.SeedOf(clusterBits * 100 + refcountOrder));
        string path = _folder["a.qcow2"];
        using (ImageFile file = ImageFile.Create(path)) Qcow2Creation.Write(file, new Qcow2Creation.Request(size, clusterBits, refcountOrder));
        byte[] model = new byte[size];
        for (int round = 0; round < 4; round++)
        {
            using (BlockStore disk = DiskImage.Open(path)) Change(disk, model, random, 150, 1 << Math.Min(clusterBits + 3, 20));
            Judge(path, model);
        }
    }

    [Theory]
    [InlineData("qcow2")]
    [InlineData("raw")]
    public void A_disk_upon_another_holds_what_was_written_last(string below)
    {
        Random random = new(ImageFolder.SeedOf(77));
        byte[] model = new byte[9_000_448];
        const int BelowBytes = 5_000_192;
        if (below == "raw") DiskImage.CreateRaw(_folder["base"], BelowBytes);
        else DiskImage.CreateQcow2(_folder["base"], BelowBytes, clusterBytes: 4096);
        byte[] baseModel = new byte[BelowBytes];
        using (BlockStore disk = DiskImage.Open(_folder["base"])) Change(disk, baseModel, random, 60, 100_000);
        baseModel.CopyTo(model, 0);
        string path = _folder["a.qcow2"];
        DiskImage.CreateQcow2(path, model.Length, "base", clusterBytes: 16384);
        for (int round = 0; round < 3; round++)
        {
            using (BlockStore disk = DiskImage.Open(path)) Change(disk, model, random, 120, 90_000);
            Judge(path, model);
        }

        ImageFolder.ShouldBeEqual(_folder.Contents("base"), baseModel);
    }

    [Fact]
    public void A_snapshot_forgets_its_changes()
    {
        Random random = new(ImageFolder.SeedOf(78));
        byte[] model = new byte[8_000_512];
        string path = _folder["a.qcow2"];
        DiskImage.CreateQcow2(path, model.Length);
        using (BlockStore disk = DiskImage.Open(path)) Change(disk, model, random, 60, 300_000);
        byte[] file = File.ReadAllBytes(path);
        string[] temporary = Directory.GetFiles(Path.GetTempPath(), "ringfence-*");
        byte[] changed = [.. model];
        using (BlockStore disk = DiskImage.Open(path, new DiskImageOptions { Snapshot = true }))
        {
            disk.IsReadOnly.ShouldBeFalse();
            for (int i = 0; i < 4; i++)
            {
                Change(disk, changed, random, 60, 300_000);
                ImageFolder.ShouldBeEqual(ImageFolder.Contents(disk), changed);
            }

            Directory.GetFiles(Path.GetTempPath(), "ringfence-*").Except(temporary).ShouldNotContain(f => new FileInfo(f).Length > 100_000);
        }

        ImageFolder.ShouldBeEqual(File.ReadAllBytes(path), file);
    }

    [Fact]
    public void Room_of_zeroed_clusters_is_used_again_and_given_back()
    {
        string path = _folder["a.qcow2"];
        DiskImage.CreateQcow2(path, 64 << 20);
        byte[] data = new byte[8 << 20];
        data.AsSpan().Fill(1);
        long length;
        using (BlockStore disk = DiskImage.Open(path))
        {
            disk.Write(0, data);
            disk.Flush();
            length = new FileInfo(path).Length;
            for (int i = 1; i < 8; i++)
            {
                disk.WriteZeroes((i - 1) * data.Length, data.Length);
                disk.Flush();
                disk.Write(i * data.Length, data);
                disk.Flush();
            }
        }

        new FileInfo(path).Length.ShouldBe(length);
        using (BlockStore disk = DiskImage.Open(path)) disk.WriteZeroes(0, disk.Length);
        DiskImage.Inspect(path).AllocatedBytes.ShouldBeLessThan(1 << 20);
        DiskImage.Check(path)!.IsClean.ShouldBeTrue();
    }

    [Fact]
    public void Terabytes_are_no_trouble()
    {
        string path = _folder["a.qcow2"];
        DiskImage.CreateQcow2(path, 16L << 40);
        using (BlockStore disk = DiskImage.Open(path))
        {
            for (long at = 1; at < disk.Length; at += 1L << 36) disk.Write(at, [1, 2, 3]);
            disk.WriteZeroes(1L << 40, 10L << 40);
        }

        using (BlockStore disk = DiskImage.Open(path))
        {
            byte[] data = new byte[3];
            disk.Read(1 + (15L << 36), data);
            data.ShouldBe([1, 2, 3]);
            disk.Read(1 + (1L << 40), data);
            data.ShouldBe([0, 0, 0]);
        }

        DiskImage.Check(path)!.IsClean.ShouldBeTrue();
    }

    public void Dispose() => _folder.Dispose();

    private static void Change(BlockStore disk, byte[] model, Random random, int steps, int most)
    {
        for (int i = 0; i < steps; i++)
        {
            int length = random.Next(3) == 0 ? random.Next(1, most) : random.Next(1, Math.Min(most, 8192));
            int offset = random.Next(Math.Max(1, model.Length - length));
            if (random.Next(2) == 0) offset &= -4096;
            length = Math.Min(length, model.Length - offset);
            switch (random.Next(10))
            {
                case < 5:
                    byte[] data = new byte[length];
                    random.NextBytes(data);
                    disk.Write(offset, data);
                    data.CopyTo(model, offset);
                    break;
                case < 7:
                    length = Math.Min(model.Length - offset, length * 4);
                    disk.WriteZeroes(offset, length);
                    model.AsSpan(offset, length).Clear();
                    break;
                case < 9:
                    byte[] read = new byte[length];
                    disk.Read(offset, read);
                    read.AsSpan().SequenceEqual(model.AsSpan(offset, length)).ShouldBeTrue($"step {i}: {length} bytes at {offset}");
                    break;
                default:
                    disk.Flush();
                    break;
            }
        }
    }

    private void Judge(string path, byte[] model)
    {
        DiskImageCheck check = DiskImage.Check(path)!;
        check.Problems.ShouldBeEmpty();
        check.IsClean.ShouldBeTrue();
        ImageFolder.ShouldBeEqual(_folder.Contents(Path.GetFileName(path)), model);
        if (!Environment.GetEnvironmentVariable("PATH")!.Split(':').Any(p => File.Exists(Path.Combine(p, "qemu-img")))) return;
        _folder.ShouldBeClean(path);
        ImageFolder.ShouldBeEqual(_folder.QemuContents(path), model);
    }
}
