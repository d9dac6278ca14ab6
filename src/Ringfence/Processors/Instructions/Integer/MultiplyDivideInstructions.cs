using System.Numerics;
using System.Runtime.CompilerServices;
using Iced.Intel;

namespace Ringfence.Processors.Instructions.Integer;

/// <summary>MUL, IMUL, DIV, IDIV.</summary>
internal static unsafe class MultiplyDivideInstructions
{
    /// <summary>The handler, or null if the instruction is none of these.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing => instruction.Mnemonic switch
        {
            Mnemonic.Mul => Select<Multiply, TAddressing>(instruction),
            Mnemonic.Imul when instruction.OpCount == 1 => Select<MultiplySigned, TAddressing>(instruction),
            Mnemonic.Imul => SelectProduct<TAddressing>(instruction),
            Mnemonic.Div => Select<Divide, TAddressing>(instruction),
            Mnemonic.Idiv => Select<DivideSigned, TAddressing>(instruction),
            _ => null,
        };

    private static Handler Select<TOperation, TAddressing>(in Instruction instruction)
        where TOperation : struct, IWideOperation
        where TAddressing : struct, IAddressing
    {
        bool register = instruction.Op0Kind == OpKind.Register;
        return OperandWidth.Of(instruction) switch
        {
            1 => register ? &OfRegister<byte, TOperation> : &OfMemory<byte, TOperation, TAddressing>,
            2 => register ? &OfRegister<ushort, TOperation> : &OfMemory<ushort, TOperation, TAddressing>,
            4 => register ? &OfRegister<uint, TOperation> : &OfMemory<uint, TOperation, TAddressing>,
            _ => register ? &OfRegister<ulong, TOperation> : &OfMemory<ulong, TOperation, TAddressing>,
        };
    }

    private static Handler SelectProduct<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing => OperandWidth.Of(instruction) switch
        {
            2 => SelectProduct<ushort, TAddressing>(instruction),
            4 => SelectProduct<uint, TAddressing>(instruction),
            _ => SelectProduct<ulong, TAddressing>(instruction),
        };

    private static Handler SelectProduct<T, TAddressing>(in Instruction instruction)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing
    {
        bool register = instruction.Op1Kind == OpKind.Register;
        if (instruction.OpCount == 3) return register ? &ProductRegisterImmediate<T> : &ProductMemoryImmediate<T, TAddressing>;
        return register ? &ProductRegister<T> : &ProductMemory<T, TAddressing>;
    }

    private static Operation* OfRegister<T, TOperation>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TOperation : struct, IWideOperation =>
        TOperation.TryApply(s, Register.Read<T>(s, op->Destination))
            ? Flow.Next(processor, s, op)
            : Flow.Fault(processor, s, op, ExceptionVector.DivideError);

    private static Operation* OfMemory<T, TOperation, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TOperation : struct, IWideOperation
        where TAddressing : struct, IAddressing
    {
        if (!Operand<TAddressing>.TryRead(processor, s, op, out T value)) return Flow.Fault(s, op);
        return TOperation.TryApply(s, value) ? Flow.Next(processor, s, op) : Flow.Fault(processor, s, op, ExceptionVector.DivideError);
    }

