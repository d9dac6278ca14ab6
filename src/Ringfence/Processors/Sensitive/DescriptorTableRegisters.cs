using Iced.Intel;
using Ringfence.Memory;
using Ringfence.Processors.Instructions;
using Register = Ringfence.Processors.Instructions.Register;

namespace Ringfence.Processors.Sensitive;

/// <summary>LGDT, LIDT, SGDT, SIDT, LLDT, LTR, SLDT, STR (Intel SDM 3A 2.4, 7.2.4). With CR4.UMIP the stores are for CPL 0 only.</summary>
internal static unsafe class DescriptorTableRegisters
{
    /// <summary>The handler, or null.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing => instruction.Mnemonic switch
        {
            Mnemonic.Lgdt => &LoadGlobal<TAddressing>,
            Mnemonic.Lidt => &LoadInterrupt<TAddressing>,
            Mnemonic.Sgdt => &StoreGlobal<TAddressing>,
            Mnemonic.Sidt => &StoreInterrupt<TAddressing>,
            Mnemonic.Lldt => &LoadLocal<TAddressing>,
            Mnemonic.Ltr => &LoadTask<TAddressing>,
            Mnemonic.Sldt => &StoreLocal<TAddressing>,
            Mnemonic.Str => &StoreTask<TAddressing>,
            _ => null,
        };

    /// <summary>May SGDT, SIDT, SLDT, STR and SMSW run (UMIP)?</summary>
    public static bool MayStore(VcpuState* s) => s->Cpl == 0 || !s->HasCr4(Cr4.Umip) || s->Mode == ProcessorMode.Real;

    /// <summary>Writes the destination register in the instruction's operand size.</summary>
    public static void WriteSized(VcpuState* s, Operation* op, ulong value)
    {
        switch (op->OperandSize)
        {
            case 2: Register.Write(s, op->Destination, (ushort)value); break;
            case 4: Register.Write(s, op->Destination, (uint)value); break;
            default: Register.Write(s, op->Destination, value); break;
        }
    }

    /// <summary>
    /// Loads LDTR; <paramref name="bad"/> is #GP, in a task switch #TS. False: a fault was raised, LDTR keeps its value.
    /// </summary>
    public static bool TryLoadLdtr(Processor processor, ushort selector, ExceptionVector bad, uint external)
    {
        VcpuState* s = processor.State;
        if (DescriptorTables.IsNull(selector))
        {
            s->Segment(SegmentIndex.Ldtr) = SegmentLoading.Null(selector);
            return true;
        }

        uint name = Faults.Selector(selector, external);
        if ((selector & 4) != 0) return Faults.Raise(processor, bad, name);
        if (!DescriptorTables.TryRead(processor, selector, bad, external, out Descriptor descriptor, out ulong address)) return false;
        if (descriptor.IsCodeOrData || descriptor.Type != SystemType.Ldt) return Faults.Raise(processor, bad, name);
        if (!descriptor.IsPresent) return bad == ExceptionVector.InvalidTss ? Faults.InvalidTss(processor, name) : Faults.NotPresent(processor, name);
        if (!DescriptorTables.TryExtend(processor, selector, address, bad, external, ref descriptor)) return false;
        if (s->IsLongModeActive && !Mmu.IsCanonical(descriptor.Base)) return Faults.Raise(processor, bad, name);
        s->Segment(SegmentIndex.Ldtr) = descriptor.ToRegister(selector);
        return true;
    }

    /// <summary>LTR. False: a fault was raised and nothing has changed.</summary>
    public static bool TryLoadTr(Processor processor, ushort selector)
    {
        VcpuState* s = processor.State;
        if (DescriptorTables.IsNull(selector)) return Faults.GeneralProtection(processor);
        uint name = Faults.Selector(selector, 0);
        if ((selector & 4) != 0) return Faults.GeneralProtection(processor, name);
        if (!DescriptorTables.TryRead(processor, selector, ExceptionVector.GeneralProtection, 0, out Descriptor descriptor, out ulong address)) return false;
        bool allowed = descriptor.Type == SystemType.Tss32 || (descriptor.Type == SystemType.Tss16 && !s->IsLongModeActive);
        if (descriptor.IsCodeOrData || !allowed) return Faults.GeneralProtection(processor, name);
        if (!descriptor.IsPresent) return Faults.NotPresent(processor, name);
        if (!DescriptorTables.TryExtend(processor, selector, address, ExceptionVector.GeneralProtection, 0, ref descriptor)) return false;
        if (s->IsLongModeActive && !Mmu.IsCanonical(descriptor.Base)) return Faults.GeneralProtection(processor, name);
        if (!DescriptorTables.TrySetBusy(processor, address, busy: true)) return false;
        SegmentRegister tr = descriptor.ToRegister(selector);
        tr.Attributes |= SystemType.Busy;
        s->Segment(SegmentIndex.Tr) = tr;
        return true;
    }

