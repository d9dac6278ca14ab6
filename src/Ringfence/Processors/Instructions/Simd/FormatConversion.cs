using System.Runtime.CompilerServices;
using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>CVTSS2SD and CVTSD2SS.</summary>
internal static unsafe class FormatConversion<TAddressing>
    where TAddressing : struct, IAddressing
{
    /// <summary>CVTSS2SD xmm, xmm.</summary>
    public static Operation* WidenRegister(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        uint source = *(uint*)Xmm.At(s, op->Source);
        if (!IsOrdinary(source)) return WidenExact(processor, s, op, source);
        *(double*)Xmm.At(s, op->Destination) = BitConverter.UInt32BitsToSingle(source);
        return Flow.Next(processor, s, op);
    }

    /// <summary>CVTSS2SD xmm, m32.</summary>
    public static Operation* WidenMemory(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!Operand<TAddressing>.TryRead(processor, s, op, out uint source)) return Flow.Fault(s, op);
        if (!IsOrdinary(source)) return WidenExact(processor, s, op, source);
        *(double*)Xmm.At(s, op->Destination) = BitConverter.UInt32BitsToSingle(source);
        return Flow.Next(processor, s, op);
    }

    /// <summary>CVTSD2SS xmm, xmm.</summary>
    public static Operation* NarrowRegister(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        double source = *(double*)Xmm.At(s, op->Source);
        float result = (float)source;
        if (!IsFast(s, source, result)) return NarrowExact(processor, s, op, BitConverter.DoubleToUInt64Bits(source));
        *(float*)Xmm.At(s, op->Destination) = result;
        return Flow.Next(processor, s, op);
    }

    /// <summary>CVTSD2SS xmm, m64.</summary>
    public static Operation* NarrowMemory(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!Operand<TAddressing>.TryRead(processor, s, op, out double source)) return Flow.Fault(s, op);
        float result = (float)source;
        if (!IsFast(s, source, result)) return NarrowExact(processor, s, op, BitConverter.DoubleToUInt64Bits(source));
        *(float*)Xmm.At(s, op->Destination) = result;
        return Flow.Next(processor, s, op);
    }

    /// <summary>Zero, normal or infinite.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsOrdinary(uint value)
    {
        uint twice = value << 1;
        return twice - 0x0100_0000u <= 0xfe00_0000u || twice == 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsFast(VcpuState* s, double source, float result) =>
        (SoftFloat.IsPlain(BitConverter.SingleToUInt32Bits(result)) && FloatingLanes.IsDefault(s)) || source == 0;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Operation* WidenExact(Processor processor, VcpuState* s, Operation* op, uint source)
    {
        FloatContext context = FloatContext.FromMxcsr(s->Mxcsr);
        ulong result = SoftFloat.Widen(source, ref context);
        if (!FloatingLanes.TryFinish(s, in context)) return SimdAccess.FloatingPointFault(processor, s, op);
        *(ulong*)Xmm.At(s, op->Destination) = result;
        return Flow.Next(processor, s, op);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Operation* NarrowExact(Processor processor, VcpuState* s, Operation* op, ulong source)
    {
        FloatContext context = FloatContext.FromMxcsr(s->Mxcsr);
        uint result = SoftFloat.Narrow(source, ref context);
        if (!FloatingLanes.TryFinish(s, in context)) return SimdAccess.FloatingPointFault(processor, s, op);
        *(uint*)Xmm.At(s, op->Destination) = result;
        return Flow.Next(processor, s, op);
    }
}
