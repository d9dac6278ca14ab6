using System.Globalization;
using System.Text;
using Ringfence.Cli.Commands;
using Ringfence.Cli.Host;
using Ringfence.Execution.Translation.Listing;
using Spectre.Console;

namespace Ringfence.Cli.Listing;

/// <summary>Prints a listing: guest code on the left, what it was compiled to on the right.</summary>
internal sealed class ListingPrinter
{
    private const string Gap = "  ";
    private const string Dim = "grey";
    private const string Heading = "bold";

    private readonly TranslationListing _listing;
    private readonly TranslateOptions _options;
    private readonly int _guestDigits;
    private readonly int _guestBytes;
    private readonly int _guestText;
    private readonly int _hostDigits;
    private readonly int _hostBytes;
    private readonly int _hostText;
    private readonly List<List<(string Text, string Style)>> _lines = [];

    public ListingPrinter(TranslationListing listing, TranslateOptions options)
    {
        const int LeastDigits = 4;
        _listing = listing;
        _options = options;
        ListedInstruction[] guest = [.. listing.Units.SelectMany(u => u.Instructions)];
        ListedHostInstruction[] host = [.. listing.Units.SelectMany(u => u.Fragment is null ? [] : Shown(u.Fragment))];
        _guestDigits = guest.Select(i => Hex(i.Address).Length).DefaultIfEmpty().Append(LeastDigits).Max();
        _guestBytes = guest.Select(i => Hex(i.Bytes).Length).DefaultIfEmpty().Max();
        _guestText = guest.Select(i => i.Text.Length).DefaultIfEmpty().Max();
        _hostDigits = host.Select(i => Hex(i.Address).Length).DefaultIfEmpty().Append(LeastDigits).Max();
        _hostBytes = options.ShowBytes ? host.Select(i => Hex(i.Bytes).Length).DefaultIfEmpty().Max() : 0;
        _hostText = host.Select(i => i.Text.Length).DefaultIfEmpty().Max();
    }

    /// <summary>Prints to standard output, with colours on a terminal.</summary>
    public void Print() => StandardStream.Write(StandardStream.Output, Encoding.UTF8.GetBytes(ToText(Terminal.IsOutputTerminal)));

