using Ringfence.Storage;
using Ringfence.Storage.Qcow2;

namespace Ringfence.Tests.Storage;

/// <summary>
/// What a crash of the host may leave: everything up to the last fsync, and of what came later any sectors in any order. From a journal of what
/// was done to the file many such images are made, and each has to be sound and to hold what was flushed.
/// </summary>
public sealed class HostCrashTests : IDisposable
{
    private const int SectorBytes = 512;
    private const int BlockBytes = 2048;
    private const int Blocks = 600;
    private const int LeastCrashes = 11;

    private readonly ImageFolder _folder = new();

    [Theory]
    [InlineData(3, 9, false)]
    [InlineData(3, 12, false)]
    [InlineData(3, 16, true)]
    [InlineData(3, 9, true)]
    [InlineData(2, 9, false)]
    [InlineData(2, 12, true)]
    public void Whatever_was_flushed_survives_a_crash_of_the_host(int version, int clusterBits, bool hasBacking)
    {
        Random random = new(ImageFolder.SeedOf(version * 100 + clusterBits + (hasBacking ? 50 : 0)));
        byte[] below = new byte[Blocks * BlockBytes];
        random.NextBytes(below);
        File.WriteAllBytes(_folder["base"], below);
        using (ImageFile file = ImageFile.Create(_folder["disk"]))
            Qcow2Creation.Write(file, new Qcow2Creation.Request(Blocks * BlockBytes, clusterBits, BackingFile: hasBacking ? "base" : null, BackingFormat: hasBacking ? "raw" : null));
        if (version == 2) MakeVersion2();

        Journal journal = new(File.ReadAllBytes(_folder["disk"]), random);
        Model model = new(hasBacking ? below : new byte[below.Length]);
        using (ImageFile file = ImageFile.Open(_folder["disk"], readOnly: false))
        {
            file.Observer = journal;
            BlockStore? backing = hasBacking ? DiskImage.Open(_folder["base"], new DiskImageOptions { ReadOnly = true }) : null;
            BlockStore disk = Qcow2Store.Open(file, Qcow2Header.Read(file), backing, _ => { });
            int step = 0;
            journal.Crashed = image => Judge(image, model, version, $"step {step}");
            for (; step < 150 || (journal.Crashes < LeastCrashes && step < 1500); step++) Change(disk, model, journal, random);
            journal.Crashed = null;

            // Not closed: the process has crashed, too.
            backing?.Dispose();
        }

        journal.Crashes.ShouldBeGreaterThanOrEqualTo(LeastCrashes);
    }

    public void Dispose() => _folder.Dispose();

    private static void Change(BlockStore disk, Model model, Journal journal, Random random)
    {
        if (random.Next(6) == 0)
        {
            journal.OneIn = 3;
            disk.Flush();
            journal.OneIn = 12;
            model.Flush();
            return;
        }

        int first = random.Next(Blocks), count = Math.Min(random.Next(1, 12), Blocks - first);
        if (random.Next(4) == 0)
        {
            model.Write(first, new byte[count * BlockBytes]);
            disk.WriteZeroes((long)first * BlockBytes, (long)count * BlockBytes);
            return;
        }

        byte[] data = new byte[count * BlockBytes];
        random.NextBytes(data);
        model.Write(first, data);
        disk.Write((long)first * BlockBytes, data);
    }

    private void Judge(byte[] image, Model model, int version, string when)
    {
        string path = _folder["crashed"];
        File.WriteAllBytes(path, image);

        // Version 3 may have wrong counts, which it says; version 2 may have lost room only.
        DiskImageCheck check = DiskImage.Check(path)!;
        if (version == 2 || !DiskImage.Inspect(path).Qcow2!.IsDirty) check.Errors.ShouldBe(0, $"{when}: {string.Join(", ", check.Problems)}");
        using (BlockStore disk = DiskImage.Open(path))
        {
            byte[] contents = ImageFolder.Contents(disk);
            for (int sector = 0; sector < contents.Length / SectorBytes; sector++)
                model.Has(sector, contents.AsSpan(sector * SectorBytes, SectorBytes)).ShouldBeTrue($"{when}: sector {sector} holds what it never held since the last flush");
        }

        DiskImage.Check(path)!.IsClean.ShouldBeTrue();
    }

