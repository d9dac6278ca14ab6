using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>
/// ROUNDPS, ROUNDPD, ROUNDSS, ROUNDSD (Intel SDM 2B): immediate bits 1:0 are the rounding unless bit 2 takes MXCSR's; bit 3 keeps
/// PE away.
/// </summary>
internal static unsafe class FloatingRound<T, TAddressing>
    where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    where TAddressing : struct, IAddressing
{
    /// <summary>xmm, xmm, imm8, all elements.</summary>
    public static Operation* PackedRegister(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        Vector128<byte> source = Xmm.Read(s, op->Source);
        return Packed(processor, s, op, source.AsUInt64().ToScalar(), source.AsUInt64().GetElement(1));
    }

    /// <summary>xmm, m128, imm8, all elements.</summary>
    public static Operation* PackedMemory(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!SimdMemory<TAddressing>.TryReadAligned(processor, s, op, out Vector128<byte> source)) return Flow.Fault(s, op);
        return Packed(processor, s, op, source.AsUInt64().ToScalar(), source.AsUInt64().GetElement(1));
    }

    /// <summary>xmm, xmm, imm8, the lowest element.</summary>
    public static Operation* ScalarRegister(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        return Scalar(processor, s, op, *(T*)Xmm.At(s, op->Source));
    }

    /// <summary>xmm, m32 or m64, imm8, the lowest element.</summary>
    public static Operation* ScalarMemory(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!Operand<TAddressing>.TryRead(processor, s, op, out T source)) return Flow.Fault(s, op);
        return Scalar(processor, s, op, source);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Operation* Packed(Processor processor, VcpuState* s, Operation* op, ulong low, ulong high)
    {
        Vector128<T> source = Vector128.Create(low, high).As<ulong, T>();
        Vector128<T> result = default;
        FloatContext context = FloatContext.FromMxcsr(s->Mxcsr);
        for (int i = 0; i < Vector128<T>.Count; i++)
            result = result.WithElement(i, Round(source.GetElement(i), op->Immediate, ref context));
        if (!FloatingLanes.TryFinish(s, in context)) return SimdAccess.FloatingPointFault(processor, s, op);
        Xmm.Write(s, op->Destination, result.AsByte());
        return Flow.Next(processor, s, op);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Operation* Scalar(Processor processor, VcpuState* s, Operation* op, T source)
    {
        FloatContext context = FloatContext.FromMxcsr(s->Mxcsr);
        T result = Round(source, op->Immediate, ref context);
        if (!FloatingLanes.TryFinish(s, in context)) return SimdAccess.FloatingPointFault(processor, s, op);
        *(T*)Xmm.At(s, op->Destination) = result;
        return Flow.Next(processor, s, op);
    }

    private static T Round(T value, ulong immediate, ref FloatContext context)
    {
        FloatRounding rounding = (immediate & 4) != 0 ? context.Rounding : (FloatRounding)(immediate & 3);
        return SoftFloat.RoundToIntegral(value, rounding, (immediate & 8) != 0, ref context);
    }
}
