using Ringfence.Tests.CommandLine;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Pages;

/// <summary>
/// The pages as the command itself writes them, in the browser. <c>eng/screenshots.sh</c> keeps what is seen for the documentation:
/// RINGFENCE_SCREENSHOTS names the folder.
/// </summary>
[Collection(BrowserCollection.Name)]
public sealed class ScreenshotTests(Browser browser)
{
    private const long MostBytes = 300 << 10;

    [SkippableTheory]
    [InlineData("analyze", 1200, 1100)]
    [InlineData("compare", 1100, 1480)]
    public async Task A_page_that_a_command_has_written_opens_without_a_fault(string command, int width, int height)
    {
        browser.Require();
        // Relative to where the command runs: the page shows how it was made.
        string name = $"{command}.html";
        string html = Path.Combine(AppContext.BaseDirectory, name);
        string? folder = Environment.GetEnvironmentVariable("RINGFENCE_SCREENSHOTS");
        string picture = string.IsNullOrEmpty(folder) ? Path.ChangeExtension(html, "png") : Path.Combine(folder, $"{command}.png");
        try
        {
            CommandResult result = RingfenceProcess.Run(command, "--html", name);
            result.ExitCode.ShouldBe(0, result.Errors);
            byte[] page = await File.ReadAllBytesAsync(html);
            await using OpenPage narrow = await browser.OpenAsync(page, dark: true, width: 390, height: 844);
            (await narrow.OverflowingAsync()).ShouldBeEmpty();
            await using OpenPage wide = await browser.OpenAsync(page, width: width, height: height);
            (await wide.OverflowingAsync()).ShouldBeEmpty();
            await wide.ScreenshotAsync(picture);
            new FileInfo(picture).Length.ShouldBeLessThan(MostBytes);
            narrow.Problems.ShouldBeEmpty();
            wide.Problems.ShouldBeEmpty();
        }
        finally
        {
            File.Delete(html);
            if (string.IsNullOrEmpty(folder)) File.Delete(picture);
        }
    }
}
