namespace Ringfence.Tests.CommandLine;

public sealed class BadInputTests
{
    [Theory]
    [InlineData("--memory lots", "--memory: 'lots' is not a memory size (such as 512M, 1G or a number of bytes)")]
    [InlineData("--memory -1", "--memory: '-1' is not a memory size (such as 512M, 1G or a number of bytes)")]
    [InlineData("--memory 99999999999999999999G", "--memory: '99999999999999999999G' is not a memory size (such as 512M, 1G or a number of bytes)")]
    [InlineData("--memory 17179869185G", "--memory: '17179869185G' is not a memory size (such as 512M, 1G or a number of bytes)")]
    [InlineData("--memory 512K", "--memory: '512K' is out of range (1M to 512G)")]
    [InlineData("--memory 2000000", "--memory: '2000000' is not a multiple of 4 KiB")]
    [InlineData("--memory", "Required argument missing for option: '--memory'")]
    [InlineData("--cpus 0", "--cpus: '0' is not a number of processors (1 to 8)")]
    [InlineData("--cpus 9", "--cpus: '9' is not a number of processors (1 to 8)")]
    [InlineData("--cpus two", "--cpus: 'two' is not a number of processors (1 to 8)")]
    [InlineData("--engine warp", "--engine: there is no engine 'warp' (interpreter, translator, lockstep or auto)")]
    [InlineData("--timeout 0", "--timeout: '0' is not a number of seconds above 0")]
    [InlineData("--timeout soon", "--timeout: 'soon' is not a number of seconds above 0")]
    [InlineData("--stats xml", "--stats: 'xml' is not text, text:PATH, json or json:PATH")]
    [InlineData("--stats json:/no-such-folder/x", "--stats: /no-such-folder/x: no such folder")]
    [InlineData("--stats json:", "--stats: 'json:' is not text, text:PATH, json or json:PATH")]
    [InlineData("--trace /nonexistent/trace", "--trace: /nonexistent/trace: no such folder")]
    [InlineData("--trace x --trace-limit much", "--trace-limit: 'much' is not a size (such as 64M, 1G or a number of bytes)")]
    [InlineData("--trace x --trace-limit 1K", "--trace-limit: '1K' is out of range (64K to 1024G)")]
    [InlineData("--trace-limit 1M", "--trace-limit needs --trace")]
    [InlineData("--trace x --no-exit-times", "--no-exit-times and --trace exclude each other")]
    [InlineData("--kernel a --disk x,if=scsi", "--disk: 'if=scsi' is not if=virtio, if=ide, if=ahci, format=raw, format=qcow2 or readonly")]
    [InlineData("--disk /nonexistent/disk", "/nonexistent/disk: no such file or folder")]
    [InlineData("--firmware Shouldly.dll --display gtk", "--display: 'gtk' is not terminal or none")]
    [InlineData("--display terminal", "--display terminal needs a drive or --firmware")]
    [InlineData("--http eighty", "--http: 'eighty' is not [HOST:]PORT")]
    [InlineData("--http 127.0.0.1:", "--http: '127.0.0.1:' is not [HOST:]PORT")]
    [InlineData("--http 70000", "--http: '70000' is not [HOST:]PORT")]
    [InlineData("--http -1", "--http: '-1' is not [HOST:]PORT")]
    [InlineData("--vnc 1", "--vnc: '1' is not [HOST]:DISPLAY")]
    [InlineData("--vnc :70000", "--vnc: ':70000' is not [HOST]:DISPLAY")]
    [InlineData("--vnc :1,secret", "--vnc: 'secret' is not password=FILE or password=none")]
    [InlineData("--vnc 0.0.0.0:1,password=none", "--vnc: password=none is for clients of this host only")]
    [InlineData("--serial tcp:1", "--serial: 'tcp:1' is not stdio, file:PATH or null")]
    [InlineData("--serial stdio --serial stdio", "--serial: only one port can be connected to stdio")]
    [InlineData("--serial null --serial null --serial null --serial null --serial null", "--serial: a PC has at most 4 serial ports")]
    [InlineData("--serial file:/nonexistent/log", "--serial: /nonexistent/log: no such folder")]
    [InlineData("--virtio-console tty", "--virtio-console: 'tty' is not stdio, file:PATH or null")]
    [InlineData("--virtio-console file:/nonexistent/log", "--virtio-console: /nonexistent/log: no such folder")]
    [InlineData("--virtio-console stdio --serial stdio", "--serial stdio and --virtio-console stdio exclude each other")]
    [InlineData("--firmware Shouldly.dll --display terminal --virtio-console stdio", "--display terminal and --virtio-console stdio exclude each other")]
    [InlineData("--debugcon file:/nonexistent/log", "--debugcon: /nonexistent/log: no such folder")]
    [InlineData("--deterministic --cpus 2", "--deterministic needs --cpus 1")]
    [InlineData("--initrd x", "--initrd needs --kernel")]
    [InlineData("--rootfs .", "--rootfs needs --kernel")]
    [InlineData("--append x", "--append needs --kernel")]
    [InlineData("--kernel a --firmware b", "--kernel and --firmware exclude each other")]
    [InlineData("--kernel /nonexistent/vmlinuz", "/nonexistent/vmlinuz: no such file or folder")]
    [InlineData("--kernel /", "/: is a folder, not a file")]
    [InlineData("--firmware /nonexistent/bios", "/nonexistent/bios: no such file or folder")]
    [InlineData("--kernel Shouldly.dll", "Shouldly.dll: is neither a Linux bzImage nor a Multiboot 1 image")]
    [InlineData("--memory 1M", "the built-in guest needs at least")]
    [InlineData("--nonsense", "'--nonsense' is not an option; see ringfence --help")]
    [InlineData("walk", "'walk' is not a command or an option; see ringfence --help")]
    [InlineData("run walk", "'walk' is not a command or an option; see ringfence --help")]
    public void What_cannot_be_done_is_one_line_on_standard_error_and_exit_code_1(string arguments, string expected)
    {
        CommandResult result = RingfenceProcess.Run(arguments.Split(' '));
        result.ErrorLines.Length.ShouldBe(1, result.Errors);
        result.Errors.ShouldStartWith($"ringfence: {expected}");
        result.OutputBytes.ShouldBeEmpty();
        result.ExitCode.ShouldBe(1);
    }

    [Fact]
    public void An_image_too_large_for_the_memory_is_one_line()
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, Firmware.SampleImages.Linux());
            CommandResult result = RingfenceProcess.Run("--kernel", path, "--memory", "16M");
            result.Errors.ShouldBe($"ringfence: {path}: the kernel is too large for the memory asked for: it needs RAM up to 20 MiB, the machine has 16 MiB\n");
            result.ExitCode.ShouldBe(1);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Theory]
    [InlineData("--help", "ringfence run --help")]
    [InlineData("run --help", "--kernel vmlinuz --rootfs ./dir")]
    public void Help_ends_with_examples(string arguments, string example)
    {
        CommandResult result = RingfenceProcess.Run(arguments.Split(' '));
        result.ExitCode.ShouldBe(0);
        result.Output.ShouldContain("Usage:\n  ringfence");
        result.Output.ShouldContain(example);
        result.Errors.ShouldBeEmpty();
    }

    [Fact]
    public void The_version_is_one_line()
    {
        CommandResult result = RingfenceProcess.Run("--version");
        result.ExitCode.ShouldBe(0);
        result.Output.ShouldMatch(@"^ringfence \d+\.\d+\.\d+\n$");
    }
}
