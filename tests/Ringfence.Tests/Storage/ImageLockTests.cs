using System.Diagnostics;
using Ringfence.Storage;

namespace Ringfence.Tests.Storage;

public sealed class ImageLockTests : IDisposable
{
    private readonly ImageFolder _folder = new();

    [Theory]
    [InlineData("raw")]
    [InlineData("qcow2")]
    public void Readers_share_an_image_and_a_writer_does_not(string format)
    {
        string path = Make(format);
        DiskImageOptions reading = new() { ReadOnly = true };
        using (DiskImage.Open(path))
        {
            Message(path, new DiskImageOptions()).ShouldBe($"{path}: is being written by another machine or program");
            Message(path, reading).ShouldBe($"{path}: is being written by another machine or program");
            Message(path, new DiskImageOptions { Snapshot = true }).ShouldBe($"{path}: is being written by another machine or program");
            DiskImage.Inspect(path).VirtualBytes.ShouldBe(1 << 20);
        }

        using (DiskImage.Open(path, reading))
        using (DiskImage.Open(path, reading))
        using (DiskImage.Open(path, new DiskImageOptions { Snapshot = true }))
        {
            Message(path, new DiskImageOptions()).ShouldBe($"{path}: is in use by another machine or program");
        }

        DiskImage.Open(path).Dispose();
    }

    [Fact]
    public void A_backing_file_may_be_shared_but_not_written()
    {
        string below = Make("raw");
        DiskImage.CreateQcow2(_folder["a.qcow2"], null, below);
        DiskImage.CreateQcow2(_folder["b.qcow2"], null, below);
        using (DiskImage.Open(_folder["a.qcow2"]))
        using (DiskImage.Open(_folder["b.qcow2"]))
        {
            Message(below, new DiskImageOptions()).ShouldBe($"{below}: is in use by another machine or program");
        }

        using (DiskImage.Open(below))
            Message(_folder["a.qcow2"], new DiskImageOptions()).ShouldBe($"{_folder["a.qcow2"]}: its backing file cannot be used: {below}: is being written by another machine or program");
    }

    [SkippableFact]
    public void Qemu_respects_our_locks_and_we_respect_its()
    {
        ImageFolder.RequireQemu();
        string path = Make("qcow2");
        using (DiskImage.Open(path))
        {
            (int exitCode, string output) = _folder.Run("qemu-io", "-c", "write 0 512", path);
            exitCode.ShouldNotBe(0);
            output.ShouldContain("lock");
            _folder.Run("qemu-img", "check", path).ExitCode.ShouldNotBe(0);
        }

        using (DiskImage.Open(path, new DiskImageOptions { ReadOnly = true }))
        {
            _folder.Run("qemu-io", "-c", "write 0 512", path).ExitCode.ShouldNotBe(0);
            _folder.Run("qemu-io", "-r", "-c", "read 0 512", path).ExitCode.ShouldBe(0);
        }

        ProcessStartInfo start = new("qemu-io", [path]) { RedirectStandardInput = true, RedirectStandardOutput = true };
        using Process qemu = Process.Start(start)!;
        qemu.StandardInput.WriteLine("write 0 512");
        qemu.StandardInput.Flush();
        qemu.StandardOutput.ReadLine();
        Message(path, new DiskImageOptions()).ShouldBe($"{path}: is being written by another machine or program");
        Message(path, new DiskImageOptions { ReadOnly = true }).ShouldBe($"{path}: is being written by another machine or program");
        qemu.StandardInput.WriteLine("quit");
        qemu.WaitForExit();
        DiskImage.Open(path).Dispose();
    }

    public void Dispose() => _folder.Dispose();

    private static string Message(string path, DiskImageOptions options) => Should.Throw<BlockImageException>(() => DiskImage.Open(path, options)).Message;

    private string Make(string format)
    {
        string path = _folder[$"disk.{format}"];
        if (format == "raw") DiskImage.CreateRaw(path, 1 << 20);
        else DiskImage.CreateQcow2(path, 1 << 20);
        return path;
    }
}
