using System.Security.Cryptography;
using System.Text;
using Ringfence.Firmware;
using Ringfence.Machines;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Guests;

/// <summary>Debian's virtio_console with its shell on hvc0: what is typed, printed and sent in bulk arrives complete and in order.</summary>
[Collection(nameof(DebianTests))]
public sealed class VirtioConsoleTests : IDisposable
{
    // The console comes with its module, before the root's own init asks for it.
    private const string Script = "sh /modules/load 2>/dev/null\nexec /init\n";
    private const int FirstNumber = 100_000;
    private const int LastNumber = 249_999;
    private const int PasteBytes = 100_000;
    private static readonly TimeSpan BootTime = TimeSpan.FromMinutes(6);
    private static readonly TimeSpan AnswerTime = TimeSpan.FromMinutes(2);

    private readonly string _folder = Directory.CreateTempSubdirectory("ringfence-console-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [EngineFact]
    public async Task A_shell_on_hvc0_answers_knows_its_size_and_loses_nothing()
    {
        await File.WriteAllTextAsync(Path.Combine(_folder, "load-and-start"), Script);
        await using VirtualMachine machine = VirtualMachine.Create(new MachineOptions
        {
            Engine = Engines.CurrentKind,
            HasVirtioConsole = true,
            TranscriptCharacters = 4 << 20,
            Boot = new KernelBoot
            {
                Kernel = BootFile.FromPath(DebianGuests.Require("vmlinuz-amd64")),
                InitialRamDisks = [BootFile.FromFolder(DebianGuests.Require("rootfs-amd64")), BootFile.FromFolder(DebianGuests.Require("modules-amd64")), BootFile.FromFolder(_folder)],
                CommandLine = "console=hvc0 quiet rdinit=/bin/sh -- /load-and-start",
            },
        });
        TerminalConsole console = machine.VirtioConsole!;
        console.SetSize(101, 37);
        // Typed before there is anybody to read it.
        console.WriteLine("stty size");
        machine.Start();
        await console.WaitForTextAsync("37 101\r\n", BootTime);
        await console.WaitForTextAsync("/ # ", AnswerTime);
        console.SetSize(80, 24);
        (await DebianTests.Ask(console, "stty size; cat /sys/class/tty/console/active")).ShouldBe("24 80\nhvc0");

        // Output: more than a megabyte.
        string output = await DebianTests.Ask(console, $"seq {FirstNumber} {LastNumber}");
        ShouldBeTheSame(output, string.Join('\n', Enumerable.Range(FirstNumber, LastNumber - FirstNumber + 1)));

        // Input: a paste that is not echoed, so that its answer cannot be it.
        string paste = string.Concat(Enumerable.Range(0, PasteBytes / 20).Select(i => $"{i:d8} {i * 7919:d10}\n"));
        console.WriteLine($"stty -echo; echo 'RE''ADY'; head -c {paste.Length} | sha256sum; stty echo");
        await console.WaitForTextAsync("READY\r\n", AnswerTime);
        console.Write(paste);
        string sum = await console.WaitForTextAsync("  -\r\n", AnswerTime);
        sum[..64].ShouldBe(Convert.ToHexStringLower(SHA256.HashData(Encoding.ASCII.GetBytes(paste))));
        await console.WaitForTextAsync("/ # ", AnswerTime);

        (await DebianTests.Ask(console, "dmesg | grep -ciE 'bug:|oops|stall'")).ShouldBe("0");
        console.WriteLine("poweroff -f");
        (await machine.WaitForExitAsync(AnswerTime)).Reason.ShouldBe(MachineExitReason.PowerOff);
    }

    /// <summary>Texts too long to be shown whole.</summary>
    private static void ShouldBeTheSame(string actual, string expected)
    {
        int same = actual.AsSpan().CommonPrefixLength(expected);
        if (actual.Length == expected.Length && same == actual.Length) return;
        string Around(string text) => text[Math.Max(same - 40, 0)..Math.Min(same + 40, text.Length)];
        Assert.Fail($"{actual.Length} characters instead of {expected.Length}, different from {same} on:\n{Around(actual)}\ninstead of\n{Around(expected)}");
    }
}
