using System.Numerics;
using System.Runtime.CompilerServices;
using Iced.Intel;

namespace Ringfence.Processors.Instructions.Integer;

/// <summary>SHL, SHR, SAR, ROL, ROR, RCL, RCR, SHLD, SHRD (Intel SDM 1 7.3.6).</summary>
internal static unsafe class ShiftInstructions
{
    /// <summary>The handler, or null if the instruction is none of these.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing => instruction.Mnemonic switch
        {
            Mnemonic.Shl or Mnemonic.Sal => Select<ShiftLeft, TAddressing>(instruction),
            Mnemonic.Shr => Select<ShiftRight, TAddressing>(instruction),
            Mnemonic.Sar => Select<ShiftArithmeticRight, TAddressing>(instruction),
            Mnemonic.Rol => Select<RotateLeft, TAddressing>(instruction),
            Mnemonic.Ror => Select<RotateRight, TAddressing>(instruction),
            Mnemonic.Rcl => Select<RotateLeftThroughCarry, TAddressing>(instruction),
            Mnemonic.Rcr => Select<RotateRightThroughCarry, TAddressing>(instruction),
            Mnemonic.Shld => SelectDouble<DoubleLeft, TAddressing>(instruction),
            Mnemonic.Shrd => SelectDouble<DoubleRight, TAddressing>(instruction),
            _ => null,
        };

    private static Handler Select<TShift, TAddressing>(in Instruction instruction)
        where TShift : struct, IShift
        where TAddressing : struct, IAddressing => OperandWidth.Of(instruction) switch
        {
            1 => Select<byte, TShift, TAddressing>(instruction),
            2 => Select<ushort, TShift, TAddressing>(instruction),
            4 => Select<uint, TShift, TAddressing>(instruction),
            _ => Select<ulong, TShift, TAddressing>(instruction),
        };

    private static Handler Select<T, TShift, TAddressing>(in Instruction instruction)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TShift : struct, IShift
        where TAddressing : struct, IAddressing
    {
        bool byRegister = instruction.Op1Kind == OpKind.Register;
        if (instruction.Op0Kind == OpKind.Memory)
            return byRegister ? &InMemory<T, TShift, CountInCl, TAddressing> : &InMemory<T, TShift, ImmediateCount, TAddressing>;
        return byRegister ? &InRegister<T, TShift, CountInCl> : &InRegister<T, TShift, ImmediateCount>;
    }

    private static Handler SelectDouble<TShift, TAddressing>(in Instruction instruction)
        where TShift : struct, IDoubleShift
        where TAddressing : struct, IAddressing => OperandWidth.Of(instruction) switch
        {
            2 => SelectDouble<ushort, TShift, TAddressing>(instruction),
            4 => SelectDouble<uint, TShift, TAddressing>(instruction),
            _ => SelectDouble<ulong, TShift, TAddressing>(instruction),
        };

    private static Handler SelectDouble<T, TShift, TAddressing>(in Instruction instruction)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TShift : struct, IDoubleShift
        where TAddressing : struct, IAddressing
    {
        bool byRegister = instruction.Op2Kind == OpKind.Register;
        if (instruction.Op0Kind == OpKind.Memory)
            return byRegister ? &DoubleInMemory<T, TShift, CountInCl, TAddressing> : &DoubleInMemory<T, TShift, ImmediateCount, TAddressing>;
        return byRegister ? &DoubleInRegister<T, TShift, CountInCl> : &DoubleInRegister<T, TShift, ImmediateCount>;
    }

    private static Operation* InRegister<T, TShift, TCount>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TShift : struct, IShift
        where TCount : struct, ICount
    {
        int count = TCount.Get(s, op) & (sizeof(T) == 8 ? 63 : 31);
        T value = Register.Read<T>(s, op->Destination);
        if (count != 0) value = TShift.Apply(s, value, count);
        Register.Write(s, op->Destination, value);
        return Flow.Next(processor, s, op);
    }

