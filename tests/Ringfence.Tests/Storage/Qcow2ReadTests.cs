using Ringfence.Storage;

namespace Ringfence.Tests.Storage;

/// <summary>Images that QEMU has made are read byte for byte as QEMU reads them.</summary>
public sealed class Qcow2ReadTests : IDisposable
{
    private readonly ImageFolder _folder = new();

    [SkippableTheory]
    [InlineData("compat=1.1")]
    [InlineData("compat=0.10")]
    [InlineData("compat=1.1,cluster_size=512")]
    [InlineData("compat=1.1,cluster_size=2M")]
    [InlineData("compat=1.1,cluster_size=4k,refcount_bits=1")]
    [InlineData("compat=1.1,refcount_bits=2")]
    [InlineData("compat=1.1,refcount_bits=4")]
    [InlineData("compat=1.1,refcount_bits=8")]
    [InlineData("compat=1.1,refcount_bits=32")]
    [InlineData("compat=1.1,cluster_size=1k,refcount_bits=64")]
    [InlineData("compat=1.1,lazy_refcounts=on")]
    [InlineData("compat=1.1,preallocation=metadata")]
    public void Images_of_every_kind_are_read_and_then_written(string options)
    {
        ImageFolder.RequireQemu();
        _folder.QemuImg("create", "-f", "qcow2", "-o", options, "a.qcow2", "20M");
        _folder.QemuIo("a.qcow2", "write -P 1 0 64k", "write -P 2 100k 1000k", "write -P 3 5M 512", "write -z 200k 300k", "write -P 4 19M 1M", "write -z -u 19200k 200k");
        byte[] expected = _folder.QemuContents("a.qcow2");
        ImageFolder.ShouldBeEqual(_folder.Contents("a.qcow2"), expected);
        ImageFolder.ShouldBeEqual(_folder.Contents("a.qcow2", 5120), expected);

        using (BlockStore disk = DiskImage.Open(_folder["a.qcow2"]))
        {
            byte[] data = [.. Enumerable.Range(0, 700_000).Select(i => (byte)(i * 31 >> 3))];
            foreach (long offset in new long[] { 150_000, 3_000_000, 5_242_000, 20_000_000 })
            {
                disk.Write(offset, data);
                data.CopyTo(expected, offset);
                disk.WriteZeroes(offset + 100_000, 200_000);
                expected.AsSpan((int)offset + 100_000, 200_000).Clear();
            }

            ImageFolder.ShouldBeEqual(ImageFolder.Contents(disk), expected);
        }

        _folder.ShouldBeClean("a.qcow2");
        ImageFolder.ShouldBeEqual(_folder.QemuContents("a.qcow2"), expected);
    }

    [SkippableFact]
    public void Compressed_clusters_are_read_and_copied_when_they_are_written()
    {
        ImageFolder.RequireQemu();
        byte[] contents = new byte[6 << 20];
        Random random = new(5);
        for (int at = 0; at < contents.Length; at += 70_000)
        {
            if (random.Next(4) == 0) random.NextBytes(contents.AsSpan(at, Math.Min(70_000, contents.Length - at)));
            else contents.AsSpan(at, Math.Min(60_000, contents.Length - at)).Fill((byte)random.Next(256));
        }

        File.WriteAllBytes(_folder["in.raw"], contents);
        foreach (string clusters in new[] { "512", "4k", "64k", "2M" })
        {
            File.Delete(_folder["c.qcow2"]);
            _folder.QemuImg("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", $"cluster_size={clusters}", "in.raw", "c.qcow2");
            ImageFolder.ShouldBeEqual(_folder.Contents("c.qcow2", 3000), contents);
            byte[] changed = [.. contents];
            using (BlockStore disk = DiskImage.Open(_folder["c.qcow2"]))
            {
                for (int i = 0; i < 40; i++)
                {
                    byte[] data = new byte[random.Next(1, 5000)];
                    random.NextBytes(data);
                    int offset = random.Next(contents.Length - data.Length);
                    disk.Write(offset, data);
                    data.CopyTo(changed, offset);
                }
            }

            _folder.ShouldBeClean("c.qcow2");
            ImageFolder.ShouldBeEqual(_folder.QemuContents("c.qcow2"), changed);
        }
    }

