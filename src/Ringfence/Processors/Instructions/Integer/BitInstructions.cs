using System.Numerics;
using System.Runtime.CompilerServices;
using Iced.Intel;

namespace Ringfence.Processors.Instructions.Integer;

/// <summary>BT, BTS, BTR, BTC, BSF, BSR, POPCNT.</summary>
internal static unsafe class BitInstructions
{
    /// <summary>The handler, or null if the instruction is none of these.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing => instruction.Mnemonic switch
        {
            Mnemonic.Bt => SelectTest<Keep, TAddressing>(instruction),
            Mnemonic.Bts => SelectTest<SetBit, TAddressing>(instruction),
            Mnemonic.Btr => SelectTest<ResetBit, TAddressing>(instruction),
            Mnemonic.Btc => SelectTest<ComplementBit, TAddressing>(instruction),
            Mnemonic.Bsf => SelectScan<Forward, TAddressing>(instruction),
            Mnemonic.Bsr => SelectScan<Reverse, TAddressing>(instruction),
            Mnemonic.Popcnt => SelectScan<Population, TAddressing>(instruction),
            _ => null,
        };

    private static Handler SelectTest<TChange, TAddressing>(in Instruction instruction)
        where TChange : struct, IBitChange
        where TAddressing : struct, IAddressing => OperandWidth.Of(instruction) switch
        {
            2 => SelectTest<ushort, TChange, TAddressing>(instruction),
            4 => SelectTest<uint, TChange, TAddressing>(instruction),
            _ => SelectTest<ulong, TChange, TAddressing>(instruction),
        };

    private static Handler SelectTest<T, TChange, TAddressing>(in Instruction instruction)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TChange : struct, IBitChange
        where TAddressing : struct, IAddressing
    {
        bool registerOffset = instruction.Op1Kind == OpKind.Register;
        if (instruction.Op0Kind == OpKind.Register)
            return registerOffset ? &TestRegister<T, TChange, OffsetInRegister> : &TestRegister<T, TChange, ImmediateOffset>;
        if (!TChange.Writes)
            return registerOffset ? &TestMemory<T, OffsetInRegister, TAddressing> : &TestMemory<T, ImmediateOffset, TAddressing>;
        return registerOffset ? &ChangeMemory<T, TChange, OffsetInRegister, TAddressing> : &ChangeMemory<T, TChange, ImmediateOffset, TAddressing>;
    }

    private static Handler SelectScan<TScan, TAddressing>(in Instruction instruction)
        where TScan : struct, IScan
        where TAddressing : struct, IAddressing => OperandWidth.Of(instruction) switch
        {
            2 => SelectScan<ushort, TScan, TAddressing>(instruction),
            4 => SelectScan<uint, TScan, TAddressing>(instruction),
            _ => SelectScan<ulong, TScan, TAddressing>(instruction),
        };

    private static Handler SelectScan<T, TScan, TAddressing>(in Instruction instruction)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TScan : struct, IScan
        where TAddressing : struct, IAddressing =>
        instruction.Op1Kind == OpKind.Register ? &ScanRegister<T, TScan> : &ScanMemory<T, TScan, TAddressing>;

    private static Operation* TestRegister<T, TChange, TOffset>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TChange : struct, IBitChange
        where TOffset : struct, IBitOffset
    {
        int bit = (int)TOffset.Get<T>(s, op) & ((sizeof(T) * 8) - 1);
        T value = Register.Read<T>(s, op->Destination);
        StatusFlags.SetCarry(s, ((value >> bit) & T.One) != T.Zero);
        if (TChange.Writes) Register.Write(s, op->Destination, TChange.Apply(value, T.One << bit));
        return Flow.Next(processor, s, op);
    }

    private static Operation* TestMemory<T, TOffset, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TOffset : struct, IBitOffset
        where TAddressing : struct, IAddressing
    {
        long offset = TOffset.Get<T>(s, op);
        if (!Operand<TAddressing>.TryReadAt(processor, s, op->Segment, Address<T, TOffset, TAddressing>(s, op, offset), out T value)) return Flow.Fault(s, op);
        StatusFlags.SetCarry(s, ((value >> ((int)offset & ((sizeof(T) * 8) - 1))) & T.One) != T.Zero);
        return Flow.Next(processor, s, op);
    }

