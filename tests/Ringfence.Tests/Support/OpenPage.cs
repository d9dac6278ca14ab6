using System.Collections.Concurrent;
using Microsoft.Playwright;

namespace Ringfence.Tests.Support;

/// <summary>A page of this project's in a browser, with everything a page must not do.</summary>
public sealed class OpenPage : IAsyncDisposable
{
    private readonly IBrowserContext _context;
    private readonly string? _file;
    private readonly ConcurrentQueue<string> _problems = new();

    private OpenPage(IBrowserContext context, IPage page, Uri address, string? file)
    {
        _context = context;
        _file = file;
        Page = page;
        page.Console += (_, message) =>
        {
            if (message.Type is "error" or "warning") _problems.Enqueue($"console: {message.Text}");
        };
        page.PageError += (_, error) => _problems.Enqueue($"error: {error}");
        page.Request += (_, request) =>
        {
            if (!IsOwn(request.Url)) _problems.Enqueue($"request: {request.Url}");
        };
        page.WebSocket += (_, socket) =>
        {
            if (!IsOwn(socket.Url)) _problems.Enqueue($"WebSocket: {socket.Url}");
        };

        // A page from a file asks for nothing but itself, a page from a server for nothing but that server.
        bool IsOwn(string url) => url.StartsWith("data:", StringComparison.Ordinal) || url.StartsWith("blob:", StringComparison.Ordinal)
            || (address.IsFile ? url == address.AbsoluteUri : new Uri(url).Authority == address.Authority);
    }

    /// <summary>The page, to click in and to ask.</summary>
    public IPage Page { get; }

    /// <summary>What was written to the console, exceptions that nobody caught, and requests for anything but the page itself or its server.</summary>
    public IReadOnlyCollection<string> Problems => _problems;

    /// <summary>The colour that is painted behind everything, such as <c>rgb(255, 255, 255)</c>.</summary>
    public Task<string> GroundColourAsync() => Page.EvaluateAsync<string>("getComputedStyle(document.documentElement).backgroundColor");

    /// <summary>Elements that reach beyond the window's right edge and do not lie in one that scrolls by itself; none if the page fits.</summary>
    public Task<string[]> OverflowingAsync() => Page.EvaluateAsync<string[]>("""
        () => {
          const width = document.documentElement.clientWidth;
          if (document.documentElement.scrollWidth <= width) return [];
          const scrolls = e => e && (["auto", "scroll", "hidden"].includes(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
          const wide = [...document.body.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > width + 0.5 && !scrolls(e.parentElement));
          return wide.length ? wide.map(e => e.outerHTML.slice(0, 120)) : ["the document"];
        }
        """);

    /// <summary>Contrast between the first such element's text and what is painted behind it, by WCAG 2: 1 to 21.</summary>
    public Task<double> ContrastAsync(string selector) => Page.Locator(selector).First.EvaluateAsync<double>("""
        element => {
          const channels = colour => colour.match(/[\d.]+/g).map(Number);
          const luminance = colour => {
            const [r, g, b] = channels(colour).map(c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const painted = e => { const c = getComputedStyle(e).backgroundColor; return channels(c)[3] === 0 && e.parentElement ? painted(e.parentElement) : c; };
          const [light, dark] = [luminance(getComputedStyle(element).color), luminance(painted(element))].sort((a, b) => b - a);
          return (light + 0.05) / (dark + 0.05);
        }
        """);

    /// <summary>Writes what is to be seen as a PNG file.</summary>
    public Task ScreenshotAsync(string path, bool fullPage = false) => Page.ScreenshotAsync(new() { Path = path, FullPage = fullPage });

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _context.DisposeAsync();
        if (_file is not null) File.Delete(_file);
    }

    internal static async Task<OpenPage> OpenAsync(IBrowserContext context, Uri address, string? file = null)
    {
        OpenPage open = new(context, await context.NewPageAsync(), address, file);
        await open.Page.GotoAsync(address.AbsoluteUri);
        return open;
    }
}
