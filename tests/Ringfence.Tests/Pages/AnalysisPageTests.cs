using System.Text;
using Microsoft.Playwright;
using Ringfence.Cli.Analyzing;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Pages;

/// <summary>The page of <c>ringfence analyze</c>, as somebody who reads it in a browser finds it.</summary>
[Collection(BrowserCollection.Name)]
public sealed class AnalysisPageTests(Browser browser)
{
    private const string Command = "ringfence analyze --target both --mode protected --umip off";

    private static readonly byte[] Sample = AnalysisPage.Create(SampleReports.NotVirtualizable, SampleReports.Contrast, Command);

    [Fact]
    public void The_page_names_nothing_outside_itself_and_escapes_what_it_is_given()
    {
        string page = Encoding.UTF8.GetString(Sample);
        page.ShouldNotContain("http://");
        page.ShouldNotContain("https://");
        page.ShouldNotContain("<img");
        page.ShouldContain("&lt;img src=x onerror=alert(1)&gt;&quot; onmouseover=&#39;alert(2)&#39; &amp; [bold]x[/]");
    }

    [SkippableFact]
    public async Task The_answer_and_the_offenders_are_there_at_once_and_nothing_goes_wrong()
    {
        await using OpenPage open = await browser.OpenAsync(Sample);
        (await open.Page.TitleAsync()).ShouldBe("Not virtualizable: Ringfence processor model, 32-bit protected mode");
        (await open.Page.Locator(".verdict .word").InnerTextAsync()).ShouldBe("No");
        (await open.Page.Locator(".verdict .lead").InnerTextAsync()).ShouldBe(SampleReports.NotVirtualizable.Verdict);
        (await open.Page.GetByText("With user-mode instruction prevention on, SGDT traps and 3 offenders remain.").IsVisibleAsync()).ShouldBeTrue();
        (await open.Page.Locator(".figures dd").AllInnerTextsAsync()).ShouldBe(["4", "6", "2", "3", "1,234", "5,678,901", "2.5", "3 of 4"]);
        (await open.Page.Locator(".map i").CountAsync()).ShouldBe(9);
        (await Names(open)).ShouldBe(["LAR", "POPF", "SGDT", "XGETBV"]);
        open.Problems.ShouldBeEmpty();
    }

    [SkippableFact]
    public async Task The_table_filters_by_class_by_host_and_by_words()
    {
        await using OpenPage open = await browser.OpenAsync(Sample);
        ILocator form = open.Page.Locator("form[data-filter=instructions]");
        await form.GetByLabel("Privileged").CheckAsync(new() { Force = true });
        (await Names(open)).ShouldBe(["CLTS", "HLT"]);
        await form.GetByLabel("All").CheckAsync(new() { Force = true });
        (await Names(open)).Length.ShouldBe(9);
        (await form.Locator("output").InnerTextAsync()).ShouldBe("all 9");
        await form.GetByLabel("Host").SelectOptionAsync("differs");
        (await Names(open)).ShouldBe(["SGDT"]);
        await form.GetByLabel("Host").SelectOptionAsync("");
        await form.GetByLabel("Search instructions").FillAsync("eflags.iopl");
        (await Names(open)).ShouldBe(["POPF"]);
        (await form.Locator("output").InnerTextAsync()).ShouldBe("1 of 9");
        await form.GetByLabel("Search instructions").FillAsync("no such thing");
        (await open.Page.GetByText("No instruction is like that.").IsVisibleAsync()).ShouldBeTrue();
        open.Problems.ShouldBeEmpty();
    }

    [SkippableFact]
    public async Task The_table_sorts()
    {
        await using OpenPage open = await browser.OpenAsync(Sample);
        await open.Page.GetByRole(AriaRole.Button, new() { Name = "Rule" }).ClickAsync();
        (await Names(open)).ShouldBe(["SGDT", "XGETBV", "POPF", "LAR"]);
        await open.Page.Locator("#instructions thead").GetByRole(AriaRole.Button, new() { Name = "Instruction" }).ClickAsync();
        await open.Page.Locator("#instructions thead").GetByRole(AriaRole.Button, new() { Name = "Instruction" }).ClickAsync();
        (await Names(open)).ShouldBe(["XGETBV", "SGDT", "POPF", "LAR"]);
    }

