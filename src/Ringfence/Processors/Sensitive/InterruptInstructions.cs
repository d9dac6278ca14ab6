using Iced.Intel;
using Ringfence.Processors.Instructions;

namespace Ringfence.Processors.Sensitive;

/// <summary>INT n, INT3, INT1, INTO, IRET, far JMP, CALL and RET, UD0 to UD2.</summary>
internal static unsafe class InterruptInstructions
{
    /// <summary>The handler, or null.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing
    {
        bool isMemory = instruction.Op0Kind == OpKind.Memory;
        Handler handler = instruction.Mnemonic switch
        {
            Mnemonic.Int => &Int,
            Mnemonic.Int3 => &Int3,
            Mnemonic.Int1 => &Int1,
            Mnemonic.Into => &Into,
            Mnemonic.Iret or Mnemonic.Iretd or Mnemonic.Iretq => &InterruptReturnFrom,
            Mnemonic.Retf => &ReturnFar,
            Mnemonic.Jmp when instruction.IsJmpFar => &JumpFar,
            Mnemonic.Call when instruction.IsCallFar => &CallFar,
            Mnemonic.Jmp when instruction.IsJmpFarIndirect && isMemory => &JumpFarIndirect<TAddressing>,
            Mnemonic.Call when instruction.IsCallFarIndirect && isMemory => &CallFarIndirect<TAddressing>,
            Mnemonic.Ud0 or Mnemonic.Ud1 or Mnemonic.Ud2 or Mnemonic.Rsm or Mnemonic.Monitor or Mnemonic.Mwait => &Undefined,
            _ => null,
        };
        if (handler != null) op->Flags |= OperationFlags.EndsBlock;
        return handler;
    }

    private static Operation* Finish(bool done, VcpuState* s, Operation* op) => done ? Flow.Transferred(s, op) : Flow.Fault(s, op);

    private static Operation* Int(Processor processor, VcpuState* s, Operation* op) => Finish(
        EventDelivery.TryDeliverSoftware(processor, (byte)op->Immediate, EventKind.SoftwareInterrupt, Flow.NextInstructionPointer(s, op)), s, op);

    private static Operation* Int3(Processor processor, VcpuState* s, Operation* op) => Finish(
        EventDelivery.TryDeliverSoftware(processor, 3, EventKind.SoftwareException, Flow.NextInstructionPointer(s, op)), s, op);

    private static Operation* Int1(Processor processor, VcpuState* s, Operation* op) => Finish(
        EventDelivery.TryDeliverSoftware(processor, 1, EventKind.PrivilegedSoftwareException, Flow.NextInstructionPointer(s, op)), s, op);

    private static Operation* Into(Processor processor, VcpuState* s, Operation* op)
    {
        if (!StatusFlags.Overflow(s)) return Flow.Leave(s, op);
        return Finish(EventDelivery.TryDeliverSoftware(processor, 4, EventKind.SoftwareException, Flow.NextInstructionPointer(s, op)), s, op);
    }

    private static Operation* InterruptReturnFrom(Processor processor, VcpuState* s, Operation* op) =>
        Finish(InterruptReturn.TryReturn(processor, op->OperandSize, Flow.NextInstructionPointer(s, op)), s, op);

    private static Operation* ReturnFar(Processor processor, VcpuState* s, Operation* op) =>
        Finish(FarTransfer.TryReturn(processor, op->OperandSize, (ushort)op->Immediate), s, op);

    private static Operation* JumpFar(Processor processor, VcpuState* s, Operation* op)
    {
        ulong offset = op->OperandSize == 2 ? (ushort)op->Immediate : (uint)op->Immediate;
        return Finish(FarTransfer.TryJump(processor, (ushort)op->Displacement, offset, Flow.NextInstructionPointer(s, op)), s, op);
    }

    private static Operation* CallFar(Processor processor, VcpuState* s, Operation* op)
    {
        ulong offset = op->OperandSize == 2 ? (ushort)op->Immediate : (uint)op->Immediate;
        return Finish(FarTransfer.TryCall(processor, (ushort)op->Displacement, offset, op->OperandSize, Flow.NextInstructionPointer(s, op)), s, op);
    }

    private static Operation* JumpFarIndirect<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (!FarPointer<TAddressing>.TryRead(processor, s, op, out ulong offset, out ushort selector)) return Flow.Fault(s, op);
        return Finish(FarTransfer.TryJump(processor, selector, offset, Flow.NextInstructionPointer(s, op)), s, op);
    }

    private static Operation* CallFarIndirect<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (!FarPointer<TAddressing>.TryRead(processor, s, op, out ulong offset, out ushort selector)) return Flow.Fault(s, op);
        return Finish(FarTransfer.TryCall(processor, selector, offset, op->OperandSize, Flow.NextInstructionPointer(s, op)), s, op);
    }

    private static Operation* Undefined(Processor processor, VcpuState* s, Operation* op) =>
        Flow.Fault(processor, s, op, ExceptionVector.InvalidOpcode);
}

/// <summary>Reads a far pointer (offset, then selector) from memory.</summary>
internal static unsafe class FarPointer<TAddressing>
    where TAddressing : struct, IAddressing
{
    /// <summary>Reads the memory operand as m16:16, m16:32 or m16:64 by the operand size. False: a fault was raised.</summary>
    public static bool TryRead(Processor processor, VcpuState* s, Operation* op, out ulong offset, out ushort selector)
    {
        ulong address = Operand<TAddressing>.EffectiveAddress(s, op);
        selector = 0;
        bool ok;
        switch (op->OperandSize)
        {
            case 2:
                ok = Operand<TAddressing>.TryReadAt(processor, s, op->Segment, address, out ushort narrow);
                offset = narrow;
                break;
            case 4:
                ok = Operand<TAddressing>.TryReadAt(processor, s, op->Segment, address, out uint wide);
                offset = wide;
                break;
            default:
                ok = Operand<TAddressing>.TryReadAt(processor, s, op->Segment, address, out offset);
                break;
        }

        return ok && Operand<TAddressing>.TryReadAt(processor, s, op->Segment, (address + op->OperandSize) & op->AddressMask, out selector);
    }
}
