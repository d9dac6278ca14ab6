namespace Ringfence.Virtualizability;

/// <summary>Operands for a form: what the program's registers and memory hold before it.</summary>
/// <param name="Name">What is special about them.</param>
/// <param name="Assembler">The instruction in assembler.</param>
/// <param name="Bytes">Its bytes, in hexadecimal.</param>
public sealed record OperandScenario(string Name, string Assembler, string Bytes);