    [SkippableFact]
    public async Task A_row_unfolds_to_its_experiments()
    {
        await using OpenPage open = await browser.OpenAsync(Sample);
        ILocator row = open.Page.Locator("#instructions tbody").Filter(new() { Has = open.Page.Locator("th", new() { HasTextString = "SGDT" }) });
        (await row.Locator(".witness").First.IsVisibleAsync()).ShouldBeFalse();
        await row.GetByRole(AriaRole.Button, new() { Name = "2 experiments" }).FocusAsync();
        await open.Page.Keyboard.PressAsync("Enter");
        (await row.Locator(".witness").CountAsync()).ShouldBe(2);
        string text = await row.Locator(".witness").First.InnerTextAsync();
        foreach (string part in new[] { "Gives a program another result", "sgdt", "0f 01 07", "CPL 3, tables at 00010000h", "ff 07 00 00 01 00", "CPL 3, tables at 00020000h", "ff 07 00 00 02 00" }) text.ShouldContain(part);
        (await row.GetByText("The kernel emulates SGDT").IsVisibleAsync()).ShouldBeTrue();
        (await row.GetByRole(AriaRole.Button).GetAttributeAsync("aria-expanded")).ShouldBe("true");
        open.Problems.ShouldBeEmpty();
    }

    [SkippableFact]
    public async Task The_treatments_stand_in_columns_and_lead_to_the_instruction()
    {
        await using OpenPage open = await browser.OpenAsync(Sample);
        (await open.Page.Locator("#treatments thead th").AllInnerTextsAsync())
            .ShouldBe(["Instruction", "interpretation", "binary translation", "trap and emulate", "paravirtualization", "hardware assist"]);
        (await open.Page.Locator("#treatments tr.item:visible").CountAsync()).ShouldBe(4);
        await open.Page.Locator("form[data-filter=treatments]").GetByLabel("Both").CheckAsync(new() { Force = true });
        (await open.Page.Locator("#treatments tr.item:visible").CountAsync()).ShouldBe(6);
        await open.Page.Locator("#treatments").GetByRole(AriaRole.Link, new() { Name = "HLT" }).ClickAsync();
        (await open.Page.Locator("#instructions .witness:visible").InnerTextAsync()).ShouldContain("Traps in user mode and not in supervisor mode");
    }

    [SkippableFact]
    public async Task Every_control_is_reached_with_the_tabulator_key()
    {
        await using OpenPage open = await browser.OpenAsync(Sample);
        HashSet<string> reached = [];
        for (int i = 0; i < 60; i++)
        {
            await open.Page.Keyboard.PressAsync("Tab");
            reached.Add(await open.Page.EvaluateAsync<string>("(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim()"));
        }

        foreach (string control in new[] { "Skip to the content", "Search instructions", "Host", "Instruction", "Touches", "2 experiments", "SGDT" }) reached.ShouldContain(control);
    }

    [SkippableFact]
    public async Task Light_and_dark_differ_and_both_can_be_read()
    {
        const double LeastContrast = 4.5;
        List<string> grounds = [];
        foreach (bool dark in new[] { false, true })
        {
            await using OpenPage open = await browser.OpenAsync(Sample, dark);
            grounds.Add(await open.GroundColourAsync());
            foreach (string selector in new[] { ".verdict .lead", ".verdict .quiet", ".figures dt", "#instructions .literature", "#instructions .pill.bad", "#treatments small", "#treatments .pill.warn", "#treatments a" })
                (await open.ContrastAsync(selector)).ShouldBeGreaterThan(LeastContrast, $"{selector}, {(dark ? "dark" : "light")}");
        }

        grounds[0].ShouldNotBe(grounds[1]);
    }

    [SkippableTheory]
    [InlineData(390)]
    [InlineData(320)]
    [InlineData(800)]
    [InlineData(1200)]
    public async Task Nothing_overflows(int width)
    {
        await using OpenPage open = await browser.OpenAsync(Sample, width: width);
        await open.Page.Locator("form[data-filter=instructions]").GetByLabel("All").CheckAsync(new() { Force = true });
        foreach (ILocator button in await open.Page.Locator("[data-unfold]:visible").AllAsync()) await button.ClickAsync();
        (await open.OverflowingAsync()).ShouldBeEmpty();
    }

    [SkippableFact]
    public async Task A_virtualizable_machine_gets_a_yes()
    {
        await using OpenPage open = await browser.OpenAsync(AnalysisPage.Create(SampleReports.Virtualizable, null, Command));
        (await open.Page.Locator(".verdict .word").InnerTextAsync()).ShouldBe("Yes");
        (await open.Page.Locator("#instructions tr.item:visible").CountAsync()).ShouldBe(2);
        (await open.Page.GetByText("This host").CountAsync()).ShouldBe(0);
        (await open.OverflowingAsync()).ShouldBeEmpty();
        open.Problems.ShouldBeEmpty();
    }

    private static Task<string[]> Names(OpenPage open) =>
        open.Page.EvaluateAsync<string[]>("[...document.querySelectorAll('#instructions tr.item')].filter(r => r.checkVisibility()).map(r => r.querySelector('th code').textContent)");
}
