using Iced.Intel;
using Ringfence.Processors.Instructions;

namespace Ringfence.Processors.Sensitive;

/// <summary>HLT, INVLPG, INVD, WBINVD, RDTSC, RDTSCP, RDPMC, CPUID, RDMSR, WRMSR.</summary>
internal static unsafe class MachineInstructions
{
    /// <summary>The handler, or null.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Hlt: return Ends(op, &Halt);
            case Mnemonic.Invlpg: return Ends(op, &InvalidatePage<TAddressing>);
            case Mnemonic.Invd or Mnemonic.Wbinvd or Mnemonic.Wbnoinvd: return &WriteBackCaches;
            case Mnemonic.Rdtsc: return &ReadTimestamp;
            case Mnemonic.Rdtscp: return &ReadTimestampAndProcessor;
            case Mnemonic.Rdpmc: return Ends(op, &ReadPerformanceCounter);
            case Mnemonic.Cpuid: return &Identify;
            case Mnemonic.Rdmsr: return &ReadModelSpecific;
            case Mnemonic.Wrmsr: return Ends(op, &WriteModelSpecific);
            default: return null;
        }
    }

    /// <summary>The time-stamp counter as this processor sees it.</summary>
    public static ulong Timestamp(Processor processor) => processor.Bus.TimestampCounter(processor) + processor.State->TscOffset;

    private static Handler Ends(Operation* op, Handler handler)
    {
        op->Flags |= OperationFlags.EndsBlock;
        return handler;
    }

    private static Operation* Halt(Processor processor, VcpuState* s, Operation* op)
    {
        if (s->Cpl != 0) return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        s->Activity = ActivityState.Halted;
        return Flow.Leave(s, op);
    }

    private static Operation* InvalidatePage<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (s->Cpl != 0) return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        ulong linear = Operand<TAddressing>.EffectiveAddress(s, op) + s->Segment((SegmentIndex)op->Segment).Base;
        processor.Mmu.FlushPage(TAddressing.IsLong ? linear : (uint)linear);
        return Flow.Leave(s, op);
    }

    private static Operation* WriteBackCaches(Processor processor, VcpuState* s, Operation* op)
    {
        if (s->Cpl != 0) return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        return Flow.Next(processor, s, op);
    }

    private static Operation* ReadTimestamp(Processor processor, VcpuState* s, Operation* op)
    {
        if (s->Cpl != 0 && s->HasCr4(Cr4.Tsd)) return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        ModelSpecificRegisters.SetPair(s, Timestamp(processor));
        return Flow.Next(processor, s, op);
    }

    private static Operation* ReadTimestampAndProcessor(Processor processor, VcpuState* s, Operation* op)
    {
        if (s->Cpl != 0 && s->HasCr4(Cr4.Tsd)) return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        ModelSpecificRegisters.SetPair(s, Timestamp(processor));
        s->Gpr[1] = (uint)s->TscAux;
        return Flow.Next(processor, s, op);
    }

    /// <summary>There are no performance counters (CPUID leaf 0Ah): every index is invalid.</summary>
    private static Operation* ReadPerformanceCounter(Processor processor, VcpuState* s, Operation* op) =>
        Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);

    private static Operation* Identify(Processor processor, VcpuState* s, Operation* op)
    {
        CpuidModel.Execute(processor);
        return Flow.Next(processor, s, op);
    }

    private static Operation* ReadModelSpecific(Processor processor, VcpuState* s, Operation* op)
    {
        if (s->Cpl != 0 || !TryRead(processor, s)) return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        return Flow.Next(processor, s, op);
    }

    private static bool TryRead(Processor processor, VcpuState* s)
    {
        if (!ModelSpecificRegisters.TryRead(processor, (uint)s->Gpr[1], out ulong value)) return false;
        ModelSpecificRegisters.SetPair(s, value);
        return true;
    }

    private static Operation* WriteModelSpecific(Processor processor, VcpuState* s, Operation* op)
    {
        ulong value = (uint)s->Gpr[0] | (s->Gpr[2] << 32);
        if (s->Cpl != 0 || !ModelSpecificRegisters.TryWrite(processor, (uint)s->Gpr[1], value))
            return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        return Flow.Leave(s, op);
    }
}
