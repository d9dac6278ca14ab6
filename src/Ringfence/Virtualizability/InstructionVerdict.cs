namespace Ringfence.Virtualizability;

/// <summary>What the experiments say about one instruction: the forms of a mnemonic that got the same answer.</summary>
public sealed record InstructionVerdict
{
    /// <summary>Name as in the manual, such as <c>SGDT</c> or <c>MOV</c>; with what tells it apart where forms of one mnemonic differ, such as <c>MOV from CR</c>.</summary>
    public required string Instruction { get; init; }

    /// <summary>The forms, in the manual's notation, such as <c>MOV r/m16, Sreg</c>.</summary>
    public required IReadOnlyList<string> Forms { get; init; }

    /// <summary>Of two states that differ in the mode only, it always traps in user mode; and in supervisor mode it does not in at least one such pair.</summary>
    public required bool IsPrivileged { get; init; }

    /// <summary>Changed the processor mode, the resource map or the state of I/O without trapping.</summary>
    public required bool IsControlSensitive { get; init; }

    /// <summary>What a program saw of its result depended on the mode, or on where the program or a privileged table lay.</summary>
    public required bool IsBehaviourSensitive { get; init; }

    /// <summary>Control or behaviour sensitive.</summary>
    public bool IsSensitive => IsControlSensitive || IsBehaviourSensitive;

    /// <summary>Sensitive and not privileged: what forbids a monitor by trap and emulate alone.</summary>
    public bool IsOffender => IsSensitive && !IsPrivileged;

    /// <summary>
    /// Which of Robin and Irvine's (2000) requirements on instructions an offender breaks: <c>3A</c> changes or shows the mode, <c>3B</c> sensitive registers or
    /// memory, <c>3C</c> protection, memory or relocation system, <c>3D</c> I/O. Derived from what differed; empty for others.
    /// </summary>
    public required string Rule { get; init; }

    /// <summary>Registers and memory that were changed or shown, such as <c>GDTR</c>.</summary>
    public required IReadOnlyList<string> Touches { get; init; }

    /// <summary>One or two sentences for people.</summary>
    public required string Explanation { get; init; }

    /// <summary>The name under which Robin and Irvine list it; null if they do not.</summary>
    public string? Literature { get; init; }

    /// <summary>An experiment for each property that was found, at most a few.</summary>
    public required IReadOnlyList<Witness> Witnesses { get; init; }

    /// <summary>How each technique of this project deals with it; empty for innocuous instructions.</summary>
    public required IReadOnlyList<Treatment> Treatments { get; init; }

    /// <summary>What the host's processor did with it; null where that was not asked or cannot be.</summary>
    public HostObservation? Host { get; init; }
}
