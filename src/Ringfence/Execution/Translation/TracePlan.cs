using Iced.Intel;
using Ringfence.Processors;

namespace Ringfence.Execution.Translation;

/// <summary>
/// Decides how the instructions of a trace access memory, and what must be checked before the trace is entered.
/// <para>
/// A register that only moves by constants inside the trace is checked once, before it: its slot then holds for every access at
/// small distance, and in a loop for every round, since each round accesses memory near it and the guards are wider than a round's step.
/// An index that is known to have 32 bits adds less than a guard. Whatever is loaded inside the trace is compared where it is used first.
/// </para>
/// </summary>
internal sealed unsafe class TracePlan
{
    private const int Registers = 16;
    private const long LargestStep = 1 << 24;
    private const ulong UserSlots = 256;

    private readonly VcpuState* _s;
    private readonly WindowMap _windows;
    private readonly Dictionary<ulong, int> _guesses;
    private readonly Func<int, bool> _isResident;
    private readonly InstructionInfoFactory _info = new();
    private readonly bool[] _entry = new bool[Registers];
    private readonly bool[] _top = new bool[Registers];
    private readonly bool[] _bounded = new bool[Registers];
    private readonly int[] _verified = new int[Registers];
    private readonly int[] _copyOf = new int[Registers];
    private readonly bool[] _canBound = new bool[Registers];

    public TracePlan(VcpuState* s, WindowMap windows, Dictionary<ulong, int> guesses, Func<int, bool> isResident)
    {
        _isResident = isResident;
        _s = s;
        _windows = windows;
        _guesses = guesses;
    }

    /// <summary>Registers whose slot is compared before the trace.</summary>
    public List<(int Register, int Window)> Bases { get; } = [];

    /// <summary>Sums of a base and a scaled index whose slot is compared before the trace.</summary>
    public List<(int Base, int Index, int Scale, int Window)> Sums { get; } = [];

    /// <summary>Registers that must hold 32-bit values before the trace.</summary>
    public List<int> Bounds { get; } = [];

    /// <summary>Windows that must show a slot.</summary>
    public List<(int Window, uint Slot)> Slots { get; } = [];

    /// <summary>Accesses through windows.</summary>
    public int WindowAccesses { get; private set; }

    /// <summary>Is the window used?</summary>
    public bool Uses(int window) => Bases.Exists(b => b.Window == window) || Sums.Exists(b => b.Window == window)
        || Slots.Exists(b => b.Window == window) || _used[window];

    private readonly bool[] _used = new bool[WindowMap.Count];

    /// <summary>Fills in the steps' accesses.</summary>
    public void Make(Span<TraceStep> steps, bool isLoop)
    {
        Array.Fill(_entry, true);
        Array.Fill(_top, true);
        Array.Fill(_verified, -1);
        Array.Fill(_copyOf, -1);
        foreach (ref TraceStep step in steps) Define(step.Instruction);
        for (int i = 0; i < Registers; i++) _canBound[i] = !isLoop || _top[i] || (_bounded[i] && !_entry[i]);
        if (!isLoop) Array.Fill(_entry, true);
        Array.Fill(_top, true);
        Array.Clear(_bounded);
        Array.Fill(_verified, -1);
        Array.Fill(_copyOf, -1);
        foreach (ref TraceStep step in steps)
        {
            Choose(ref step);
            if (step.Access != TraceAccess.Tlb)
            {
                WindowAccesses++;
                _used[step.Window] = true;
            }

            Define(step.Instruction);
        }
    }

    private static int Number(Register register) => register.IsGPR() ? register.GetFullRegister() - Register.RAX : -1;

