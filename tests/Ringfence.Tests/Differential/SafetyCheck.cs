using Iced.Intel;

namespace Ringfence.Tests.Differential;

/// <summary>
/// Which addresses an instruction reaches from a state, by Iced's knowledge of its memory operands, explicit and implied;
/// refuses what lies outside the test's windows and the pages that fault.
/// </summary>
internal sealed unsafe class SafetyCheck(ulong mapBase, int bitness)
{
    private const long PageBytes = 0x1000;

    private static readonly (long Start, long End)[] Allowed =
    [
        (TestMap.Data - PageBytes, TestMap.Data),
        (TestMap.DataWindow, TestMap.DataWindow + TestMap.DataWindowBytes),
        (TestMap.EdgeWindow, TestMap.Edge + (3 * PageBytes)),
        (TestMap.ReadOnly - PageBytes, TestMap.ReadOnly + (2 * PageBytes)),
        (TestMap.Stack - PageBytes, TestMap.Stack),
        (TestMap.StackWindow, TestMap.StackWindow + TestMap.StackWindowBytes),
    ];

    private readonly InstructionInfoFactory _info = new();

    /// <summary>The value of a general register, or of a part of one.</summary>
    public static ulong RegisterValue(in CpuImage image, Register register)
    {
        if (register == Register.None) return 0;
        if (register is >= Register.AH and <= Register.BH) return (byte)(image.Gpr[register - Register.AH] >> 8);
        if (!register.IsGPR()) return 0;
        ulong value = image.Gpr[register.GetFullRegister() - Register.RAX];
        return register.GetSize() switch
        {
            1 => (byte)value,
            2 => (ushort)value,
            4 => (uint)value,
            _ => value,
        };
    }

    /// <summary>Is every access inside the test's memory?</summary>
    public bool IsSafe(in Instruction instruction, in CpuImage image)
    {
        if (instruction.Mnemonic is Mnemonic.Lea or Mnemonic.Nop) return true;
        long cells = BitStringOffset(instruction, image);
        foreach (UsedMemory memory in _info.GetInfo(instruction).GetUsedMemory())
        {
            ulong address = AddressOf(memory, image);
            int size = Math.Max(1, memory.MemorySize.GetSize());
            if (!IsAllowed(address + (ulong)cells, size)) return false;
        }

        return true;
    }

    /// <summary>Where the explicit memory operand lies in <see cref="CpuImage.Memory"/>, or -1 if it is in no window.</summary>
    public int PlaceOfOperand(in Instruction instruction, in CpuImage image)
    {
        ulong address = instruction.MemoryDisplacement64;
        if (!instruction.IsIPRelativeMemoryOperand)
        {
            address += RegisterValue(image, instruction.MemoryBase)
                + (RegisterValue(image, instruction.MemoryIndex) * (ulong)instruction.MemoryIndexScale);
            Register sized = instruction.MemoryBase != Register.None ? instruction.MemoryBase : instruction.MemoryIndex;
            if (bitness == 32 || sized.GetSize() == 4) address = (uint)address;
        }

        return TestMap.ImageOffset((long)(address - mapBase));
    }

    /// <summary>Does an indirect branch or a return lead to where the test waits for it?</summary>
    public bool IsTargetSafe(TestInstruction test, in CpuImage image)
    {
        Instruction instruction = test.Decoded;
        int place;
        switch (instruction.FlowControl)
        {
            case FlowControl.IndirectBranch or FlowControl.IndirectCall when instruction.Op0Kind == OpKind.Register:
                return RegisterValue(image, instruction.Op0Register) == mapBase + test.BranchTarget;
            case FlowControl.IndirectBranch or FlowControl.IndirectCall:
                place = PlaceOfOperand(instruction, image);
                break;
            case FlowControl.Return:
                place = TestMap.ImageOffset((long)(image.Gpr[4] - mapBase));
                break;
            default:
                return true;
        }

        if (place < 0 || place + 8 > TestMap.WindowBytes) return false;
        fixed (byte* memory = image.Memory)
        {
            ulong target = bitness == 64 ? *(ulong*)(memory + place) : *(uint*)(memory + place);
            return target == mapBase + test.BranchTarget;
        }
    }

    /// <summary>How far a register's bit offset moves the operand (Intel SDM 2A BT). The register may be part of the address, too.</summary>
    private static long BitStringOffset(in Instruction instruction, in CpuImage image)
    {
        bool isBitString = instruction.Mnemonic is Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc
            && instruction.Op0Kind == OpKind.Memory && instruction.Op1Kind == OpKind.Register;
        if (!isBitString) return 0;
        ulong value = RegisterValue(image, instruction.Op1Register);
        return instruction.Op1Register.GetSize() switch
        {
            2 => (short)value >> 4 << 1,
            4 => (int)value >> 5 << 2,
            _ => (long)value >> 6 << 3,
        };
    }

    private static ulong AddressOf(in UsedMemory memory, in CpuImage image)
    {
        Register @base = memory.Base is Register.RIP or Register.EIP ? Register.None : memory.Base;
        ulong address = RegisterValue(image, @base) + (RegisterValue(image, memory.Index) * (ulong)memory.Scale) + memory.Displacement;
        return memory.AddressSize switch
        {
            CodeSize.Code16 => (ushort)address,
            CodeSize.Code32 => (uint)address,
            _ => address,
        };
    }

    private bool IsAllowed(ulong address, int size)
    {
        if (bitness == 32) address = (uint)address;
        long canonical = (long)(address << 16) >> 16;
        long last = (long)((address + (ulong)size - 1) << 16) >> 16;
        if (bitness == 64 && (ulong)canonical != address && (ulong)last != address + (ulong)size - 1) return true;
        long offset = (long)(address - mapBase);
        foreach ((long start, long end) in Allowed)
            if (offset >= start && offset + size <= end) return true;
        return false;
    }
}
