using Iced.Intel;

namespace Ringfence.Guests;

/// <summary>64-bit code with its constants, and the table entries that must hold addresses of code.</summary>
/// <param name="codeAddress">Linear address of the first instruction.</param>
/// <param name="constantsAddress">Linear address of the constants.</param>
internal sealed class CodeBuilder(ulong codeAddress, ulong constantsAddress)
{
    private readonly List<(DataSection Section, ulong Place, Routine Target)> _pointers = [];
    private readonly List<(Routine Target, Action<ulong> Use)> _uses = [];
    private readonly List<Routine> _routines = [];

    public Assembler Assembler { get; } = new(64);

    public DataSection Constants { get; } = new(constantsAddress);

    /// <summary>A routine to be placed later with <see cref="AssemblerExtensions.Here(Assembler, Routine)"/>.</summary>
    public Routine Routine(string name)
    {
        Routine routine = new(Assembler.CreateLabel(name));
        _routines.Add(routine);
        return routine;
    }

    /// <summary>Stores a routine's address in a section, once it is known.</summary>
    public void PointTo(DataSection section, ulong place, Routine target) => _pointers.Add((section, place, target));

    /// <summary>Calls back with a routine's address, once it is known.</summary>
    public void WhenPlaced(Routine target, Action<ulong> use) => _uses.Add((target, use));

    /// <summary>Encodes all code and fills in the addresses.</summary>
    public byte[] Assemble()
    {
        using MemoryStream stream = new();
        AssemblerResult result = Assembler.Assemble(new StreamCodeWriter(stream), codeAddress, BlockEncoderOptions.ReturnNewInstructionOffsets);
        foreach ((DataSection section, ulong place, Routine target) in _pointers)
            section.WriteUInt64(place, result.GetLabelRIP(in target.Label));
        foreach ((Routine target, Action<ulong> use) in _uses)
            use(result.GetLabelRIP(in target.Label));
        foreach (Routine routine in _routines)
            Symbols.Add(routine.Name, result.GetLabelRIP(in routine.Label));
        return stream.ToArray();
    }

    /// <summary>Names and addresses of all routines, filled by <see cref="Assemble"/>.</summary>
    public Dictionary<string, ulong> Symbols { get; } = [];
}
