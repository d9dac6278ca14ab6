using Iced.Intel;
using Ringfence.Processors.Exits;
using Ringfence.Processors.Instructions;

namespace Ringfence.Processors.Sensitive;

/// <summary>The instructions that change or expose privileged state: the one definition, for every engine.</summary>
internal static unsafe class SensitiveInstructions
{
    private static readonly ExitReason[] Reasons = [.. Enum.GetValues<Code>().Select(ReasonOf)];

    /// <summary>The handler of a sensitive instruction, or null if it is none. It accounts for the exit that it is.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing
    {
        op->Definition = SelectDefinition<TAddressing>(instruction, op);
        if (op->Definition is null) return null;
        op->Flags |= OperationFlags.Sensitive;
        return &Execute;
    }

    private static Handler SelectDefinition<TAddressing>(in Instruction instruction, Operation* op)
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

    /// <summary>Behind the operation stands one that returns (the end of its block, or a boundary): the handler comes back here.</summary>
    private static Operation* Execute(Processor processor, VcpuState* s, Operation* op)
    {
        ExitStatistics exits = processor.Exits;
        exits.Enter(Reasons[op->Code]);
        exits.SensitiveInstructions[op->Code]++;
        if (exits.IsTimed)
        {
            exits.At(Flow.InstructionPointer(s, op));
            exits.Describe(op->Code);
        }

        Operation* next = op->Definition(processor, s, op);
        exits.Leave(counts: s->FaultPending == 0);
        return next;
    }

    private static ExitReason ReasonOf(Code code) => code.Mnemonic() switch
    {
        Mnemonic.In or Mnemonic.Out or Mnemonic.Insb or Mnemonic.Insw or Mnemonic.Insd
            or Mnemonic.Outsb or Mnemonic.Outsw or Mnemonic.Outsd => ExitReason.PortIo,
        Mnemonic.Hlt => ExitReason.Halt,
        Mnemonic.Int or Mnemonic.Int3 or Mnemonic.Int1 or Mnemonic.Into => ExitReason.Exception,
        _ => ExitReason.PrivilegedInstruction,
    };
}
