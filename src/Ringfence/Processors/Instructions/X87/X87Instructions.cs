using Iced.Intel;

namespace Ringfence.Processors.Instructions.X87;

/// <summary>
/// The x87 floating-point unit's instructions (Intel SDM 1 chapter 8). One of two handlers checks what comes first (#NM, then
/// a pending #MF) and calls the instruction's work, whose address stands in <see cref="Operation.Immediate"/>. The last-opcode
/// bits stand in <see cref="Operation.Source"/> (bits 8 to 10) and <see cref="Operation.Destination"/> (ModRM), so that
/// the number of a register operand ST(i) is <c>Destination &amp; 7</c>.
/// <para>
/// A pending unmasked exception raises #MF with CR0.NE = 0 too: the PC's FERR#, IRQ 13 and IGNNE# are not modelled.
/// </para>
/// </summary>
internal static unsafe partial class X87Instructions
{
    /// <summary>The handler of an x87 instruction, or null if it is none.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (instruction.Mnemonic == Mnemonic.Wait) return &Wait;
        delegate*<Processor, VcpuState*, Operation*, bool> work = ControlWork<TAddressing>(instruction);
        Handler handler = &RunAtOnce;
        if (work is null)
        {
            handler = &Run;
            work = instruction.MemorySize == MemorySize.Unknown ? RegisterWork(instruction) : MemoryWork<TAddressing>(instruction);
            if (work is null) return null;
        }

        int fop = X87Encoding.FopOf(instruction);
        op->Source = (byte)(fop >> 8);
        op->Destination = (byte)fop;
        op->Immediate = (ulong)work;
        return handler;
    }

    /// <summary>Waiting instructions.</summary>
    private static Operation* Run(Processor processor, VcpuState* s, Operation* op)
    {
        if ((s->Cr0 & (Cr0.Em | Cr0.Ts)) != 0 || (s->X87Status & X87Unit.ErrorSummary) != 0) return NotReady(processor, s, op);
        if (!((delegate*<Processor, VcpuState*, Operation*, bool>)op->Immediate)(processor, s, op)) return Flow.Fault(s, op);
        return Flow.Next(processor, s, op);
    }

    /// <summary>Instructions that do not wait for pending exceptions (FN...).</summary>
    private static Operation* RunAtOnce(Processor processor, VcpuState* s, Operation* op)
    {
        if ((s->Cr0 & (Cr0.Em | Cr0.Ts)) != 0) return NotReady(processor, s, op);
        if (!((delegate*<Processor, VcpuState*, Operation*, bool>)op->Immediate)(processor, s, op)) return Flow.Fault(s, op);
        return Flow.Next(processor, s, op);
    }

    /// <summary>WAIT: with CR0.MP, CR0.TS is checked; CR0.EM is not (Intel SDM 3A 2.5).</summary>
    private static Operation* Wait(Processor processor, VcpuState* s, Operation* op)
    {
        if ((s->Cr0 & (Cr0.Mp | Cr0.Ts)) == (Cr0.Mp | Cr0.Ts)) return Flow.Fault(processor, s, op, ExceptionVector.DeviceNotAvailable);
        if ((s->X87Status & X87Unit.ErrorSummary) != 0) return Flow.Fault(processor, s, op, ExceptionVector.FloatingPoint);
        return Flow.Next(processor, s, op);
    }

    private static Operation* NotReady(Processor processor, VcpuState* s, Operation* op) =>
        Flow.Fault(processor, s, op, (s->Cr0 & (Cr0.Em | Cr0.Ts)) != 0 ? ExceptionVector.DeviceNotAvailable : ExceptionVector.FloatingPoint);

    private static delegate*<Processor, VcpuState*, Operation*, bool> ControlWork<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing => instruction.Code switch
        {
            Code.Fninit => &X87Control<TAddressing>.Initialize,
            Code.Fnclex => &X87Control<TAddressing>.ClearExceptions,
            Code.Fneni or Code.Fndisi or Code.Fnsetpm => &X87Control<TAddressing>.Legacy,
            Code.Fnstcw_m2byte => &X87Control<TAddressing>.StoreControl,
            Code.Fnstsw_m2byte => &X87Control<TAddressing>.StoreStatus,
            Code.Fnstsw_AX => &X87Control<TAddressing>.StoreStatusInAx,
            Code.Fnstenv_m14byte => &X87Control<TAddressing>.StoreEnvironment16,
            Code.Fnstenv_m28byte => &X87Control<TAddressing>.StoreEnvironment32,
            Code.Fnsave_m94byte => &X87Control<TAddressing>.Save16,
            Code.Fnsave_m108byte => &X87Control<TAddressing>.Save32,
            _ => null,
        };
}
