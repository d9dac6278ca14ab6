using System.Text.RegularExpressions;
using Microsoft.Playwright;
using Ringfence.Machines;
using Ringfence.Tests.Support;
using Ringfence.Web;

namespace Ringfence.Tests.Web;

/// <summary>A machine, its page's server, and the page in the browser.</summary>
internal sealed class ServedPage : IAsyncDisposable
{
    private ServedPage(VirtualMachine machine, WebConsole console, OpenPage open)
    {
        Machine = machine;
        Console = console;
        Open = open;
    }

    /// <summary>The machine.</summary>
    public VirtualMachine Machine { get; }

    /// <summary>The server; a test may dispose of it and put another one in its place.</summary>
    public WebConsole Console { get; set; }

    /// <summary>What the browser has opened.</summary>
    public OpenPage Open { get; }

    /// <summary>The page, to click in and to ask.</summary>
    public IPage Page => Open.Page;

    /// <summary>Serves a machine's page and opens it; it belongs to what is returned. Skips the test where there is no browser, or no page in this build.</summary>
    public static async Task<ServedPage> OpenAsync(Browser browser, Func<VirtualMachine> start, bool dark = false, int width = 1280, int height = 900)
    {
        browser.Require();
        if (!PageFiles.AreEmbedded && Browser.IsRequired) throw new InvalidOperationException(PageFiles.Missing);
        Skip.IfNot(PageFiles.AreEmbedded, PageFiles.Missing);
        VirtualMachine machine = start();
        WebConsole? console = null;
        try
        {
            console = await WebConsole.StartAsync(machine);
            return new ServedPage(machine, console, await browser.VisitAsync(console.Address, dark, width, height));
        }
        catch
        {
            if (console is not null) await console.DisposeAsync();
            await machine.DisposeAsync();
            throw;
        }
    }

    /// <summary>Waits until the page says that the machine is in a state.</summary>
    public Task WaitForStateAsync(string state) => Assertions.Expect(Page.GetByRole(AriaRole.Status)).ToHaveTextAsync(state);

    /// <summary>Waits until the first serial console shows a text.</summary>
    public Task WaitForSerialAsync(string text) => Assertions.Expect(Page.Locator("#serial-0 .xterm-rows")).ToContainTextAsync(new Regex(Regex.Escape(text).Replace("\\ ", "\\s", StringComparison.Ordinal)));

    /// <summary>Waits until there is a picture on the screen.</summary>
    public Task WaitForPictureAsync() => Page.Locator("#screen[data-shows=picture]").WaitForAsync();

    /// <summary>A number made of the screen's pixels.</summary>
    public Task<long> PixelsAsync() => Page.Locator("#screen canvas").EvaluateAsync<long>("""
        canvas => {
          const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height }).getContext("2d", { willReadFrequently: true });
          copy.drawImage(canvas, 0, 0);
          return copy.getImageData(0, 0, canvas.width, canvas.height).data.reduce((sum, value, index) => (sum * 31 + value * (index % 7 + 1)) % 2147483647, 7);
        }
        """);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await Open.DisposeAsync();
        await Console.DisposeAsync();
        await Machine.DisposeAsync();
    }
}
