using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using System.Security.Cryptography;

namespace Ringfence.Web;

/// <summary>The page as the build has bundled and embedded it: resources named <c>Page/FILE</c>.</summary>
public sealed class PageFiles
{
    /// <summary>What a build without the page has to say.</summary>
    public const string Missing = "this build has no page, because Node.js was missing when it was made";

    private const string Prefix = "Page/";
    private const string Start = "index.html";

    private readonly Dictionary<string, PageFile> _files;

    private PageFiles(Dictionary<string, PageFile> files) => _files = files;

    /// <summary>Whether this build has the page.</summary>
    public static bool AreEmbedded => typeof(PageFiles).Assembly.GetManifestResourceInfo(Prefix + Start) is not null;

    /// <summary>The page itself; null: this build has none.</summary>
    internal PageFile? Index => _files.GetValueOrDefault(Start);

    /// <summary>Reads the embedded files.</summary>
    internal static PageFiles Read()
    {
        Assembly assembly = typeof(PageFiles).Assembly;
        Dictionary<string, PageFile> files = new(StringComparer.Ordinal);
        foreach (string resource in assembly.GetManifestResourceNames())
        {
            if (!resource.StartsWith(Prefix, StringComparison.Ordinal)) continue;
            using Stream stream = assembly.GetManifestResourceStream(resource)!;
            byte[] content = new byte[stream.Length];
            stream.ReadExactly(content);
            string name = resource[Prefix.Length..];
            files.Add(name, new PageFile(content, TypeOf(name), $"\"{Convert.ToHexStringLower(SHA256.HashData(content).AsSpan(0, 16))}\""));
        }

        return new PageFiles(files);
    }

    /// <summary>Finds a file other than the page itself by its name.</summary>
    internal bool TryFind(string name, [NotNullWhen(true)] out PageFile? file) => _files.TryGetValue(name, out file) && name != Start;

    private static string TypeOf(string name) => Path.GetExtension(name) switch
    {
        ".html" => "text/html; charset=utf-8",
        ".js" => "text/javascript; charset=utf-8",
        ".css" => "text/css; charset=utf-8",
        ".json" or ".map" => "application/json",
        ".svg" => "image/svg+xml",
        ".png" => "image/png",
        ".ico" => "image/x-icon",
        ".woff2" => "font/woff2",
        ".txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    };
}
