using System.Numerics;
using System.Runtime.CompilerServices;
using Iced.Intel;

namespace Ringfence.Processors.Instructions.Integer;

/// <summary>INC, DEC, NEG, NOT.</summary>
internal static unsafe class UnaryInstructions
{
    /// <summary>The handler, or null if the instruction is none of these.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing => instruction.Mnemonic switch
        {
            Mnemonic.Inc => Select<Increment, TAddressing>(instruction),
            Mnemonic.Dec => Select<Decrement, TAddressing>(instruction),
            Mnemonic.Neg => Select<Negate, TAddressing>(instruction),
            Mnemonic.Not => Select<Complement, TAddressing>(instruction),
            _ => null,
        };

    private static Handler Select<TOperation, TAddressing>(in Instruction instruction)
        where TOperation : struct, IUnaryOperation
        where TAddressing : struct, IAddressing => OperandWidth.Of(instruction) switch
        {
            1 => Select<byte, TOperation, TAddressing>(instruction),
            2 => Select<ushort, TOperation, TAddressing>(instruction),
            4 => Select<uint, TOperation, TAddressing>(instruction),
            _ => Select<ulong, TOperation, TAddressing>(instruction),
        };

    private static Handler Select<T, TOperation, TAddressing>(in Instruction instruction)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TOperation : struct, IUnaryOperation
        where TAddressing : struct, IAddressing =>
        instruction.Op0Kind == OpKind.Register ? &InRegister<T, TOperation>
        : instruction.HasLockPrefix ? &Locked<T, TOperation, TAddressing>
        : &InMemory<T, TOperation, TAddressing>;

    private static Operation* InRegister<T, TOperation>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TOperation : struct, IUnaryOperation
    {
        Register.Write(s, op->Destination, TOperation.Apply(s, Register.Read<T>(s, op->Destination)));
        return Flow.Next(processor, s, op);
    }

    private static Operation* InMemory<T, TOperation, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TOperation : struct, IUnaryOperation
        where TAddressing : struct, IAddressing
    {
        T* place = Operand<TAddressing>.TryModify<T>(processor, s, op);
        if (place is null) return Flow.Fault(s, op);
        *place = TOperation.Apply(s, *place);
        if (Operand<TAddressing>.IsStaged(s, place)) Operand<TAddressing>.Commit(processor);
        return Flow.Next(processor, s, op);
    }

    private static Operation* Locked<T, TOperation, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TOperation : struct, IUnaryOperation
        where TAddressing : struct, IAddressing
    {
        T* place = Operand<TAddressing>.TryModify<T>(processor, s, op);
        if (place is null) return Flow.Fault(s, op);
        ulong carries = s->StatusCarries;
        while (true)
        {
            s->StatusCarries = carries;
            T old = *place;
            if (Atomic.Exchange(place, TOperation.Apply(s, old), old) == old) break;
        }

        if (Operand<TAddressing>.IsStaged(s, place)) Operand<TAddressing>.Commit(processor);
        return Flow.Next(processor, s, op);
    }

    private interface IUnaryOperation
    {
        static abstract T Apply<T>(VcpuState* s, T value)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>;
    }

    private readonly struct Increment : IUnaryOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static T Apply<T>(VcpuState* s, T value)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        {
            T result = value + T.One;
            StatusFlags.SetKeepingCarry(s, result, value & ~result);
            return result;
        }
    }

    private readonly struct Decrement : IUnaryOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static T Apply<T>(VcpuState* s, T value)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        {
            T result = value - T.One;
            StatusFlags.SetKeepingCarry(s, result, ~value & result);
            return result;
        }
    }

    private readonly struct Negate : IUnaryOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static T Apply<T>(VcpuState* s, T value)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => Subtract.Apply(s, T.Zero, value);
    }

    private readonly struct Complement : IUnaryOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static T Apply<T>(VcpuState* s, T value)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => ~value;
    }
}
