using Microsoft.Playwright;
using Ringfence.Machines;
using Ringfence.Tests.Firmware.Bios;
using Ringfence.Tests.Machines;
using Ringfence.Tests.Support;
using Ringfence.Web;
using static Iced.Intel.AssemblerRegisters;
using static Microsoft.Playwright.Assertions;
using MachineState = Ringfence.Machines.MachineState;

namespace Ringfence.Tests.Web;

/// <summary>The machine's page as somebody who works with it finds it: a real machine, a real browser.</summary>
[Collection(BrowserCollection.Name)]
public sealed class WebPageTests(Browser browser)
{
    private const string Prompt = "ringfence> ";

    [EngineFact]
    public async Task A_command_typed_into_the_serial_console_is_answered_and_still_there_after_a_reload()
    {
        await using ServedPage page = await ServedPage.OpenAsync(browser, StartShell);
        await page.WaitForStateAsync("Running");
        await page.WaitForSerialAsync(Prompt);
        await page.Page.Locator("#serial-0").ClickAsync();
        await page.Page.Keyboard.TypeAsync("primes 100\n");
        await page.WaitForSerialAsync("25 primes below 100");
        await page.Page.ReloadAsync();
        await page.WaitForSerialAsync("25 primes below 100");
        page.Open.Problems.ShouldBeEmpty();
    }

    [EngineFact]
    public async Task What_is_typed_into_the_screen_arrives_and_its_pixels_change()
    {
        await using ServedPage page = await ServedPage.OpenAsync(browser, StartEcho);
        await page.WaitForPictureAsync();
        await page.Machine.Screen!.WaitForTextAsync("Type:", TestPrograms.Patience);
        long before = await page.PixelsAsync();
        await page.Page.Locator("#screen").ClickAsync();
        // In pieces: a BIOS keeps 15 keys, and a busy host may let the guest wait for longer than a browser needs to type them.
        string typed = "Type:";
        foreach (string piece in (string[])["Hello,", "page?", "{1+2}"])
        {
            await page.Page.Keyboard.TypeAsync($" {piece}");
            typed += $" {piece}";
            await page.Machine.Screen.WaitForTextAsync(typed, TestPrograms.Patience);
        }

        long after = before;
        for (int attempt = 0; after == before && attempt < 100; attempt++)
        {
            await Task.Delay(100);
            after = await page.PixelsAsync();
        }

        after.ShouldNotBe(before);
        page.Open.Problems.ShouldBeEmpty();
    }

    [EngineFact]
    public async Task Buttons_pause_and_resume_and_reset_asks_once()
    {
        await using ServedPage page = await ServedPage.OpenAsync(browser, StartShell);
        await page.WaitForStateAsync("Running");
        await Button(page, "Pause").ClickAsync();
        await page.WaitForStateAsync("Paused");
        page.Machine.State.ShouldBe(MachineState.Paused);
        await Button(page, "Resume").ClickAsync();
        await page.WaitForStateAsync("Running");
        page.Machine.State.ShouldBe(MachineState.Running);

        await Button(page, "Reset").ClickAsync();
        ILocator dialog = page.Page.GetByRole(AriaRole.Dialog);
        await dialog.GetByRole(AriaRole.Button, new() { Name = "Cancel" }).ClickAsync();
        await Expect(dialog).ToBeHiddenAsync();
        page.Machine.Statistics.Resets.ShouldBe(0);
        await Button(page, "Reset").ClickAsync();
        await dialog.GetByRole(AriaRole.Button, new() { Name = "Reset" }).ClickAsync();
        await Expect(page.Page.Locator("#facts")).ToContainTextAsync("1 reset");
        page.Machine.Statistics.Resets.ShouldBe(1);
        page.Open.Problems.ShouldBeEmpty();
    }

