using System.Numerics;
using System.Runtime.CompilerServices;
using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>CVTSI2SS, CVTSI2SD: T is the bits of the floating-point format, TInteger the integer.</summary>
internal static unsafe class IntegerToFloat<T, TInteger, TAddressing>
    where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    where TInteger : unmanaged, IBinaryInteger<TInteger>
    where TAddressing : struct, IAddressing
{
    /// <summary>xmm, r.</summary>
    public static Operation* Register(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        long value = long.CreateTruncating(Instructions.Register.Read<TInteger>(s, op->Source));
        if (!IsFast(s, value)) return Exact(processor, s, op, value);
        *(T*)Xmm.At(s, op->Destination) = Convert(value);
        return Flow.Next(processor, s, op);
    }

    /// <summary>xmm, m.</summary>
    public static Operation* Memory(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!Operand<TAddressing>.TryRead(processor, s, op, out TInteger source)) return Flow.Fault(s, op);
        long value = long.CreateTruncating(source);
        if (!IsFast(s, value)) return Exact(processor, s, op, value);
        *(T*)Xmm.At(s, op->Destination) = Convert(value);
        return Flow.Next(processor, s, op);
    }

    /// <summary>Exact, or inexact where that changes no flag.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsFast(VcpuState* s, long value)
    {
        if (sizeof(T) == 8 && sizeof(TInteger) == 4) return true;
        long limit = sizeof(T) == 4 ? 1L << 24 : 1L << 53;
        return (ulong)(value + limit) <= (ulong)(2 * limit) || FloatingLanes.IsDefault(s);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Convert(long value) => sizeof(T) == 4
        ? Unsafe.BitCast<float, T>(sizeof(TInteger) == 4 ? (float)(int)value : (float)value)
        : Unsafe.BitCast<double, T>(sizeof(TInteger) == 4 ? (double)(int)value : (double)value);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Operation* Exact(Processor processor, VcpuState* s, Operation* op, long value)
    {
        FloatContext context = FloatContext.FromMxcsr(s->Mxcsr);
        T result = SoftFloat.FromInteger<T>(value, ref context);
        if (!FloatingLanes.TryFinish(s, in context)) return SimdAccess.FloatingPointFault(processor, s, op);
        *(T*)Xmm.At(s, op->Destination) = result;
        return Flow.Next(processor, s, op);
    }
}
