using Ringfence.Virtualizability;

namespace Ringfence.Tests.Virtualizability;

/// <summary>
/// A machine of the third generation as Popek and Goldberg (1974) define it: supervisor and user mode, a relocation-bounds register through which
/// every address goes, a program counter, two accumulators, one device. Mode, program counter and relocation-bounds register are the
/// program status word. What addresses memory outside the bounds is a memory trap, which says nothing about an instruction.
/// </summary>
/// <param name="returnToUserTraps">
/// RTU, which jumps and enters user mode, traps there. Otherwise user mode executes it as a jump: what the paper says of the PDP-10's JRST 1.
/// </param>
internal sealed class ThirdGenerationMachine(bool returnToUserTraps = true) : IMachineModel
{
    private const int Words = 128;
    private const int Bound = 16;
    private const int Operand = 5;
    private const int PrivilegedTrap = 1;
    private const int Visible = 3 + Bound;

    private enum Instruction
    {
        Load, Store, Add, Subtract, Jump, JumpIfZero, ReturnToUser, LoadStatus, StoreStatus, LoadRelocation, Input, Output, Halt,
    }

    public string Name => "third-generation machine";

    public string Mode => returnToUserTraps ? "as in the paper" : "with RTU as the PDP-10's JRST 1";

    public IReadOnlyList<string> Assumptions => [];

    public IReadOnlyList<MachineElement> Elements { get; } =
    [
        new("A", ElementClass.Program, "A"), new("B", ElementClass.Program, "B"), new("P", ElementClass.Program, "P"),
        .. Enumerable.Range(0, Bound).Select(i => new MachineElement($"memory {i}", ElementClass.Program, "memory")),
        new("M", ElementClass.Mode, "M"), new("R base", ElementClass.Protection, "R"), new("R bound", ElementClass.Protection, "R"),
        new("device", ElementClass.InputOutput, "device"), new("running", ElementClass.InputOutput, "running"),
    ];

    public IReadOnlyList<MachineEnvironment> Environments { get; } =
        [new("supervisor", false), new("user", true), new("supervisor, relocated", false), new("user, relocated", true), new("supervisor, device ready", false), new("user, device ready", true)];

    public IReadOnlyList<EnvironmentPair> Pairs { get; } =
    [
        new(0, 1, ElementClass.Mode, "M"), new(2, 3, ElementClass.Mode, "M"), new(4, 5, ElementClass.Mode, "M"),
        new(1, 3, ElementClass.Protection, "R"), new(0, 2, ElementClass.Protection, "R"),
        new(1, 5, ElementClass.InputOutput, "device"), new(0, 4, ElementClass.InputOutput, "device"),
    ];

    public IReadOnlyList<InstructionForm> Forms { get; } = [.. Enum.GetNames<Instruction>().Select(n => new InstructionForm(n, $"{n} address"))];

    public IReadOnlyList<OperandScenario> Scenarios(int form) =>
        [new("A is 7", Forms[form].Notation, $"{form:x2}07"), new("A is 0", Forms[form].Notation, $"{form:x2}00")];

    public int Execute(int form, int scenario, int environment, Span<ulong> before, Span<ulong> after)
    {
        var s = new State(IsUser: environment % 2 == 1, Base: environment is 2 or 3 ? 64UL : 16, Device: environment >= 4 ? 2UL : 1) { A = scenario == 0 ? 7UL : 0 };
        for (ulong i = 0; i < Bound; i++) s.Memory[s.Base + i] = 100 + i;
        s.Read(before);
        if (!TryStep((Instruction)form, s)) return PrivilegedTrap;
        s.Read(after);
        return -1;
    }

    public string TrapName(int trap) => "privileged instruction";

    private bool TryStep(Instruction instruction, State s)
    {
        bool isPrivileged = instruction > Instruction.ReturnToUser || (instruction == Instruction.ReturnToUser && returnToUserTraps);
        if (isPrivileged && s.IsUser) return false;
        ref ulong operand = ref s.Memory[s.Base + Operand];
        s.P++;
        switch (instruction)
        {
            case Instruction.Load: s.A = operand; break;
            case Instruction.Store: operand = s.A; break;
            case Instruction.Add: s.A += operand; break;
            case Instruction.Subtract: s.A -= operand; break;
            case Instruction.Jump: s.P = Operand; break;
            case Instruction.JumpIfZero: s.P = s.A == 0 ? Operand : s.P; break;
            case Instruction.StoreStatus: operand = (s.IsUser ? 1UL << 32 : 0) | (s.Base << 8) | s.P; break;
            case Instruction.LoadRelocation: (s.Base, s.Bound) = (48, 8); break;
            case Instruction.Input: s.A = s.Device; break;
            case Instruction.Output: s.Device = s.A + 10; break;
            case Instruction.Halt: s.IsRunning = false; break;
            case Instruction.ReturnToUser:
                s.P = Operand;
                s.IsUser = true;
                break;
            case Instruction.LoadStatus:
                s.P = 0;
                s.IsUser = true;
                s.Base = 48;
                break;
        }

        return true;
    }

    private sealed record State(bool IsUser, ulong Base, ulong Device)
    {
        public bool IsUser { get; set; } = IsUser;

        public ulong Base { get; set; } = Base;

        public ulong Bound { get; set; } = ThirdGenerationMachine.Bound;

        public ulong Device { get; set; } = Device;

        public bool IsRunning { get; set; } = true;

        public ulong A { get; set; }

        public ulong P { get; set; } = 2;

        public ulong[] Memory { get; } = new ulong[Words];

        /// <summary>The elements; memory as the program addresses it.</summary>
        public void Read(Span<ulong> values)
        {
            (values[0], values[1], values[2]) = (A, 0, P);
            Memory.AsSpan((int)Base, ThirdGenerationMachine.Bound).CopyTo(values[3..]);
            (values[Visible], values[Visible + 1], values[Visible + 2]) = (IsUser ? 1UL : 0, Base, Bound);
            (values[Visible + 3], values[Visible + 4]) = (Device, IsRunning ? 1UL : 0);
        }
    }
}