    [EngineFact]
    public async Task Figures_are_rates_and_say_why_there_are_none()
    {
        await using ServedPage page = await ServedPage.OpenAsync(browser, () => TestPrograms.Start(TestPrograms.RealMode(c => c.KnockForever())));
        ILocator exits = page.Page.Locator("#figure-exits");
        await Expect(exits.Locator(".value")).ToHaveTextAsync(new System.Text.RegularExpressions.Regex("^[1-9]"));
        await Expect(exits.Locator(".legend")).ToContainTextAsync("port I/O");
        await Expect(exits.Locator("svg")).ToHaveAttributeAsync("aria-label", new System.Text.RegularExpressions.Regex("last minute: now [1-9]"));
        await Expect(page.Page.Locator("#figure-memory")).ToContainTextAsync("of 2.00 MiB");
        await Expect(page.Page.Locator("#figure-disks")).ToContainTextAsync("This machine has no disks.");
        ILocator instructions = page.Page.Locator("#figure-instructions");
        if (page.Machine.Statistics.CountsInstructions) await Expect(instructions.Locator(".value")).ToHaveTextAsync(new System.Text.RegularExpressions.Regex("^[1-9]"));
        else await Expect(instructions).ToContainTextAsync("--count-instructions");
        // A machine without a display has no room for one.
        await Expect(page.Page.Locator("#screen-panel")).ToBeHiddenAsync();
        page.Open.Problems.ShouldBeEmpty();
    }

    [SkippableFact]
    public async Task A_machine_that_has_ended_says_how_and_nothing_can_be_pressed_any_more()
    {
        await using ServedPage page = await ServedPage.OpenAsync(browser, StartShell);
        await page.WaitForSerialAsync(Prompt);
        await Button(page, "Switch off").ClickAsync();
        await page.Page.GetByRole(AriaRole.Dialog).GetByRole(AriaRole.Button, new() { Name = "Switch off" }).ClickAsync();
        await page.WaitForStateAsync("Ended");
        await Expect(page.Page.Locator("#banner")).ToContainTextAsync("stopped, exit code 0");
        foreach (string name in (string[])["Pause", "Reset", "Power", "Switch off"]) await Expect(Button(page, name)).ToBeDisabledAsync();
        await page.WaitForSerialAsync(Prompt);
        // The server goes with the machine, and that is no reason to look for it.
        await page.Console.DisposeAsync();
        await page.Page.WaitForTimeoutAsync(700);
        await page.WaitForStateAsync("Ended");
        page.Open.Problems.ShouldBeEmpty();
    }

    [SkippableFact]
    public async Task A_server_that_goes_away_is_tried_again_until_it_is_back()
    {
        await using ServedPage page = await ServedPage.OpenAsync(browser, StartShell);
        await page.WaitForSerialAsync(Prompt);
        Uri address = page.Console.Address;
        await page.Console.DisposeAsync();
        await page.WaitForStateAsync("Connection lost");
        await Expect(Button(page, "Reset")).ToBeDisabledAsync();
        page.Machine.Serial[0].WriteLine("echo back again");
        await page.Machine.Serial[0].WaitForTextAsync("\nback again", TestPrograms.Patience);

        // In vain, for there is no server yet; when there is one the page comes back by itself, and the button goes.
        await page.Page.GetByRole(AriaRole.Button, new() { Name = "Try now" }).ClickAsync();
        page.Console = await WebConsole.StartAsync(page.Machine, new WebConsoleOptions { Port = address.Port, Token = address.Query["?token=".Length..] });
        await page.WaitForStateAsync("Running");
        await page.WaitForSerialAsync("back again");
        await page.Page.Locator("#serial-0").ClickAsync();
        await page.Page.Keyboard.TypeAsync("echo and typed\n");
        await page.WaitForSerialAsync(Prompt + "echo and typed");

        // The same port, but another secret: this page is not let in again, and is told what to do.
        await page.Console.DisposeAsync();
        page.Console = await WebConsole.StartAsync(page.Machine, new WebConsoleOptions { Port = address.Port });
        await page.WaitForStateAsync("Not admitted");
        await Expect(page.Page.Locator("#banner")).ToContainTextAsync("Open the address that it has printed.");
    }

