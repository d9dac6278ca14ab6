namespace Ringfence.Virtualizability;

/// <summary>The property that a <see cref="Witness"/> shows.</summary>
public enum WitnessedProperty
{
    /// <summary>Trapped in user mode and not in supervisor mode.</summary>
    Privileged,

    /// <summary>Did not trap in user mode although it is sensitive: why it is not privileged.</summary>
    NotPrivileged,

    /// <summary>Changed privileged state without trapping.</summary>
    ControlSensitive,

    /// <summary>Two states that look alike to the program gave it different results.</summary>
    BehaviourSensitive,
}

/// <summary>An experiment that shows a property of an instruction, complete enough to be repeated.</summary>
public sealed record Witness
{
    /// <summary>What it shows.</summary>
    public required WitnessedProperty Property { get; init; }

    /// <summary>The instruction in assembler.</summary>
    public required string Assembler { get; init; }

    /// <summary>Its bytes, in hexadecimal.</summary>
    public required string Bytes { get; init; }

    /// <summary>Name of the operands it had: registers and memory before it.</summary>
    public required string Scenario { get; init; }

    /// <summary>The first state, such as <c>CPL 0, IOPL 0</c>.</summary>
    public required string First { get; init; }

    /// <summary>The second state; of a control-sensitive instruction the first state again, after it.</summary>
    public required string Second { get; init; }

    /// <summary>What differed, such as <c>GDTR base</c> or <c>memory</c>.</summary>
    public required string Element { get; init; }

    /// <summary>Its value, or the trap, in the first state.</summary>
    public required string FirstValue { get; init; }

    /// <summary>Its value, or the trap, in the second state.</summary>
    public required string SecondValue { get; init; }
}
