using Iced.Intel;
using Ringfence.Memory;
using Ringfence.Processors.Instructions;
using Register = Ringfence.Processors.Instructions.Register;

namespace Ringfence.Processors.Sensitive;

/// <summary>VERR, VERW, LAR, LSL, ARPL: what software may ask about selectors without faulting (Intel SDM 3A 5.10).</summary>
internal static unsafe class SelectorQueries
{
    /// <summary>The handler, or null.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing => instruction.Mnemonic switch
        {
            Mnemonic.Verr => &VerifyRead<TAddressing>,
            Mnemonic.Verw => &VerifyWrite<TAddressing>,
            Mnemonic.Lar => &LoadAccessRights<TAddressing>,
            Mnemonic.Lsl => &LoadLimit<TAddressing>,
            Mnemonic.Arpl => &AdjustPrivilege<TAddressing>,
            _ => null,
        };

    private static void SetZero(VcpuState* s, bool zero)
    {
        ulong flags = StatusFlags.Get(in *s) & ~RflagsBits.Zf;
        StatusFlags.Set(ref *s, zero ? flags | RflagsBits.Zf : flags);
    }

    private static bool TryReadSelector<TAddressing>(Processor processor, VcpuState* s, Operation* op, int register, out ushort selector)
        where TAddressing : struct, IAddressing
    {
        selector = 0;
        if (s->Mode <= ProcessorMode.Virtual8086) return Faults.InvalidOpcode(processor);
        if ((op->Flags & OperationFlags.Memory) != 0) return Operand<TAddressing>.TryRead(processor, s, op, out selector);
        selector = Register.Read<ushort>(s, register);
        return true;
    }

    /// <summary>The descriptor, and whether there is one. False: a page fault was raised.</summary>
    private static bool TryFind(Processor processor, ushort selector, out bool found, out Descriptor descriptor)
    {
        descriptor = default;
        found = !DescriptorTables.IsNull(selector) && DescriptorTables.TryLocate(processor.State, selector, 8, out _);
        if (!found) return true;
        DescriptorTables.TryLocate(processor.State, selector, 8, out ulong address);
        if (!processor.Mmu.TryRead(address, Privilege.Implicit, out ulong low)) return false;
        descriptor = new Descriptor(low);
        return true;
    }

    private static bool IsVisible(VcpuState* s, ushort selector, in Descriptor descriptor) =>
        descriptor.IsConforming || Math.Max((int)s->Cpl, selector & 3) <= descriptor.Dpl;

    private static Operation* VerifyRead<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (!TryReadSelector<TAddressing>(processor, s, op, op->Destination, out ushort selector)
            || !TryFind(processor, selector, out bool found, out Descriptor descriptor)) return Flow.Fault(s, op);
        SetZero(s, found && descriptor.IsReadable && IsVisible(s, selector, in descriptor));
        return Flow.Next(processor, s, op);
    }

    private static Operation* VerifyWrite<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (!TryReadSelector<TAddressing>(processor, s, op, op->Destination, out ushort selector)
            || !TryFind(processor, selector, out bool found, out Descriptor descriptor)) return Flow.Fault(s, op);
        SetZero(s, found && descriptor.IsWritableData && IsVisible(s, selector, in descriptor));
        return Flow.Next(processor, s, op);
    }

    private static Operation* LoadAccessRights<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (!TryReadSelector<TAddressing>(processor, s, op, op->Source, out ushort selector)
            || !TryFind(processor, selector, out bool found, out Descriptor descriptor)) return Flow.Fault(s, op);
        bool known = descriptor.IsCodeOrData || (s->IsLongModeActive
            ? descriptor.Type is SystemType.Ldt or SystemType.Tss32 or SystemType.BusyTss32 or SystemType.CallGate32
            : descriptor.Type is SystemType.Tss16 or SystemType.Ldt or SystemType.BusyTss16 or SystemType.CallGate16 or SystemType.TaskGate
                or SystemType.Tss32 or SystemType.BusyTss32 or SystemType.CallGate32);
        bool ok = found && known && IsVisible(s, selector, in descriptor);
        SetZero(s, ok);
        if (ok) DescriptorTableRegisters.WriteSized(s, op, (descriptor.Low >> 32) & (op->OperandSize == 2 ? 0xff00UL : 0xff_ff00UL));
        return Flow.Next(processor, s, op);
    }

    private static Operation* LoadLimit<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (!TryReadSelector<TAddressing>(processor, s, op, op->Source, out ushort selector)
            || !TryFind(processor, selector, out bool found, out Descriptor descriptor)) return Flow.Fault(s, op);
        bool known = descriptor.IsCodeOrData || (s->IsLongModeActive
            ? descriptor.Type is SystemType.Ldt or SystemType.Tss32 or SystemType.BusyTss32
            : descriptor.Type is SystemType.Tss16 or SystemType.Ldt or SystemType.BusyTss16 or SystemType.Tss32 or SystemType.BusyTss32);
        bool ok = found && known && IsVisible(s, selector, in descriptor);
        SetZero(s, ok);
        if (ok) DescriptorTableRegisters.WriteSized(s, op, descriptor.Limit);
        return Flow.Next(processor, s, op);
    }

    private static Operation* AdjustPrivilege<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (s->Mode <= ProcessorMode.Virtual8086) return Flow.Fault(processor, s, op, ExceptionVector.InvalidOpcode);
        int wanted = Register.Read<ushort>(s, op->Source) & 3;
        if ((op->Flags & OperationFlags.Memory) == 0)
        {
            ushort selector = Register.Read<ushort>(s, op->Destination);
            bool raise = (selector & 3) < wanted;
            if (raise) Register.Write(s, op->Destination, (ushort)((selector & 0xfffc) | wanted));
            SetZero(s, raise);
            return Flow.Next(processor, s, op);
        }

        // Written only where the RPL changes: a selector that may only be read is good enough otherwise.
        if (!Operand<TAddressing>.TryRead(processor, s, op, out ushort stored)) return Flow.Fault(s, op);
        bool raised = (stored & 3) < wanted;
        if (raised && !Operand<TAddressing>.TryWrite(processor, s, op, (ushort)((stored & 0xfffc) | wanted))) return Flow.Fault(s, op);
        SetZero(s, raised);
        return Flow.Next(processor, s, op);
    }
}
