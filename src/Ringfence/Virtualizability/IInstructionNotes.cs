namespace Ringfence.Virtualizability;

/// <summary>What is said about instructions besides what experiments find; it never changes a verdict.</summary>
internal interface IInstructionNotes
{
    /// <summary>Explanation for people.</summary>
    string Explain(InstructionVerdict verdict, bool completes);

    /// <summary>Name in Robin and Irvine's list.</summary>
    string? Literature(string instruction);

    /// <summary>How each technique deals with a sensitive or privileged instruction.</summary>
    /// <param name="verdict">What was found.</param>
    /// <param name="forms">Numbers of its forms.</param>
    IReadOnlyList<Treatment> Treatments(InstructionVerdict verdict, IReadOnlyList<int> forms);
}
