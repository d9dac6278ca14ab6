using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>Handlers of packed conversions: every operand form of an <see cref="IPackedConversion"/>.</summary>
internal static unsafe class PackedConversion<TConversion, TAddressing>
    where TConversion : struct, IPackedConversion
    where TAddressing : struct, IAddressing
{
    /// <summary>xmm, xmm.</summary>
    public static Operation* XmmRegister(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        Vector128<byte> source = Xmm.Read(s, op->Source);
        Vector128<byte> result = TConversion.Apply(source);
        if (!TConversion.IsFast(s, source, result))
            return Exact(processor, s, op, source.AsUInt64().ToScalar(), source.AsUInt64().GetElement(1));
        Xmm.Write(s, op->Destination, result);
        return Flow.Next(processor, s, op);
    }

    /// <summary>xmm, m128, aligned.</summary>
    public static Operation* XmmMemory(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!SimdMemory<TAddressing>.TryReadAligned(processor, s, op, out Vector128<byte> source)) return Flow.Fault(s, op);
        Vector128<byte> result = TConversion.Apply(source);
        if (!TConversion.IsFast(s, source, result))
            return Exact(processor, s, op, source.AsUInt64().ToScalar(), source.AsUInt64().GetElement(1));
        Xmm.Write(s, op->Destination, result);
        return Flow.Next(processor, s, op);
    }

    /// <summary>xmm, m64.</summary>
    public static Operation* XmmElement(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!Operand<TAddressing>.TryRead(processor, s, op, out ulong low)) return Flow.Fault(s, op);
        Vector128<byte> source = Vector128.CreateScalar(low).AsByte();
        Vector128<byte> result = TConversion.Apply(source);
        if (!TConversion.IsFast(s, source, result)) return Exact(processor, s, op, low, 0);
        Xmm.Write(s, op->Destination, result);
        return Flow.Next(processor, s, op);
    }

    /// <summary>mm, xmm.</summary>
    public static Operation* MmxFromRegister(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (SimdAccess.MmxFaults(s)) return SimdAccess.MmxFault(processor, s, op);
        return ToMmx(processor, s, op, Xmm.Read(s, op->Source));
    }

    /// <summary>mm, m64.</summary>
    public static Operation* MmxFromElement(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (SimdAccess.MmxFaults(s)) return SimdAccess.MmxFault(processor, s, op);
        if (!Operand<TAddressing>.TryRead(processor, s, op, out ulong low)) return Flow.Fault(s, op);
        return ToMmx(processor, s, op, Vector128.CreateScalar(low).AsByte());
    }

    /// <summary>mm, m128, aligned.</summary>
    public static Operation* MmxFromMemory(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (SimdAccess.MmxFaults(s)) return SimdAccess.MmxFault(processor, s, op);
        if (!SimdMemory<TAddressing>.TryReadAligned(processor, s, op, out Vector128<byte> source)) return Flow.Fault(s, op);
        return ToMmx(processor, s, op, source);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Operation* Exact(Processor processor, VcpuState* s, Operation* op, ulong low, ulong high)
    {
        FloatContext context = FloatContext.FromMxcsr(s->Mxcsr);
        Vector128<byte> result = TConversion.Exact(Vector128.Create(low, high).AsByte(), ref context);
        if (!FloatingLanes.TryFinish(s, in context)) return SimdAccess.FloatingPointFault(processor, s, op);
        Xmm.Write(s, op->Destination, result);
        return Flow.Next(processor, s, op);
    }

    /// <summary>The x87 state changes even if a SIMD floating-point exception follows.</summary>
    private static Operation* ToMmx(Processor processor, VcpuState* s, Operation* op, Vector128<byte> source)
    {
        Mmx.Enter(s);
        FloatContext context = FloatContext.FromMxcsr(s->Mxcsr);
        ulong result = TConversion.Exact(source, ref context).AsUInt64().ToScalar();
        if (!FloatingLanes.TryFinish(s, in context)) return SimdAccess.FloatingPointFault(processor, s, op);
        Mmx.Write(s, op->Destination, result);
        return Flow.Next(processor, s, op);
    }
}
