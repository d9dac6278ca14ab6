using System.Diagnostics;
using Ringfence.Storage;
using Ringfence.Storage.Qcow2;
using Ringfence.Tests.CommandLine;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Storage;

/// <summary>A process that writes an image is killed at random moments.</summary>
public sealed class CrashTests : IDisposable
{
    private readonly ImageFolder _folder = new(inMemory: false);

    [Theory]
    [InlineData("qcow2", 16, 12)]
    [InlineData("qcow2", 9, 6)]
    [InlineData("backed", 12, 6)]
    [InlineData("raw", 0, 3)]
    public void Whatever_was_flushed_survives_and_the_image_checks_clean(string kind, int clusterBits, int kills)
    {
        RecordLayout layout = RecordWriter.Layout;
        string path = _folder["disk"];
        if (kind == "raw") DiskImage.CreateRaw(path, layout.End);
        if (kind == "backed") DiskImage.CreateRaw(_folder["base"], layout.End);
        if (kind != "raw")
        {
            using ImageFile file = ImageFile.Create(path);
            Qcow2Creation.Write(file, new Qcow2Creation.Request(layout.End, clusterBits, BackingFile: kind == "backed" ? "base" : null, BackingFormat: "raw"));
        }

        Random random = new(ImageFolder.SeedOf(clusterBits));
        uint[] acknowledged = new uint[layout.Slots];
        for (int i = 0; i < kills; i++)
        {
            Kill(path, random, acknowledged);

            // Nothing is wrong with the killed image; room that was lost comes back when it is opened.
            if (kind != "raw") DiskImage.Check(path)!.Errors.ShouldBe(0);
            using (BlockStore disk = DiskImage.Open(path))
            {
                for (int slot = 0; slot < layout.Slots; slot++) layout.Version(disk, slot).ShouldBeGreaterThanOrEqualTo(acknowledged[slot], $"kill {i}, slot {slot}");
            }

            if (kind != "raw") DiskImage.Check(path)!.IsClean.ShouldBeTrue();
        }

        acknowledged.Sum(v => v).ShouldBeGreaterThan(0);
        if (kind != "raw" && ImageFolder.HasQemu) _folder.ShouldBeClean(path);
    }

    public void Dispose() => _folder.Dispose();

    private static void Kill(string path, Random random, uint[] acknowledged)
    {
        string program = typeof(TestProgram).Assembly.Location;
        using Process process = RingfenceProcess.StartProgram("dotnet", "exec", program, "write-records", path, random.Next().ToString());
        string? line = process.StandardOutput.ReadLine();
        line.ShouldBe("ready", line is null ? process.StandardError.ReadToEnd() : null);
        using StoppingTimer timer = new(process.Kill, random.Next(10, 250));
        while ((line = process.StandardOutput.ReadLine()) is not null)
        {
            // The last line may be half a line.
            string[] words = line.Split(' ');
            if (words.Length == 2 && uint.TryParse(words[1], out uint version) && int.TryParse(words[0], out int slot) && version > acknowledged[slot]) acknowledged[slot] = version;
        }

        process.WaitForExit();
    }
}