    private static Operation* ChangeMemory<T, TChange, TOffset, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TChange : struct, IBitChange
        where TOffset : struct, IBitOffset
        where TAddressing : struct, IAddressing
    {
        long offset = TOffset.Get<T>(s, op);
        T* place = Operand<TAddressing>.TryModifyAt<T>(processor, s, op, Address<T, TOffset, TAddressing>(s, op, offset));
        if (place is null) return Flow.Fault(s, op);
        T mask = T.One << ((int)offset & ((sizeof(T) * 8) - 1));
        T old = *place;
        if ((op->Flags & OperationFlags.Lock) == 0)
        {
            *place = TChange.Apply(old, mask);
        }
        else
        {
            while (true)
            {
                T seen = Atomic.Exchange(place, TChange.Apply(old, mask), old);
                if (seen == old) break;
                old = seen;
            }
        }

        StatusFlags.SetCarry(s, (old & mask) != T.Zero);
        if (Operand<TAddressing>.IsStaged(s, place)) Operand<TAddressing>.Commit(processor);
        return Flow.Next(processor, s, op);
    }

    /// <summary>A register offset is signed and reaches any operand-sized cell around the address (Intel SDM 2A BT).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Address<T, TOffset, TAddressing>(VcpuState* s, Operation* op, long offset)
        where T : unmanaged
        where TOffset : struct, IBitOffset
        where TAddressing : struct, IAddressing
    {
        ulong address = Operand<TAddressing>.EffectiveAddress(s, op);
        if (!TOffset.IsRegister) return address;
        int shift = sizeof(T) == 2 ? 4 : sizeof(T) == 4 ? 5 : 6;
        return (address + (ulong)((offset >> shift) * sizeof(T))) & op->AddressMask;
    }

    private static Operation* ScanRegister<T, TScan>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TScan : struct, IScan
    {
        TScan.Apply(s, op, Register.Read<T>(s, op->Source));
        return Flow.Next(processor, s, op);
    }

    private static Operation* ScanMemory<T, TScan, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TScan : struct, IScan
        where TAddressing : struct, IAddressing
    {
        if (!Operand<TAddressing>.TryRead(processor, s, op, out T value)) return Flow.Fault(s, op);
        TScan.Apply(s, op, value);
        return Flow.Next(processor, s, op);
    }

    private interface IBitOffset
    {
        static abstract bool IsRegister { get; }

        static abstract long Get<T>(VcpuState* s, Operation* op)
            where T : unmanaged;
    }

    private readonly struct OffsetInRegister : IBitOffset
    {
        public static bool IsRegister => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static long Get<T>(VcpuState* s, Operation* op)
            where T : unmanaged => sizeof(T) switch
            {
                2 => Register.Read<short>(s, op->Source),
                4 => Register.Read<int>(s, op->Source),
                _ => Register.Read<long>(s, op->Source),
            };
    }

    private readonly struct ImmediateOffset : IBitOffset
    {
        public static bool IsRegister => false;

        public static long Get<T>(VcpuState* s, Operation* op)
            where T : unmanaged => (long)op->Immediate;
    }

    private interface IBitChange
    {
        static abstract bool Writes { get; }

        static abstract T Apply<T>(T value, T mask)
            where T : unmanaged, IBinaryInteger<T>;
    }

    private readonly struct Keep : IBitChange
    {
        public static bool Writes => false;

        public static T Apply<T>(T value, T mask)
            where T : unmanaged, IBinaryInteger<T> => value;
    }

    private readonly struct SetBit : IBitChange
    {
        public static bool Writes => true;

        public static T Apply<T>(T value, T mask)
            where T : unmanaged, IBinaryInteger<T> => value | mask;
    }

    private readonly struct ResetBit : IBitChange
    {
        public static bool Writes => true;

        public static T Apply<T>(T value, T mask)
            where T : unmanaged, IBinaryInteger<T> => value & ~mask;
    }

    private readonly struct ComplementBit : IBitChange
    {
        public static bool Writes => true;

        public static T Apply<T>(T value, T mask)
            where T : unmanaged, IBinaryInteger<T> => value ^ mask;
    }

    private interface IScan
    {
        static abstract void Apply<T>(VcpuState* s, Operation* op, T value)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>;
    }

    /// <summary>BSF. A zero source leaves the destination unchanged (all of it), as processors of both vendors do.</summary>
    private readonly struct Forward : IScan
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Apply<T>(VcpuState* s, Operation* op, T value)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        {
            StatusFlags.SetLogical(s, value);
            if (value != T.Zero) Register.Write(s, op->Destination, T.TrailingZeroCount(value));
        }
    }

    private readonly struct Reverse : IScan
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Apply<T>(VcpuState* s, Operation* op, T value)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        {
            StatusFlags.SetLogical(s, value);
            if (value != T.Zero) Register.Write(s, op->Destination, T.CreateTruncating((sizeof(T) * 8) - 1) - T.LeadingZeroCount(value));
        }
    }

    /// <summary>POPCNT clears all flags but ZF.</summary>
    private readonly struct Population : IScan
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Apply<T>(VcpuState* s, Operation* op, T value)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        {
            Register.Write(s, op->Destination, T.PopCount(value));
            s->StatusResult = value == T.Zero ? 0UL : 1UL;
            s->StatusCarries = value == T.Zero ? 0x100UL : 0;
        }
    }
}
