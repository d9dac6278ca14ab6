using System.Globalization;
using System.Text;
using Microsoft.Playwright;
using Ringfence.Cli.Comparing;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Comparing;

/// <summary>The page of a comparison in a real browser.</summary>
[Collection(BrowserCollection.Name)]
public sealed class ComparisonPageTests(Browser browser)
{
    private const string Hostile = "</title><script>document.title = 'taken'</script>\" onload='alert(1)'";

    [SkippableTheory]
    [InlineData(false, 1200)]
    [InlineData(true, 1200)]
    [InlineData(false, 390)]
    [InlineData(true, 390)]
    public async Task The_page_shows_its_plots_and_fits_the_screen(bool dark, int width)
    {
        await using OpenPage open = await browser.OpenAsync(ComparisonPage.Create(SampleComparison.Create()), dark, width);
        (await open.OverflowingAsync()).ShouldBeEmpty();
        (await open.Page.Locator("svg[data-plot=time]").CountAsync()).ShouldBe(2);
        (await open.Page.Locator("svg[data-plot=exits]").CountAsync()).ShouldBe(1);
        (await open.Page.Locator(".word").TextContentAsync()).ShouldBe("8.0×");
        (await open.Page.Locator("#figures tbody tr").CountAsync()).ShouldBeGreaterThan(8);
        (await open.Page.Locator("#exits table").TextContentAsync()).ShouldNotBeNull().ShouldContain("123,456,789,012");
        (await open.Page.Locator("#sensitive tbody tr").CountAsync()).ShouldBe(5);
        open.Problems.ShouldBeEmpty();
    }

    [SkippableFact]
    public async Task Bars_are_in_proportion_and_say_what_they_are()
    {
        await using OpenPage open = await browser.OpenAsync(ComparisonPage.Create(SampleComparison.Create()));
        ILocator seconds = open.Page.Locator("svg[data-plot=time]").First.Locator("rect");
        ILocator shares = open.Page.Locator("svg[data-plot=time]").Last.Locator("rect");
        (await Width(seconds, "interpreter, port I/O: 1.000 s, 12.5 %")).ShouldBe(4 * await Width(seconds, "translator, port I/O: 0.250 s, 25.0 %"), 0.01);
        (await Width(shares, "translator, port I/O: 0.250 s, 25.0 %")).ShouldBe(2 * await Width(shares, "interpreter, port I/O: 1.000 s, 12.5 %"), 0.01);
        ILocator exits = open.Page.Locator("svg[data-plot=exits] rect");
        double decade = await Width(exits, "translator, port I/O: 40,000") - await Width(exits, "translator, translation: 600");
        (decade / Math.Log10(40_000 / 600.0)).ShouldBe((await Width(exits, "interpreter, port I/O: 123,456,789,012") - await Width(exits, "translator, MMIO: 1")) / Math.Log10(123_456_789_012.0), 0.01);
        open.Problems.ShouldBeEmpty();
    }

    [SkippableFact]
    public async Task Every_colour_has_a_label_and_no_two_are_alike()
    {
        await using OpenPage open = await browser.OpenAsync(ComparisonPage.Create(SampleComparison.Create()));
        string[] used = await open.Page.EvaluateAsync<string[]>("[...new Set([...document.querySelectorAll('#time rect')].map(r => getComputedStyle(r).fill))]");
        string[] labelled = await open.Page.EvaluateAsync<string[]>("[...document.querySelectorAll('#time .legend li')].map(l => getComputedStyle(l, '::before').backgroundColor)");
        used.Order().ShouldBe(labelled.Order());
        labelled.ShouldBeUnique();
    }

    [SkippableFact]
    public async Task Text_stays_within_its_plot_on_a_narrow_screen()
    {
        await using OpenPage open = await browser.OpenAsync(ComparisonPage.Create(SampleComparison.Create()), width: 390);
        string[] beyond = await open.Page.EvaluateAsync<string[]>("""
            [...document.querySelectorAll('svg.plot')].flatMap(svg => [...svg.querySelectorAll('text')]
              .filter(t => t.getBoundingClientRect().right > svg.getBoundingClientRect().right || t.getBoundingClientRect().left < svg.getBoundingClientRect().left)
              .map(t => t.textContent))
            """);
        beyond.ShouldBeEmpty();
    }

    [SkippableFact]
    public async Task Names_that_are_markup_stay_names()
    {
        await using OpenPage open = await browser.OpenAsync(ComparisonPage.Create(SampleComparison.Create(guest: Hostile)));
        (await open.Page.TitleAsync()).ShouldBe($"Engines compared: {Hostile}");
        open.Problems.ShouldBeEmpty();
    }

    [Fact]
    public void A_page_without_times_or_exits_is_still_one()
    {
        EngineRun run = SampleComparison.Interpreter(0);
        run = run with { Statistics = run.Statistics with { Time = null, Exits = new Dictionary<Processors.Exits.ExitReason, long>() } };
        Encoding.UTF8.GetString(ComparisonPage.Create(SampleComparison.Of("vmlinuz", [run]))).ShouldNotContain("<svg class");
    }

    private static async Task<double> Width(ILocator bars, string title) =>
        double.Parse((await bars.Filter(new() { HasText = title }).First.GetAttributeAsync("width")).ShouldNotBeNull().TrimEnd('%'), CultureInfo.InvariantCulture);
}