    [SkippableFact]
    public void Zstd_is_refused_by_name()
    {
        ImageFolder.RequireQemu();
        (int exitCode, _) = _folder.Run("qemu-img", "create", "-f", "qcow2", "-o", "compression_type=zstd", "z.qcow2", "1M");
        Skip.If(exitCode != 0, "This qemu-img does not know zstd.");
        Should.Throw<BlockImageException>(() => DiskImage.Open(_folder["z.qcow2"])).Message.ShouldBe($"{_folder["z.qcow2"]}: has clusters compressed by zstd, which is not supported");
        _folder.QemuImg("create", "-f", "qcow2", "-o", "extended_l2=on", "x.qcow2", "1M");
        Should.Throw<BlockImageException>(() => DiskImage.Open(_folder["x.qcow2"])).Message.ShouldEndWith(": has extended L2 entries, which are not supported");
        _folder.QemuImg("create", "-f", "qcow2", "-o", "data_file=d.raw", "d.qcow2", "1M");
        Should.Throw<BlockImageException>(() => DiskImage.Open(_folder["d.qcow2"])).Message.ShouldEndWith(": keeps its data in another file, which is not supported");
    }

    [SkippableFact]
    public void Backing_files_are_read_through_and_never_written()
    {
        ImageFolder.RequireQemu();
        _folder.QemuImg("create", "-f", "raw", "base.raw", "3000k");
        File.WriteAllBytes(_folder["base.raw"], [.. Enumerable.Range(0, 3_000_320).Select(i => (byte)(i >> 9))]);
        Directory.CreateDirectory(_folder["sub"]);
        _folder.QemuImg("create", "-f", "qcow2", "-F", "raw", "-b", "../base.raw", "sub/middle.qcow2", "4M");
        _folder.QemuIo("sub/middle.qcow2", "write -P 7 1M 300k", "write -z 2M 128k");
        _folder.QemuImg("create", "-f", "qcow2", "-F", "qcow2", "-b", "sub/middle.qcow2", "top.qcow2", "6M");
        _folder.QemuIo("top.qcow2", "write -P 8 1100k 10k", "write -P 9 3500k 1M");
        byte[] expected = _folder.QemuContents("top.qcow2");
        ImageFolder.ShouldBeEqual(_folder.Contents("top.qcow2"), expected);
        ImageFolder.ShouldBeEqual(_folder.Contents("top.qcow2", 10_000), expected);
        byte[] below = File.ReadAllBytes(_folder["base.raw"]), middle = File.ReadAllBytes(_folder["sub/middle.qcow2"]);

        using (BlockStore disk = DiskImage.Open(_folder["top.qcow2"]))
        {
            disk.Write(500_000, new byte[] { 1, 2, 3 });
            new byte[] { 1, 2, 3 }.CopyTo(expected, 500_000);
            disk.WriteZeroes(600_000, 300_000);
            expected.AsSpan(600_000, 300_000).Clear();
            disk.WriteZeroes(2_990_000, 1_500_000);
            expected.AsSpan(2_990_000, 1_500_000).Clear();
        }

        _folder.ShouldBeClean("top.qcow2");
        ImageFolder.ShouldBeEqual(_folder.QemuContents("top.qcow2"), expected);
        ImageFolder.ShouldBeEqual(_folder.Contents("top.qcow2"), expected);
        ImageFolder.ShouldBeEqual(File.ReadAllBytes(_folder["base.raw"]), below);
        ImageFolder.ShouldBeEqual(File.ReadAllBytes(_folder["sub/middle.qcow2"]), middle);
    }

