using Iced.Intel;
using Ringfence.Processors.Instructions.Integer;
using Ringfence.Processors.Instructions.Simd;
using Ringfence.Processors.Instructions.X87;
using Ringfence.Processors.Sensitive;

namespace Ringfence.Processors.Instructions;

/// <summary>
/// The one table from decoded instructions to handlers: every family is asked in turn. A null means the
/// instruction is not implemented; the decoder then installs a handler that raises #UD and counts it.
/// </summary>
internal static unsafe class InstructionTable
{
    /// <summary>
    /// The handler of an instruction. <paramref name="op"/>'s operand fields are filled already (see <see cref="Operation"/>);
    /// a family may refine them.
    /// </summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing
    {
        Handler handler = BinaryInstructions.Select<TAddressing>(instruction);
        if (handler is null) handler = MoveInstructions.Select<TAddressing>(instruction, op);
        if (handler is null) handler = ControlTransferInstructions.Select<TAddressing>(instruction, op);
        if (handler is null) handler = StackInstructions.Select<TAddressing>(instruction, op);
        if (handler is null) handler = UnaryInstructions.Select<TAddressing>(instruction);
        if (handler is null) handler = ShiftInstructions.Select<TAddressing>(instruction);
        if (handler is null) handler = BitInstructions.Select<TAddressing>(instruction);
        if (handler is null) handler = MultiplyDivideInstructions.Select<TAddressing>(instruction);
        if (handler is null) handler = StringInstructions.Select<TAddressing>(instruction, op);
        if (handler is null) handler = ExchangeInstructions.Select<TAddressing>(instruction, op);
        if (handler is null) handler = MiscellaneousInstructions.Select<TAddressing>(instruction);
        if (handler is null) handler = DecimalInstructions.Select(instruction);
        if (handler is null) handler = SensitiveInstructions.Select<TAddressing>(instruction, op);
        if (handler is null) handler = SimdInstructions.Select<TAddressing>(instruction, op);
        if (handler is null) handler = X87Instructions.Select<TAddressing>(instruction, op);
        return handler;
    }
}
