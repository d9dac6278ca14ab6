using Ringfence.Storage;

namespace Ringfence.Tests.Storage;

public sealed class RawImageTests : IDisposable
{
    private readonly ImageFolder _folder = new();

    [Fact]
    public void A_raw_disk_is_its_file_and_holes_stay_holes()
    {
        string path = _folder["a.img"];
        DiskImage.CreateRaw(path, 100 << 20);
        using (BlockStore disk = DiskImage.Open(path))
        {
            disk.Length.ShouldBe(100 << 20);
            disk.Write(10 << 20, [1, 2, 3]);
            disk.WriteZeroes(20 << 20, 50 << 20);
            disk.Flush();
            disk.ExtentAt(0).ShouldBe(new BlockExtent(10 << 20, IsZero: true));
        }

        DiskImage.Inspect(path).AllocatedBytes.ShouldBeLessThan(100_000);
        File.ReadAllBytes(path).AsSpan(10 << 20, 4).ToArray().ShouldBe([1, 2, 3, 0]);
        using (BlockStore disk = DiskImage.Open(path)) disk.WriteZeroes(10 << 20, 1 << 20);
        DiskImage.Inspect(path).AllocatedBytes.ShouldBe(0);
    }

    [Fact]
    public void A_last_sector_that_is_not_complete_reads_as_filled_up_and_is_completed_by_a_write()
    {
        string path = _folder["a.img"];
        File.WriteAllBytes(path, [.. Enumerable.Repeat((byte)7, 1300)]);
        using BlockStore disk = DiskImage.Open(path);
        disk.Length.ShouldBe(1536);
        byte[] sector = new byte[512];
        disk.Read(1024, sector);
        sector.ShouldBe([.. Enumerable.Repeat((byte)7, 276), .. new byte[236]]);
        new FileInfo(path).Length.ShouldBe(1300);
        disk.Write(1024, sector);
        new FileInfo(path).Length.ShouldBe(1536);
        Should.Throw<ArgumentOutOfRangeException>(() => disk.Read(1025, sector));
        Should.Throw<ArgumentOutOfRangeException>(() => disk.Write(-512, sector));
        Should.Throw<ArgumentOutOfRangeException>(() => disk.WriteZeroes(512, long.MaxValue));
    }

    [Fact]
    public void What_a_guest_writes_never_makes_a_raw_disk_another_format()
    {
        string path = _folder["a.img"];
        DiskImage.CreateRaw(path, 1 << 20);
        byte[] sector = new byte[1024];
        "QFI\u00fb"u8[..3].CopyTo(sector);
        sector[3] = 0xfb;
        using (BlockStore disk = DiskImage.Open(path))
        {
            Should.Throw<BlockImageException>(() => disk.Write(0, sector)).Message.ShouldContain("is refused; open it as raw explicitly");
            disk.Write(0, sector.AsSpan(0, 3));
            Should.Throw<BlockImageException>(() => disk.Write(3, sector.AsSpan(3, 1)));
            Should.Throw<BlockImageException>(() => disk.Write(0, "conectix"u8));
            disk.Write(512, sector);
        }

        using (BlockStore disk = DiskImage.Open(path, new DiskImageOptions { Format = DiskImageFormat.Raw })) disk.Write(0, sector);
        Should.Throw<BlockImageException>(() => DiskImage.Open(path)).Message.ShouldContain("has qcow version 0");
        DiskImage.Open(path, new DiskImageOptions { Format = DiskImageFormat.Raw }).Dispose();
    }

    [Fact]
    public void An_iso_image_is_read_only()
    {
        File.WriteAllBytes(_folder["cd.ISO"], new byte[4096]);
        using (BlockStore disk = DiskImage.Open(_folder["cd.ISO"]))
        {
            disk.IsReadOnly.ShouldBeTrue();
            Should.Throw<InvalidOperationException>(() => disk.Write(0, new byte[512]));
            Should.Throw<InvalidOperationException>(() => disk.WriteZeroes(0, 512));
        }

        DiskImage.Inspect(_folder["cd.ISO"]).Format.ShouldBe(DiskImageFormat.Iso);
    }

    [Fact]
    public void Images_of_other_monitors_are_named()
    {
        foreach ((byte[] start, string name) in new[] { ("KDMV"u8.ToArray(), "VMDK"), ("vhdxfile"u8.ToArray(), "VHDX"), ([.. new byte[64], 0x7f, 0x10, 0xda, 0xbe], "VDI"), ("QED\0"u8.ToArray(), "QED") })
        {
            File.WriteAllBytes(_folder["x"], [.. start, .. new byte[2000]]);
            Should.Throw<BlockImageException>(() => DiskImage.Open(_folder["x"])).Message.ShouldBe($"{_folder["x"]}: is a {name} image, which is not supported (qemu-img can convert it)");
        }
    }

    [Fact]
    public void What_is_no_image_is_one_line()
    {
        string Message(string path) => Should.Throw<BlockImageException>(() => DiskImage.Open(path)).Message;
        Message("/nonexistent/disk").ShouldBe("/nonexistent/disk: no such file or folder");
        Message(_folder.Path).ShouldBe($"{_folder.Path}: is a folder, not a file");
        Message("").ShouldBe("the name of an image is empty");
        Message("/dev/zero").ShouldBe("/dev/zero: is neither a file nor a block device");
        File.WriteAllText(_folder["a"], "");
        Should.Throw<BlockImageException>(() => DiskImage.CreateRaw(_folder["a"], 5)).Message.ShouldBe($"{_folder["a"]}: exists already");
        Should.Throw<BlockImageException>(() => DiskImage.CreateRaw("/nonexistent/disk", 5)).Message.ShouldBe("/nonexistent/disk: no such file or folder");
        Should.Throw<BlockImageException>(() => DiskImage.CreateQcow2(_folder["b"], 1L << 60)).Message.ShouldContain("are too many for clusters of 65536 bytes");
        Should.Throw<BlockImageException>(() => DiskImage.CreateQcow2(_folder["b"], 1, clusterBytes: 3000)).Message.ShouldContain("power of two");
        File.Exists(_folder["b"]).ShouldBeFalse();
    }

    public void Dispose() => _folder.Dispose();
}
