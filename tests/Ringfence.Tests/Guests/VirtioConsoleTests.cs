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
    private const int OutputBytes = 1 << 20;
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

        // Output: as the shell's own lines, and a megabyte in one piece.
        console.WriteLine($"yes 0123456789abcdef | head -c {OutputBytes} | tr -d '\\r'; echo; echo 'DO''NE'");
        string output = await console.WaitForTextAsync("DONE\r\n", AnswerTime);
        string lines = output[(output.IndexOf("\r\n", StringComparison.Ordinal) + 2)..].Replace("\r\n", "\n", StringComparison.Ordinal);
        lines.ShouldBe(string.Concat(Enumerable.Repeat("0123456789abcdef\n", (OutputBytes / 17) + 1))[..OutputBytes] + "\nDONE\n");
        await console.WaitForTextAsync("/ # ", AnswerTime);

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
}