    private void Choose(ref TraceStep step)
    {
        ref Instruction instruction = ref step.Instruction;
        step.Access = TraceAccess.Tlb;
        if (_guesses.TryGetValue(instruction.IP, out int guess) && guess >= WindowMap.Count) return;
        switch (step.Kind)
        {
            case TranslationKind.Push when instruction.Op0Kind != OpKind.Memory:
            case TranslationKind.CallIndirect when instruction.Op0Kind == OpKind.Register:
            case TranslationKind.Pop or TranslationKind.Call or TranslationKind.Return:
                ChooseBase(ref step, 4);
                return;
            case TranslationKind.Leave:
                ChooseBase(ref step, 5);
                return;
            case TranslationKind.Ident or TranslationKind.IdentThatFaults or TranslationKind.Simd or TranslationKind.X87:
                break;
            default:
                return;
        }

        int operand = -1;
        int residents = 0;
        for (int i = 0; i < instruction.OpCount; i++)
        {
            OpKind kind = instruction.GetOpKind(i);
            if (kind == OpKind.Memory) operand = i;
            else if (kind == OpKind.Register && instruction.GetOpRegister(i).IsGPR() && _isResident(Number(instruction.GetOpRegister(i)))) residents++;
        }

        if (operand < 0 || instruction.MemorySegment is Register.FS or Register.GS) return;
        if (instruction.MemoryBase.IsGPR32() || instruction.MemoryIndex.IsGPR32()) return;
        int @base = Number(instruction.MemoryBase);
        int index = Number(instruction.MemoryIndex);
        if (instruction.IsIPRelativeMemoryOperand || (@base < 0 && index < 0))
        {
            if (residents <= 1) ChooseConstant(ref step, instruction.IsIPRelativeMemoryOperand ? instruction.IPRelativeMemoryAddress : instruction.MemoryDisplacement64);
            return;
        }

        bool addressNeedsScratch = index >= 0 || _isResident(@base);
        if (residents > (addressNeedsScratch ? 1 : 2) || (@base >= 0 && index >= 0 && _isResident(@base) && _isResident(index))) return;
        if (index < 0)
        {
            ChooseBase(ref step, @base);
        }
        else if (@base < 0)
        {
            if (IsBounded(index)) ChooseConstant(ref step, instruction.MemoryDisplacement64);
        }
        else if (IsBounded(index))
        {
            ChooseBase(ref step, @base);
        }
        else if (instruction.MemoryIndexScale == 1 && IsBounded(@base))
        {
            ChooseBase(ref step, index);
        }
        else if (_entry[@base] && _entry[index])
        {
            ulong sum = _s->Gpr[@base] + (_s->Gpr[index] * (ulong)instruction.MemoryIndexScale);
            int window = WindowFor(sum);
            if (window < 0) return;
            step.Access = TraceAccess.Window;
            step.Window = window;
            if (!Sums.Contains((@base, index, instruction.MemoryIndexScale, window))) Sums.Add((@base, index, instruction.MemoryIndexScale, window));
        }
    }

    private void ChooseConstant(ref TraceStep step, ulong address)
    {
        int window = WindowFor(address);
        if (window < 0) return;
        step.Access = TraceAccess.Window;
        step.Window = window;
        var slot = (window, (uint)(address >> WindowMap.SlotShift));
        if (!Slots.Contains(slot)) Slots.Add(slot);
    }

    private void ChooseBase(ref TraceStep step, int register)
    {
        int origin = _entry[register] ? register : _copyOf[register];
        if (origin >= 0)
        {
            int window = WindowFor(_s->Gpr[origin]);
            if (window < 0) return;
            step.Access = TraceAccess.Window;
            step.Window = window;
            if (!Bases.Contains((origin, window))) Bases.Add((origin, window));
            return;
        }

        if (_verified[register] >= 0)
        {
            step.Access = TraceAccess.Window;
            step.Window = _verified[register];
            return;
        }

        // Only a plain base can be compared where it is used: the comparison says nothing about a sum.
        int guess = _guesses.TryGetValue(step.Instruction.IP, out int known) ? known : DefaultGuess();
        if (guess is < 0 or >= WindowMap.Count || _s->Native.WindowSlot[guess] == uint.MaxValue) return;
        step.Access = TraceAccess.CheckedWindow;
        step.Window = guess;
        step.Register = register;
        _verified[register] = guess;
    }

    private int DefaultGuess() => _s->Native.WindowSlot[1] != uint.MaxValue ? 1 : 0;

    /// <summary>The window that shows an address, assigned if there is a free one; -1 if none can.</summary>
    private int WindowFor(ulong address)
    {
        ulong slot = address >> WindowMap.SlotShift;
        if (slot >= UserSlots) return -1;
        int window = _windows.WindowOf(slot);
        if (window >= 0) return window;
        window = slot == UserSlots - 1 ? 1 : 0;
        if (Uses(window)) return -1;
        _windows.Assign(window, (uint)slot);
        return window;
    }

