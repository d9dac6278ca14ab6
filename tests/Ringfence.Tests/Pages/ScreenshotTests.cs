using Ringfence.Tests.CommandLine;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Pages;

/// <summary>
/// Pictures of pages for the documentation, made by the command itself. They are taken when RINGFENCE_SCREENSHOTS names the folder that they
/// go to (<c>eng/screenshots.sh</c>), and skipped otherwise.
/// </summary>
[Collection(BrowserCollection.Name)]
public sealed class ScreenshotTests(Browser browser)
{
    private const int Width = 1200;
    private const int Height = 1100;
    private const long MostBytes = 300 << 10;

    [SkippableTheory]
    [InlineData("analyze")]
    [InlineData("compare")]
    public async Task A_picture_of_a_page(string command)
    {
        string? folder = Environment.GetEnvironmentVariable("RINGFENCE_SCREENSHOTS");
        Skip.If(string.IsNullOrEmpty(folder), "RINGFENCE_SCREENSHOTS names no folder");
        // Relative to where the command runs: the page shows how it was made.
        string name = $"{command}.html";
        string html = Path.Combine(AppContext.BaseDirectory, name);
        try
        {
            CommandResult result = RingfenceProcess.Run(command, "--html", name);
            result.ExitCode.ShouldBe(0, result.Errors);
            await using OpenPage open = await browser.OpenAsync(await File.ReadAllBytesAsync(html), width: Width, height: Height);
            string picture = Path.Combine(folder!, $"{command}.png");
            await open.ScreenshotAsync(picture);
            new FileInfo(picture).Length.ShouldBeLessThan(MostBytes);
            open.Problems.ShouldBeEmpty();
        }
        finally
        {
            File.Delete(html);
        }
    }
}
