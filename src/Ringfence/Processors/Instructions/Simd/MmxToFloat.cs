using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>
/// CVTPI2PS and CVTPI2PD: two doublewords of an MMX register or memory. Only the register forms touch the x87 state
/// (Intel SDM 2A).
/// </summary>
internal static unsafe class MmxToFloat<TAddressing>
    where TAddressing : struct, IAddressing
{
    /// <summary>CVTPI2PS xmm, mm.</summary>
    public static Operation* SinglesRegister(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (SimdAccess.MmxFaults(s)) return SimdAccess.MmxFault(processor, s, op);
        Mmx.Enter(s);
        if (!TryConvertSingles(s, op, Mmx.Read(s, op->Source))) return SimdAccess.FloatingPointFault(processor, s, op);
        return Flow.Next(processor, s, op);
    }

    /// <summary>CVTPI2PS xmm, m64.</summary>
    public static Operation* SinglesMemory(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!Operand<TAddressing>.TryRead(processor, s, op, out ulong source)) return Flow.Fault(s, op);
        if (!TryConvertSingles(s, op, source)) return SimdAccess.FloatingPointFault(processor, s, op);
        return Flow.Next(processor, s, op);
    }

    /// <summary>CVTPI2PD xmm, mm.</summary>
    public static Operation* DoublesRegister(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (SimdAccess.MmxFaults(s)) return SimdAccess.MmxFault(processor, s, op);
        ConvertDoubles(s, op, Mmx.Read(s, op->Source));
        Mmx.Enter(s);
        return Flow.Next(processor, s, op);
    }

    /// <summary>CVTPI2PD xmm, m64.</summary>
    public static Operation* DoublesMemory(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!Operand<TAddressing>.TryRead(processor, s, op, out ulong source)) return Flow.Fault(s, op);
        ConvertDoubles(s, op, source);
        return Flow.Next(processor, s, op);
    }

    private static bool TryConvertSingles(VcpuState* s, Operation* op, ulong source)
    {
        FloatContext context = FloatContext.FromMxcsr(s->Mxcsr);
        uint low = SoftFloat.FromInteger<uint>((int)source, ref context);
        uint high = SoftFloat.FromInteger<uint>((int)(source >> 32), ref context);
        if (!FloatingLanes.TryFinish(s, in context)) return false;
        *(ulong*)Xmm.At(s, op->Destination) = low | ((ulong)high << 32);
        return true;
    }

    private static void ConvertDoubles(VcpuState* s, Operation* op, ulong source)
    {
        double* destination = (double*)Xmm.At(s, op->Destination);
        destination[0] = (int)source;
        destination[1] = (int)(source >> 32);
    }
}