    private bool IsBounded(int register)
    {
        if (_bounded[register]) return true;
        if (!_top[register] || !_canBound[register] || _s->Gpr[register] > uint.MaxValue) return false;
        if (!Bounds.Contains(register)) Bounds.Add(register);
        return true;
    }

    /// <summary>Follows what an instruction does to the registers.</summary>
    private void Define(in Instruction instruction)
    {
        int moved = MovedByConstant(instruction);
        foreach (UsedRegister used in _info.GetInfo(instruction, InstructionInfoOptions.NoMemoryUsage).GetUsedRegisters())
        {
            if (!used.Register.IsGPR() || used.Access is OpAccess.Read or OpAccess.CondRead or OpAccess.None or OpAccess.NoMemAccess) continue;
            int number = Number(used.Register);
            bool isStack = number == 4 && instruction.IsStackInstruction && instruction.Mnemonic is not (Mnemonic.Leave or Mnemonic.Enter)
                && !(instruction.Mnemonic == Mnemonic.Pop && instruction.Op0Register == Register.RSP);
            if (number == moved || isStack)
            {
                _top[number] = false;
                continue;
            }

            int source = SourceOfCopy(instruction, number);
            int verified = source < 0 ? -1 : _verified[source];
            int copied = source < 0 ? -1 : _entry[source] ? source : _copyOf[source];
            bool bounded = source >= 0 && instruction.Mnemonic == Mnemonic.Mov && _bounded[source];
            _entry[number] = false;
            _top[number] = false;
            _verified[number] = verified;
            _copyOf[number] = copied;
            _bounded[number] = bounded || IsBoundedResult(instruction, number);
        }
    }

    /// <summary>The register whose value, give or take a small constant, the instruction copies; -1 if none.</summary>
    private static int SourceOfCopy(in Instruction instruction, int target)
    {
        if (instruction.OpCount != 2 || instruction.Op0Kind != OpKind.Register || !instruction.Op0Register.IsGPR64()) return -1;
        if (Number(instruction.Op0Register) != target) return -1;
        return instruction.Mnemonic switch
        {
            Mnemonic.Mov when instruction.Op1Kind == OpKind.Register => Number(instruction.Op1Register),
            Mnemonic.Lea when instruction.MemoryIndex == Register.None && instruction.MemoryBase.IsGPR64()
                && Math.Abs((long)instruction.MemoryDisplacement64) <= LargestStep => Number(instruction.MemoryBase),
            _ => -1,
        };
    }

    /// <summary>The register that the instruction moves by a small constant; -1 if none.</summary>
    private static int MovedByConstant(in Instruction instruction)
    {
        if (instruction.OpCount == 0 || instruction.Op0Kind != OpKind.Register || !instruction.Op0Register.IsGPR64()) return -1;
        int number = Number(instruction.Op0Register);
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Inc or Mnemonic.Dec:
                return number;
            case Mnemonic.Add or Mnemonic.Sub when instruction.Op1Kind is OpKind.Immediate8to64 or OpKind.Immediate32to64:
                return Math.Abs((long)instruction.GetImmediate(1)) <= LargestStep ? number : -1;
            case Mnemonic.Lea when instruction.MemoryBase == instruction.Op0Register && instruction.MemoryIndex == Register.None:
                return Math.Abs((long)instruction.MemoryDisplacement64) <= LargestStep ? number : -1;
            default:
                return -1;
        }
    }

    /// <summary>Has the result 32 bits or less, zero- or sign-extended?</summary>
    private static bool IsBoundedResult(in Instruction instruction, int number)
    {
        if (instruction.Mnemonic == Mnemonic.Cdqe) return number == 0;
        if (instruction.OpCount == 0 || instruction.Op0Kind != OpKind.Register || Number(instruction.Op0Register) != number) return false;
        if (instruction.Op0Register.IsGPR32()) return instruction.Mnemonic is not (Mnemonic.Xchg or Mnemonic.Xadd or Mnemonic.Cmpxchg);
        return instruction.Mnemonic is Mnemonic.Movzx or Mnemonic.Movsx or Mnemonic.Movsxd;
    }
}