    private static Operation* ProductRegister<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        Register.Write(s, op->Destination, Product(s, Register.Read<T>(s, op->Destination), Register.Read<T>(s, op->Source)));
        return Flow.Next(processor, s, op);
    }

    private static Operation* ProductMemory<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing
    {
        if (!Operand<TAddressing>.TryRead(processor, s, op, out T value)) return Flow.Fault(s, op);
        Register.Write(s, op->Destination, Product(s, Register.Read<T>(s, op->Destination), value));
        return Flow.Next(processor, s, op);
    }

    private static Operation* ProductRegisterImmediate<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        Register.Write(s, op->Destination, Product(s, Register.Read<T>(s, op->Source), T.CreateTruncating(op->Immediate)));
        return Flow.Next(processor, s, op);
    }

    private static Operation* ProductMemoryImmediate<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing
    {
        if (!Operand<TAddressing>.TryRead(processor, s, op, out T value)) return Flow.Fault(s, op);
        Register.Write(s, op->Destination, Product(s, value, T.CreateTruncating(op->Immediate)));
        return Flow.Next(processor, s, op);
    }

    /// <summary>The truncated signed product; CF = OF = it did not fit.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Product<T>(VcpuState* s, T a, T b)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        bool lost;
        T result;
        if (sizeof(T) == 8)
        {
            long high = Math.BigMul((long)ulong.CreateTruncating(a), (long)ulong.CreateTruncating(b), out long low);
            result = T.CreateTruncating(low);
            lost = high != low >> 63;
        }
        else
        {
            long wide = Signed(a) * Signed(b);
            result = T.CreateTruncating(wide);
            lost = Signed(result) != wide;
        }

        StatusFlags.SetResult(s, result, lost, lost);
        return result;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static long Signed<T>(T value)
        where T : unmanaged, IBinaryInteger<T>
    {
        int unused = 64 - (sizeof(T) * 8);
        return (long)(ulong.CreateTruncating(value) << unused) >> unused;
    }

    /// <summary>An operation on the double-width accumulator: AX, DX:AX, EDX:EAX or RDX:RAX.</summary>
    private interface IWideOperation
    {
        static abstract bool TryApply<T>(VcpuState* s, T operand)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void WriteWide<T>(VcpuState* s, T low, T high)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        Register.Write(s, 0, low);
        Register.Write(s, sizeof(T) == 1 ? 1 : 16, high);
    }

    private readonly struct Multiply : IWideOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool TryApply<T>(VcpuState* s, T operand)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        {
            T low;
            T high;
            if (sizeof(T) == 8)
            {
                ulong upper = Math.BigMul(s->Gpr[0], ulong.CreateTruncating(operand), out ulong lower);
                low = T.CreateTruncating(lower);
                high = T.CreateTruncating(upper);
            }
            else
            {
                ulong wide = ulong.CreateTruncating(Register.Read<T>(s, 0)) * ulong.CreateTruncating(operand);
                low = T.CreateTruncating(wide);
                high = T.CreateTruncating(wide >> (sizeof(T) * 8));
            }

            WriteWide(s, low, high);
            StatusFlags.SetResult(s, low, high != T.Zero, high != T.Zero);
            return true;
        }
    }

    private readonly struct MultiplySigned : IWideOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool TryApply<T>(VcpuState* s, T operand)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        {
            T low;
            T high;
            bool lost;
            if (sizeof(T) == 8)
            {
                long upper = Math.BigMul((long)s->Gpr[0], (long)ulong.CreateTruncating(operand), out long lower);
                low = T.CreateTruncating(lower);
                high = T.CreateTruncating(upper);
                lost = upper != lower >> 63;
            }
            else
            {
                long wide = Signed(Register.Read<T>(s, 0)) * Signed(operand);
                low = T.CreateTruncating(wide);
                high = T.CreateTruncating(wide >> (sizeof(T) * 8));
                lost = Signed(low) != wide;
            }

            WriteWide(s, low, high);
            StatusFlags.SetResult(s, low, lost, lost);
            return true;
        }
    }

    /// <summary>False: #DE (divisor zero or quotient too large), and nothing has changed.</summary>
    private readonly struct Divide : IWideOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool TryApply<T>(VcpuState* s, T operand)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        {
            if (operand == T.Zero) return false;
            if (sizeof(T) == 8) return TryDivideWide(s, ulong.CreateTruncating(operand));
            ulong divisor = ulong.CreateTruncating(operand);
            ulong dividend = sizeof(T) == 1 ? (ushort)s->Gpr[0]
                : sizeof(T) == 2 ? ((ulong)(ushort)s->Gpr[2] << 16) | (ushort)s->Gpr[0]
                : (s->Gpr[2] << 32) | (uint)s->Gpr[0];
            ulong quotient = dividend / divisor;
            if (quotient >> (sizeof(T) * 8) != 0) return false;
            WriteWide(s, T.CreateTruncating(quotient), T.CreateTruncating(dividend - (quotient * divisor)));
            return true;
        }
    }

    private readonly struct DivideSigned : IWideOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool TryApply<T>(VcpuState* s, T operand)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        {
            if (operand == T.Zero) return false;
            if (sizeof(T) == 8) return TryDivideWideSigned(s, (long)ulong.CreateTruncating(operand));
            long divisor = Signed(operand);
            long dividend = sizeof(T) == 1 ? (short)s->Gpr[0]
                : sizeof(T) == 2 ? (int)(((uint)s->Gpr[2] << 16) | (ushort)s->Gpr[0])
                : (long)((s->Gpr[2] << 32) | (uint)s->Gpr[0]);
            if (divisor == -1 && dividend == long.MinValue) return false;
            long quotient = dividend / divisor;
            if (Signed(T.CreateTruncating(quotient)) != quotient) return false;
            WriteWide(s, T.CreateTruncating(quotient), T.CreateTruncating(dividend - (quotient * divisor)));
            return true;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryDivideWide(VcpuState* s, ulong divisor)
    {
        if (s->Gpr[2] == 0)
        {
            ulong low = s->Gpr[0];
            s->Gpr[0] = low / divisor;
            s->Gpr[2] = low % divisor;
            return true;
        }

        if (s->Gpr[2] >= divisor) return false;
        UInt128 dividend = new(s->Gpr[2], s->Gpr[0]);
        (UInt128 quotient, UInt128 remainder) = UInt128.DivRem(dividend, divisor);
        s->Gpr[0] = (ulong)quotient;
        s->Gpr[2] = (ulong)remainder;
        return true;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryDivideWideSigned(VcpuState* s, long divisor)
    {
        long high = (long)s->Gpr[2];
        long low = (long)s->Gpr[0];
        if (high == low >> 63 && !(divisor == -1 && low == long.MinValue))
        {
            s->Gpr[0] = (ulong)(low / divisor);
            s->Gpr[2] = (ulong)(low % divisor);
            return true;
        }

        UInt128 dividend = new((ulong)high, (ulong)low);
        UInt128 magnitude = high < 0 ? UInt128.Zero - dividend : dividend;
        ulong divisorMagnitude = divisor < 0 ? 0 - (ulong)divisor : (ulong)divisor;
        (UInt128 quotient, UInt128 remainder) = UInt128.DivRem(magnitude, divisorMagnitude);
        bool negative = (high < 0) != (divisor < 0);
        UInt128 largest = negative ? UInt128.One << 63 : (UInt128.One << 63) - UInt128.One;
        if (quotient > largest) return false;
        ulong result = (ulong)quotient;
        s->Gpr[0] = negative ? 0 - result : result;
        s->Gpr[2] = high < 0 ? 0 - (ulong)remainder : (ulong)remainder;
        return true;
    }
}
