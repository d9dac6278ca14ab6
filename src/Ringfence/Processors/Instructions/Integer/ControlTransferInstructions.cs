using System.Numerics;
using System.Runtime.CompilerServices;
using Iced.Intel;
using Ringfence.Memory;

namespace Ringfence.Processors.Instructions.Integer;

/// <summary>
/// Near transfers: JMP, Jcc, JCXZ, LOOPcc, CALL, RET (Intel SDM 1 7.3.8), and the end of a block that has no transfer.
/// <para>
/// A taken branch ends the block: the block's instructions are counted and, if no event waits and the limit is not
/// reached, execution continues at the target without leaving the loop: through <see cref="Operation.Target"/> for
/// direct branches inside a page, through the code TLB otherwise. A branch not taken continues in the block.
/// </para>
/// </summary>
internal static unsafe class ControlTransferInstructions
{
    /// <summary>The handler, or null if the instruction is none of these.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Jmp when IsNearBranch(instruction):
                op->Flags |= OperationFlags.EndsBlock;
                return &Jump;
            case Mnemonic.Jmp when IsNearIndirect(instruction):
                op->Flags |= OperationFlags.EndsBlock;
                return Indirect<TAddressing>(instruction, call: false);
            case Mnemonic.Call when IsNearBranch(instruction):
                op->Flags |= OperationFlags.EndsBlock;
                return op->OperandSize switch
                {
                    2 => &Call<ushort, TAddressing>,
                    4 => &Call<uint, TAddressing>,
                    _ => &Call<ulong, TAddressing>,
                };
            case Mnemonic.Call when IsNearIndirect(instruction):
                op->Flags |= OperationFlags.EndsBlock;
                return Indirect<TAddressing>(instruction, call: true);
            case Mnemonic.Ret:
                op->Flags |= OperationFlags.EndsBlock;
                return op->OperandSize switch
                {
                    2 => &Return<ushort, TAddressing>,
                    4 => &Return<uint, TAddressing>,
                    _ => &Return<ulong, TAddressing>,
                };
            case Mnemonic.Jcxz:
                return &JumpIfCounterZero<ushort>;
            case Mnemonic.Jecxz:
                return &JumpIfCounterZero<uint>;
            case Mnemonic.Jrcxz:
                return &JumpIfCounterZero<ulong>;
            case Mnemonic.Loop:
                return Loop<Always>(op);
            case Mnemonic.Loope:
                return Loop<IfE>(op);
            case Mnemonic.Loopne:
                return Loop<Not<IfE>>(op);
            default:
                return instruction.IsJccShortOrNear ? Conditions.Select<JccMaker>(instruction.ConditionCode) : null;
        }
    }

    /// <summary>
    /// The end of a block without a transfer: continues at <see cref="Operation.PageOffset"/>, which may be the next page.
    /// It is no instruction and not counted: its <see cref="Operation.Count"/> is one more than the instructions before it.
    /// </summary>
    public static Operation* EndOfBlock(Processor processor, VcpuState* s, Operation* op)
    {
        s->InstructionCount += (ulong)op->Count - 1;
        Operation* target = op->Target;
        if (CanContinue(s) && target is not null) return target;
        s->Rip = Flow.InstructionPointer(s, op);
        if ((op->Flags & OperationFlags.SingleStep) != 0) return null;
        return CanContinue(s) ? Resolve(s, op, op->PageOffset) : null;
    }

    /// <summary>Behind a sensitive instruction: its handler returns, and the block goes on with what follows.</summary>
    public static Operation* Boundary(Processor processor, VcpuState* s, Operation* op) => op + 1;

    /// <summary>What a stale operation becomes: leaves with RIP at it, so that it is decoded again.</summary>
    public static Operation* Stale(Processor processor, VcpuState* s, Operation* op) => Flow.Fault(s, op);

    private static bool IsNearBranch(in Instruction instruction) =>
        instruction.Op0Kind is OpKind.NearBranch16 or OpKind.NearBranch32 or OpKind.NearBranch64;

    private static bool IsNearIndirect(in Instruction instruction) => instruction.IsJmpNearIndirect || instruction.IsCallNearIndirect;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool CanContinue(VcpuState* s) =>
        (s->Events & s->EventMask) == 0 && s->InstructionCount < s->InstructionLimit;

    private static Operation* Jump(Processor processor, VcpuState* s, Operation* op) => Taken(processor, s, op);

    private static Operation* JumpIf<TCondition>(Processor processor, VcpuState* s, Operation* op)
        where TCondition : struct, ICondition =>
        TCondition.Holds(s) ? Taken(processor, s, op) : Flow.Next(processor, s, op);

    private readonly struct JccMaker : IConditionalHandler
    {
        public static Handler For<TCondition>()
            where TCondition : struct, ICondition => &JumpIf<TCondition>;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Operation* Taken(Processor processor, VcpuState* s, Operation* op)
    {
        s->InstructionCount += op->Count;
        Operation* target = op->Target;
        if (CanContinue(s) && target is not null) return target;
        return TakenSlow(processor, s, op);
    }

    /// <summary>The instructions of the block are counted already.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Operation* TakenSlow(Processor processor, VcpuState* s, Operation* op)
    {
        ulong target = Truncate(s->Gpr[VcpuState.PageSlot] + op->Immediate, op->OperandSize);
        if (!IsValidTarget(processor, s, target))
        {
            s->InstructionCount -= op->Count;
            return Flow.Fault(s, op);
        }

        s->Rip = target;
        if ((op->Flags & OperationFlags.SingleStep) != 0 || !CanContinue(s)) return null;
        return Resolve(s, op, op->OperandSize == 2 ? ulong.MaxValue : op->Immediate);
    }

    /// <summary>
    /// Finds the decoded target at <see cref="VcpuState.Rip"/>; links it if it lies in the same page, which holds for as long as
    /// the operation itself is valid. Null: the run loop decodes it.
    /// </summary>
    private static Operation* Resolve(VcpuState* s, Operation* op, ulong pageOffset)
    {
        if (pageOffset >= GuestPhysical.PageSize || s->CodeEntries is null) return Dispatch(s);
        uint index = s->CodeEntries[pageOffset];
        if (index == 0) return null;
        return op->Target = (Operation*)s->CodeArena + index;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Truncate(ulong target, int operandSize) =>
        operandSize == 8 ? target : operandSize == 4 ? (uint)target : (ushort)target;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsValidTarget(Processor processor, VcpuState* s, ulong target)
    {
        if (s->Mode == ProcessorMode.Long ? Mmu.IsCanonical(target) : target <= s->Segment(SegmentIndex.Cs).Limit) return true;
        processor.RaiseFault(ExceptionVector.GeneralProtection, 0);
        return false;
    }

    /// <summary>Continues at <see cref="VcpuState.Rip"/> if its page is in the code TLB and the entry is decoded; null otherwise.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Operation* Dispatch(VcpuState* s)
    {
        ulong linear = s->Rip;
        if (s->Mode != ProcessorMode.Long) linear = (uint)(linear + s->Segment(SegmentIndex.Cs).Base);
        CodeTlbEntry* entry = s->CodeTlb + ((linear >> 12) & ((1 << CodeTlbEntry.CountLog2) - 1));
        if (entry->Tag != ((linear & ~0xfffUL) | s->CodeTag)) return null;
        s->CodeEntries = entry->Entries;
        s->Gpr[VcpuState.PageSlot] = s->Rip - (linear & 0xfff);
        uint index = entry->Entries[linear & 0xfff];
        return index == 0 ? null : (Operation*)s->CodeArena + index;
    }

    /// <summary>Completes an indirect transfer to a checked target.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Operation* Transfer(VcpuState* s, Operation* op, ulong target)
    {
        s->InstructionCount += op->Count;
        s->Rip = target;
        return CanContinue(s) && (op->Flags & OperationFlags.SingleStep) == 0 ? Dispatch(s) : null;
    }

    private static Operation* Call<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing
    {
        ulong next = s->Gpr[VcpuState.PageSlot] + op->PageOffset + op->Length;
        if (!IsValidTarget(processor, s, Truncate(s->Gpr[VcpuState.PageSlot] + op->Immediate, op->OperandSize))) return Flow.Fault(s, op);
        if (!Operand<TAddressing>.TryPush(processor, s, T.CreateTruncating(next))) return Flow.Fault(s, op);
        return Taken(processor, s, op);
    }

    private static Operation* Return<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing
    {
        if (!Operand<TAddressing>.TryPeek(processor, s, out T value)) return Flow.Fault(s, op);
        ulong target = ulong.CreateTruncating(value);
        if (!IsValidTarget(processor, s, target)) return Flow.Fault(s, op);
        Operand<TAddressing>.DropStack(s, (ulong)sizeof(T) + (ushort)op->Immediate);
        return Transfer(s, op, target);
    }

    private static Handler Indirect<TAddressing>(in Instruction instruction, bool call)
        where TAddressing : struct, IAddressing => OperandWidth.Of(instruction) switch
        {
            2 => Indirect<ushort, TAddressing>(instruction, call),
            4 => Indirect<uint, TAddressing>(instruction, call),
            _ => Indirect<ulong, TAddressing>(instruction, call),
        };

    private static Handler Indirect<T, TAddressing>(in Instruction instruction, bool call)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing => instruction.Op0Kind == OpKind.Register
            ? call ? &CallRegister<T, TAddressing> : &JumpRegister<T>
            : call ? &CallMemory<T, TAddressing> : &JumpMemory<T, TAddressing>;

    private static Operation* JumpRegister<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        ulong target = ulong.CreateTruncating(Register.Read<T>(s, op->Destination));
        return IsValidTarget(processor, s, target) ? Transfer(s, op, target) : Flow.Fault(s, op);
    }

    private static Operation* JumpMemory<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing
    {
        if (!Operand<TAddressing>.TryRead(processor, s, op, out T value)) return Flow.Fault(s, op);
        ulong target = ulong.CreateTruncating(value);
        return IsValidTarget(processor, s, target) ? Transfer(s, op, target) : Flow.Fault(s, op);
    }

    private static Operation* CallRegister<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing =>
        CallTo<T, TAddressing>(processor, s, op, ulong.CreateTruncating(Register.Read<T>(s, op->Destination)));

    private static Operation* CallMemory<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing =>
        Operand<TAddressing>.TryRead(processor, s, op, out T value)
            ? CallTo<T, TAddressing>(processor, s, op, ulong.CreateTruncating(value))
            : Flow.Fault(s, op);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Operation* CallTo<T, TAddressing>(Processor processor, VcpuState* s, Operation* op, ulong target)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing
    {
        if (!IsValidTarget(processor, s, target)) return Flow.Fault(s, op);
        ulong next = s->Gpr[VcpuState.PageSlot] + op->PageOffset + op->Length;
        return Operand<TAddressing>.TryPush(processor, s, T.CreateTruncating(next)) ? Transfer(s, op, target) : Flow.Fault(s, op);
    }

    private static Operation* JumpIfCounterZero<TCounter>(Processor processor, VcpuState* s, Operation* op)
        where TCounter : unmanaged, IBinaryInteger<TCounter> =>
        Register.Read<TCounter>(s, 8) == TCounter.Zero ? Taken(processor, s, op) : Flow.Next(processor, s, op);

    private static Handler Loop<TCondition>(Operation* op)
        where TCondition : struct, ICondition => op->AddressMask switch
        {
            0xffff => &LoopWhile<ushort, TCondition>,
            0xffff_ffff => &LoopWhile<uint, TCondition>,
            _ => &LoopWhile<ulong, TCondition>,
        };

    private static Operation* LoopWhile<TCounter, TCondition>(Processor processor, VcpuState* s, Operation* op)
        where TCounter : unmanaged, IBinaryInteger<TCounter>
        where TCondition : struct, ICondition
    {
        TCounter count = Register.Read<TCounter>(s, 8) - TCounter.One;
        if (count == TCounter.Zero || !TCondition.Holds(s))
        {
            Register.Write(s, 8, count);
            return Flow.Next(processor, s, op);
        }

        ulong target = Truncate(s->Gpr[VcpuState.PageSlot] + op->Immediate, op->OperandSize);
        if (!IsValidTarget(processor, s, target)) return Flow.Fault(s, op);
        Register.Write(s, 8, count);
        return Taken(processor, s, op);
    }

    private readonly struct Always : ICondition
    {
        public static bool Holds(VcpuState* s) => true;
    }
}
