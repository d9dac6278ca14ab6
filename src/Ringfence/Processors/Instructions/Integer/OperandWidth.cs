using Iced.Intel;

namespace Ringfence.Processors.Instructions.Integer;

/// <summary>Width of an instruction's first operand.</summary>
internal static class OperandWidth
{
    /// <summary>Bytes: 1, 2, 4 or 8 for integer instructions.</summary>
    public static int Of(in Instruction instruction) => Of(instruction, 0);

    /// <summary>Bytes of operand <paramref name="index"/>, a register or memory.</summary>
    public static int Of(in Instruction instruction, int index) => instruction.GetOpKind(index) == OpKind.Register
        ? instruction.GetOpRegister(index).GetSize()
        : instruction.MemorySize.GetSize();
}
