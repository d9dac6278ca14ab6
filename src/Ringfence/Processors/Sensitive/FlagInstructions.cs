using System.Numerics;
using Iced.Intel;
using Ringfence.Processors.Instructions;

namespace Ringfence.Processors.Sensitive;

/// <summary>
/// CLI, STI, PUSHF, POPF, CLAC, STAC (Intel SDM volume 2; 3A 20.2.2 for virtual-8086 mode, which needs IOPL 3). POPF changes IOPL at CPL 0
/// only and IF where CPL is not above IOPL, and never VM, VIF, VIP; it clears RF.
/// </summary>
internal static unsafe class FlagInstructions
{
    private const ulong NarrowChanged = RflagsBits.Status | RflagsBits.Tf | RflagsBits.Df | RflagsBits.Nt;
    private const ulong WideChanged = NarrowChanged | RflagsBits.Ac | RflagsBits.Id;

    /// <summary>The handler, or null.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing => instruction.Mnemonic switch
        {
            Mnemonic.Cli => &ClearInterrupt,
            Mnemonic.Sti => &SetInterrupt,
            Mnemonic.Clac => &ClearAccess,
            Mnemonic.Stac => &SetAccess,
            Mnemonic.Pushf => &Push<ushort, TAddressing>,
            Mnemonic.Pushfd => &Push<uint, TAddressing>,
            Mnemonic.Pushfq => &Push<ulong, TAddressing>,
            Mnemonic.Popf => &Pop<ushort, TAddressing>,
            Mnemonic.Popfd => &Pop<uint, TAddressing>,
            Mnemonic.Popfq => &Pop<ulong, TAddressing>,
            _ => null,
        };

    /// <summary>May IF be changed here? CPL is 3 in virtual-8086 mode and 0 in real-address mode.</summary>
    private static bool MayChangeInterruptFlag(VcpuState* s) => s->Cpl <= s->Iopl;

    private static Operation* ClearInterrupt(Processor processor, VcpuState* s, Operation* op)
    {
        if (!MayChangeInterruptFlag(s)) return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        s->SystemFlags &= ~RflagsBits.If;
        s->EventMask &= ~ProcessorEvents.Interrupt;
        return Flow.Next(processor, s, op);
    }

    private static Operation* SetInterrupt(Processor processor, VcpuState* s, Operation* op)
    {
        if (!MayChangeInterruptFlag(s)) return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        if ((s->SystemFlags & RflagsBits.If) != 0) return Flow.Next(processor, s, op);
        s->SystemFlags |= RflagsBits.If;
        s->EventMask |= ProcessorEvents.Interrupt;
        s->InterruptShadow = 1;
        return Flow.Leave(s, op);
    }

    private static Operation* ClearAccess(Processor processor, VcpuState* s, Operation* op)
    {
        if (s->Cpl != 0) return Flow.Fault(processor, s, op, ExceptionVector.InvalidOpcode);
        s->SystemFlags &= ~RflagsBits.Ac;
        processor.RefreshMode();
        return Flow.Next(processor, s, op);
    }

    private static Operation* SetAccess(Processor processor, VcpuState* s, Operation* op)
    {
        if (s->Cpl != 0) return Flow.Fault(processor, s, op, ExceptionVector.InvalidOpcode);
        s->SystemFlags |= RflagsBits.Ac;
        processor.RefreshMode();
        return Flow.Next(processor, s, op);
    }

    private static Operation* Push<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing
    {
        if (s->Mode == ProcessorMode.Virtual8086 && s->Iopl != 3) return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        T flags = T.CreateTruncating(s->Rflags & ~(RflagsBits.Vm | RflagsBits.Rf));
        if (!Operand<TAddressing>.TryPush(processor, s, flags)) return Flow.Fault(s, op);
        return Flow.Next(processor, s, op);
    }

    private static Operation* Pop<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing
    {
        ulong old = s->SystemFlags;
        if (!TryPop<T, TAddressing>(processor, s)) return Flow.Fault(s, op);
        ulong now = s->SystemFlags;
        if (((old ^ now) & (RflagsBits.Tf | RflagsBits.Ac)) != 0)
        {
            // The trap flag set by POPF takes effect after the next instruction; which TLB is used, at once.
            processor.RefreshMode();
            return Flow.Leave(s, op);
        }

        return (now & ~old & RflagsBits.If) != 0 ? Flow.Leave(s, op) : Flow.Next(processor, s, op);
    }

    private static bool TryPop<T, TAddressing>(Processor processor, VcpuState* s)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing
    {
        bool virtual8086 = s->Mode == ProcessorMode.Virtual8086;
        if (virtual8086 && s->Iopl != 3) return Faults.GeneralProtection(processor);
        if (!Operand<TAddressing>.TryPeek(processor, s, out T value)) return false;
        ulong changeable = sizeof(T) == 2 ? NarrowChanged : WideChanged;
        if (MayChangeInterruptFlag(s)) changeable |= RflagsBits.If;
        if (s->Cpl == 0) changeable |= RflagsBits.Iopl;
        Operand<TAddressing>.DropStack(s, (ulong)sizeof(T));
        s->Rflags = (s->Rflags & ~(changeable | RflagsBits.Rf)) | (ulong.CreateTruncating(value) & changeable);
        return true;
    }
}
