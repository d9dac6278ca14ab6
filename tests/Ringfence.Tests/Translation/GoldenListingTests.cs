using System.Globalization;
using System.Runtime.Intrinsics.X86;
using System.Text;
using Ringfence.Cli.Commands;
using Ringfence.Cli.Listing;
using Ringfence.Execution.Translation.Listing;

namespace Ringfence.Tests.Translation;

/// <summary>
/// What representative instructions are compiled to, as a text that is looked at when it changes. A case begins with a line
/// <c>[bits] bytes</c>; what stands below it is compared, and written anew to listings.actual.txt when it differs. A new case is such a line.
/// </summary>
public sealed class GoldenListingTests
{
    [SkippableFact]
    public void Representative_instructions_are_compiled_as_reviewed()
    {
        string path = Source("tests", "Ringfence.Tests", "Translation", "listings.txt");
        string[] lines = File.ReadAllLines(path);
        IEnumerable<string> head = lines.TakeWhile(l => !l.StartsWith('[')).Select(l => l + "\n");
        IEnumerable<string> cases = lines.Where(l => l.StartsWith('[')).Select(Describe);
        ShouldStayAsReviewed(path, string.Concat(head) + string.Join('\n', cases));
    }

    [SkippableFact]
    public void The_documentation_shows_what_the_command_prints()
    {
        const string Begin = "```text\n";
        string path = Source("docs", "translation.md");
        string text = File.ReadAllText(path);
        string hex = Convert.ToHexStringLower(Samples.IsPrime);
        text.ShouldContain($"ringfence translate --hex \"{string.Join(' ', hex.Chunk(2).Select(pair => new string(pair)))}\"");
        int start = text.IndexOf(Begin, StringComparison.Ordinal) + Begin.Length;
        int end = text.IndexOf("```", start, StringComparison.Ordinal);
        var options = new TranslateOptions(Samples.IsPrime, 64, 0x1000, ShowRarePaths: false, ShowBytes: false);
        string listing = new ListingPrinter(TranslationListing.Create(options.Code, options.Bits, options.Origin), options).ToText(onTerminal: false);
        ShouldStayAsReviewed(path, text[..start] + listing + text[end..]);
    }

    private static void ShouldStayAsReviewed(string path, string actual)
    {
        string extension = Path.GetExtension(path);
        string actualPath = Path.ChangeExtension(path, ".actual" + extension);
        File.Delete(actualPath);
        string expected = File.ReadAllText(path);
        if (actual == expected) return;
        File.WriteAllText(actualPath, actual);
        int line = actual.Split('\n').Zip(expected.Split('\n')).TakeWhile(pair => pair.First == pair.Second).Count() + 1;
        Assert.Fail($"Emitted code has changed, first in line {line}. Look at it: diff {path} {actualPath}. If it is right: mv {actualPath} {path}");
    }

    private static string Describe(string header)
    {
        int end = header.IndexOf(']', StringComparison.Ordinal);
        int bits = int.Parse(header.AsSpan(1, end - 1), CultureInfo.InvariantCulture);
        TranslationListing listing = TranslationListing.Create(Samples.Bytes(header[(end + 1)..]), bits, 0x1000);
        var text = new StringBuilder(header).Append('\n');
        foreach (ListedUnit unit in listing.Units)
        {
            int shown = 0;
            foreach (ListedHostInstruction host in unit.Fragment!.Instructions)
            {
                while (host.GuestIndex >= shown) AppendGuest(unit.Instructions[shown++]);
                Append(host, "    ");
            }

            while (shown < unit.Instructions.Count) AppendGuest(unit.Instructions[shown++]);
            if (unit.Fragment.RunsInto is { } next) text.Append(CultureInfo.InvariantCulture, $"    (fragment_{next:x} lies behind)\n");
            foreach (ListedHostInstruction host in unit.Fragment.RarePaths) Append(host, "  ~ ");
        }

        return text.ToString();

        void AppendGuest(ListedInstruction guest) => text.Append(guest.Text).Append('\n');
        void Append(ListedHostInstruction host, string indent)
        {
            // What is the same in every fragment is left out.
            if (host.Label is HostCodeLabel.Link or HostCodeLabel.Poll && (host.GuestIndex is null || indent.Contains('~', StringComparison.Ordinal))) return;
            text.Append(indent).Append(host.Text.PadRight(40)).Append(' ').Append(host.Label.ToString().ToUpperInvariant()).Append('\n');
        }
    }

    /// <summary>A file of the sources, on a host that emits the code that was reviewed.</summary>
    private static string Source(params string[] parts)
    {
        Skip.IfNot(TranslationListing.IsSupported, "Binary translation needs x86-64 Linux.");
        Skip.IfNot(Bmi2.IsSupported, "The reviewed code uses BMI2.");
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string path = Path.Combine([folder.FullName, .. parts]);
            if (File.Exists(path)) return path;
        }

        throw new FileNotFoundException($"The sources with {parts[^1]} are not here.");
    }
}
