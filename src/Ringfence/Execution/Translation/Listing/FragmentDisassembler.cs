using Iced.Intel;

namespace Ringfence.Execution.Translation.Listing;

/// <summary>Turns emitted code back into instructions, with what the compiler has told about them.</summary>
internal sealed unsafe class FragmentDisassembler
{
    private readonly TranslationCache _cache;
    private readonly HostSymbols _symbols;
    private readonly NasmFormatter _formatter;
    private readonly CodeBytes _bytes = new();
    private readonly Decoder _decoder;

    public FragmentDisassembler(TranslationCache cache, HostSymbols symbols)
    {
        _cache = cache;
        _symbols = symbols;
        _formatter = ListingText.Formatter(symbols);
        _decoder = Decoder.Create(64, _bytes);
    }

    /// <summary>Lists a fragment.</summary>
    /// <param name="index">Its number.</param>
    /// <param name="recorder">What the compiler has told about it.</param>
    /// <param name="main">Distance of what the recorder knows from the code itself.</param>
    /// <param name="rare">The same for rare paths.</param>
    public ListedFragment Disassemble(int index, FragmentRecorder recorder, int main = 0, int rare = 0)
    {
        Fragment fragment = _cache.Fragments[index];
        List<ListedHostInstruction> code = [];
        List<ListedHostInstruction> paths = [];
        _symbols.LabelAt = offset => recorder.At(offset + rare).Label;
        Add(code, fragment.Start, fragment.End, offset => recorder.At(offset + main), _cache.Main.Start);
        AddRare(fragment.RareStart, fragment.RareEnd);
        if (IsOutOfLine(fragment.EntrySaved)) AddRare(fragment.EntrySaved, int.MaxValue);
        if (IsOutOfLine(fragment.PollSaved)) AddRare(fragment.PollSaved, int.MaxValue);
        if (IsOutOfLine(fragment.EntryTable)) AddRare(fragment.EntryTable, int.MaxValue);
        return new ListedFragment(code, paths, _symbols.BehindOf(index));

        void AddRare(int start, int end) => Add(paths, start, end, offset => recorder.At(offset + rare), _cache.Rare.Start);
        bool IsOutOfLine(int entry) => entry >= _cache.Rare.Start && (entry < fragment.RareStart || entry >= fragment.RareEnd);
    }

    /// <summary>Adds the instructions from an offset to another, or up to a jump if there is no end.</summary>
    private void Add(List<ListedHostInstruction> list, int start, int end, Func<int, (HostCodeLabel Label, int? Index)> about, int origin)
    {
        const int LongestInstruction = 15;
        for (int at = start; at < end;)
        {
            _bytes.Set(_cache.Writable + at, end == int.MaxValue ? LongestInstruction : end - at);
            _decoder.IP = (ulong)at;
            _decoder.Decode(out Instruction instruction);
            (HostCodeLabel label, int? index) = about(at);
            byte[] bytes = new ReadOnlySpan<byte>(_cache.Writable + at, instruction.Length).ToArray();
            list.Add(new ListedHostInstruction((ulong)(at - origin), bytes, ListingText.Format(_formatter, instruction), label, index));
            at += instruction.Length;
            if (end == int.MaxValue && (instruction.FlowControl == FlowControl.UnconditionalBranch || instruction.IsInvalid)) break;
        }
    }
}
