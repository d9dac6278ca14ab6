using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>Handlers of packed instructions: every operand form of an <see cref="IPackedOperation"/>.</summary>
internal static unsafe class Packed<TOperation, TAddressing>
    where TOperation : struct, IPackedOperation
    where TAddressing : struct, IAddressing
{
    /// <summary>xmm, xmm.</summary>
    public static Operation* XmmRegister(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        Xmm.Write(s, op->Destination, TOperation.Apply(Xmm.Read(s, op->Destination), Xmm.Read(s, op->Source)));
        return Flow.Next(processor, s, op);
    }

    /// <summary>xmm, m128, aligned.</summary>
    public static Operation* XmmMemory(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!SimdMemory<TAddressing>.TryReadAligned(processor, s, op, out Vector128<byte> b)) return Flow.Fault(s, op);
        Xmm.Write(s, op->Destination, TOperation.Apply(Xmm.Read(s, op->Destination), b));
        return Flow.Next(processor, s, op);
    }

    /// <summary>xmm, m128 of any alignment.</summary>
    public static Operation* XmmUnaligned(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!Operand<TAddressing>.TryRead(processor, s, op, out Vector128<byte> b)) return Flow.Fault(s, op);
        Xmm.Write(s, op->Destination, TOperation.Apply(Xmm.Read(s, op->Destination), b));
        return Flow.Next(processor, s, op);
    }

    /// <summary>xmm, memory of an element's size: the rest of the source operand is 0.</summary>
    public static Operation* XmmElement<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!Operand<TAddressing>.TryRead(processor, s, op, out T b)) return Flow.Fault(s, op);
        Xmm.Write(s, op->Destination, TOperation.Apply(Xmm.Read(s, op->Destination), Vector128.CreateScalar(b).AsByte()));
        return Flow.Next(processor, s, op);
    }

    /// <summary>mm, mm.</summary>
    public static Operation* MmxRegister(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.MmxFaults(s)) return SimdAccess.MmxFault(processor, s, op);
        Vector128<byte> b = Vector128.CreateScalar(Mmx.Read(s, op->Source)).AsByte();
        Combine(s, op, b);
        return Flow.Next(processor, s, op);
    }

    /// <summary>mm, m64 or (low unpacks) m32.</summary>
    public static Operation* MmxMemory<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged
    {
        if (SimdAccess.MmxFaults(s)) return SimdAccess.MmxFault(processor, s, op);
        if (!Operand<TAddressing>.TryRead(processor, s, op, out T b)) return Flow.Fault(s, op);
        Combine(s, op, Vector128.CreateScalar(b).AsByte());
        return Flow.Next(processor, s, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Combine(VcpuState* s, Operation* op, Vector128<byte> b)
    {
        Vector128<byte> a = Vector128.CreateScalar(Mmx.Read(s, op->Destination)).AsByte();
        Mmx.Write(s, op->Destination, TOperation.Apply(a, b).AsUInt64().ToScalar());
        Mmx.Enter(s);
    }
}
