using Ringfence.Firmware;
using Ringfence.Machines;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Guests;

/// <summary>
/// Media of others, booted by our firmware, and by that of others: SeaBIOS and its VGA BIOS run the hardware that they know from QEMU. One machine at a time, as in <see cref="DebianTests"/>.
/// </summary>
[Collection(nameof(DebianTests))]
public sealed class BootMediaTests
{
    private static readonly TimeSpan BootTime = TimeSpan.FromMinutes(4);
    private static readonly TimeSpan AnswerTime = TimeSpan.FromMinutes(1);

    [EngineTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task GRUB_starts_from_a_CD_and_answers_what_is_typed(bool seaBios)
    {
        await using VirtualMachine machine = Boot(seaBios, DriveKind.CdRom, "media/grub-rescue-cdrom.iso");
        Screen screen = await ListAtGrubsPrompt(machine);
        await screen.WaitForTextAsync("(cd)", AnswerTime);
        screen.TypeText("halt\n");
        (await machine.WaitForExitAsync(AnswerTime)).Reason.ShouldBe(MachineExitReason.PowerOff);
    }

    [EngineTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task GRUB_starts_from_a_floppy_and_lists_it(bool seaBios)
    {
        await using VirtualMachine machine = Boot(seaBios, DriveKind.Floppy, "media/grub-rescue-floppy.img");
        Screen screen = await ListAtGrubsPrompt(machine);
        await screen.WaitForTextAsync("(fd0)", AnswerTime);
    }

    [EngineTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task IPXE_starts_from_a_CD_and_shows_its_features(bool seaBios)
    {
        await using VirtualMachine machine = Boot(seaBios, DriveKind.CdRom, "media/ipxe.iso");
        await machine.Screen!.WaitForTextAsync("Open Source Network Boot Firmware", BootTime);
        await machine.Screen.WaitForTextAsync("Features:", AnswerTime);
    }

    [EngineTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Memtest86_from_a_CD_tests_on_the_screen(bool seaBios)
    {
        await using VirtualMachine machine = Boot(seaBios, DriveKind.CdRom, "media/memtest86+x64.iso");
        var screen = await machine.Screen!.WaitForTextAsync(new System.Text.RegularExpressions.Regex("Memtest86\\+.*Test *#?[0-9]+", System.Text.RegularExpressions.RegexOptions.Singleline), BootTime);
        screen.ToString().ShouldNotContain("FAIL");
    }

    [EngineTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task GRUB_on_a_CD_boots_Debians_kernel_to_a_shell_that_answers_and_powers_off(bool seaBios)
    {
        await using VirtualMachine machine = Boot(seaBios, DriveKind.CdRom, "media/debian-grub.iso", memoryMib: 256);
        Screen screen = machine.Screen!;
        await screen.WaitForTextAsync("Debian to a shell", BootTime);
        screen.TypeText("\n");
        SerialConsole console = machine.Serial[0];
        await console.WaitForTextAsync("/ # ", BootTime);
        screen.ReadText()?.ToString().ShouldContain("Run /init");
        (await DebianTests.Ask(console, "grep -c BOOT_IMAGE=/boot/vmlinuz /proc/cmdline")).ShouldBe("1");
        (await DebianTests.Ask(console, "grep -c Ringfence /sys/class/dmi/id/bios_vendor")).ShouldBe(seaBios ? "0" : "1");
        console.WriteLine("poweroff -f");
        (await machine.WaitForExitAsync(AnswerTime)).Reason.ShouldBe(MachineExitReason.PowerOff);
    }

    /// <summary>Leaves GRUB's menu for its prompt and types <c>ls</c> there.</summary>
    private static async Task<Screen> ListAtGrubsPrompt(VirtualMachine machine)
    {
        Screen screen = machine.Screen!;
        await screen.WaitForTextAsync("GNU GRUB", BootTime);
        screen.TypeText("c");
        await screen.WaitForTextAsync("grub>", AnswerTime);
        screen.TypeText("ls\n");
        return screen;
    }

    private static VirtualMachine Boot(bool seaBios, DriveKind kind, string medium, uint memoryMib = 64)
    {
        VirtualMachine machine = VirtualMachine.Create(new MachineOptions
        {
            Name = Path.GetFileName(medium),
            MemoryBytes = (ulong)memoryMib << 20,
            Engine = Engines.CurrentKind,
            Boot = seaBios ? new FirmwareBoot(BootFile.FromPath(DebianGuests.Require("media/bios-256k.bin"))) : new BiosBoot(),
            Display = seaBios ? new DisplayOptions { Bios = BootFile.FromPath(DebianGuests.Require("media/vgabios-stdvga.bin")) } : new DisplayOptions(),
            Drives = [new DriveOptions { Kind = kind, Path = DebianGuests.Require(medium), Image = new() { ReadOnly = true } }],
        });
        machine.Start();
        return machine;
    }
}
