using System.Numerics;
using System.Runtime.CompilerServices;
using Iced.Intel;
using Ringfence.Host;

namespace Ringfence.Processors.Instructions.Integer;

/// <summary>XCHG, XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B. XCHG with memory is locked with or without the prefix.</summary>
internal static unsafe class ExchangeInstructions
{
    /// <summary>The handler, or null if the instruction is none of these.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Cmpxchg8b:
                return &CompareExchangePair<TAddressing>;
            case Mnemonic.Cmpxchg16b:
                return &CompareExchangeQuad<TAddressing>;
            case Mnemonic.Xchg:
                if (instruction.Op0Kind == OpKind.Memory) op->Flags |= OperationFlags.Lock;
                break;
            case Mnemonic.Xadd or Mnemonic.Cmpxchg:
                break;
            default:
                return null;
        }

        return OperandWidth.Of(instruction) switch
        {
            1 => Select<byte, TAddressing>(instruction),
            2 => Select<ushort, TAddressing>(instruction),
            4 => Select<uint, TAddressing>(instruction),
            _ => Select<ulong, TAddressing>(instruction),
        };
    }

    private static Handler Select<T, TAddressing>(in Instruction instruction)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing
    {
        bool register = instruction.Op0Kind == OpKind.Register;
        return instruction.Mnemonic switch
        {
            Mnemonic.Xchg => register && instruction.Op1Kind == OpKind.Register ? &ExchangeRegisters<T> : &ExchangeMemory<T, TAddressing>,
            Mnemonic.Xadd => register ? &AddExchangeRegister<T> : &AddExchangeMemory<T, TAddressing>,
            _ => register ? &CompareExchangeRegister<T> : &CompareExchangeMemory<T, TAddressing>,
        };
    }

    private static Operation* ExchangeRegisters<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        T first = Register.Read<T>(s, op->Destination);
        Register.Write(s, op->Destination, Register.Read<T>(s, op->Source));
        Register.Write(s, op->Source, first);
        return Flow.Next(processor, s, op);
    }

    private static Operation* ExchangeMemory<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TAddressing : struct, IAddressing
    {
        T* place = Operand<TAddressing>.TryModify<T>(processor, s, op);
        if (place is null) return Flow.Fault(s, op);
        Register.Write(s, op->Source, Atomic.Exchange(place, Register.Read<T>(s, op->Source)));
        if (Operand<TAddressing>.IsStaged(s, place)) Operand<TAddressing>.Commit(processor);
        return Flow.Next(processor, s, op);
    }

    private static Operation* AddExchangeRegister<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        T old = Register.Read<T>(s, op->Destination);
        T sum = Add.Apply(s, old, Register.Read<T>(s, op->Source));
        Register.Write(s, op->Source, old);
        Register.Write(s, op->Destination, sum);
        return Flow.Next(processor, s, op);
    }

    private static Operation* AddExchangeMemory<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing
    {
        T* place = Operand<TAddressing>.TryModify<T>(processor, s, op);
        if (place is null) return Flow.Fault(s, op);
        T operand = Register.Read<T>(s, op->Source);
        T old = *place;
        while (true)
        {
            T sum = Add.Apply(s, old, operand);
            if ((op->Flags & OperationFlags.Lock) == 0)
            {
                *place = sum;
                break;
            }

            T seen = Atomic.Exchange(place, sum, old);
            if (seen == old) break;
            old = seen;
        }

        Register.Write(s, op->Source, old);
        if (Operand<TAddressing>.IsStaged(s, place)) Operand<TAddressing>.Commit(processor);
        return Flow.Next(processor, s, op);
    }

    private static Operation* CompareExchangeRegister<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        T accumulator = Register.Read<T>(s, 0);
        T old = Register.Read<T>(s, op->Destination);
        Compare.Apply(s, accumulator, old);
        if (accumulator == old) Register.Write(s, op->Destination, Register.Read<T>(s, op->Source));
        else Register.Write(s, 0, old);
        return Flow.Next(processor, s, op);
    }

    /// <summary>The destination is written in any case, with its old value if the comparison fails (Intel SDM 2A).</summary>
    private static Operation* CompareExchangeMemory<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing
    {
        T* place = Operand<TAddressing>.TryModify<T>(processor, s, op);
        if (place is null) return Flow.Fault(s, op);
        T accumulator = Register.Read<T>(s, 0);
        T replacement = Register.Read<T>(s, op->Source);
        T old;
        if ((op->Flags & OperationFlags.Lock) != 0)
        {
            old = Atomic.Exchange(place, replacement, accumulator);
        }
        else
        {
            old = *place;
            if (old == accumulator) *place = replacement;
        }

        Compare.Apply(s, accumulator, old);
        if (accumulator != old) Register.Write(s, 0, old);
        if (Operand<TAddressing>.IsStaged(s, place)) Operand<TAddressing>.Commit(processor);
        return Flow.Next(processor, s, op);
    }

    private static Operation* CompareExchangePair<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        ulong* place = Operand<TAddressing>.TryModify<ulong>(processor, s, op);
        if (place is null) return Flow.Fault(s, op);
        ulong expected = (s->Gpr[2] << 32) | (uint)s->Gpr[0];
        ulong replacement = (s->Gpr[1] << 32) | (uint)s->Gpr[3];
        ulong old = Interlocked.CompareExchange(ref *place, replacement, expected);
        SetZero(s, old == expected);
        if (old != expected)
        {
            s->Gpr[0] = (uint)old;
            s->Gpr[2] = old >> 32;
        }

        if (Operand<TAddressing>.IsStaged(s, place)) Operand<TAddressing>.Commit(processor);
        return Flow.Next(processor, s, op);
    }

    private static Operation* CompareExchangeQuad<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if ((Operand<TAddressing>.EffectiveAddress(s, op) + s->Segment((SegmentIndex)op->Segment).Base & 15) != 0)
            return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        UInt128* place = Operand<TAddressing>.TryModify<UInt128>(processor, s, op);
        if (place is null) return Flow.Fault(s, op);
        bool locked = (op->Flags & OperationFlags.Lock) != 0 && !Operand<TAddressing>.IsStaged(s, place);
        CompareExchangeWide(processor, s, (ulong*)place, locked);
        if (Operand<TAddressing>.IsStaged(s, place)) Operand<TAddressing>.Commit(processor);
        return Flow.Next(processor, s, op);
    }

    /// <summary>Where it must be atomic: the host's own instruction, or on hosts without it, the other processors are stopped.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void CompareExchangeWide(Processor processor, VcpuState* s, ulong* place, bool locked)
    {
        bool exclusive = locked && processor.Bus.ProcessorCount > 1;
        if (exclusive && WideAtomics.IsSupported)
        {
            ulong* expected = stackalloc ulong[2] { s->Gpr[0], s->Gpr[2] };
            bool stored = WideAtomics.CompareExchange(place, expected, s->Gpr[3], s->Gpr[1]);
            if (!stored)
            {
                s->Gpr[0] = expected[0];
                s->Gpr[2] = expected[1];
            }

            SetZero(s, stored);
            return;
        }

        if (exclusive) processor.Bus.EnterExclusive(processor);
        bool equal = place[0] == s->Gpr[0] && place[1] == s->Gpr[2];
        if (equal)
        {
            place[0] = s->Gpr[3];
            place[1] = s->Gpr[1];
        }
        else
        {
            s->Gpr[0] = place[0];
            s->Gpr[2] = place[1];
        }

        if (exclusive) processor.Bus.LeaveExclusive(processor);
        SetZero(s, equal);
    }

    private static void SetZero(VcpuState* s, bool zero)
    {
        ulong flags = StatusFlags.Get(in *s);
        StatusFlags.Set(ref *s, zero ? flags | RflagsBits.Zf : flags & ~RflagsBits.Zf);
    }
}
