namespace Ringfence.Virtualizability;

/// <summary>
/// A machine whose instructions can be tried: what <see cref="SensitivityClassifier"/> needs to know of it. Everything is numbered; an
/// experiment is a form, a scenario of its operands and an environment. The same numbers always give the same result.
/// </summary>
public interface IMachineModel
{
    /// <summary>Name of the machine.</summary>
    string Name { get; }

    /// <summary>What of it is looked at, such as <c>32-bit protected mode</c>.</summary>
    string Mode { get; }

    /// <summary>What a monitor may choose and the environments have in common; a sentence each.</summary>
    IReadOnlyList<string> Assumptions { get; }

    /// <summary>The parts of its state. Those of class <see cref="ElementClass.Program"/> stand first.</summary>
    IReadOnlyList<MachineElement> Elements { get; }

    /// <summary>The environments.</summary>
    IReadOnlyList<MachineEnvironment> Environments { get; }

    /// <summary>The pairs of environments that are compared. The order is that in which witnesses are looked for: the simplest first.</summary>
    IReadOnlyList<EnvironmentPair> Pairs { get; }

    /// <summary>The forms of instructions.</summary>
    IReadOnlyList<InstructionForm> Forms { get; }

    /// <summary>The operands a form is tried with, the plainest first.</summary>
    IReadOnlyList<OperandScenario> Scenarios(int form);

    /// <summary>Executes one instruction.</summary>
    /// <param name="form">Which.</param>
    /// <param name="scenario">With which operands.</param>
    /// <param name="environment">Where.</param>
    /// <param name="before">Receives the elements before it, relative to where the program lies.</param>
    /// <param name="after">Receives the elements after it; undefined if it trapped.</param>
    /// <returns>Number of the trap, or -1: it completed.</returns>
    int Execute(int form, int scenario, int environment, Span<ulong> before, Span<ulong> after);

    /// <summary>Name of a trap, such as <c>#GP(0)</c>.</summary>
    string TrapName(int trap);
}
