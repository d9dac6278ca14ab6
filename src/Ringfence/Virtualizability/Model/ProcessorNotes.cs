using Ringfence.Execution.Translation.Listing;

namespace Ringfence.Virtualizability.Model;

/// <summary>What is known of x86 instructions, and how this project's techniques deal with them.</summary>
internal sealed class ProcessorNotes : IInstructionNotes, IDisposable
{
    private readonly ProcessorModel _model;
    private readonly AnalysisMode _mode;
    private readonly FormEncoder _encoder;
    private readonly TranslationQuestion _translator;

    /// <summary>Makes the notes on what was found in a mode.</summary>
    public ProcessorNotes(ProcessorModel model, AnalysisMode mode)
    {
        _model = model;
        _mode = mode;
        _encoder = new FormEncoder(mode);
        _translator = new TranslationQuestion(_encoder.Bits);
    }

    /// <inheritdoc/>
    public string Explain(InstructionVerdict verdict, bool completes)
    {
        string general = GeneralNotes.Text(verdict, completes, _mode != AnalysisMode.Real);
        if (!completes || _mode == AnalysisMode.Real || (!verdict.IsSensitive && !verdict.IsPrivileged)) return general;
        return Explanations.Of(verdict.Instruction, _mode) ?? general;
    }

    /// <inheritdoc/>
    public string? Literature(string instruction) => RobinAndIrvine.NameOf(instruction);

    /// <inheritdoc/>
    public IReadOnlyList<Treatment> Treatments(InstructionVerdict verdict, IReadOnlyList<int> forms)
    {
        string name = verdict.Instruction;
        return
        [
            new Treatment("interpretation", "definition", "its definition runs, on the virtual processor's own state"),
            verdict.IsPrivileged
                ? new Treatment("trap and emulate", "trap", "the processor's own trap leads to the monitor")
                : new Treatment("trap and emulate", "inserted trap", "found in the guest's code before it runs, and written over"),
            Translate(forms),
            Paravirtualization.Of(verdict),
            HardwareAssist.Of(name),
        ];
    }

    /// <inheritdoc/>
    public void Dispose() => _translator.Dispose();

    private Treatment Translate(IReadOnlyList<int> forms)
    {
        const string Technique = "binary translation";
        bool[] inPlace = [.. forms.SelectMany(f => _model.ModelForms[f].States).Select(s => s.Bytes).DistinctBy(Convert.ToHexString)
            .Select(bytes => _translator.IsInPlace(_encoder.Decode(bytes)))];
        if (!inPlace.Contains(true)) return new Treatment(Technique, "call-out", "translated code calls its definition");
        return new Treatment(Technique, "in place", inPlace.Contains(false)
            ? "usual forms become host code on the virtual processor's state; the others call the definition"
            : "becomes host code on the virtual processor's state");
    }
}
