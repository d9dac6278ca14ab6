using System.Globalization;
using System.Reflection;
using System.Text.Json;
using Iced.Intel;
using Ringfence.Processors;

namespace Ringfence.Execution.Translation.Listing;

/// <summary>
/// Names for what emitted code refers to: entries of fragments, ways out, rare paths, and fields of the processor's state, which stand
/// behind GS. Made for a cache as it is now.
/// </summary>
internal sealed unsafe class HostSymbols : ISymbolResolver
{
    private static readonly Dictionary<int, string> Fields = FindFields();

    private readonly TranslationCache _cache;
    private readonly Dictionary<int, string> _code = [];
    private readonly Dictionary<int, ulong> _starts = [];
    private readonly HashSet<int> _running = [];

    public HostSymbols(TranslationCache cache, FragmentCompiler compiler, TranslationMode mode)
    {
        _cache = cache;
        CommonCode common = compiler.CommonFor(mode);
        _code[common.ExitHost] = "exit";
        _code[common.ExitSaved] = "exit_saved";
        _code[common.LookUpFailed] = "lookup_failed";
        for (int i = 1; i < cache.NextFragment; i++) Add(cache.Fragments + i);
        for (int i = 1; i < cache.NextSite; i++)
        {
            Site* site = cache.Sites + i;
            if (site->Kind != SiteKind.Link) continue;
            if (site->IsLaid) _running.Add(site->Fragment);
            if (site->HostOffset == 0) continue;
            ulong target = cache.Fragments[site->Fragment].Rip + (ulong)(long)site->Distance;
            _code.TryAdd(site->Continuation, string.Create(CultureInfo.InvariantCulture, $"exit_to_{target:x}"));
        }
    }

    /// <summary>The fragment whose code names are asked for; it knows its own rare paths.</summary>
    public Func<int, HostCodeLabel>? LabelAt { get; set; }

    /// <summary>Guest address of the fragment that lies behind another one without a jump; null if none does.</summary>
    public ulong? BehindOf(int fragment) =>
        _running.Contains(fragment) && _starts.TryGetValue(_cache.Fragments[fragment].End, out ulong rip) ? rip : null;

    /// <inheritdoc/>
    public bool TryGetSymbol(in Instruction instruction, int operand, int instructionOperand, ulong address, int addressSize, out SymbolResult symbol)
    {
        string? name = null;
        if (instructionOperand >= 0)
        {
            OpKind kind = instruction.GetOpKind(instructionOperand);
            if (kind == OpKind.NearBranch64) name = NameOf((int)address);
            else if (kind == OpKind.Memory && instruction.IsIPRelativeMemoryOperand) name = "page_epoch";
            else if (kind == OpKind.Memory && instruction.SegmentPrefix == Iced.Intel.Register.GS) Fields.TryGetValue((int)address, out name);
        }

        symbol = name is null ? default : new SymbolResult(address, name);
        return name is not null;
    }

    private string NameOf(int offset)
    {
        if (_code.TryGetValue(offset, out string? name)) return name;
        bool rare = offset >= _cache.Rare.Start;
        string label = rare ? (LabelAt?.Invoke(offset) ?? HostCodeLabel.Entry).ToString().ToLowerInvariant() : "at";
        return string.Create(CultureInfo.InvariantCulture, $"{label}_{offset - (rare ? _cache.Rare.Start : _cache.Main.Start):x4}");
    }

    private void Add(Fragment* fragment)
    {
        if (!fragment->IsAlive) return;
        ulong address = fragment->Rip - fragment->PageOffset + fragment->EntryPageOffset;
        string name = string.Create(CultureInfo.InvariantCulture, $"{(fragment->TraceOf == 0 ? "fragment" : "trace")}_{address:x}");
        _starts[fragment->Start] = address;
        _code[fragment->EntryHost] = name;
        _code.TryAdd(fragment->Start, name + ".poll");
        if (fragment->EntrySaved != 0) _code.TryAdd(fragment->EntrySaved, name + ".saved");
        if (fragment->PollSaved != 0) _code.TryAdd(fragment->PollSaved, name + ".poll_saved");
        if (fragment->EntryTable != 0) _code.TryAdd(fragment->EntryTable, name + ".table");
    }

    private static Dictionary<int, string> FindFields()
    {
        Dictionary<int, string> fields = [];
        for (int i = 0; i < 16; i++)
        {
            fields[StateOffsets.Gpr(i)] = "guest_" + (Iced.Intel.Register.RAX + i).ToString().ToLowerInvariant();
            fields[StateOffsets.Xmm(i)] = string.Create(CultureInfo.InvariantCulture, $"guest_xmm{i}");
        }

        foreach (SegmentIndex segment in (ReadOnlySpan<SegmentIndex>)[SegmentIndex.Es, SegmentIndex.Cs, SegmentIndex.Ss, SegmentIndex.Ds, SegmentIndex.Fs, SegmentIndex.Gs])
        {
            string name = segment.ToString().ToLowerInvariant();
            fields[StateOffsets.SegmentBase(segment)] = name + "_base";
            fields[StateOffsets.SegmentEnd(segment, write: false)] = name + "_read_end";
            fields[StateOffsets.SegmentEnd(segment, write: true)] = name + "_write_end";
        }

        string[] tables = ["user_tlb", "tlb", "ac_tlb"];
        for (int i = 0; i < tables.Length; i++)
        {
            fields[StateOffsets.Tlb(i, write: false)] = tables[i] + ".read";
            fields[StateOffsets.Tlb(i, write: true)] = tables[i] + ".write";
            fields[StateOffsets.TlbAddend(i)] = tables[i] + ".addend";
        }

        // What has no number is a property, so new ones have their name here by themselves.
        foreach (PropertyInfo property in typeof(StateOffsets).GetProperties(BindingFlags.Public | BindingFlags.Static))
            if (property.GetValue(null) is int offset) fields.TryAdd(offset, JsonNamingPolicy.SnakeCaseLower.ConvertName(property.Name));
        return fields;
    }
}