    private static Operation* InMemory<T, TShift, TCount, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TShift : struct, IShift
        where TCount : struct, ICount
        where TAddressing : struct, IAddressing
    {
        int count = TCount.Get(s, op) & (sizeof(T) == 8 ? 63 : 31);
        T* place = Operand<TAddressing>.TryModify<T>(processor, s, op);
        if (place is null) return Flow.Fault(s, op);
        if (count != 0) *place = TShift.Apply(s, *place, count);
        if (Operand<TAddressing>.IsStaged(s, place)) Operand<TAddressing>.Commit(processor);
        return Flow.Next(processor, s, op);
    }

    private static Operation* DoubleInRegister<T, TShift, TCount>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TShift : struct, IDoubleShift
        where TCount : struct, ICount
    {
        int count = TCount.Get(s, op) & (sizeof(T) == 8 ? 63 : 31);
        T value = Register.Read<T>(s, op->Destination);
        if (count != 0) value = TShift.Apply(s, value, Register.Read<T>(s, op->Source), count);
        Register.Write(s, op->Destination, value);
        return Flow.Next(processor, s, op);
    }

    private static Operation* DoubleInMemory<T, TShift, TCount, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TShift : struct, IDoubleShift
        where TCount : struct, ICount
        where TAddressing : struct, IAddressing
    {
        int count = TCount.Get(s, op) & (sizeof(T) == 8 ? 63 : 31);
        T* place = Operand<TAddressing>.TryModify<T>(processor, s, op);
        if (place is null) return Flow.Fault(s, op);
        if (count != 0) *place = TShift.Apply(s, *place, Register.Read<T>(s, op->Source), count);
        if (Operand<TAddressing>.IsStaged(s, place)) Operand<TAddressing>.Commit(processor);
        return Flow.Next(processor, s, op);
    }

    private interface ICount
    {
        static abstract int Get(VcpuState* s, Operation* op);
    }

    private readonly struct CountInCl : ICount
    {
        public static int Get(VcpuState* s, Operation* op) => *(byte*)&s->Gpr[1];
    }

    private readonly struct ImmediateCount : ICount
    {
        public static int Get(VcpuState* s, Operation* op) => (int)op->Immediate;
    }

    /// <summary>A shift or rotate by a masked count that is not zero.</summary>
    private interface IShift
    {
        static abstract T Apply<T>(VcpuState* s, T value, int count)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>;
    }

    private interface IDoubleShift
    {
        static abstract T Apply<T>(VcpuState* s, T value, T fill, int count)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsNegative<T>(T value)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => (value >> ((sizeof(T) * 8) - 1)) != T.Zero;

    private readonly struct ShiftLeft : IShift
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static T Apply<T>(VcpuState* s, T value, int count)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        {
            ulong wide = ulong.CreateTruncating(value);
            int width = sizeof(T) * 8;
            T result = count >= width ? T.Zero : T.CreateTruncating(wide << count);
            bool carry = count <= width && ((wide >> (width - count)) & 1) != 0;
            StatusFlags.SetResult(s, result, carry, carry != IsNegative(result));
            return result;
        }
    }

