using System.Numerics;
using System.Runtime.CompilerServices;
using Iced.Intel;

namespace Ringfence.Processors.Instructions.Integer;

/// <summary>ADD, ADC, SUB, SBB, CMP, AND, OR, XOR, TEST in all operand forms (Intel SDM 1 7.3).</summary>
internal static unsafe class BinaryInstructions
{
    /// <summary>The handler, or null if the instruction is none of these.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing => instruction.Mnemonic switch
        {
            Mnemonic.Add => Select<Add, TAddressing>(instruction),
            Mnemonic.Adc => Select<AddWithCarry, TAddressing>(instruction),
            Mnemonic.Sub => Select<Subtract, TAddressing>(instruction),
            Mnemonic.Sbb => Select<SubtractWithBorrow, TAddressing>(instruction),
            Mnemonic.Cmp => Select<Compare, TAddressing>(instruction),
            Mnemonic.And => Select<And, TAddressing>(instruction),
            Mnemonic.Or => Select<Or, TAddressing>(instruction),
            Mnemonic.Xor => Select<Xor, TAddressing>(instruction),
            Mnemonic.Test => Select<Test, TAddressing>(instruction),
            _ => null,
        };

    private static Handler Select<TOperation, TAddressing>(in Instruction instruction)
        where TOperation : struct, IBinaryOperation
        where TAddressing : struct, IAddressing => OperandWidth.Of(instruction) switch
        {
            1 => Select<byte, TOperation, TAddressing>(instruction),
            2 => Select<ushort, TOperation, TAddressing>(instruction),
            4 => Select<uint, TOperation, TAddressing>(instruction),
            _ => Select<ulong, TOperation, TAddressing>(instruction),
        };

    private static Handler Select<T, TOperation, TAddressing>(in Instruction instruction)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TOperation : struct, IBinaryOperation
        where TAddressing : struct, IAddressing
    {
        bool registerSource = instruction.Op1Kind == OpKind.Register;
        if (instruction.Op0Kind == OpKind.Memory)
        {
            if (!TOperation.Writes)
                return registerSource ? &CompareMemoryRegister<T, TOperation, TAddressing> : &CompareMemoryImmediate<T, TOperation, TAddressing>;
            if (instruction.HasLockPrefix)
                return registerSource ? &LockedRegister<T, TOperation, TAddressing> : &LockedImmediate<T, TOperation, TAddressing>;
            return registerSource ? &MemoryRegister<T, TOperation, TAddressing> : &MemoryImmediate<T, TOperation, TAddressing>;
        }

        if (instruction.Op1Kind == OpKind.Memory) return &RegisterMemory<T, TOperation, TAddressing>;
        return registerSource ? &RegisterRegister<T, TOperation> : &RegisterImmediate<T, TOperation>;
    }

    private static Operation* RegisterRegister<T, TOperation>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TOperation : struct, IBinaryOperation
    {
        T result = TOperation.Apply(s, Register.Read<T>(s, op->Destination), Register.Read<T>(s, op->Source));
        if (TOperation.Writes) Register.Write(s, op->Destination, result);
        return Flow.Next(processor, s, op);
    }

    private static Operation* RegisterImmediate<T, TOperation>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TOperation : struct, IBinaryOperation
    {
        T result = TOperation.Apply(s, Register.Read<T>(s, op->Destination), T.CreateTruncating(op->Immediate));
        if (TOperation.Writes) Register.Write(s, op->Destination, result);
        return Flow.Next(processor, s, op);
    }

    private static Operation* RegisterMemory<T, TOperation, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TOperation : struct, IBinaryOperation
        where TAddressing : struct, IAddressing
    {
        if (!Operand<TAddressing>.TryRead(processor, s, op, out T value)) return Flow.Fault(s, op);
        T result = TOperation.Apply(s, Register.Read<T>(s, op->Destination), value);
        if (TOperation.Writes) Register.Write(s, op->Destination, result);
        return Flow.Next(processor, s, op);
    }

    private static Operation* CompareMemoryRegister<T, TOperation, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TOperation : struct, IBinaryOperation
        where TAddressing : struct, IAddressing
    {
        if (!Operand<TAddressing>.TryRead(processor, s, op, out T value)) return Flow.Fault(s, op);
        TOperation.Apply(s, value, Register.Read<T>(s, op->Source));
        return Flow.Next(processor, s, op);
    }

    private static Operation* CompareMemoryImmediate<T, TOperation, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TOperation : struct, IBinaryOperation
        where TAddressing : struct, IAddressing
    {
        if (!Operand<TAddressing>.TryRead(processor, s, op, out T value)) return Flow.Fault(s, op);
        TOperation.Apply(s, value, T.CreateTruncating(op->Immediate));
        return Flow.Next(processor, s, op);
    }

    private static Operation* MemoryRegister<T, TOperation, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TOperation : struct, IBinaryOperation
        where TAddressing : struct, IAddressing
    {
        T* place = Operand<TAddressing>.TryModify<T>(processor, s, op);
        if (place is null) return Flow.Fault(s, op);
        *place = TOperation.Apply(s, *place, Register.Read<T>(s, op->Source));
        if (Operand<TAddressing>.IsStaged(s, place)) Operand<TAddressing>.Commit(processor);
        return Flow.Next(processor, s, op);
    }

    private static Operation* MemoryImmediate<T, TOperation, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TOperation : struct, IBinaryOperation
        where TAddressing : struct, IAddressing
    {
        T* place = Operand<TAddressing>.TryModify<T>(processor, s, op);
        if (place is null) return Flow.Fault(s, op);
        *place = TOperation.Apply(s, *place, T.CreateTruncating(op->Immediate));
        if (Operand<TAddressing>.IsStaged(s, place)) Operand<TAddressing>.Commit(processor);
        return Flow.Next(processor, s, op);
    }

    private static Operation* LockedRegister<T, TOperation, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TOperation : struct, IBinaryOperation
        where TAddressing : struct, IAddressing
    {
        T* place = Operand<TAddressing>.TryModify<T>(processor, s, op);
        if (place is null) return Flow.Fault(s, op);
        ApplyLocked<T, TOperation>(s, place, Register.Read<T>(s, op->Source));
        if (Operand<TAddressing>.IsStaged(s, place)) Operand<TAddressing>.Commit(processor);
        return Flow.Next(processor, s, op);
    }

    private static Operation* LockedImmediate<T, TOperation, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TOperation : struct, IBinaryOperation
        where TAddressing : struct, IAddressing
    {
        T* place = Operand<TAddressing>.TryModify<T>(processor, s, op);
        if (place is null) return Flow.Fault(s, op);
        ApplyLocked<T, TOperation>(s, place, T.CreateTruncating(op->Immediate));
        if (Operand<TAddressing>.IsStaged(s, place)) Operand<TAddressing>.Commit(processor);
        return Flow.Next(processor, s, op);
    }

    /// <summary>ADC and SBB read CF, which a lost race has already replaced: it is put back before each attempt.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ApplyLocked<T, TOperation>(VcpuState* s, T* place, T operand)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TOperation : struct, IBinaryOperation
    {
        ulong carries = s->StatusCarries;
        while (true)
        {
            s->StatusCarries = carries;
            T old = *place;
            if (Atomic.Exchange(place, TOperation.Apply(s, old, operand), old) == old) return;
        }
    }
}