    /// <summary>The listing as text.</summary>
    /// <param name="onTerminal">Whether it may be coloured.</param>
    public string ToText(bool onTerminal)
    {
        _lines.Clear();
        AddSummary();
        foreach (ListedUnit unit in _listing.Units) AddUnit(unit);
        using StringWriter text = new(CultureInfo.InvariantCulture) { NewLine = "\n" };
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = onTerminal ? AnsiSupport.Detect : AnsiSupport.No,
            ColorSystem = onTerminal ? ColorSystemSupport.Detect : ColorSystemSupport.NoColors,
            Out = new AnsiConsoleOutput(text),
            Interactive = InteractionSupport.No,
        });
        // Lines are never wrapped here: a terminal that is too narrow does it better, and a file has no width.
        console.Profile.Width = int.MaxValue / 2;
        foreach (List<(string Text, string Style)> line in _lines) console.MarkupLine(ToMarkup(line));
        return text.ToString();
    }

    private static string ToMarkup(List<(string Text, string Style)> line)
    {
        int last = line.FindLastIndex(part => part.Text.AsSpan().Trim().Length > 0);
        StringBuilder markup = new();
        for (int i = 0; i <= last; i++)
        {
            string text = Markup.Escape(i == last ? line[i].Text.TrimEnd() : line[i].Text);
            markup.Append(line[i].Style.Length == 0 ? text : $"[{line[i].Style}]{text}[/]");
        }

        return markup.ToString();
    }

    private static string Hex(ulong value) => value.ToString("x4", CultureInfo.InvariantCulture);

    private static string Hex(ReadOnlyMemory<byte> bytes) => string.Join(' ', bytes.ToArray().Select(b => b.ToString("x2", CultureInfo.InvariantCulture)));

    private static string Count(int number, string what) => string.Create(CultureInfo.InvariantCulture, $"{number} {what}{(number == 1 ? "" : "s")}");

    private static string StyleOf(HostCodeLabel label) => label switch
    {
        HostCodeLabel.Ident => "green",
        HostCodeLabel.Mem => "yellow",
        HostCodeLabel.Jcc or HostCodeLabel.Jmp or HostCodeLabel.Call or HostCodeLabel.Ret => "aqua",
        HostCodeLabel.Inline => "blue",
        HostCodeLabel.CallOut => "red",
        _ => Dim,
    };

    private IEnumerable<ListedHostInstruction> Shown(ListedFragment fragment) =>
        _options.ShowRarePaths ? fragment.Instructions.Concat(fragment.RarePaths) : fragment.Instructions;

    private void AddSummary()
    {
        int fragments = _listing.Units.Count(u => u.Fragment is not null);
        int bytes = _listing.Units.Sum(u => u.Fragment?.Length ?? 0);
        int rare = _listing.Units.Sum(u => u.Fragment?.RareLength ?? 0);
        AddLine((FormattableString.Invariant($"{_listing.Bits}-bit code at 0x{_listing.Origin:x}: {Count(_listing.Length, "byte")}, {Count(_listing.Instructions, "instruction")} in {Count(_listing.Units.Count, "unit")}; {Count(fragments, "fragment")} of {Count(bytes, "byte")}, rare paths of {Count(rare, "byte")}"), ""));
        if (_listing.UnreachedBytes > 0) AddLine(($"{Count(_listing.UnreachedBytes, "byte")} cannot be reached by direct transfers from the first one.", Dim));
    }

    private void AddUnit(ListedUnit unit)
    {
        AddLine();
        string fragment = unit.Fragment is null ? "no fragment: it lies in two pages and is executed by itself" : $"fragment_{unit.Address:x}";
        AddRow([("unit " + Hex(unit.Address), Heading)], [(fragment, Heading)]);
        if (unit.Fragment is null)
        {
            foreach (ListedInstruction instruction in unit.Instructions) AddRow(Guest(instruction), []);
            return;
        }

        AddCode(unit, unit.Fragment);
        if (unit.Fragment.RunsInto is { } next) AddRow([], [(new string(' ', _hostDigits), ""), (Gap, ""), ($"(fragment_{next:x} lies behind)", Dim)]);
        if (!_options.ShowRarePaths || unit.Fragment.RarePaths.Count == 0) return;
        AddRow([], [("rare paths", Heading)]);
        foreach (ListedHostInstruction instruction in unit.Fragment.RarePaths) AddRow([], Host(instruction));
    }

    /// <summary>Each guest instruction stands beside the first instruction it became.</summary>
    private void AddCode(ListedUnit unit, ListedFragment fragment)
    {
        int shown = 0;
        foreach (ListedHostInstruction host in fragment.Instructions)
        {
            bool isNew = host.GuestIndex >= shown;
            while (host.GuestIndex > shown) AddRow(Guest(unit.Instructions[shown++]), []);
            AddRow(isNew ? Guest(unit.Instructions[shown++]) : [], Host(host));
        }

        while (shown < unit.Instructions.Count) AddRow(Guest(unit.Instructions[shown++]), []);
    }

    private List<(string Text, string Style)> Guest(ListedInstruction instruction) =>
    [
        (Hex(instruction.Address).PadLeft(_guestDigits), Dim), (Gap, ""), (Hex(instruction.Bytes).PadRight(_guestBytes), Dim), (Gap, ""), (instruction.Text, ""),
    ];

    private List<(string Text, string Style)> Host(ListedHostInstruction instruction)
    {
        string style = StyleOf(instruction.Label);
        List<(string Text, string Style)> parts = [(Hex(instruction.Address).PadLeft(_hostDigits), Dim), (Gap, "")];
        if (_options.ShowBytes) parts.AddRange([(Hex(instruction.Bytes).PadRight(_hostBytes), Dim), (Gap, "")]);
        parts.AddRange([(instruction.Text.PadRight(_hostText), style == Dim ? Dim : ""), (Gap, ""), (instruction.Label.ToString().ToUpperInvariant(), style)]);
        return parts;
    }

    private void AddRow(List<(string Text, string Style)> left, List<(string Text, string Style)> right)
    {
        const string Separator = "   ";
        int width = _guestDigits + Gap.Length + _guestBytes + Gap.Length + _guestText;
        string padding = new(' ', Math.Max(0, width - left.Sum(part => part.Text.Length)) + Separator.Length);
        _lines.Add([.. left, (padding, ""), .. right]);
    }

    private void AddLine(params (string Text, string Style)[] parts) => _lines.Add([.. parts]);
}
