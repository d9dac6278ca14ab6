namespace Ringfence.Virtualizability.Model;

/// <summary>What is known of x86 instructions.</summary>
internal sealed class ProcessorNotes : IInstructionNotes
{
    /// <inheritdoc/>
    public string Explain(InstructionVerdict verdict, bool completes) => GeneralNotes.Text(verdict, completes);

    /// <inheritdoc/>
    public string? Literature(string instruction) => null;

    /// <inheritdoc/>
    public IReadOnlyList<Treatment> Treatments(InstructionVerdict verdict, IReadOnlyList<int> forms) => [];
}
