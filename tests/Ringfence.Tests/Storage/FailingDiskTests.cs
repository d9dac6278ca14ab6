using Ringfence.Storage;
using Ringfence.Storage.Qcow2;

namespace Ringfence.Tests.Storage;

/// <summary>The host's disk fails, now and then and anywhere: it is full, say. What was not being written stays what it was, and the image sound.</summary>
public sealed class FailingDiskTests : IDisposable
{
    private const int BlockBytes = 1024;
    private const int Blocks = 2000;

    private readonly ImageFolder _folder = new();

    [Theory]
    [InlineData(9, 4, false)]
    [InlineData(9, 6, false)]
    [InlineData(12, 4, true)]
    [InlineData(16, 0, false)]
    public void An_image_stays_sound_when_writes_fail(int clusterBits, int refcountOrder, bool hasBacking)
    {
        Random random = new(ImageFolder.SeedOf(clusterBits * 10 + refcountOrder));
        byte[] model = new byte[Blocks * BlockBytes];
        if (hasBacking) random.NextBytes(model);
        File.WriteAllBytes(_folder["base"], model);
        bool[] isUnknown = new bool[Blocks];
        Faults faults = new(random);
        int failures = 0;
        using (ImageFile file = ImageFile.Create(_folder["disk"]))
            Qcow2Creation.Write(file, new Qcow2Creation.Request(model.Length, clusterBits, refcountOrder, hasBacking ? "base" : null, hasBacking ? "raw" : null));
        for (int round = 0; round < 4; round++)
        {
            ImageFile file = ImageFile.Open(_folder["disk"], readOnly: false);
            file.Observer = faults;
            BlockStore? backing = hasBacking ? DiskImage.Open(_folder["base"], new DiskImageOptions { ReadOnly = true }) : null;
            using (BlockStore disk = Qcow2Store.Open(file, Qcow2Header.Read(file), backing, _ => { }))
            {
                faults.IsOn = true;
                for (int step = 0; step < 300; step++)
                {
                    int first = random.Next(Blocks), count = Math.Min(random.Next(1, 200), Blocks - first);
                    byte[] data = new byte[count * BlockBytes];
                    int what = random.Next(8);
                    if (what < 5) random.NextBytes(data);
                    try
                    {
                        if (what < 5) disk.Write(first * BlockBytes, data);
                        else if (what < 7) disk.WriteZeroes(first * BlockBytes, data.Length);
                        else disk.Flush();
                        if (what == 7) continue;
                        data.CopyTo(model, first * BlockBytes);
                        isUnknown.AsSpan(first, count).Clear();
                    }
                    catch (IOException)
                    {
                        failures++;
                        if (what < 7) isUnknown.AsSpan(first, count).Fill(true);
                    }
                }

                faults.IsOn = false;
                Compare(disk, model, isUnknown);
            }

            DiskImageCheck check = DiskImage.Check(_folder["disk"])!;
            check.Problems.ShouldBeEmpty();
            using BlockStore again = DiskImage.Open(_folder["disk"], new DiskImageOptions { ReadOnly = true });
            Compare(again, model, isUnknown);
        }

        failures.ShouldBeGreaterThan(20);
    }

    public void Dispose() => _folder.Dispose();

    private static void Compare(BlockStore disk, byte[] model, bool[] isUnknown)
    {
        byte[] contents = ImageFolder.Contents(disk);
        for (int block = 0; block < Blocks; block++)
        {
            if (isUnknown[block]) continue;
            contents.AsSpan(block * BlockBytes, BlockBytes).SequenceEqual(model.AsSpan(block * BlockBytes, BlockBytes)).ShouldBeTrue($"block {block}");
        }
    }

    private sealed class Faults(Random random) : IImageFileObserver
    {
        public bool IsOn { get; set; }

        public void Written(long offset, ReadOnlySpan<byte> data) => Fail();

        public void Punched(long offset, long length) => Fail();

        public void LengthChanged(long length) => Fail();

        public void Synchronized() => Fail();

        private void Fail()
        {
            if (IsOn && random.Next(12) == 0) throw new IOException("the disk is full");
        }
    }
}
