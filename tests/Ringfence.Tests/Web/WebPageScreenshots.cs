using Microsoft.Playwright;
using Ringfence.Machines;
using Ringfence.Tests.Guests;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Web;

/// <summary>The documentation's pictures of the machine's page; only <c>eng/screenshots.sh</c> takes them (RINGFENCE_SCREENSHOTS names the folder).</summary>
[Collection(BrowserCollection.Name)]
public sealed class WebPageScreenshots(Browser browser)
{
    private static readonly TimeSpan BootTime = TimeSpan.FromMinutes(5);

    private static readonly (string Line, string Answer)[] Dialogue =
    [
        ("uname -srm", "x86_64"),
        ("grep -m1 'model name' /proc/cpuinfo", "Ringfence Virtual Processor"),
        ("n=0; while [ $n -lt 200000 ]; do n=$((n+1)); done; echo counted to $n", "counted to 200000"),
        ("free -m | head -2", "Mem:"),
    ];

    [SkippableFact]
    public async Task Debian_from_a_CD_on_a_desk_and_on_a_telephone()
    {
        string? folder = Environment.GetEnvironmentVariable("RINGFENCE_SCREENSHOTS");
        Skip.If(string.IsNullOrEmpty(folder), "RINGFENCE_SCREENSHOTS names no folder.");
        await using ServedPage page = await ServedPage.OpenAsync(browser, Start, width: 1440, height: 1180);
        await page.Machine.Screen!.WaitForTextAsync("Debian to a shell", BootTime);
        page.Machine.Screen.TypeText("\n");
        await page.Machine.Serial[0].WaitForTextAsync("/ # ", BootTime);
        await page.Page.Locator("#serial-0").ClickAsync();
        foreach ((string line, string answer) in Dialogue)
        {
            await page.Page.Keyboard.TypeAsync(line + "\n");
            await page.WaitForSerialAsync(answer);
            // A moment between them, for plots that can be told apart.
            await Task.Delay(TimeSpan.FromSeconds(3));
        }

        await page.Page.Locator("#state").ClickAsync();
        await page.Open.ScreenshotAsync(Path.Combine(folder, "page-light.png"));
        await page.Page.GetByRole(AriaRole.Button, new() { Name = "Dark colours" }).ClickAsync();
        await page.Page.Mouse.MoveAsync(1, 1);
        await page.Open.ScreenshotAsync(Path.Combine(folder, "page-dark.png"));
        await page.Page.SetViewportSizeAsync(390, 844);
        // Terminal and screen have taken their new sizes.
        await Task.Delay(TimeSpan.FromSeconds(2));
        await page.Open.ScreenshotAsync(Path.Combine(folder, "page-phone.png"));
        page.Open.Problems.ShouldBeEmpty();
    }

    private static VirtualMachine Start()
    {
        VirtualMachine machine = VirtualMachine.Create(new MachineOptions
        {
            Name = "debian-grub.iso",
            MemoryBytes = 256UL << 20,
            CountInstructions = true,
            Boot = new BiosBoot(),
            Display = new DisplayOptions(),
            Drives = [new DriveOptions { Kind = DriveKind.CdRom, Path = DebianGuests.Require("media/debian-grub.iso"), Image = new() { ReadOnly = true } }],
        });
        machine.Start();
        return machine;
    }
}