    [SkippableFact]
    public async Task The_on_screen_keyboard_of_a_telephone_types_into_the_screen()
    {
        await using ServedPage page = await ServedPage.OpenAsync(browser, StartEcho, width: 390, height: 844);
        await page.WaitForPictureAsync();
        await page.Page.Locator("#typed").FocusAsync();
        await page.Page.Keyboard.InsertTextAsync("Tap +1");
        await page.Machine.Screen!.WaitForTextAsync("Type:Tap +1", TestPrograms.Patience);
        await page.Page.Keyboard.PressAsync("Backspace");
        page.Open.Problems.ShouldBeEmpty();
    }

    [SkippableFact]
    public async Task The_keyboard_alone_reaches_every_control_and_comes_out_of_the_consoles()
    {
        await using ServedPage page = await ServedPage.OpenAsync(browser, StartEcho);
        await page.WaitForPictureAsync();
        List<string> reached = [];
        for (int i = 0; i < 14; i++)
        {
            await page.Page.Keyboard.PressAsync("Tab");
            reached.Add(await NameOfFocusAsync(page));
        }

        reached.ShouldBe(
            ["Skip to the consoles", "Pause", "Reset", "Power", "Switch off", "Dark colours", "Ctrl-Alt-Del", "Screenshot", "Full screen", "The machine's screen.", "COM1", "Serial console COM1.", "Licences of the libraries in this page", reached[^1]],
            Case.Sensitive);

        // Tab goes to the guest once one is inside; Ctrl and Alt alone lead out.
        foreach (string glass in (string[])["#screen", "#serial-0"])
        {
            await page.Page.Locator(glass).FocusAsync();
            await page.Page.Keyboard.PressAsync("Enter");
            foreach (string key in (string[])["Tab", "x"]) await page.Page.Keyboard.PressAsync(key);
            (await page.Page.Locator($"{glass} :focus").CountAsync()).ShouldBe(1);
            await Expect(page.Page.Locator($".panel:has({glass}) .hint")).ToHaveTextAsync("Ctrl and Alt together leave");
            await page.Page.Keyboard.DownAsync("Control");
            await page.Page.Keyboard.DownAsync("Alt");
            await page.Page.Keyboard.UpAsync("Alt");
            await page.Page.Keyboard.UpAsync("Control");
            await Expect(page.Page.Locator(glass)).ToBeFocusedAsync();
        }

        // The guest has seen them go up.
        await page.Page.Locator("#screen").FocusAsync();
        await page.Page.Keyboard.PressAsync("Enter");
        await page.Page.Keyboard.TypeAsync("yz");
        await page.Machine.Screen!.WaitForTextAsync("yz", TestPrograms.Patience);

        await page.Page.Locator("#serial-tab-0").FocusAsync();
        await page.Page.Keyboard.PressAsync("ArrowRight");
        await Expect(page.Page.GetByRole(AriaRole.Tab, new() { Name = "COM2" })).ToBeFocusedAsync();
        await Expect(page.Page.Locator("#serial-1")).ToBeVisibleAsync();
        await Expect(page.Page.Locator("#serial-0")).ToBeHiddenAsync();
        page.Open.Problems.ShouldBeEmpty();
    }

    [SkippableFact]
    public async Task Light_and_dark_differ_can_both_be_read_and_can_be_chosen()
    {
        const double LeastContrast = 4.5;
        List<string> grounds = [];
        foreach (bool dark in (bool[])[false, true])
        {
            await using ServedPage page = await ServedPage.OpenAsync(browser, StartShell, dark);
            await page.WaitForStateAsync("Running");
            grounds.Add(await page.Open.GroundColourAsync());
            foreach (string selector in (string[])["#name", "#facts", "#state-text", "#reset span", "#figures-title", ".figure h3", ".figure .value", ".figure .none", ".tabs [aria-selected=true]", ".tabs [aria-selected=false]", "#serial-1 .veil", "footer a"])
                (await page.Open.ContrastAsync(selector)).ShouldBeGreaterThan(LeastContrast, $"{selector}, {(dark ? "dark" : "light")}");

            await page.Page.GetByRole(AriaRole.Button, new() { Name = "Dark colours" }).ClickAsync();
            grounds.Add(await page.Open.GroundColourAsync());
            await page.Page.ReloadAsync();
            grounds.Add(await page.Open.GroundColourAsync());
            page.Open.Problems.ShouldBeEmpty();
        }

        (string light, string darkGround) = (grounds[0], grounds[3]);
        light.ShouldNotBe(darkGround);
        grounds.ShouldBe([light, darkGround, darkGround, darkGround, light, light]);
    }

