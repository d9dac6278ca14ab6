using System.Numerics;
using System.Runtime.CompilerServices;
using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>CVTSS2SI, CVTSD2SI and their truncating forms.</summary>
internal static unsafe class FloatToInteger<T, TInteger, TRounding, TAddressing>
    where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    where TInteger : unmanaged, IBinaryInteger<TInteger>
    where TRounding : struct, IFloatRounding
    where TAddressing : struct, IAddressing
{
    /// <summary>r, xmm.</summary>
    public static Operation* Register(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        T source = *(T*)Xmm.At(s, op->Source);
        double value = Widen(source);
        if (!IsInRange(value)) return Exact(processor, s, op, source);
        long result = Convert(value);
        if (result != value && !FloatingLanes.IsDefault(s)) return Exact(processor, s, op, source);
        Write(s, op, result);
        return Flow.Next(processor, s, op);
    }

    /// <summary>r, m.</summary>
    public static Operation* Memory(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!Operand<TAddressing>.TryRead(processor, s, op, out T source)) return Flow.Fault(s, op);
        double value = Widen(source);
        if (!IsInRange(value)) return Exact(processor, s, op, source);
        long result = Convert(value);
        if (result != value && !FloatingLanes.IsDefault(s)) return Exact(processor, s, op, source);
        Write(s, op, result);
        return Flow.Next(processor, s, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static double Widen(T value) =>
        sizeof(T) == 4 ? Unsafe.BitCast<T, float>(value) : Unsafe.BitCast<T, double>(value);

    /// <summary>Half the range, so that rounding cannot leave it. False for NaNs.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsInRange(double value) => Math.Abs(value) < (sizeof(TInteger) == 4 ? 1073741824.0 : 4611686018427387904.0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static long Convert(double value) =>
        double.ConvertToIntegerNative<long>(TRounding.Truncates ? value : Math.Round(value, MidpointRounding.ToEven));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Write(VcpuState* s, Operation* op, long value)
    {
        if (sizeof(TInteger) == 4) Instructions.Register.Write(s, op->Destination, (uint)value);
        else Instructions.Register.Write(s, op->Destination, (ulong)value);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Operation* Exact(Processor processor, VcpuState* s, Operation* op, T source)
    {
        FloatContext context = FloatContext.FromMxcsr(s->Mxcsr);
        FloatRounding rounding = TRounding.Of(in context);
        long result = sizeof(TInteger) == 4
            ? SoftFloat.ToInt32(source, rounding, ref context)
            : SoftFloat.ToInt64(source, rounding, ref context);
        if (!FloatingLanes.TryFinish(s, in context)) return SimdAccess.FloatingPointFault(processor, s, op);
        Write(s, op, result);
        return Flow.Next(processor, s, op);
    }
}
