using Iced.Intel;

namespace Ringfence.Execution.Translation.Listing;

/// <summary>Keeps what the compiler tells about one fragment.</summary>
internal sealed class FragmentRecorder : IFragmentListener
{
    private readonly List<Piece> _instructions = [];
    private readonly List<Piece> _marks = [];

    /// <summary>The unit's instructions.</summary>
    public List<Instruction> Unit { get; } = [];

    /// <summary>How the last one was translated.</summary>
    public TranslationKind LastKind { get; private set; }

    /// <inheritdoc/>
    public void Emitted(int index, in Instruction instruction, TranslationKind kind, int start, int end, int rareStart, int rareEnd)
    {
        HostCodeLabel label = HostCodeLabel.Link;
        if (index >= 0)
        {
            Unit.Add(instruction);
            LastKind = kind;
            label = LabelOf(instruction, kind);
        }

        _instructions.Add(new Piece(label, index, start, end));
        _instructions.Add(new Piece(label, index, rareStart, rareEnd));
    }

    /// <inheritdoc/>
    public void Marked(HostCodeLabel label, int start, int end) => _marks.Add(new Piece(label, -1, start, end));

    /// <summary>What the code at an offset is there for, and the number of the instruction it belongs to.</summary>
    public (HostCodeLabel Label, int? Index) At(int offset)
    {
        Piece? mark = Find(_marks, offset);
        Piece? instruction = Find(_instructions, offset);
        return (mark?.Label ?? instruction?.Label ?? HostCodeLabel.Entry, instruction is { Index: >= 0 } found ? found.Index : null);
    }

    private static Piece? Find(List<Piece> pieces, int offset)
    {
        foreach (Piece piece in pieces)
            if (offset >= piece.Start && offset < piece.End) return piece;
        return null;
    }

    private static HostCodeLabel LabelOf(in Instruction instruction, TranslationKind kind)
    {
        switch (kind)
        {
            case TranslationKind.Ident or TranslationKind.IdentThatFaults or TranslationKind.Simd:
                for (int i = 0; i < instruction.OpCount; i++)
                    if (instruction.GetOpKind(i) == OpKind.Memory) return HostCodeLabel.Mem;
                return HostCodeLabel.Ident;
            case TranslationKind.AddressOf or TranslationKind.NoOperation:
                return HostCodeLabel.Ident;
            case TranslationKind.ConditionalJump or TranslationKind.CounterJump:
                return HostCodeLabel.Jcc;
            case TranslationKind.Jump or TranslationKind.JumpIndirect:
                return HostCodeLabel.Jmp;
            case TranslationKind.Call or TranslationKind.CallIndirect:
                return HostCodeLabel.Call;
            case TranslationKind.Return:
                return HostCodeLabel.Ret;
            case TranslationKind.Push or TranslationKind.Pop or TranslationKind.Leave:
                return HostCodeLabel.Mem;
            case TranslationKind.CallOut:
                return HostCodeLabel.CallOut;
            default:
                return HostCodeLabel.Inline;
        }
    }

    private sealed record Piece(HostCodeLabel Label, int Index, int Start, int End);
}
