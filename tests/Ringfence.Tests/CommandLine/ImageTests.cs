using System.Diagnostics;
using System.Text.Json;
using Ringfence.Storage;
using Ringfence.Tests.Storage;

namespace Ringfence.Tests.CommandLine;

public sealed class ImageTests : IDisposable
{
    private readonly ImageFolder _folder = new();

    [Fact]
    public void Images_are_made_described_copied_and_checked()
    {
        string disk = _folder["disk.qcow2"], raw = _folder["disk.img"], copy = _folder["copy.qcow2"];
        Ran("image", "create", "--size", "20M", disk).ShouldBe("");
        byte[] contents = new byte[20 << 20];
        using (BlockStore store = DiskImage.Open(disk))
        {
            contents.AsSpan(3 << 20, 100_000).Fill(7);
            store.Write(3 << 20, contents.AsSpan(3 << 20, 100_000));
        }

        Ran("image", "convert", "--to", "raw", disk, raw).ShouldBe("");
        ImageFolder.ShouldBeEqual(File.ReadAllBytes(raw), contents);
        DiskImage.Inspect(raw).AllocatedBytes.ShouldBeLessThan(300_000);
        Ran("image", "convert", "--to", "qcow2", "--cluster-size", "4K", raw, copy).ShouldBe("");
        ImageFolder.ShouldBeEqual(_folder.Contents("copy.qcow2"), contents);
        DiskImage.Inspect(copy).AllocatedBytes.ShouldBeLessThan(300_000);
        Ran("image", "check", copy).ShouldBe($"{copy}: nothing is wrong\n");
        Ran("image", "check", raw).ShouldBe($"{raw}: has no tables that could be wrong\n");
        Ran("image", "info", raw).ShouldStartWith($"image         {raw}\nformat        raw\ndisk          20 MiB (20971520 bytes)\non the host   ");
        string info = Ran("image", "info", copy);
        info.ShouldContain("format        qcow2, version 3\n");
        info.ShouldContain("clusters      4 KiB, reference counts of 16 bits\n");
        Directory.GetFiles(_folder.Path).Length.ShouldBe(3);
    }

    [Fact]
    public void A_disk_upon_another_names_it()
    {
        DiskImage.CreateRaw(_folder["base.img"], 5 << 20);
        Ran("image", "create", "--backing", "base.img", _folder["top.qcow2"]).ShouldBe("");
        using JsonDocument json = JsonDocument.Parse(Ran("image", "info", "--format", "json", _folder["top.qcow2"]));
        json.RootElement.GetProperty("virtualBytes").GetInt64().ShouldBe(5 << 20);
        JsonElement qcow2 = json.RootElement.GetProperty("qcow2");
        qcow2.GetProperty("backingFile").GetString().ShouldBe("base.img");
        qcow2.GetProperty("backingPath").GetString().ShouldBe(_folder["base.img"]);
        qcow2.GetProperty("backingFormat").GetString().ShouldBe("raw");
        qcow2.GetProperty("snapshots").GetArrayLength().ShouldBe(0);
        Ran("image", "info", _folder["top.qcow2"]).ShouldContain("backing file  base.img (raw)\n");
    }

    [Fact]
    public void A_file_that_is_there_stays_unless_force_says_otherwise()
    {
        string path = _folder["disk.img"], other = _folder["other.img"];
        File.WriteAllText(path, "precious");
        DiskImage.CreateRaw(other, 1 << 20);
        ShouldFail($"{path}: exists already", "image", "create", "--size", "1M", path);
        ShouldFail($"{path}: exists already", "image", "convert", "--to", "raw", other, path);
        File.ReadAllText(path).ShouldBe("precious");
        using (DiskImage.Open(path)) ShouldFail($"{path}: is being written by another machine or program", "image", "create", "--force", "--size", "1M", path);
        using (DiskImage.Open(path)) ShouldFail($"{path}: is being written by another machine or program", "image", "convert", "--force", "--to", "raw", other, path);
        File.ReadAllText(path).ShouldBe("precious");
        Ran("image", "create", "--force", "--size", "1M", path);
        new FileInfo(path).Length.ShouldBe(1 << 20);
        ShouldFail($"{other}: is in use by another machine or program", "image", "convert", "--force", "--to", "qcow2", other, other);
    }

    [Fact]
    public void A_check_says_what_is_wrong_and_repairs_it()
    {
        string path = _folder["disk.qcow2"];
        DiskImage.CreateQcow2(path, 1 << 20);
        using (BlockStore store = DiskImage.Open(path)) store.Write(0, [1]);
        byte[] image = File.ReadAllBytes(path);
        image[0x20001] = 0;
        image[0x20021] = 3;
        File.WriteAllBytes(path, image);
        CommandResult result = RingfenceProcess.Run("image", "check", path);
        result.ExitCode.ShouldBe(1);
        result.OutputLines.ShouldBe(
        [
            "error: the cluster at 0x0 is counted 0 times and referred to 1 times",
            "leak: the cluster at 0x100000 is counted 3 times and referred to 0 times",
            $"{path}: 1 errors, 1 lost clusters",
        ]);
        Ran("image", "check", "--repair", path).ShouldEndWith($"{path}: 2 repaired, nothing is wrong any more\n");
        Ran("image", "check", path).ShouldBe($"{path}: nothing is wrong\n");
    }