    [SkippableFact]
    public async Task Nothing_overflows_on_any_width_and_a_name_is_only_text()
    {
        const string Hostile = "<img src=x onerror=alert(1)> & a-name-that-is-much-longer-than-any-telephone-is-wide-0123456789";
        await using ServedPage page = await ServedPage.OpenAsync(browser, () => StartEcho(o => o with { Name = Hostile }), width: 360, height: 740);
        await page.WaitForPictureAsync();
        (await page.Page.Locator("#name").InnerTextAsync()).ShouldBe(Hostile);
        (await page.Page.Locator("img").CountAsync()).ShouldBe(0);
        foreach (int width in (int[])[360, 320, 620, 800, 1000, 1280, 1920])
        {
            await page.Page.SetViewportSizeAsync(width, 740);
            (await page.Open.OverflowingAsync()).ShouldBeEmpty($"{width} px");
        }

        page.Open.Problems.ShouldBeEmpty();
    }

    [SkippableFact]
    public async Task A_screenshot_is_downloaded_and_the_licences_are_there()
    {
        await using ServedPage page = await ServedPage.OpenAsync(browser, () => StartEcho(o => o with { Name = "echo" }));
        await page.WaitForPictureAsync();
        IDownload download = await page.Page.RunAndWaitForDownloadAsync(() => Button(page, "Screenshot").ClickAsync());
        download.SuggestedFilename.ShouldStartWith("echo-");
        download.SuggestedFilename.ShouldEndWith(".png");
        await using Stream file = await download.CreateReadStreamAsync();
        byte[] signature = new byte[8];
        await file.ReadExactlyAsync(signature);
        signature.ShouldBe([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
        await page.Page.GetByRole(AriaRole.Link, new() { Name = "Licences" }).ClickAsync();
        string licences = await page.Page.Locator("body").InnerTextAsync();
        foreach (string part in (string[])["@novnc/novnc", "@xterm/xterm", "@xterm/addon-fit", "Mozilla Public License", "The MIT License"]) licences.ShouldContain(part);
    }

    [SkippableFact]
    public async Task A_wrong_token_shows_nothing_of_the_machine()
    {
        await using ServedPage page = await ServedPage.OpenAsync(browser, StartShell);
        await using OpenPage other = await browser.VisitAsync(new Uri(page.Console.Address, "/?token=wrong"));
        string text = await other.Page.Locator("body").InnerTextAsync();
        text.ShouldNotBeEmpty();
        (await other.Page.Locator("#consoles").CountAsync()).ShouldBe(0);
        page.Console.Statistics.Refused.ShouldBeGreaterThan(0);
    }

    private static ILocator Button(ServedPage page, string name) => page.Page.Locator("#machine-tools, #screen-panel").GetByRole(AriaRole.Button, new() { Name = name, Exact = true });

    private static Task<string> NameOfFocusAsync(ServedPage page) =>
        page.Page.EvaluateAsync<string>("(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim().replace(/(?<=\\.) .*/, '')");

    private static VirtualMachine StartShell() => TestPrograms.Start(new BuiltInGuestBoot(), o => o with { MemoryBytes = 16 << 20 });

    private static VirtualMachine StartEcho() => StartEcho(o => o);

    /// <summary>A machine with a display whose boot sector shows what is typed.</summary>
    private static VirtualMachine StartEcho(Func<MachineOptions, MachineOptions> change)
    {
        byte[] disk = BootPrograms.Disk(c =>
        {
            c.Say("Type:");
            c.AnonymousLabel();
            c.mov(ah, 0);
            c.@int(0x16);
            c.mov(ah, 0x0e);
            c.mov(bx, 7);
            c.@int(0x10);
            c.jmp(c.@B);
        });
        return TestPrograms.Start(new BiosBoot { Drives = [BootPrograms.Floppy(disk)], MenuWait = TimeSpan.Zero }, o => change(o with { Display = new DisplayOptions() }));
    }
}
