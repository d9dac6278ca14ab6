using System.Globalization;
using System.Runtime.Intrinsics.X86;
using System.Text;
using Ringfence.Execution.Translation.Listing;

namespace Ringfence.Tests.Translation;

/// <summary>
/// What representative instructions are compiled to, as a text that is looked at when it changes. A case begins with a line
/// <c>[bits] bytes</c>; what stands below it is compared, and written anew to listings.actual.txt when it differs. A new case is such a line.
/// </summary>
public sealed class GoldenListingTests
{
    private const string FileName = "listings.txt";
    private const string ActualName = "listings.actual.txt";

    [SkippableFact]
    public void Representative_instructions_are_compiled_as_reviewed()
    {
        Skip.IfNot(TranslationListing.IsSupported, "Binary translation needs x86-64 Linux.");
        Skip.IfNot(Bmi2.IsSupported, "The reviewed code uses BMI2.");
        string folder = Folder();
        string[] lines = File.ReadAllLines(Path.Combine(folder, FileName));
        var actual = new StringBuilder();
        foreach (string line in lines.TakeWhile(l => !l.StartsWith('['))) actual.Append(line).Append('\n');
        string[] cases = [.. lines.Where(l => l.StartsWith('['))];
        actual.AppendJoin('\n', cases.Select(c => Describe(c)));

        string path = Path.Combine(folder, ActualName);
        File.Delete(path);
        string[] expected = lines;
        string[] now = actual.ToString().TrimEnd('\n').Split('\n');
        if (now.SequenceEqual(expected)) return;
        File.WriteAllText(path, actual.ToString());
        int first = now.Zip(expected).TakeWhile(pair => pair.First == pair.Second).Count();
        string inCase = now.Take(first + 1).LastOrDefault(l => l.StartsWith('[')) ?? "the head";
        Assert.Fail(
            $"Emitted code has changed, first in line {first + 1} ({inCase}). Look at it: diff {path.Replace(ActualName, FileName, StringComparison.Ordinal)} {path}. "
            + $"If it is right: mv {path} {path.Replace(ActualName, FileName, StringComparison.Ordinal)}");
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
        void Append(ListedHostInstruction host, string indent) =>
            text.Append(indent).Append(host.Text.PadRight(40)).Append(' ').Append(host.Label.ToString().ToUpperInvariant()).Append('\n');
    }

    /// <summary>The folder of this file in the sources.</summary>
    private static string Folder()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string path = Path.Combine(folder.FullName, "tests", "Ringfence.Tests", "Translation");
            if (File.Exists(Path.Combine(path, FileName))) return path;
        }

        throw new FileNotFoundException($"The sources with {FileName} are not here.");
    }
}
