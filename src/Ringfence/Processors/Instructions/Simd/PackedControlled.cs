using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>Handlers of packed instructions with an immediate: every operand form of an <see cref="IControlledOperation"/>.</summary>
internal static unsafe class PackedControlled<TOperation, TAddressing>
    where TOperation : struct, IControlledOperation
    where TAddressing : struct, IAddressing
{
    /// <summary>xmm, xmm, imm8.</summary>
    public static Operation* XmmRegister(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        byte* a = Xmm.At(s, op->Destination);
        Unsafe.WriteUnaligned(a, TOperation.Apply(s, a, Xmm.At(s, op->Source), (byte)op->Immediate));
        return Flow.Next(processor, s, op);
    }

    /// <summary>xmm, m128, imm8.</summary>
    public static Operation* XmmMemory(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!SimdMemory<TAddressing>.TryReadAligned(processor, s, op, out Vector128<byte> b)) return Flow.Fault(s, op);
        Unsafe.WriteUnaligned(s->Transfer, b);
        byte* a = Xmm.At(s, op->Destination);
        Unsafe.WriteUnaligned(a, TOperation.Apply(s, a, (byte*)s->Transfer, (byte)op->Immediate));
        return Flow.Next(processor, s, op);
    }

    /// <summary>xmm, memory of an element's size, imm8.</summary>
    public static Operation* XmmElement<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!Operand<TAddressing>.TryRead(processor, s, op, out T b)) return Flow.Fault(s, op);
        Unsafe.WriteUnaligned(s->Transfer, Vector128.CreateScalar(b));
        byte* a = Xmm.At(s, op->Destination);
        Unsafe.WriteUnaligned(a, TOperation.Apply(s, a, (byte*)s->Transfer, (byte)op->Immediate));
        return Flow.Next(processor, s, op);
    }

    /// <summary>mm, mm, imm8.</summary>
    public static Operation* MmxRegister(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.MmxFaults(s)) return SimdAccess.MmxFault(processor, s, op);
        Combine(s, op, Mmx.Read(s, op->Source));
        return Flow.Next(processor, s, op);
    }

    /// <summary>mm, m64, imm8.</summary>
    public static Operation* MmxMemory(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.MmxFaults(s)) return SimdAccess.MmxFault(processor, s, op);
        if (!Operand<TAddressing>.TryRead(processor, s, op, out ulong b)) return Flow.Fault(s, op);
        Combine(s, op, b);
        return Flow.Next(processor, s, op);
    }

    private static void Combine(VcpuState* s, Operation* op, ulong b)
    {
        s->Transfer[0] = b;
        Vector128<byte> result = TOperation.Apply(s, Mmx.At(s, op->Destination), (byte*)s->Transfer, (byte)op->Immediate);
        Mmx.Write(s, op->Destination, result.AsUInt64().ToScalar());
        Mmx.Enter(s);
    }
}
