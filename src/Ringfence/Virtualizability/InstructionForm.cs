namespace Ringfence.Virtualizability;

/// <summary>One form of an instruction.</summary>
/// <param name="Instruction">The instruction, by which forms are reported together, such as <c>MOV from Sreg</c>.</param>
/// <param name="Notation">The form in the manual's notation, such as <c>MOV r/m16, Sreg</c>.</param>
public sealed record InstructionForm(string Instruction, string Notation);
