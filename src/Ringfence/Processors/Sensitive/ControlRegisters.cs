using System.Buffers.Binary;
using Iced.Intel;
using Ringfence.Memory;
using Ringfence.Processors.Instructions;
using Register = Ringfence.Processors.Instructions.Register;

namespace Ringfence.Processors.Sensitive;

/// <summary>
/// CR0, CR2, CR3, CR4, CR8 and the transitions they make (Intel SDM 3A 2.5, 4.1.2, 4.4.1, 9.8.5): MOV to and from CR, LMSW, SMSW, CLTS.
/// A write checks everything first. It flushes the TLB when the meaning of paging structures changes (3A 4.10.4.1), and loads the four
/// PDPTEs when PAE paging is in use after it.
/// </summary>
internal static unsafe class ControlRegisters
{
    private const ulong KnownCr0 = Cr0.Pe | Cr0.Mp | Cr0.Em | Cr0.Ts | Cr0.Et | Cr0.Ne | Cr0.Wp | Cr0.Am | Cr0.Nw | Cr0.Cd | Cr0.Pg;
    private const ulong KnownCr4 = Cr4.Tsd | Cr4.De | Cr4.Pse | Cr4.Pae | Cr4.Mce | Cr4.Pge | Cr4.Pce | Cr4.Osfxsr | Cr4.Osxmmexcpt
        | Cr4.Umip | Cr4.Fsgsbase | Cr4.Smep | Cr4.Smap;
    private const ulong FlushingCr4 = Cr4.Pse | Cr4.Pae | Cr4.Pge | Cr4.Smep | Cr4.Smap;
    private const ulong PhysicalMask = (1UL << PhysicalMemory.AddressBits) - 1;

