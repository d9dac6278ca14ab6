using System.Globalization;
using System.Text.RegularExpressions;
using Ringfence.Firmware;
using Ringfence.Machines;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Guests;

/// <summary>
/// Debian's own kernels: boot to busybox's shell, answer, power off. One machine at a time, so that a guest's timers are not starved by
/// the other guests of the run.
/// </summary>
[Collection(nameof(DebianTests))]
public sealed partial class DebianTests
{
    private const string Prompt = "/ # ";
    private static readonly TimeSpan BootTime = TimeSpan.FromMinutes(6);
    private static readonly TimeSpan AnswerTime = TimeSpan.FromMinutes(1);

    [EngineTheory]
    [InlineData("vmlinuz-amd64", "rootfs-amd64", 1, "x86_64")]
    [InlineData("vmlinuz-amd64", "rootfs-amd64", 2, "x86_64")]
    [InlineData("vmlinuz-cloud-amd64", "rootfs-amd64", 1, "x86_64")]
    [InlineData("vmlinuz-cloud-amd64", "rootfs-amd64", 2, "x86_64")]
    [InlineData("vmlinuz-i386", "rootfs-i386", 1, "i686")]
    [InlineData("vmlinuz-i386", "rootfs-i386", 2, "i686")]
    public async Task A_Debian_kernel_boots_to_the_shell_answers_and_powers_off(string kernel, string root, int processors, string architecture)
    {
        await using VirtualMachine machine = DebianGuests.Boot(kernel, root, processors);
        SerialConsole console = machine.Serial[0];
        machine.Start();
        string boot = await console.WaitForTextAsync("RINGFENCE-USERLAND", BootTime);
        boot.ShouldContain("Linux version");
        boot.ShouldNotContain("BUG:");
        boot.ShouldNotContain("WARNING:");
        await console.WaitForTextAsync(Prompt, AnswerTime);

        (await Ask(console, "uname -m")).ShouldBe(architecture);
        (await Ask(console, "nproc")).ShouldBe(processors.ToString(CultureInfo.InvariantCulture));
        (await Ask(console, "grep -c GenuineIntel /proc/cpuinfo")).ShouldBe(processors.ToString(CultureInfo.InvariantCulture));
        (await Ask(console, "echo $((123456789 * 987)) $((1000000007 % 97)) $((7 - 100))")).ShouldBe($"{123456789L * 987} {1000000007 % 97} -93");
        (await Ask(console, "seq 1 1000 > /tmp/n; sort -rn /tmp/n | head -n 1; rm /tmp/n; ls /tmp | wc -l")).ShouldBe("1000\n0");
        (await Ask(console, "printf abc | sha256sum | cut -c1-16")).ShouldBe("ba7816bf8f01cfea");
        (await Ask(console, "for p in 1 2 3 4; do (i=0; while [ $i -lt 200 ]; do i=$((i+1)); done; echo $i) & done; wait")).Replace("\n", " ", StringComparison.Ordinal)
            .ShouldContain("200");
        (await Ask(console, "dmesg | grep -ciE 'bug:|oops|stall'")).ShouldBe("0");

        console.WriteLine("poweroff -f");
        MachineExit exit = await machine.WaitForExitAsync(AnswerTime);
        exit.Reason.ShouldBe(MachineExitReason.PowerOff);
        exit.ExitCode.ShouldBe(0);
        machine.Statistics.Unimplemented.ShouldBeEmpty();
    }

    [EngineFact]
    public async Task Processes_on_two_processors_and_a_pipe_between_them_keep_their_data()
    {
        await using VirtualMachine machine = DebianGuests.Boot("vmlinuz-cloud-amd64", "rootfs-amd64", 2, "quiet");
        SerialConsole console = machine.Serial[0];
        machine.Start();
        await console.WaitForTextAsync(Prompt, BootTime);
        const string Pipe = "taskset 1 dd if=/dev/zero bs=64k count=64 2>/dev/null | taskset 2 md5sum | cut -c1-8";
        (await Ask(console, Pipe)).ShouldBe("b5cfa9d6");
        (await Ask(console, "grep -c ^processor /proc/cpuinfo")).ShouldBe("2");
        console.WriteLine("poweroff -f");
        (await machine.WaitForExitAsync(AnswerTime)).Reason.ShouldBe(MachineExitReason.PowerOff);
    }

    [EngineTheory]
    [InlineData("memtest86+x64.bin")]
    [InlineData("memtest86+ia32.bin")]
    public async Task Memtest86_finds_no_error_in_its_first_three_tests(string image)
    {
        await using VirtualMachine machine = VirtualMachine.Create(new MachineOptions
        {
            Name = image,
            MemoryBytes = 8UL << 20,
            Engine = Engines.CurrentKind,
            Boot = new KernelBoot
            {
                Kernel = BootFile.FromPath(DebianGuests.Require(image)),
                CommandLine = "console=ttyS0,115200",
            },
        });
        SerialConsole console = machine.Serial[0];
        machine.Start();

        // The screen is sent every other second, so that a short test may never be seen: any later one shows that 0, 1 and 2 are done.
        string screen = await console.WaitForTextAsync(LaterTest(), BootTime);
        screen.ShouldContain("Memtest86+");
        screen.ShouldContain("Errors: 0");
        screen.ShouldNotMatch("Errors: +[1-9]");
        screen.ShouldNotContain("FAIL");
        machine.Stop();
    }

    [GeneratedRegex(@"#(3 |4 |5 |6 |7 |8 |9 |10) *\[")]
    private static partial Regex LaterTest();

    /// <summary>Types a command and gives its output, with a mark around it so that the echo is not taken for the answer.</summary>
    internal static async Task<string> Ask(InteractiveConsole console, string command, TimeSpan? patience = null)
    {
        TimeSpan wait = patience ?? AnswerTime;
        console.WriteLine($"echo '<''<'; {command}; echo '>''>'");
        await console.WaitForTextAsync("<<\r\n", wait);
        string answer = await console.WaitForTextAsync(">>\r\n", wait);
        await console.WaitForTextAsync(Prompt, wait);
        return answer[..^4].Replace("\r\n", "\n", StringComparison.Ordinal).Trim();
    }
}