    private readonly struct ShiftRight : IShift
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static T Apply<T>(VcpuState* s, T value, int count)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        {
            ulong wide = ulong.CreateTruncating(value);
            T result = T.CreateTruncating(wide >> count);
            StatusFlags.SetResult(s, result, ((wide >> (count - 1)) & 1) != 0, IsNegative(value));
            return result;
        }
    }

    private readonly struct ShiftArithmeticRight : IShift
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static T Apply<T>(VcpuState* s, T value, int count)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        {
            int unused = 64 - (sizeof(T) * 8);
            long wide = (long)(ulong.CreateTruncating(value) << unused) >> unused;
            T result = T.CreateTruncating(wide >> count);
            StatusFlags.SetResult(s, result, ((wide >> (count - 1)) & 1) != 0, false);
            return result;
        }
    }

    private readonly struct RotateLeft : IShift
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static T Apply<T>(VcpuState* s, T value, int count)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        {
            T result = T.RotateLeft(value, count & ((sizeof(T) * 8) - 1));
            bool carry = (ulong.CreateTruncating(result) & 1) != 0;
            StatusFlags.SetCarryAndOverflow(s, carry, carry != IsNegative(result));
            return result;
        }
    }

    private readonly struct RotateRight : IShift
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static T Apply<T>(VcpuState* s, T value, int count)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        {
            T result = T.RotateRight(value, count & ((sizeof(T) * 8) - 1));
            bool carry = IsNegative(result);
            StatusFlags.SetCarryAndOverflow(s, carry, carry != IsNegative(result << 1));
            return result;
        }
    }

    private readonly struct RotateLeftThroughCarry : IShift
    {
        public static T Apply<T>(VcpuState* s, T value, int count)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        {
            int width = sizeof(T) * 8;
            count %= width + 1;
            if (count == 0) return KeepOverflow(s, value);
            ulong wide = ulong.CreateTruncating(value);
            ulong carryIn = StatusFlags.Carry(s) ? 1UL : 0;
            ulong low = count == 1 ? 0 : wide >> (width + 1 - count);
            ulong high = count == width ? 0 : wide << count;
            if (count == 64) high = 0;
            T result = T.CreateTruncating(high | (carryIn << (count - 1)) | low);
            bool carry = ((wide >> (width - count)) & 1) != 0;
            StatusFlags.SetCarryAndOverflow(s, carry, carry != IsNegative(result));
            return result;
        }

        private static T KeepOverflow<T>(VcpuState* s, T value)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        {
            bool carry = StatusFlags.Carry(s);
            StatusFlags.SetCarryAndOverflow(s, carry, carry != IsNegative(value));
            return value;
        }
    }

    private readonly struct RotateRightThroughCarry : IShift
    {
        public static T Apply<T>(VcpuState* s, T value, int count)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        {
            int width = sizeof(T) * 8;
            count %= width + 1;
            ulong wide = ulong.CreateTruncating(value);
            bool carry = StatusFlags.Carry(s);
            T result = value;
            if (count != 0)
            {
                ulong high = count == 1 ? 0 : wide << (width + 1 - count);
                ulong low = count >= 64 ? 0 : wide >> count;
                result = T.CreateTruncating(low | ((carry ? 1UL : 0) << (width - count)) | high);
                carry = ((wide >> (count - 1)) & 1) != 0;
            }

            StatusFlags.SetCarryAndOverflow(s, carry, IsNegative(result) != IsNegative(result << 1));
            return result;
        }
    }

    /// <summary>SHLD. Counts above the width (16-bit operands) are undefined; as on Intel the concatenation rotates on.</summary>
    private readonly struct DoubleLeft : IDoubleShift
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static T Apply<T>(VcpuState* s, T value, T fill, int count)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        {
            int width = sizeof(T) * 8;
            ulong wide = ulong.CreateTruncating(value);
            ulong low = ulong.CreateTruncating(fill);
            T result;
            bool carry;
            if (count > width)
            {
                int rest = count - width;
                result = T.CreateTruncating((low << rest) | (wide >> (width - rest)));
                carry = ((low >> (width - rest)) & 1) != 0;
            }
            else
            {
                result = T.CreateTruncating((count == 64 ? 0 : wide << count) | (low >> (width - count)));
                carry = ((wide >> (width - count)) & 1) != 0;
            }

            StatusFlags.SetResult(s, result, carry, IsNegative(result) != IsNegative(value));
            return result;
        }
    }

    /// <summary>SHRD.</summary>
    private readonly struct DoubleRight : IDoubleShift
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static T Apply<T>(VcpuState* s, T value, T fill, int count)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        {
            int width = sizeof(T) * 8;
            ulong wide = ulong.CreateTruncating(value);
            ulong high = ulong.CreateTruncating(fill);
            T result;
            bool carry;
            if (count > width)
            {
                int rest = count - width;
                result = T.CreateTruncating((high >> rest) | (wide << (width - rest)));
                carry = ((high >> (rest - 1)) & 1) != 0;
            }
            else
            {
                result = T.CreateTruncating((wide >> count) | (high << (width - count)));
                carry = ((wide >> (count - 1)) & 1) != 0;
            }

            StatusFlags.SetResult(s, result, carry, IsNegative(result) != IsNegative(value));
            return result;
        }
    }
}
