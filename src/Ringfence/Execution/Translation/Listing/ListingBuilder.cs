using Iced.Intel;
using Ringfence.Processors.Instructions;

namespace Ringfence.Execution.Translation.Listing;

/// <summary>Compiles all units that can be reached, in the order in which the translator would lay them, and chains them.</summary>
internal sealed unsafe class ListingBuilder(ListingProcessor processor, byte[] code, int bits, ulong origin)
{
    private const ulong PageMask = 0xfff;

    private readonly TranslationCache _cache = processor.Cache;
    private readonly FragmentCompiler _compiler = processor.Compiler;
    private readonly Dictionary<ulong, Unit> _known = [];
    private readonly List<Unit> _units = [];
    private readonly Queue<ulong> _pending = [];
    private readonly HashSet<ulong> _throughTable = [];

    /// <summary>Lists the code from its first byte on.</summary>
    public List<ListedUnit> Build()
    {
        _pending.Enqueue(origin);
        while (_pending.TryDequeue(out ulong start))
            for (ulong? at = start; at is { } address && Contains(address) && !_known.ContainsKey(address);) at = Compile(address);
        Chain();

        var disassembler = new FragmentDisassembler(_cache, new HostSymbols(_cache, _compiler, processor.Mode));
        return [.. _units.Select(unit => new ListedUnit(
            unit.Address,
            TranslationListing.ListInstructions(unit.Recorder.Unit, code, origin),
            unit.Fragment == 0 ? null : disassembler.Disassemble(unit.Fragment, unit.Recorder)))];
    }

    private bool Contains(ulong address) => address >= origin && address - origin < (ulong)code.Length;

    /// <summary>Compiles the unit at an address. Returns the address that is compiled next, if there is one.</summary>
    private ulong? Compile(ulong address)
    {
        CodePage page = _cache.PageFor(address, processor.Mode) ?? throw new InvalidOperationException("The listing's code is not mapped.");
        var unit = new Unit(address, new FragmentRecorder());
        _compiler.Listener = unit.Recorder;
        unit.Fragment = _compiler.Compile(page, (int)(address & PageMask), address);
        if (unit.Fragment == 0 && !TryDecodeSingle(unit)) return null;
        _known.Add(address, unit);
        _units.Add(unit);
        return FollowUp(unit);
    }

    /// <summary>The instruction at the end of a page, which no fragment can hold. False: the code ends inside it.</summary>
    private bool TryDecodeSingle(Unit unit)
    {
        int offset = (int)(unit.Address - origin);
        Decoder decoder = Decoder.Create(bits, new ByteArrayCodeReader(code, offset, code.Length - offset), OperationDecoder.Options);
        decoder.IP = unit.Address;
        decoder.Decode(out Instruction instruction);
        if (instruction.IsInvalid) return false;
        unit.Recorder.Emitted(0, instruction, TranslationKind.CallOut, 0, 0, 0, 0);
        return true;
    }

    /// <summary>Where control can go behind a unit: returns what the translator compiles first, and remembers the rest.</summary>
    private ulong? FollowUp(Unit unit)
    {
        Instruction last = unit.Recorder.Unit[^1];
        bool isNear = last.OpCount > 0 && last.Op0Kind is OpKind.NearBranch16 or OpKind.NearBranch32 or OpKind.NearBranch64;
        TranslationKind kind = unit.Recorder.LastKind;
        switch (last.FlowControl)
        {
            case FlowControl.ConditionalBranch:
                _pending.Enqueue(Target(last, last.NearBranchTarget));
                return Target(last, last.NextIP);
            case FlowControl.UnconditionalBranch:
                return isNear ? Target(last, last.NearBranchTarget) : null;
            case FlowControl.Call when isNear:
                if (kind == TranslationKind.Call) _throughTable.Add(last.NextIP);
                _pending.Enqueue(last.NextIP);
                return Target(last, last.NearBranchTarget);
            case FlowControl.IndirectCall:
                if (kind == TranslationKind.CallIndirect) _throughTable.Add(last.NextIP);
                return last.NextIP;
            case FlowControl.IndirectBranch or FlowControl.Return or FlowControl.Exception:
                return null;
            default:
                return last.IsInvalid ? null : Target(last, last.NextIP);
        }
    }

    /// <summary>Notes that a direct transfer to another page goes through the jump table.</summary>
    private ulong Target(in Instruction from, ulong target)
    {
        if ((from.IP & ~PageMask) != (target & ~PageMask) && processor.Mode.IsFlatCode) _throughTable.Add(target);
        return target;
    }

    /// <summary>Links what can be linked, as the translator does when it is executed.</summary>
    private void Chain()
    {
        int sites = _cache.NextSite;
        for (int number = 1; number < sites; number++)
        {
            Site site = _cache.Sites[number];
            if (site.Kind != SiteKind.Link) continue;
            ulong target = _cache.Fragments[site.Fragment].Rip + (ulong)(long)site.Distance;
            if (!_known.TryGetValue(bits == 64 ? target : (uint)target, out Unit? unit) || unit.Fragment == 0) continue;
            _compiler.Listener = unit.Recorder;
            _compiler.TryChain(number, unit.Fragment);
        }

        foreach (Unit unit in _units)
        {
            if (unit.Fragment == 0 || !_throughTable.Contains(unit.Address)) continue;
            _compiler.Listener = unit.Recorder;
            _compiler.EntryTable(unit.Fragment);
        }
    }

    private sealed record Unit(ulong Address, FragmentRecorder Recorder)
    {
        public int Fragment { get; set; }
    }
}
