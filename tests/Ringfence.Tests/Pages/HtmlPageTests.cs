using System.Text;
using Ringfence.Cli.Pages;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Pages;

/// <summary>The frame that all pages stand in, with a body of its own: a table, a filter, something that unfolds.</summary>
[Collection(BrowserCollection.Name)]
public sealed class HtmlPageTests(Browser browser)
{
    private const string Hostile = "</td><script>alert(1)</script><img src=x onerror=alert(2)>\" onclick='alert(3)' & \0";

    [Fact]
    public void Values_are_text_in_elements_and_attributes()
    {
        HtmlBuilder html = new();
        html.Add($"<p title=\"{Hostile}\">{"a & b"} {1234.5:N1} {new HtmlBuilder().Add($"<b>{"<"}</b>")}{(string?)null}</p>");
        html.ToString().ShouldBe("<p title=\"&lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(2)&gt;&quot; onclick=&#39;alert(3)&#39; &amp; \ufffd\">a &amp; b 1,234.5 <b>&lt;</b></p>");
    }

    [Fact]
    public void A_page_is_one_file_that_forbids_itself_to_load_anything()
    {
        string page = Encoding.UTF8.GetString(Sample());
        page.ShouldStartWith("<!DOCTYPE html>");
        page.ShouldContain("default-src 'none'");
        page.ShouldNotContain("http://");
        page.ShouldNotContain("https://");
        page.ShouldNotContain("<script src");
        page.ShouldNotContain("@import");
        page.ShouldContain("<title>A &lt;title&gt;</title>");
    }

    [SkippableFact]
    public async Task Tables_sort_filter_and_unfold_from_the_keyboard()
    {
        await using OpenPage open = await browser.OpenAsync(Sample());
        (await VisibleNames(open)).ShouldBe(["beta", "alpha", "gamma"]);

        await open.Page.Locator("th[data-sort=text] button").FocusAsync();
        await open.Page.Keyboard.PressAsync("Enter");
        (await VisibleNames(open)).ShouldBe(["alpha", "beta", "gamma"]);
        await open.Page.Keyboard.PressAsync("Enter");
        (await VisibleNames(open)).ShouldBe(["gamma", "beta", "alpha"]);
        (await open.Page.Locator("th[data-sort=text]").GetAttributeAsync("aria-sort")).ShouldBe("descending");
        await open.Page.Locator("th[data-sort=number] button").ClickAsync();
        (await VisibleNames(open)).ShouldBe(["beta", "gamma", "alpha"]);

        await open.Page.GetByLabel("Search").FillAsync("unfolds ALPHA");
        (await VisibleNames(open)).ShouldBe(["alpha"]);
        (await open.Page.Locator("output").TextContentAsync()).ShouldBe("1 of 3");
        await open.Page.GetByLabel("Search").FillAsync("nowhere");
        (await open.Page.Locator("[data-empty]").IsVisibleAsync()).ShouldBeTrue();
        await open.Page.GetByLabel("Search").FillAsync("");
        await open.Page.GetByLabel("Even").FocusAsync();
        await open.Page.Keyboard.PressAsync("Space");
        (await VisibleNames(open)).ShouldBe(["beta", "gamma"]);

        (await open.Page.Locator("#more-beta").IsVisibleAsync()).ShouldBeFalse();
        await open.Page.Locator("[data-unfold=more-beta]").FocusAsync();
        await open.Page.Keyboard.PressAsync("Enter");
        (await open.Page.Locator("#more-beta").IsVisibleAsync()).ShouldBeTrue();

        // A link to an item shows it although the filter has hidden it.
        await open.Page.GetByRole(Microsoft.Playwright.AriaRole.Link, new() { Name = "to alpha" }).ClickAsync();
        (await open.Page.Locator("#more-alpha").IsVisibleAsync()).ShouldBeTrue();
        open.Problems.ShouldBeEmpty();
    }

    [SkippableFact]
    public async Task Hostile_text_stays_text()
    {
        await using OpenPage open = await browser.OpenAsync(Sample());
        (await open.Page.Locator("#hostile").TextContentAsync()).ShouldBe(Hostile.Replace('\0', '\ufffd'));
        (await open.Page.Locator("#hostile").GetAttributeAsync("title")).ShouldBe(Hostile.Replace('\0', '\ufffd'));
        (await open.Page.Locator("img").CountAsync()).ShouldBe(0);
        open.Problems.ShouldBeEmpty();
    }

    [SkippableFact]
    public async Task A_script_that_is_not_the_pages_own_does_not_run()
    {
        string page = Encoding.UTF8.GetString(Sample()).Replace("<main id=\"main\">", "<main id=\"main\"><script>document.title = 'taken';</script>", StringComparison.Ordinal);
        await using OpenPage open = await browser.OpenAsync(Encoding.UTF8.GetBytes(page));
        (await open.Page.TitleAsync()).ShouldBe("A <title>");
        open.Problems.ShouldHaveSingleItem().ShouldContain("Content Security Policy");
    }

    [SkippableFact]
    public async Task The_theme_is_the_readers()
    {
        await using OpenPage light = await browser.OpenAsync(Sample());
        await using OpenPage dark = await browser.OpenAsync(Sample(), dark: true);
        (await light.GroundColourAsync()).ShouldNotBe(await dark.GroundColourAsync());
    }

    [SkippableFact]
    public async Task A_narrow_screen_is_enough()
    {
        await using OpenPage open = await browser.OpenAsync(Sample(), width: 390, height: 844);
        (await open.OverflowingAsync()).ShouldBeEmpty();
    }

    private static async Task<string[]> VisibleNames(OpenPage open) =>
        [.. (await open.Page.Locator("tr.item th:visible").AllTextContentsAsync()).Select(text => text.Trim())];

    private static byte[] Sample()
    {
        HtmlPage page = new("A <title>") { Command = "ringfence sample --with 'a very long command line' --that-has-to-be-broken-somewhere=0123456789012345678901234567890123456789" };
        page.Body.Add($"""
            <section class="verdict"><h1>A question</h1><p class="word bad">No</p><div><p class="lead">An answer.</p></div></section>
            <dl class="figures"><div><dt>things</dt><dd>{3} <small>of 4</small></dd></div><div><dt>time</dt><dd>{1.5:0.0} <small>s</small></dd></div></dl>
            <p id="hostile" title="{Hostile}">{Hostile}</p>
            <p><a href="#alpha">to alpha</a></p>
            <form class="bar" data-filter="t"><input type="search" aria-label="Search"><fieldset class="segments"><legend>Kind</legend>
            <label><input type="radio" name="kind" value="" checked>All</label><label><input type="radio" name="kind" value="even">Even</label></fieldset>
            <output data-shown="t"></output></form>
            <div class="scroll"><table class="data cards" id="t" data-sortable><thead><tr><th data-sort="text">Name</th><th class="num" data-sort="number">Count</th><th>More</th></tr></thead>
            """);
        foreach ((string name, int count) in new[] { ("beta", 20), ("alpha", 3), ("gamma", 10) })
        {
            page.Body.Add($"""
                <tbody id="{name}" data-kind="all {(count % 2 == 0 ? "even" : "odd")}"><tr class="item"><th scope="row">{name}</th><td class="num" data-label="Count" data-value="{count}">{count} pieces</td>
                <td><button type="button" data-unfold="more-{name}">more</button></td></tr><tr class="unfolded" id="more-{name}"><td colspan="3">what unfolds</td></tr></tbody>
                """);
        }

        page.Body.Add($"""</table></div><p data-empty="t">Nothing is left.</p>""");
        return page.ToBytes();
    }
}
