using Iced.Intel;

namespace Ringfence.Virtualizability.Model;

/// <summary>A form of an instruction, and what it is tried with.</summary>
/// <param name="Code">Iced's code.</param>
/// <param name="Form">How it is reported.</param>
/// <param name="States">Its operands.</param>
/// <param name="Scenarios">The same, for reports.</param>
internal sealed record ModelForm(Code Code, InstructionForm Form, IReadOnlyList<OperandState> States, IReadOnlyList<OperandScenario> Scenarios);