    [SkippableFact]
    public void Snapshots_are_listed_and_stay_what_they_were()
    {
        ImageFolder.RequireQemu();
        _folder.QemuImg("create", "-f", "qcow2", "s.qcow2", "300M");
        _folder.QemuIo("s.qcow2", "write -P 1 0 5M", "write -P 2 250M 1M");
        _folder.QemuImg("snapshot", "-c", "first", "s.qcow2");
        _folder.QemuIo("s.qcow2", "write -P 3 2M 1M");
        _folder.QemuImg("snapshot", "-c", "second", "s.qcow2");
        byte[] expected = _folder.QemuContents("s.qcow2");

        DiskImageInfo info = DiskImage.Inspect(_folder["s.qcow2"]);
        info.Qcow2!.Snapshots.Select(s => (s.Id, s.Name, s.VirtualBytes)).ShouldBe([("1", "first", 300L << 20), ("2", "second", 300L << 20)]);
        (DateTimeOffset.UtcNow - info.Qcow2.Snapshots[0].Taken).TotalMinutes.ShouldBeInRange(-5, 5);

        using (BlockStore disk = DiskImage.Open(_folder["s.qcow2"]))
        {
            byte[] data = new byte[3_000_000];
            data.AsSpan().Fill(9);
            disk.Write(1_000_001, data);
            data.CopyTo(expected, 1_000_001);
            disk.WriteZeroes(250 << 20, 1 << 19);
            expected.AsSpan(250 << 20, 1 << 19).Clear();
        }

        _folder.ShouldBeClean("s.qcow2");
        ImageFolder.ShouldBeEqual(_folder.QemuContents("s.qcow2"), expected);
        _folder.QemuImg("snapshot", "-a", "first", "s.qcow2");
        byte[] first = _folder.QemuContents("s.qcow2");
        first.AsSpan(0, 5 << 20).IndexOfAnyExcept((byte)1).ShouldBe(-1);
        first.AsSpan(250 << 20, 1 << 20).IndexOfAnyExcept((byte)2).ShouldBe(-1);
        ImageFolder.ShouldBeEqual(_folder.Contents("s.qcow2"), first);
        _folder.ShouldBeClean("s.qcow2");
    }

    [SkippableFact]
    public void An_image_that_qemu_did_not_close_is_repaired()
    {
        ImageFolder.RequireQemu();
        _folder.QemuImg("create", "-f", "qcow2", "-o", "lazy_refcounts=on", "l.qcow2", "10M");
        _folder.Run("qemu-io", "-c", "write -P 5 1M 3M", "-c", "flush", "-c", "sigraise 9", "l.qcow2");
        (int before, _) = _folder.Run("qemu-img", "check", "l.qcow2");
        before.ShouldNotBe(0);
        DiskImage.Check(_folder["l.qcow2"])!.Errors.ShouldBeGreaterThan(0);
        List<string> told = [];
        using (BlockStore disk = DiskImage.Open(_folder["l.qcow2"], new DiskImageOptions { Report = told.Add }))
        {
            byte[] data = new byte[1 << 20];
            disk.Read(2 << 20, data);
            data.ShouldAllBe(b => b == 5);
        }

        told.ShouldBe([$"{_folder["l.qcow2"]}: was not closed; its reference counts have been set right"]);
        _folder.ShouldBeClean("l.qcow2");
        DiskImage.Inspect(_folder["l.qcow2"]).Qcow2!.IsDirty.ShouldBeFalse();
    }

    [SkippableFact]
    public void An_image_with_bitmaps_is_read_only()
    {
        ImageFolder.RequireQemu();
        _folder.QemuImg("create", "-f", "qcow2", "b.qcow2", "10M");
        _folder.QemuImg("bitmap", "--add", "b.qcow2", "changes");
        Should.Throw<BlockImageException>(() => DiskImage.Open(_folder["b.qcow2"])).Message.ShouldEndWith("holds bitmaps of changes, which would not be kept up to date; it can only be read");
        DiskImage.Open(_folder["b.qcow2"], new DiskImageOptions { Snapshot = true }).Dispose();
    }

    public void Dispose() => _folder.Dispose();
}
