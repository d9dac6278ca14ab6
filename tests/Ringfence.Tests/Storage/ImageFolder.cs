using System.Diagnostics;
using Ringfence.Storage;

namespace Ringfence.Tests.Storage;

/// <summary>A folder for the images of one test, and QEMU's tools to make and judge them.</summary>
internal sealed class ImageFolder : IDisposable
{
    private static readonly bool IsRequired = Environment.GetEnvironmentVariable("RINGFENCE_REQUIRE_QEMU_IMG") is { Length: > 0 };

    /// <param name="inMemory">In a file system in memory if there is one: for tests that do not need a disk to be slow.</param>
    public ImageFolder(bool inMemory = true)
    {
        string parent = inMemory && Directory.Exists("/dev/shm") ? "/dev/shm" : System.IO.Path.GetTempPath();
        Path = System.IO.Path.Combine(parent, $"ringfence-test-{Guid.NewGuid():N}");
        Directory.CreateDirectory(Path);
    }

    public string Path { get; }

    /// <summary>Are QEMU's tools installed?</summary>
    public static bool HasQemu { get; } = Environment.GetEnvironmentVariable("PATH")!.Split(':').Any(p => File.Exists(System.IO.Path.Combine(p, "qemu-img")));

    public string this[string name] => System.IO.Path.Combine(Path, name);

    /// <summary>The seed of one random test, made from RINGFENCE_SEED.</summary>
    public static int SeedOf(int test) => unchecked((int)(ulong.TryParse(Environment.GetEnvironmentVariable("RINGFENCE_SEED"), out ulong seed) ? seed : 1) * 1_000_003 + test);

    /// <summary>Skips the test where QEMU's tools are not installed.</summary>
    public static void RequireQemu()
    {
        if (IsRequired && !HasQemu) throw new FileNotFoundException("qemu-img (Debian package qemu-utils) is not installed.");
        Skip.IfNot(HasQemu, "qemu-img (Debian package qemu-utils) is not installed.");
    }

    /// <summary>Compares disks; says where they differ.</summary>
    public static void ShouldBeEqual(ReadOnlySpan<byte> actual, ReadOnlySpan<byte> expected)
    {
        actual.Length.ShouldBe(expected.Length);
        int same = actual.CommonPrefixLength(expected);
        if (same < actual.Length) same.ShouldBe(-1, $"they differ from byte {same} on: {actual[same]:x2}, not {expected[same]:x2}");
    }

    /// <summary>Runs a tool in the folder.</summary>
    public (int ExitCode, string Output) Run(string tool, params string[] arguments)
    {
        ProcessStartInfo start = new(tool, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Path };
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + errors.Result);
    }

    public string QemuImg(params string[] arguments) => Must("qemu-img", arguments);

    /// <summary>Lets qemu-io carry out commands on an image.</summary>
    public string QemuIo(string image, params string[] commands) => Must("qemu-io", [.. commands.SelectMany(c => new[] { "-c", c }), image]);

    /// <summary>The disk of an image, as QEMU reads it.</summary>
    public byte[] QemuContents(string image, string format = "qcow2")
    {
        QemuImg("convert", "-f", format, "-O", "raw", image, "contents.raw");
        byte[] contents = File.ReadAllBytes(this["contents.raw"]);
        File.Delete(this["contents.raw"]);
        return contents;
    }

    /// <summary>QEMU finds nothing wrong with an image, leaks included.</summary>
    public void ShouldBeClean(string image)
    {
        (int exitCode, string output) = Run("qemu-img", "check", "-f", "qcow2", image);
        exitCode.ShouldBe(0, output);
        output.ShouldContain("No errors were found");
    }

    /// <summary>The disk of an image, as we read it.</summary>
    public byte[] Contents(string image, int step = 1 << 20)
    {
        using BlockStore disk = DiskImage.Open(this[image], new DiskImageOptions { ReadOnly = true });
        return Contents(disk, step);
    }

    public static byte[] Contents(BlockStore disk, int step = 1 << 20)
    {
        byte[] contents = new byte[disk.Length];
        for (int at = 0; at < contents.Length; at += step) disk.Read(at, contents.AsSpan(at, Math.Min(step, contents.Length - at)));
        return contents;
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);

    private string Must(string tool, string[] arguments)
    {
        (int exitCode, string output) = Run(tool, arguments);
        exitCode.ShouldBe(0, $"{tool} {string.Join(' ', arguments)}: {output}");
        return output;
    }
}
