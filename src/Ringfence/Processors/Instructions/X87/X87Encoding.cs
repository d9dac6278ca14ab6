using Iced.Intel;
using IcedRegister = Iced.Intel.Register;

namespace Ringfence.Processors.Instructions.X87;

/// <summary>
/// The 11 bits of the last opcode register (Intel SDM 1 figure 8-8): the three low bits of the first opcode byte and the
/// ModRM byte, made again from the decoded instruction.
/// </summary>
internal static class X87Encoding
{
    /// <summary>Opcode bits 8 to 10, ModRM below.</summary>
    public static int FopOf(in Instruction instruction)
    {
        OpCodeInfo info = instruction.Code.ToOpCode();
        int opcode = (int)info.OpCode;
        if (info.OpCodeLength == 2)
        {
            // D8 to DF with a register: the ModRM byte is the opcode's second, and carries i.
            return (opcode + RegisterOf(instruction)) & 0x7ff;
        }

        return ((opcode & 7) << 8) | (info.GroupIndex << 3) | ModAndRm(instruction);
    }

    private static int RegisterOf(in Instruction instruction)
    {
        int number = 0;
        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) != OpKind.Register) continue;
            IcedRegister register = instruction.GetOpRegister(i);
            if (register is > IcedRegister.ST0 and <= IcedRegister.ST7) number = register - IcedRegister.ST0;
        }

        return number;
    }

    private static int ModAndRm(in Instruction instruction)
    {
        IcedRegister @base = instruction.MemoryBase;
        IcedRegister index = instruction.MemoryIndex;
        int mod = instruction.MemoryDisplSize switch
        {
            0 => 0,
            1 => 0x40,
            _ => @base == IcedRegister.None || instruction.IsIPRelativeMemoryOperand ? 0 : 0x80,
        };
        if (instruction.IsIPRelativeMemoryOperand) return 5;
        if (@base.GetSize() == 2 || index.GetSize() == 2 || (@base == IcedRegister.None && index == IcedRegister.None && instruction.MemoryDisplSize == 2))
        {
            return mod | (@base, index) switch
            {
                (IcedRegister.BX, IcedRegister.SI) => 0,
                (IcedRegister.BX, IcedRegister.DI) => 1,
                (IcedRegister.BP, IcedRegister.SI) => 2,
                (IcedRegister.BP, IcedRegister.DI) => 3,
                (IcedRegister.SI, _) => 4,
                (IcedRegister.DI, _) => 5,
                (IcedRegister.BX, _) => 7,
                _ => 6,
            };
        }

        if (index != IcedRegister.None) return mod | 4;
        if (@base == IcedRegister.None) return instruction.CodeSize == CodeSize.Code64 ? 4 : 5;
        return mod | (@base.GetNumber() & 7);
    }
}
