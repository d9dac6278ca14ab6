using System.Numerics;
using Iced.Intel;
using Ringfence.Processors.Instructions;
using IcedRegister = Iced.Intel.Register;
using Register = Ringfence.Processors.Instructions.Register;

namespace Ringfence.Processors.Sensitive;

/// <summary>MOV, PUSH and POP of segment registers, LDS, LES, LFS, LGS, LSS (Intel SDM volume 2 under each).</summary>
internal static unsafe class SegmentInstructions
{
    /// <summary>The handler, or null.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing
    {
        bool first = instruction.Op0Kind == OpKind.Register && instruction.Op0Register.IsSegmentRegister();
        bool second = instruction.Op1Kind == OpKind.Register && instruction.Op1Register.IsSegmentRegister();
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Mov when first:
                if (instruction.Op0Register == IcedRegister.SS) op->Flags |= OperationFlags.EndsBlock;
                return instruction.Op0Register == IcedRegister.CS ? &Undefined : &MoveToSegment<TAddressing>;
            case Mnemonic.Mov when second:
                return &MoveFromSegment<TAddressing>;
            case Mnemonic.Push when first:
                return op->OperandSize switch { 2 => &Push<ushort, TAddressing>, 4 => &Push<uint, TAddressing>, _ => &Push<ulong, TAddressing> };
            case Mnemonic.Pop when first:
                if (instruction.Op0Register == IcedRegister.SS) op->Flags |= OperationFlags.EndsBlock;
                return op->OperandSize switch { 2 => &Pop<ushort, TAddressing>, 4 => &Pop<uint, TAddressing>, _ => &Pop<ulong, TAddressing> };
            case Mnemonic.Les: return FarLoad<TAddressing>(op, SegmentIndex.Es);
            case Mnemonic.Lss: return FarLoad<TAddressing>(op, SegmentIndex.Ss);
            case Mnemonic.Lds: return FarLoad<TAddressing>(op, SegmentIndex.Ds);
            case Mnemonic.Lfs: return FarLoad<TAddressing>(op, SegmentIndex.Fs);
            case Mnemonic.Lgs: return FarLoad<TAddressing>(op, SegmentIndex.Gs);
            default: return null;
        }
    }

    private static Handler FarLoad<TAddressing>(Operation* op, SegmentIndex segment)
        where TAddressing : struct, IAddressing
    {
        op->Source = (byte)segment;
        return &LoadFarPointer<TAddressing>;
    }

    private static Operation* Undefined(Processor processor, VcpuState* s, Operation* op) =>
        Flow.Fault(processor, s, op, ExceptionVector.InvalidOpcode);

    private static Operation* MoveToSegment<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (!TryMoveToSegment<TAddressing>(processor, s, op)) return Flow.Fault(s, op);
        return Completed(processor, s, op);
    }

    private static bool TryMoveToSegment<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        ushort selector;
        if ((op->Flags & OperationFlags.Memory) == 0) selector = Register.Read<ushort>(s, op->Source);
        else if (!Operand<TAddressing>.TryRead(processor, s, op, out selector)) return false;
        return SegmentLoading.TryLoad(processor, (SegmentIndex)op->Destination, selector);
    }

    /// <summary>Loading SS inhibits interrupts and debug traps until after the next instruction (Intel SDM 3A 6.8.3).</summary>
    private static Operation* Completed(Processor processor, VcpuState* s, Operation* op)
    {
        if (op->Destination != (byte)SegmentIndex.Ss) return Flow.Next(processor, s, op);
        s->InterruptShadow = 1;
        return Flow.Leave(s, op);
    }

    private static Operation* MoveFromSegment<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        ushort selector = s->Segment((SegmentIndex)op->Source).Selector;
        if ((op->Flags & OperationFlags.Memory) != 0)
        {
            if (!Operand<TAddressing>.TryWrite(processor, s, op, selector)) return Flow.Fault(s, op);
        }
        else
        {
            DescriptorTableRegisters.WriteSized(s, op, selector);
        }

        return Flow.Next(processor, s, op);
    }

    private static Operation* Push<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing
    {
        T selector = T.CreateTruncating(s->Segment((SegmentIndex)op->Destination).Selector);
        if (!Operand<TAddressing>.TryPush(processor, s, selector)) return Flow.Fault(s, op);
        return Flow.Next(processor, s, op);
    }

    private static Operation* Pop<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing
    {
        if (!TryPop<T, TAddressing>(processor, s, op)) return Flow.Fault(s, op);
        return Completed(processor, s, op);
    }

    private static bool TryPop<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing
    {
        var index = (SegmentIndex)op->Destination;
        if (!Operand<TAddressing>.TryPeek(processor, s, out T value)) return false;
        if (!SegmentLoading.TryPrepare(processor, index, ushort.CreateTruncating(value), out SegmentRegister register)) return false;
        Operand<TAddressing>.DropStack(s, (ulong)sizeof(T));
        SegmentLoading.Commit(processor, index, in register);
        return true;
    }

    private static Operation* LoadFarPointer<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (!FarPointer<TAddressing>.TryRead(processor, s, op, out ulong offset, out ushort selector)
            || !SegmentLoading.TryLoad(processor, (SegmentIndex)op->Source, selector)) return Flow.Fault(s, op);
        DescriptorTableRegisters.WriteSized(s, op, offset);
        return Flow.Next(processor, s, op);
    }
}
