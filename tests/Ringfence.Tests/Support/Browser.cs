using Microsoft.Playwright;

namespace Ringfence.Tests.Support;

/// <summary>
/// The host's own Chromium, driven without a window and shared by all tests of <see cref="BrowserCollection"/>. A machine without it skips
/// them, unless RINGFENCE_REQUIRE_BROWSER is set, as it is in CI. Nothing is ever downloaded.
/// </summary>
public sealed class Browser : IAsyncLifetime
{
    /// <summary>Whether tests of pages fail where there is nothing to test them with, instead of skipping themselves.</summary>
    public static readonly bool IsRequired = Environment.GetEnvironmentVariable("RINGFENCE_REQUIRE_BROWSER") is { Length: > 0 };

    private const float LaunchMilliseconds = 60_000;
    // Others keep the host's processors busy: what a page does comes late then, not never.
    private const float StepMilliseconds = 30_000;

    private static readonly string[] Names = ["chromium", "chromium-browser", "google-chrome"];

    private string _missing = "";
    private IPlaywright? _driver;
    private IBrowser? _browser;

    /// <inheritdoc/>
    public async Task InitializeAsync()
    {
        if (Find() is not { } program)
        {
            _missing = $"there is no browser ({string.Join(", ", Names)}); apt-get install chromium brings one.";
            return;
        }

        try
        {
            _driver = await Playwright.CreateAsync();
            Assertions.SetDefaultExpectTimeout(StepMilliseconds);
            // The sandbox needs privileges that containers do not have; only this project's own pages are opened.
            _browser = await _driver.Chromium.LaunchAsync(new() { ExecutablePath = program, Headless = true, Args = ["--no-sandbox", "--disable-gpu"], Timeout = LaunchMilliseconds });
        }
        catch (Exception error) when (error is PlaywrightException or TimeoutException)
        {
            _missing = $"{program} cannot be driven: {error.Message}";
        }
    }

    /// <summary>Skips the test if there is no browser, or fails it where one is required.</summary>
    public void Require()
    {
        if (_browser is not null) return;
        if (IsRequired) throw new InvalidOperationException(_missing);
        Skip.If(true, _missing);
    }

    /// <summary>Opens a page from a file of its own, offline; skips the test if there is no browser.</summary>
    /// <param name="html">The page.</param>
    /// <param name="dark">The theme of whoever reads it.</param>
    /// <param name="width">Width of the window in CSS pixels.</param>
    /// <param name="height">Height of the window in CSS pixels.</param>
    public async Task<OpenPage> OpenAsync(byte[] html, bool dark = false, int width = 1200, int height = 900)
    {
        Require();
        string path = Path.Combine(Path.GetTempPath(), $"ringfence-{Guid.NewGuid():N}.html");
        await File.WriteAllBytesAsync(path, html);
        return await OpenPage.OpenAsync(await NewContextAsync(dark, width, height, offline: true), new Uri(path), path);
    }

    /// <summary>Opens a page of a server of this host; skips the test if there is no browser.</summary>
    /// <param name="address">Where it is.</param>
    /// <param name="dark">The theme of whoever reads it.</param>
    /// <param name="width">Width of the window in CSS pixels.</param>
    /// <param name="height">Height of the window in CSS pixels.</param>
    public async Task<OpenPage> VisitAsync(Uri address, bool dark = false, int width = 1280, int height = 900)
    {
        Require();
        return await OpenPage.OpenAsync(await NewContextAsync(dark, width, height, offline: false), address);
    }

    /// <inheritdoc/>
    public async Task DisposeAsync()
    {
        if (_browser is not null) await _browser.DisposeAsync();
        _driver?.Dispose();
    }

    private async Task<IBrowserContext> NewContextAsync(bool dark, int width, int height, bool offline)
    {
        IBrowserContext context = await _browser!.NewContextAsync(new()
        {
            ColorScheme = dark ? ColorScheme.Dark : ColorScheme.Light,
            ReducedMotion = ReducedMotion.Reduce,
            ViewportSize = new() { Width = width, Height = height },
            Offline = offline,
        });
        context.SetDefaultTimeout(StepMilliseconds);
        return context;
    }

    private static string? Find() =>
        (from folder in (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
         from name in Names
         let path = Path.Combine(folder, name)
         where File.Exists(path)
         select path).FirstOrDefault();
}
