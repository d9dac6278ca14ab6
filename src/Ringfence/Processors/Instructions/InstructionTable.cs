using Iced.Intel;
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
        Handler handler = SensitiveInstructions.Select<TAddressing>(instruction, op);
        if (handler is null) handler = SimdInstructions.Select<TAddressing>(instruction, op);
        if (handler is null) handler = X87Instructions.Select<TAddressing>(instruction, op);
        return handler;
    }
}
