using System.Runtime.CompilerServices;

namespace Ringfence.Processors.Instructions;

/// <summary>The ways out of a handler.</summary>
internal static unsafe class Flow
{
    /// <summary>Completed: continue with the following operation of the block. Must be the handler's return expression.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Operation* Next(Processor processor, VcpuState* s, Operation* op)
    {
        op++;
        return op->Execute(processor, s, op);
    }

    /// <summary>
    /// A fault was raised (<see cref="Processor.RaiseFault(ExceptionVector)"/> or a failed memory access): leaves with RIP at this
    /// instruction and the instruction not counted.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static Operation* Fault(VcpuState* s, Operation* op)
    {
        s->InstructionCount += (ulong)op->Count - 1;
        s->Rip = InstructionPointer(s, op);
        return null;
    }

    /// <summary>Raises <paramref name="vector"/> without error code, then as <see cref="Fault(VcpuState*, Operation*)"/>.</summary>
    public static Operation* Fault(Processor processor, VcpuState* s, Operation* op, ExceptionVector vector)
    {
        processor.RaiseFault(vector);
        return Fault(s, op);
    }

    /// <summary>Raises <paramref name="vector"/> with an error code, then as <see cref="Fault(VcpuState*, Operation*)"/>.</summary>
    public static Operation* Fault(Processor processor, VcpuState* s, Operation* op, ExceptionVector vector, uint errorCode)
    {
        processor.RaiseFault(vector, errorCode);
        return Fault(s, op);
    }

    /// <summary>
    /// Completed, and the block ends here because the instruction may have changed what follows (mode, privilege,
    /// mappings, interrupts): leaves with RIP behind this instruction.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static Operation* Leave(VcpuState* s, Operation* op)
    {
        s->InstructionCount += op->Count;
        s->Rip = NextInstructionPointer(s, op);
        return null;
    }

    /// <summary>
    /// Completed with the handler having set <see cref="VcpuState.Rip"/> itself (far transfers, IRET, SYSCALL): leaves.
    /// The handler reads <see cref="NextInstructionPointer"/> before it changes CS or RIP.
    /// </summary>
    public static Operation* Transferred(VcpuState* s, Operation* op)
    {
        s->InstructionCount += op->Count;
        return null;
    }

    /// <summary>
    /// Not completed: leaves with RIP still at this instruction, which will be executed again (a string instruction
    /// between two iterations, so that interrupts are taken).
    /// </summary>
    public static Operation* Repeat(VcpuState* s, Operation* op)
    {
        s->InstructionCount += op->Count;
        s->Rip = InstructionPointer(s, op);
        return null;
    }

    /// <summary>RIP of this instruction.</summary>
    public static ulong InstructionPointer(VcpuState* s, Operation* op) =>
        Mask(s, s->Gpr[VcpuState.PageSlot] + op->PageOffset);

    /// <summary>RIP of the instruction behind this one.</summary>
    public static ulong NextInstructionPointer(VcpuState* s, Operation* op) =>
        Mask(s, s->Gpr[VcpuState.PageSlot] + op->PageOffset + op->Length);

    private static ulong Mask(VcpuState* s, ulong rip) => s->Mode == ProcessorMode.Long ? rip : (uint)rip;
}