    private void MakeVersion2()
    {
        byte[] image = File.ReadAllBytes(_folder["disk"]);
        image[7] = 2;

        // Header extensions begin at byte 72 now.
        byte[] extensions = image[104..512];
        Array.Clear(image, 72, 440);
        extensions.AsSpan(0, 400).CopyTo(image.AsSpan(72));
        if (image[15] != 0) image[15] -= 32;
        File.WriteAllBytes(_folder["disk"], image);
    }

    /// <summary>What each sector held at the last flush, and everything since.</summary>
    private sealed class Model(byte[] contents)
    {
        private readonly List<(int Block, byte[] Data)> _since = [];
        private readonly byte[] _flushed = [.. contents];

        public void Write(int block, byte[] data)
        {
            for (int at = 0; at < data.Length; at += BlockBytes) _since.Add((block + at / BlockBytes, data[at..(at + BlockBytes)]));
        }

        public void Flush()
        {
            foreach ((int block, byte[] data) in _since) data.CopyTo(_flushed, block * BlockBytes);
            _since.Clear();
        }

        public bool Has(int sector, ReadOnlySpan<byte> contents)
        {
            if (contents.SequenceEqual(_flushed.AsSpan(sector * SectorBytes, SectorBytes))) return true;
            int within = sector % (BlockBytes / SectorBytes) * SectorBytes;
            foreach ((int block, byte[] data) in _since)
                if (block == sector / (BlockBytes / SectorBytes) && contents.SequenceEqual(data.AsSpan(within, SectorBytes))) return true;
            return false;
        }
    }

    /// <summary>The file as it is on the disk for sure, and what has been done to it since.</summary>
    private sealed class Journal(byte[] initial, Random random) : IImageFileObserver
    {
        private readonly List<Change> _pending = [];
        private byte[] _durable = initial;

        /// <summary>Takes what a crash left, at random moments; null: there are none.</summary>
        public Action<byte[]>? Crashed { get; set; }

        /// <summary>How seldom they are.</summary>
        public int OneIn { get; set; } = 12;

        public int Crashes { get; private set; }

        public void Written(long offset, ReadOnlySpan<byte> data)
        {
            // Sectors reach the disk one by one.
            for (int at = 0; at < data.Length;)
            {
                int length = (int)Math.Min(data.Length - at, SectorBytes - (offset + at) % SectorBytes);
                _pending.Add(new Change(offset + at, data.Slice(at, length).ToArray()));
                at += length;
            }

            CrashSometimes();
        }

        public void Punched(long offset, long length) => Written(offset, new byte[length]);

        public void LengthChanged(long length)
        {
            _pending.Add(new Change(length, []));
            CrashSometimes();
        }

        public void Synchronized()
        {
            _durable = Apply(_ => true);
            _pending.Clear();
        }

        private void CrashSometimes()
        {
            if (Crashed is null || random.Next(OneIn) != 0) return;
            Crashes++;
            Crashed(Crash());
        }

        private byte[] Crash()
        {
            // All, none, or some: each sector, or everything of one kind (a prefix, a suffix).
            int border = random.Next(_pending.Count + 1);
            double chance = random.NextDouble();
            return random.Next(4) switch
            {
                0 => Apply(i => i < border),
                1 => Apply(i => i >= border),
                _ => Apply(_ => random.NextDouble() < chance),
            };
        }

        private byte[] Apply(Func<int, bool> survives)
        {
            byte[] image = _durable;
            bool isCopy = false;
            for (int i = 0; i < _pending.Count; i++)
            {
                if (!survives(i)) continue;
                Change change = _pending[i];
                long end = change.Offset + change.Data.Length;
                if (end > image.Length || (change.Data.Length == 0 && end != image.Length))
                {
                    Array.Resize(ref image, (int)end);
                    isCopy = true;
                }

                if (!isCopy) image = [.. image];
                isCopy = true;
                change.Data.CopyTo(image, change.Offset);
            }

            return image;
        }

        private readonly record struct Change(long Offset, byte[] Data);
    }
}
