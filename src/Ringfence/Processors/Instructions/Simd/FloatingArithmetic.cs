using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>Handlers of floating-point instructions: every operand form of an <see cref="IFloatingOperation"/>.</summary>
/// <typeparam name="TOperation">The operation.</typeparam>
/// <typeparam name="T"><see cref="uint"/> for single, <see cref="ulong"/> for double precision.</typeparam>
/// <typeparam name="TAddressing">The addressing of the code.</typeparam>
internal static unsafe class FloatingArithmetic<TOperation, T, TAddressing>
    where TOperation : struct, IFloatingOperation
    where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    where TAddressing : struct, IAddressing
{
    /// <summary>xmm, xmm, all elements.</summary>
    public static Operation* PackedRegister(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        Vector128<byte> a = Xmm.Read(s, op->Destination);
        Vector128<byte> b = Xmm.Read(s, op->Source);
        Vector128<byte> first = TOperation.First<T>(a, b);
        Vector128<byte> second = TOperation.Second<T>(a, b);
        Vector128<byte> result = TOperation.Apply<T>(first, second);
        if (NeedsExact(s, first, second, result))
            return PackedExact(processor, s, op, b.AsUInt64().ToScalar(), b.AsUInt64().GetElement(1));
        Xmm.Write(s, op->Destination, result);
        return Flow.Next(processor, s, op);
    }

    /// <summary>xmm, m128, all elements.</summary>
    public static Operation* PackedMemory(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!SimdMemory<TAddressing>.TryReadAligned(processor, s, op, out Vector128<byte> b)) return Flow.Fault(s, op);
        Vector128<byte> a = Xmm.Read(s, op->Destination);
        Vector128<byte> first = TOperation.First<T>(a, b);
        Vector128<byte> second = TOperation.Second<T>(a, b);
        Vector128<byte> result = TOperation.Apply<T>(first, second);
        if (NeedsExact(s, first, second, result))
            return PackedExact(processor, s, op, b.AsUInt64().ToScalar(), b.AsUInt64().GetElement(1));
        Xmm.Write(s, op->Destination, result);
        return Flow.Next(processor, s, op);
    }

    /// <summary>xmm, xmm, the lowest element.</summary>
    public static Operation* ScalarRegister(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        T* destination = (T*)Xmm.At(s, op->Destination);
        T source = *(T*)Xmm.At(s, op->Source);
        Vector128<byte> a = Vector128.Create(*destination).AsByte();
        Vector128<byte> b = Vector128.Create(source).AsByte();
        Vector128<byte> result = TOperation.Apply<T>(a, b);
        if (NeedsExact(s, a, b, result)) return ScalarExact(processor, s, op, source);
        *destination = result.As<byte, T>().ToScalar();
        return Flow.Next(processor, s, op);
    }

    /// <summary>xmm, m32 or m64, the lowest element.</summary>
    public static Operation* ScalarMemory(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!Operand<TAddressing>.TryRead(processor, s, op, out T source)) return Flow.Fault(s, op);
        T* destination = (T*)Xmm.At(s, op->Destination);
        Vector128<byte> a = Vector128.Create(*destination).AsByte();
        Vector128<byte> b = Vector128.Create(source).AsByte();
        Vector128<byte> result = TOperation.Apply<T>(a, b);
        if (NeedsExact(s, a, b, result)) return ScalarExact(processor, s, op, source);
        *destination = result.As<byte, T>().ToScalar();
        return Flow.Next(processor, s, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool NeedsExact(VcpuState* s, Vector128<byte> a, Vector128<byte> b, Vector128<byte> result)
    {
        if (TOperation.Rounds && !FloatingLanes.IsDefault(s)) return true;
        Vector128<T> suspects = TOperation.Suspects(
            FloatingLanes.Magnitude<T>(a), FloatingLanes.Magnitude<T>(b), FloatingLanes.Magnitude<T>(result));
        return suspects.ExtractMostSignificantBits() != 0;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Operation* PackedExact(Processor processor, VcpuState* s, Operation* op, ulong low, ulong high)
    {
        Vector128<byte> a = Xmm.Read(s, op->Destination);
        Vector128<byte> b = Vector128.Create(low, high).AsByte();
        Vector128<T> first = TOperation.First<T>(a, b).As<byte, T>();
        Vector128<T> second = TOperation.Second<T>(a, b).As<byte, T>();
        Vector128<T> result = default;
        FloatContext context = FloatContext.FromMxcsr(s->Mxcsr);
        for (int i = 0; i < Vector128<T>.Count; i++)
            result = result.WithElement(i, TOperation.Exact(first.GetElement(i), second.GetElement(i), i, ref context));
        if (!FloatingLanes.TryFinish(s, in context)) return SimdAccess.FloatingPointFault(processor, s, op);
        Xmm.Write(s, op->Destination, result.AsByte());
        return Flow.Next(processor, s, op);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Operation* ScalarExact(Processor processor, VcpuState* s, Operation* op, T source)
    {
        T* destination = (T*)Xmm.At(s, op->Destination);
        FloatContext context = FloatContext.FromMxcsr(s->Mxcsr);
        T result = TOperation.Exact(*destination, source, 0, ref context);
        if (!FloatingLanes.TryFinish(s, in context)) return SimdAccess.FloatingPointFault(processor, s, op);
        *destination = result;
        return Flow.Next(processor, s, op);
    }
}
