using Iced.Intel;
using Ringfence.Processors.Instructions;

namespace Ringfence.Processors.Sensitive;

/// <summary>The instructions that change or expose privileged state: the one definition, for every engine.</summary>
internal static unsafe class SensitiveInstructions
{
    /// <summary>The handler of a sensitive instruction, or null if it is none.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing
    {
        Handler handler = SegmentInstructions.Select<TAddressing>(instruction, op);
        if (handler is null) handler = InterruptInstructions.Select<TAddressing>(instruction, op);
        if (handler is null) handler = FlagInstructions.Select<TAddressing>(instruction, op);
        if (handler is null) handler = PortInstructions.Select<TAddressing>(instruction, op);
        if (handler is null) handler = MachineInstructions.Select<TAddressing>(instruction, op);
        if (handler is null) handler = ControlRegisters.Select<TAddressing>(instruction, op);
        if (handler is null) handler = DebugRegisters.Select<TAddressing>(instruction, op);
        if (handler is null) handler = SystemCalls.Select<TAddressing>(instruction, op);
        if (handler is null) handler = DescriptorTableRegisters.Select<TAddressing>(instruction, op);
        if (handler is null) handler = SelectorQueries.Select<TAddressing>(instruction, op);
        return handler;
    }
}