    /// <summary>The handler, or null.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Mov when instruction.Op0Kind == OpKind.Register && instruction.Op0Register.IsCR():
                op->Flags |= OperationFlags.EndsBlock;
                return &MoveToControl<TAddressing>;
            case Mnemonic.Mov when instruction.Op1Kind == OpKind.Register && instruction.Op1Register.IsCR():
                return &MoveFromControl<TAddressing>;
            case Mnemonic.Lmsw:
                op->Flags |= OperationFlags.EndsBlock;
                return &LoadMachineStatus<TAddressing>;
            case Mnemonic.Smsw:
                return &StoreMachineStatus<TAddressing>;
            case Mnemonic.Clts:
                op->Flags |= OperationFlags.EndsBlock;
                return &ClearTaskSwitched;
            default:
                return null;
        }
    }

    /// <summary>Writes CR0. False: #GP(0) was raised.</summary>
    public static bool TryWriteCr0(Processor processor, ulong value)
    {
        VcpuState* s = processor.State;
        if (value >> 32 != 0) return Faults.GeneralProtection(processor);
        value = (value & KnownCr0) | Cr0.Et;
        bool paging = (value & Cr0.Pg) != 0;
        bool wasPaging = s->HasCr0(Cr0.Pg);
        if (paging && (value & Cr0.Pe) == 0) return Faults.GeneralProtection(processor);
        if ((value & (Cr0.Nw | Cr0.Cd)) == Cr0.Nw) return Faults.GeneralProtection(processor);
        bool entersLong = paging && !wasPaging && (s->Efer & Efer.Lme) != 0;
        bool leavesLong = !paging && wasPaging && s->IsLongModeActive;
        ref SegmentRegister cs = ref s->Segment(SegmentIndex.Cs);
        if (entersLong)
        {
            bool narrowTask = (s->Segment(SegmentIndex.Tr).Attributes & 8) == 0;
            if (!s->HasCr4(Cr4.Pae) || (cs.Attributes & SegmentAttributes.Long) != 0 || narrowTask) return Faults.GeneralProtection(processor);
        }

        if (leavesLong && s->Mode == ProcessorMode.Long) return Faults.GeneralProtection(processor);
        ulong changed = value ^ s->Cr0;
        bool isPae = paging && s->HasCr4(Cr4.Pae) && (s->Efer & Efer.Lme) == 0;
        if (isPae && (changed & (Cr0.Pg | Cr0.Cd | Cr0.Nw)) != 0 && !TryLoadPdptes(processor, s->Cr3)) return Faults.GeneralProtection(processor);
        s->Cr0 = value;
        if (entersLong) s->Efer |= Efer.Lma;
        if (leavesLong) s->Efer &= ~Efer.Lma;
        if ((changed & Cr0.Pe) != 0) processor.Mmu.FlushCodeTlb();
        if ((changed & (Cr0.Pg | Cr0.Pe | Cr0.Wp)) != 0) processor.Mmu.Flush();
        processor.RefreshMode();
        return true;
    }

    /// <summary>Writes CR3. False: #GP(0) was raised.</summary>
    public static bool TryWriteCr3(Processor processor, ulong value)
    {
        VcpuState* s = processor.State;
        if ((value & ~PhysicalMask) != 0) return Faults.GeneralProtection(processor);
        if (UsesPdptes(s, s->Cr4) && !TryLoadPdptes(processor, value)) return Faults.GeneralProtection(processor);
        s->Cr3 = value;
        processor.Mmu.FlushNonGlobal();
        return true;
    }

    /// <summary>Writes CR4. False: #GP(0) was raised.</summary>
    public static bool TryWriteCr4(Processor processor, ulong value)
    {
        VcpuState* s = processor.State;
        if ((value & ~KnownCr4) != 0) return Faults.GeneralProtection(processor);
        if (s->IsLongModeActive && (value & Cr4.Pae) == 0) return Faults.GeneralProtection(processor);
        ulong changed = value ^ s->Cr4;
        if ((changed & FlushingCr4) != 0 && UsesPdptes(s, value) && !TryLoadPdptes(processor, s->Cr3)) return Faults.GeneralProtection(processor);
        s->Cr4 = value;
        if ((changed & FlushingCr4) != 0) processor.Mmu.Flush();
        processor.RefreshMode();
        return true;
    }

    /// <summary>
    /// CR3 of a new task. It becomes current even if its PDPTEs are bad, since the switch is past its commit point.
    /// False: #GP was raised in the new task.
    /// </summary>
    public static bool TryLoadCr3ForTask(Processor processor, uint value, uint external)
    {
        VcpuState* s = processor.State;
        bool ok = !UsesPdptes(s, s->Cr4) || TryLoadPdptes(processor, value);
        s->Cr3 = value;
        processor.Mmu.FlushNonGlobal();
        return ok || Faults.GeneralProtection(processor, external);
    }

    private static bool UsesPdptes(VcpuState* s, ulong cr4) => s->HasCr0(Cr0.Pg) && (cr4 & Cr4.Pae) != 0 && !s->IsLongModeActive;

    /// <summary>Loads the PDPTE registers; none changes if a present one has a reserved bit set.</summary>
    private static bool TryLoadPdptes(Processor processor, ulong cr3)
    {
        const ulong Reserved = ~PhysicalMask | 0x1e6;
        Span<byte> table = stackalloc byte[32];
        processor.Mmu.Memory.Read(new GuestPhysical(cr3 & 0xffff_ffe0), table);
        for (int i = 0; i < 4; i++)
        {
            ulong entry = BinaryPrimitives.ReadUInt64LittleEndian(table[(i * 8)..]);
            if ((entry & 1) != 0 && (entry & Reserved) != 0) return false;
        }

        for (int i = 0; i < 4; i++) processor.State->Pdpte[i] = BinaryPrimitives.ReadUInt64LittleEndian(table[(i * 8)..]);
        return true;
    }

    private static Operation* MoveToControl<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        ulong value = TAddressing.IsLong ? Register.Read<ulong>(s, op->Source) : Register.Read<uint>(s, op->Source);
        if (op->Destination is not (0 or 2 or 3 or 4 or 8)) return Flow.Fault(processor, s, op, ExceptionVector.InvalidOpcode);
        if (s->Cpl != 0) return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        ulong next = Flow.NextInstructionPointer(s, op);
        if (!TryWrite(processor, op->Destination, value)) return Flow.Fault(s, op);
        s->Rip = next;
        return Flow.Transferred(s, op);
    }

    private static bool TryWrite(Processor processor, int register, ulong value)
    {
        switch (register)
        {
            case 0:
                return TryWriteCr0(processor, value);
            case 2:
                processor.State->Cr2 = value;
                return true;
            case 3:
                return TryWriteCr3(processor, value);
            case 4:
                return TryWriteCr4(processor, value);
            default:
                if (value > 15) return Faults.GeneralProtection(processor);
                processor.Bus.SetTaskPriority(processor, value);
                return true;
        }
    }

    private static Operation* MoveFromControl<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (op->Source is not (0 or 2 or 3 or 4 or 8)) return Flow.Fault(processor, s, op, ExceptionVector.InvalidOpcode);
        if (s->Cpl != 0) return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        ulong value = op->Source switch
        {
            0 => s->Cr0,
            2 => s->Cr2,
            3 => s->Cr3,
            4 => s->Cr4,
            _ => processor.Bus.GetTaskPriority(processor),
        };
        Register.Write(s, op->Destination, TAddressing.IsLong ? value : (uint)value);
        return Flow.Next(processor, s, op);
    }

    private static Operation* LoadMachineStatus<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (s->Cpl != 0) return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        ushort value;
        if ((op->Flags & OperationFlags.Memory) == 0) value = Register.Read<ushort>(s, op->Destination);
        else if (!Operand<TAddressing>.TryRead(processor, s, op, out value)) return Flow.Fault(s, op);
        ulong next = Flow.NextInstructionPointer(s, op);

        // PE can be set, not cleared.
        ulong machineStatus = (value & 0xfUL) | (s->Cr0 & Cr0.Pe);
        if (!TryWriteCr0(processor, (s->Cr0 & ~0xfUL) | machineStatus)) return Flow.Fault(s, op);
        s->Rip = next;
        return Flow.Transferred(s, op);
    }

    private static Operation* StoreMachineStatus<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (!DescriptorTableRegisters.MayStore(s)) return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        if ((op->Flags & OperationFlags.Memory) != 0)
        {
            if (!Operand<TAddressing>.TryWrite(processor, s, op, (ushort)s->Cr0)) return Flow.Fault(s, op);
        }
        else
        {
            DescriptorTableRegisters.WriteSized(s, op, s->Cr0);
        }

        return Flow.Next(processor, s, op);
    }

    private static Operation* ClearTaskSwitched(Processor processor, VcpuState* s, Operation* op)
    {
        if (s->Cpl != 0) return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        s->Cr0 &= ~Cr0.Ts;
        processor.RefreshMode();
        return Flow.Leave(s, op);
    }
}
