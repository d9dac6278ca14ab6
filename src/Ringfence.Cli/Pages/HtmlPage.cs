using System.Reflection;
using System.Security.Cryptography;
using System.Text;

namespace Ringfence.Cli.Pages;

/// <summary>
/// A page that is one file: its style sheet and its script stand in it, and its security policy forbids everything else, so that it asks
/// for nothing from the network wherever it is opened. It follows the light or dark theme of whoever reads it. The classes that bodies
/// are made of are explained in <c>Assets/frame.css</c>, what the script does with them in <c>Assets/frame.js</c>.
/// </summary>
/// <param name="title">The title of the window.</param>
internal sealed class HtmlPage(string title)
{
    private const string Frame = "frame";

    private readonly StringBuilder _style = new(Asset($"{Frame}.css"));
    private readonly StringBuilder _script = new(Asset($"{Frame}.js"));

    /// <summary>What stands between header and footer.</summary>
    public HtmlBuilder Body { get; } = new();

    /// <summary>The command that made the page, shown above and below.</summary>
    public required string Command { get; init; }

    /// <summary>Adds an asset of this page's own: a style sheet.</summary>
    public void AddStyle(string asset) => _style.Append(Asset(asset));

    /// <summary>Adds an asset of this page's own: a script.</summary>
    public void AddScript(string asset) => _script.Append(Asset(asset));

    /// <summary>The whole page in UTF-8.</summary>
    public byte[] ToBytes()
    {
        // An inline script runs only if its hash is named here: markup that got into a text would not.
        string script = _script.ToString();
        string hash = Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(script)));
        HtmlBuilder page = new();
        page.Add($"""
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hash}'; img-src data:; base-uri 'none'; form-action 'none'">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <meta name="generator" content="ringfence">
            <title>{title}</title>
            <link rel="icon" href="data:,">
            <style>
            {Raw(_style.ToString())}</style>
            <script>{Raw(script)}</script>
            </head>
            <body>
            <a class="skip" href="#main">Skip to the content</a>
            <header class="masthead"><span class="brand">Ringfence</span> <code>{Command}</code></header>
            <main id="main">
            {Body}
            </main>
            <footer><p>Made by <code>{Command}</code>. This page is one file and loads nothing.</p></footer>
            </body>
            </html>

            """);
        return Encoding.UTF8.GetBytes(page.ToString());
    }

    private static string Asset(string name)
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream($"Pages/{name}") ?? throw new InvalidOperationException($"There is no asset {name}.");
        using StreamReader reader = new(stream, Encoding.UTF8);
        return reader.ReadToEnd();
    }

    // Assets are this project's own files: a style sheet and a script are no text of HTML.
    private static HtmlBuilder Raw(string asset)
    {
        HtmlBuilder html = new();
        HtmlBuilder.Markup markup = new(asset.Length, 0, html);
        markup.AppendLiteral(asset);
        return html.Add(ref markup);
    }
}