    private static bool TryReadTable<TAddressing>(Processor processor, VcpuState* s, Operation* op, out DescriptorTableRegister table)
        where TAddressing : struct, IAddressing
    {
        table = default;
        if (s->Cpl != 0) return Faults.GeneralProtection(processor);
        ulong address = Operand<TAddressing>.EffectiveAddress(s, op);
        if (!Operand<TAddressing>.TryReadAt(processor, s, op->Segment, address, out ushort limit)) return false;
        address = (address + 2) & op->AddressMask;
        table.Limit = limit;
        if (TAddressing.IsLong)
        {
            if (!Operand<TAddressing>.TryReadAt(processor, s, op->Segment, address, out table.Base)) return false;
            return Mmu.IsCanonical(table.Base) || Faults.GeneralProtection(processor);
        }

        if (!Operand<TAddressing>.TryReadAt(processor, s, op->Segment, address, out uint @base)) return false;
        table.Base = op->OperandSize == 2 ? @base & 0xff_ffff : @base;
        return true;
    }

    private static Operation* LoadGlobal<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (!TryReadTable<TAddressing>(processor, s, op, out DescriptorTableRegister table)) return Flow.Fault(s, op);
        s->Gdtr = table;
        return Flow.Next(processor, s, op);
    }

    private static Operation* LoadInterrupt<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (!TryReadTable<TAddressing>(processor, s, op, out DescriptorTableRegister table)) return Flow.Fault(s, op);
        s->Idtr = table;
        return Flow.Next(processor, s, op);
    }

    private static bool TryWriteTable<TAddressing>(Processor processor, VcpuState* s, Operation* op, DescriptorTableRegister table)
        where TAddressing : struct, IAddressing
    {
        if (!MayStore(s)) return Faults.GeneralProtection(processor);
        ulong address = Operand<TAddressing>.EffectiveAddress(s, op);
        if (!Operand<TAddressing>.TryWriteAt(processor, s, op->Segment, address, (ushort)table.Limit)) return false;
        address = (address + 2) & op->AddressMask;
        return TAddressing.IsLong
            ? Operand<TAddressing>.TryWriteAt(processor, s, op->Segment, address, table.Base)
            : Operand<TAddressing>.TryWriteAt(processor, s, op->Segment, address, (uint)table.Base);
    }

    private static Operation* StoreGlobal<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (!TryWriteTable<TAddressing>(processor, s, op, s->Gdtr)) return Flow.Fault(s, op);
        return Flow.Next(processor, s, op);
    }

    private static Operation* StoreInterrupt<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (!TryWriteTable<TAddressing>(processor, s, op, s->Idtr)) return Flow.Fault(s, op);
        return Flow.Next(processor, s, op);
    }

    private static bool TryReadSelector<TAddressing>(Processor processor, VcpuState* s, Operation* op, out ushort selector)
        where TAddressing : struct, IAddressing
    {
        selector = 0;
        if (s->Mode <= ProcessorMode.Virtual8086) return Faults.InvalidOpcode(processor);
        if (s->Cpl != 0) return Faults.GeneralProtection(processor);
        if ((op->Flags & OperationFlags.Memory) != 0) return Operand<TAddressing>.TryRead(processor, s, op, out selector);
        selector = Register.Read<ushort>(s, op->Destination);
        return true;
    }

    private static Operation* LoadLocal<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (!TryReadSelector<TAddressing>(processor, s, op, out ushort selector)) return Flow.Fault(s, op);
        if (!TryLoadLdtr(processor, selector, ExceptionVector.GeneralProtection, 0)) return Flow.Fault(s, op);
        return Flow.Next(processor, s, op);
    }

    private static Operation* LoadTask<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (!TryReadSelector<TAddressing>(processor, s, op, out ushort selector)) return Flow.Fault(s, op);
        if (!TryLoadTr(processor, selector)) return Flow.Fault(s, op);
        return Flow.Next(processor, s, op);
    }

    private static bool TryStoreSelector<TAddressing>(Processor processor, VcpuState* s, Operation* op, ushort selector)
        where TAddressing : struct, IAddressing
    {
        if (s->Mode <= ProcessorMode.Virtual8086) return Faults.InvalidOpcode(processor);
        if (!MayStore(s)) return Faults.GeneralProtection(processor);
        if ((op->Flags & OperationFlags.Memory) != 0) return Operand<TAddressing>.TryWrite(processor, s, op, selector);
        WriteSized(s, op, selector);
        return true;
    }

    private static Operation* StoreLocal<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (!TryStoreSelector<TAddressing>(processor, s, op, s->Segment(SegmentIndex.Ldtr).Selector)) return Flow.Fault(s, op);
        return Flow.Next(processor, s, op);
    }

    private static Operation* StoreTask<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (!TryStoreSelector<TAddressing>(processor, s, op, s->Segment(SegmentIndex.Tr).Selector)) return Flow.Fault(s, op);
        return Flow.Next(processor, s, op);
    }
}
