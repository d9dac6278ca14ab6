using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>
/// DPPS and DPPD (Intel SDM 2A): products chosen by immediate bits 7:4, summed in pairs, stored where bits 3:0 say. Each step is
/// rounded and reports; an unmasked exception of one step keeps the next from being done.
/// </summary>
internal static unsafe class FloatingDotProduct<T, TAddressing>
    where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    where TAddressing : struct, IAddressing
{
    /// <summary>xmm, xmm, imm8.</summary>
    public static Operation* Register(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        Vector128<byte> source = Xmm.Read(s, op->Source);
        return Compute(processor, s, op, source.AsUInt64().ToScalar(), source.AsUInt64().GetElement(1));
    }

    /// <summary>xmm, m128, imm8.</summary>
    public static Operation* Memory(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!SimdMemory<TAddressing>.TryReadAligned(processor, s, op, out Vector128<byte> source)) return Flow.Fault(s, op);
        return Compute(processor, s, op, source.AsUInt64().ToScalar(), source.AsUInt64().GetElement(1));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Operation* Compute(Processor processor, VcpuState* s, Operation* op, ulong low, ulong high)
    {
        int count = Vector128<T>.Count;
        Vector128<T> a = Xmm.Read(s, op->Destination).As<byte, T>();
        Vector128<T> b = Vector128.Create(low, high).As<ulong, T>();
        Vector128<T> products = default;
        FloatContext context = FloatContext.FromMxcsr(s->Mxcsr);
        for (int i = 0; i < count; i++)
        {
            if ((op->Immediate & (16UL << i)) != 0)
                products = products.WithElement(i, SoftFloat.Multiply(a.GetElement(i), b.GetElement(i), ref context));
        }

        if (!FloatingLanes.TryFinish(s, in context)) return SimdAccess.FloatingPointFault(processor, s, op);
        T sum = SoftFloat.Add(products.GetElement(0), products.GetElement(1), ref context);
        if (count == 4)
        {
            T upper = SoftFloat.Add(products.GetElement(2), products.GetElement(3), ref context);
            if (!FloatingLanes.TryFinish(s, in context)) return SimdAccess.FloatingPointFault(processor, s, op);
            sum = SoftFloat.Add(sum, upper, ref context);
        }

        if (!FloatingLanes.TryFinish(s, in context)) return SimdAccess.FloatingPointFault(processor, s, op);
        Vector128<T> result = default;
        for (int i = 0; i < count; i++)
            if ((op->Immediate & (1UL << i)) != 0) result = result.WithElement(i, sum);
        Xmm.Write(s, op->Destination, result.AsByte());
        return Flow.Next(processor, s, op);
    }
}
