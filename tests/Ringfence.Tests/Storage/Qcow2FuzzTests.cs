using System.Buffers.Binary;
using Ringfence.Storage;
using Ringfence.Storage.Qcow2;

namespace Ringfence.Tests.Storage;

/// <summary>
/// Images with changed fields, changed bytes, cut off or made longer: opened, read, written, checked, repaired. RINGFENCE_SEED chooses another
/// run than the default one.
/// </summary>
public sealed class Qcow2FuzzTests : IDisposable
{
    private const int Cases = 2000;

    private static readonly ulong[] Interesting =
    [
        0, 1, 2, 511, 512, 0xffff, 0x10000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1UL << 32, 1UL << 40, 1UL << 55, 1UL << 56, 1UL << 62, 1UL << 63, ulong.MaxValue, long.MaxValue,
    ];

    private readonly ImageFolder _folder = new();

    [Fact]
    public void Two_thousand_mutated_images_do_no_harm()
    {
        List<byte[]> images = [.. Images()];
        File.WriteAllBytes(_folder["neighbour"], [1, 2, 3]);
        File.WriteAllBytes(_folder["base"], new byte[100_000]);
        int opened = 0;
        for (int i = 0; i < Cases; i++)
        {
            Random random = new(ImageFolder.SeedOf(i));
            byte[] image = Mutate(images[random.Next(images.Count)], random);
            try
            {
                if (Use(image, random)) opened++;
            }
            catch (Exception error) when (error is not Xunit.Sdk.XunitException)
            {
                throw new InvalidOperationException($"Case {i}", error);
            }
        }

        Directory.GetFiles(_folder.Path).Select(Path.GetFileName).Order().ShouldBe(["base", "image", "neighbour"]);
        File.ReadAllBytes(_folder["neighbour"]).ShouldBe([1, 2, 3]);
        File.ReadAllBytes(_folder["base"]).ShouldAllBe(b => b == 0);
        opened.ShouldBeInRange(Cases / 20, Cases * 19 / 20);
    }

    public void Dispose() => _folder.Dispose();

    private static byte[] Mutate(byte[] original, Random random)
    {
        byte[] image = [.. original];
        for (int i = random.Next(1, 5); i > 0; i--)
        {
            // The header, or any word that looks like an entry of a table.
            int at = random.Next(4) switch
            {
                0 => random.Next(14) * 8,
                1 => random.Next(26) * 4,
                _ => random.Next(image.Length / 8 - 1) * 8,
            };
            if (at >= 112)
            {
                for (int j = 0; j < 1000 && BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(at)) == 0; j++) at = random.Next(image.Length / 8 - 1) * 8;
            }

            Span<byte> place = image.AsSpan(at);
            ulong old = BinaryPrimitives.ReadUInt64BigEndian(place);
            switch (random.Next(7))
            {
                case 0: BinaryPrimitives.WriteUInt64BigEndian(place, Interesting[random.Next(Interesting.Length)]); break;
                case 1: BinaryPrimitives.WriteUInt32BigEndian(place, (uint)Interesting[random.Next(Interesting.Length)]); break;
                case 2: BinaryPrimitives.WriteUInt64BigEndian(place, old ^ 1UL << random.Next(64)); break;
                case 3: BinaryPrimitives.WriteUInt64BigEndian(place, old + (ulong)(random.Next(-3, 4) * 512)); break;
                case 4: BinaryPrimitives.WriteUInt64BigEndian(place, BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(random.Next(image.Length / 8) * 8))); break;
                case 5: place[random.Next(8)] = (byte)random.Next(256); break;
                default: BinaryPrimitives.WriteUInt64BigEndian(place, (ulong)random.Next(image.Length / 512) * 512 | (ulong)random.Next(2) << 63); break;
            }
        }

        return random.Next(10) switch
        {
            0 => image[..random.Next(4, image.Length)],
            1 => [.. image, .. new byte[random.Next(10_000)]],
            _ => image,
        };
    }

    // Small images of all kinds: with and without something below, versions, compressed and zero clusters, a snapshot.
    private IEnumerable<byte[]> Images()
    {
        foreach ((int bits, int order, string? below, bool dirty) in new[] { (9, 4, null, false), (9, 6, "base", true), (10, 0, null, true), (12, 4, "base", false), (9, 3, null, true) })
        {
            string path = _folder["image"];
            File.WriteAllBytes(_folder["base"], new byte[100_000]);
            File.Delete(path);
            using (ImageFile file = ImageFile.Create(path)) Qcow2Creation.Write(file, new Qcow2Creation.Request(150_000, bits, order, below, below is null ? null : "raw"));
            using (BlockStore disk = DiskImage.Open(path))
            {
                byte[] data = new byte[20_000];
                new Random(bits).NextBytes(data);
                disk.Write(3000, data);
                disk.Write(80_000, data);
                disk.WriteZeroes(5000, 9000);
            }

            byte[] image = File.ReadAllBytes(path);
            if (dirty) image[79] = 1;
            yield return image;
            if (bits != 12) continue;
            image[7] = 2;
            yield return image;
        }

        foreach (string name in new[] { "compressed", "snapshots" }) yield return File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Storage", "Images", $"{name}.qcow2"));
    }

    private bool Use(byte[] image, Random random)
    {
        string path = _folder["image"];
        File.WriteAllBytes(path, image);
        bool opened = Try(() => DiskImage.Inspect(path)) & Try(() => DiskImage.Check(path)) && Read(path, random);
        ImageFolder.ShouldBeEqual(File.ReadAllBytes(path), image);
        if (random.Next(2) == 0) Try(() => DiskImage.Check(path, repair: true));
        long before = new FileInfo(path).Length;
        if (Try(() => Write(path, random)))
        {
            Try(() => DiskImage.Check(path)).ShouldBeTrue();
            string.Join('\n', DiskImage.Check(path) is { Errors: > 0 } check ? check.Problems : []).ShouldBeEmpty();
        }

        new FileInfo(path).Length.ShouldBeLessThan(before + 20_000_000);
        return opened;
    }

    private static bool Read(string path, Random random) => Try(() =>
    {
        using BlockStore disk = DiskImage.Open(path, new DiskImageOptions { ReadOnly = true });
        byte[] data = new byte[Math.Min(disk.Length, 200_000)];
        Try(() => disk.Read(0, data));
        if (disk.Length > data.Length) Try(() => disk.Read(random.NextInt64(disk.Length - data.Length), data));
    });

    private static void Write(string path, Random random)
    {
        using BlockStore disk = DiskImage.Open(path);
        if (disk.Length < 512) return;
        for (int i = 0; i < 6; i++)
        {
            byte[] data = new byte[random.Next(1, (int)Math.Min(disk.Length, 10_000))];
            long offset = random.NextInt64(random.Next(4) == 0 ? disk.Length : Math.Min(disk.Length, 150_000));
            int length = (int)Math.Min(data.Length, disk.Length - offset);
            Try(() => disk.Write(offset, data.AsSpan(0, length)));
            Try(() => disk.WriteZeroes(offset / 2, length));
            Try(() => disk.Read(offset, data.AsSpan(0, length)));
        }

        disk.Flush();
    }

    private static bool Try(Action action)
    {
        try
        {
            action();
            return true;
        }
        catch (IOException error)
        {
            error.Message.Contains(Environment.NewLine, StringComparison.Ordinal).ShouldBeFalse();
            return false;
        }
    }
}
