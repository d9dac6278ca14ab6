using Ringfence.Firmware;
using Ringfence.Machines;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Guests;

/// <summary>Debian's bochs-drm on our display adapter: it finds the frame buffer, sets a mode, and what its console writes is on the screen.</summary>
[Collection(nameof(DebianTests))]
public sealed class DisplayTests
{
    private static readonly TimeSpan BootTime = TimeSpan.FromMinutes(6);
    private static readonly TimeSpan AnswerTime = TimeSpan.FromMinutes(2);

    [EngineFact]
    public async Task Linux_draws_its_console_with_bochs_drm()
    {
        await using VirtualMachine machine = VirtualMachine.Create(new MachineOptions
        {
            Engine = Engines.CurrentKind,
            Display = new DisplayOptions(),
            Boot = new KernelBoot
            {
                Kernel = BootFile.FromPath(DebianGuests.Require("vmlinuz-amd64")),
                InitialRamDisks = [BootFile.FromFolder(DebianGuests.Require("rootfs-amd64")), BootFile.FromFolder(DebianGuests.Require("display-amd64"))],
                CommandLine = "console=ttyS0 quiet",
            },
        });
        machine.Start();
        SerialConsole console = machine.Serial[0];
        await console.WaitForTextAsync("/ # ", BootTime);
        (await DebianTests.Ask(console, "sh /display/load; cat /proc/fb", AnswerTime)).ShouldBe("0 bochs-drmdrmfb");
        string size = await DebianTests.Ask(console, "cat /sys/class/graphics/fb0/virtual_size", AnswerTime);

        // The console's cursor blinks: what counts is the place of the text.
        await DebianTests.Ask(console, @"printf '\033[2J\033[?25l\033[H' > /dev/tty1", AnswerTime);
        Until(() => machine.Screen!.Capture() is { Width: > 0 } image && LitPixels(image) == 0);
        ScreenImage empty = machine.Screen!.Capture();
        $"{empty.Width},{empty.Height}".ShouldBe(size);
        await DebianTests.Ask(console, @"printf 'Ringfence' > /dev/tty1", AnswerTime);
        Until(() => LitPixels(machine.Screen.Capture()) > 100);
        (await DebianTests.Ask(console, "dmesg | grep -ciE 'bug:|oops|call trace'")).ShouldBe("0");
    }

    private static int LitPixels(ScreenImage image)
    {
        int lit = 0;
        foreach (uint pixel in image.Pixels) lit += (pixel & 0xff_ffff) != 0 ? 1 : 0;
        return lit;
    }

    private static void Until(Func<bool> condition) => SpinWait.SpinUntil(condition, AnswerTime).ShouldBeTrue("the screen does not show it");
}