    [SkippableFact]
    public void Ctrl_c_leaves_nothing_of_an_unfinished_copy()
    {
        Skip.IfNot(OperatingSystem.IsLinux());
        string source = _folder["source.img"];
        using (FileStream file = File.Create(source))
        {
            byte[] block = new byte[1 << 20];
            Random.Shared.NextBytes(block);
            for (int i = 0; i < 512; i++) file.Write(block);
        }

        using Process process = RingfenceProcess.Start("image", "convert", "--to", "qcow2", source, _folder["copy.qcow2"]);
        while (!process.HasExited && Directory.GetFiles(_folder.Path, "*.unfinished").All(f => new FileInfo(f).Length < 1 << 22)) Thread.Sleep(1);
        Process.Start("kill", ["-INT", $"{process.Id}"]).WaitForExit();
        CommandResult result = RingfenceProcess.Finish(process, []);
        result.ExitCode.ShouldBe(130);
        result.Errors.ShouldBeEmpty();
        Directory.GetFiles(_folder.Path).ShouldBe([source]);
    }

    [Theory]
    [InlineData("image", "no command is given; see ringfence image --help")]
    [InlineData("image make", "'make' is not a command or an option; see ringfence --help")]
    [InlineData("image create", "Required argument missing for command: 'create'")]
    [InlineData("image create /tmp/x", "a new image needs --size")]
    [InlineData("image create /tmp/x.qcow2", "a new image needs --size or --backing")]
    [InlineData("image create --size 5Q /tmp/x", "--size: '5Q' is not a size (such as 512M, 10G or a number of bytes)")]
    [InlineData("image create --size 0 /tmp/x", "--size: '0' is out of range (1 to 1048576T)")]
    [InlineData("image create --size 1M --format vmdk /tmp/x", "--format: 'vmdk' is not qcow2 or raw")]
    [InlineData("image create --size 1M --backing y /tmp/x", "--backing needs --format qcow2")]
    [InlineData("image create --size 1M --backing-format raw /tmp/x.qcow2", "--backing-format needs --backing")]
    [InlineData("image create --size 1M --cluster-size 3K /tmp/x.qcow2", "--cluster-size: '3K' is not a power of two from 512 to 2M")]
    [InlineData("image create --size 1M /nonexistent/x", "/nonexistent/x: no such file or folder")]
    [InlineData("image create --backing nonexistent /tmp/x.qcow2", "/tmp/nonexistent: no such file or folder")]
    [InlineData("image info /nonexistent/x", "/nonexistent/x: no such file or folder")]
    [InlineData("image info --all", "'--all' is not an option; see ringfence --help")]
    [InlineData("image info /", "/: is a folder, not a file")]
    [InlineData("image info --format xml x", "--format: 'xml' is not text or json")]
    [InlineData("image check /nonexistent/x", "/nonexistent/x: no such file or folder")]
    [InlineData("image convert x y", "convert needs --to qcow2 or --to raw")]
    [InlineData("image convert --to iso x y", "--to: 'iso' is not qcow2 or raw")]
    [InlineData("image convert --to raw /nonexistent/x y", "/nonexistent/x: no such file or folder")]
    [InlineData("image convert --to raw --cluster-size 4K x y", "--cluster-size needs --to qcow2")]
    public void What_cannot_be_done_is_one_line(string arguments, string expected) => ShouldFail(expected, arguments.Split(' '));

    [Theory]
    [InlineData("image", "ringfence image convert --to raw disk.qcow2 disk.img")]
    [InlineData("image create", "ringfence image create --format raw --size 1440K floppy.img")]
    [InlineData("image info", "| jq .virtualBytes")]
    [InlineData("image convert", "Ctrl-C leaves nothing behind")]
    [InlineData("image check", "ringfence image check --repair disk.qcow2")]
    public void Help_ends_with_examples(string command, string example)
    {
        CommandResult result = RingfenceProcess.Run([.. command.Split(' '), "--help"]);
        result.ExitCode.ShouldBe(0);
        result.Output.ShouldContain($"Usage:\n  ringfence {command}");
        result.Output.ShouldContain(example);
    }

    public void Dispose() => _folder.Dispose();

    private static string Ran(params string[] arguments)
    {
        CommandResult result = RingfenceProcess.Run(arguments);
        result.Errors.ShouldBeEmpty();
        result.ExitCode.ShouldBe(0, result.Output);
        return result.Output;
    }

    private static void ShouldFail(string expected, params string[] arguments)
    {
        CommandResult result = RingfenceProcess.Run(arguments);
        result.Errors.ShouldBe($"ringfence: {expected}\n");
        result.OutputBytes.ShouldBeEmpty();
        result.ExitCode.ShouldBe(1);
    }
}
