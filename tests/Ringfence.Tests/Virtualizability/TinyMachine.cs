using Ringfence.Virtualizability;

namespace Ringfence.Tests.Virtualizability;

/// <summary>
/// A machine of one instruction, given as a function. Its elements: a register of the program's, then the mode, a sensitive register, a base and a device.
/// Environments: supervisor and user, and both again with the sensitive register changed.
/// </summary>
/// <param name="step">Changes the elements and returns the number of its trap, or -1.</param>
internal sealed class TinyMachine(TinyMachine.Step step) : IMachineModel
{
    public const int Register = 0, Mode = 1, Sensitive = 2, Base = 3, Device = 4;

    public delegate int Step(ulong[] elements);

    public string Name => "tiny machine";

    string IMachineModel.Mode => "only mode";

    public IReadOnlyList<string> Assumptions => [];

    public IReadOnlyList<MachineElement> Elements { get; } =
    [
        new("register", ElementClass.Program, "register"), new("mode", ElementClass.Mode, "mode"), new("sensitive", ElementClass.SensitiveRegister, "sensitive"),
        new("base", ElementClass.Protection, "base"), new("device", ElementClass.InputOutput, "device"),
    ];

    public IReadOnlyList<MachineEnvironment> Environments { get; init; } =
        [new("supervisor", false), new("user", true), new("supervisor, changed", false), new("user, changed", true)];

    public IReadOnlyList<EnvironmentPair> Pairs { get; init; } =
    [
        new(0, 1, ElementClass.Mode, "mode"), new(2, 3, ElementClass.Mode, "mode"),
        new(1, 3, ElementClass.SensitiveRegister, "sensitive"), new(0, 2, ElementClass.SensitiveRegister, "sensitive"),
    ];

    public IReadOnlyList<InstructionForm> Forms { get; } = [new("THE INSTRUCTION", "THE INSTRUCTION")];

    public IReadOnlyList<OperandScenario> Scenarios(int form) => [new("only", "the instruction", "00")];

    public int Execute(int form, int scenario, int environment, Span<ulong> before, Span<ulong> after)
    {
        ulong[] elements = [5, (ulong)environment & 1, environment >= 2 ? 7UL : 3, 0x1000, 0];
        elements.CopyTo(before);
        int trap = step(elements);
        elements.CopyTo(after);
        return trap;
    }

    public string TrapName(int trap) => $"trap {trap}";
}
