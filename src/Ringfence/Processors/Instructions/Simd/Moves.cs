using System.Runtime.CompilerServices;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>Stores, and moves between register files. Loads are <see cref="Packed{TOperation,TAddressing}"/> with a moving operation.</summary>
internal static unsafe class Moves<TAddressing>
    where TAddressing : struct, IAddressing
{
    /// <summary>m128, xmm, aligned.</summary>
    public static Operation* StoreAligned(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!SimdMemory<TAddressing>.TryWriteAligned(processor, s, op, Xmm.Read(s, op->Source))) return Flow.Fault(s, op);
        return Flow.Next(processor, s, op);
    }

    /// <summary>Memory, the low part of an XMM register, or all of it.</summary>
    public static Operation* Store<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!Operand<TAddressing>.TryWrite(processor, s, op, Unsafe.ReadUnaligned<T>(Xmm.At(s, op->Source)))) return Flow.Fault(s, op);
        return Flow.Next(processor, s, op);
    }

    /// <summary>MOVHPS, MOVHPD stores.</summary>
    public static Operation* StoreHigh(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!Operand<TAddressing>.TryWrite(processor, s, op, *((ulong*)Xmm.At(s, op->Source) + 1))) return Flow.Fault(s, op);
        return Flow.Next(processor, s, op);
    }

    /// <summary>m64 or m32, mm.</summary>
    public static Operation* StoreMmx<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged
    {
        if (SimdAccess.MmxFaults(s)) return SimdAccess.MmxFault(processor, s, op);
        if (!Operand<TAddressing>.TryWrite(processor, s, op, *(T*)Mmx.At(s, op->Source))) return Flow.Fault(s, op);
        Mmx.Enter(s);
        return Flow.Next(processor, s, op);
    }

    /// <summary>MOVNTI: no SIMD register, no SIMD check.</summary>
    public static Operation* StoreGeneral<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged
    {
        if (!Operand<TAddressing>.TryWrite(processor, s, op, Register.Read<T>(s, op->Source))) return Flow.Fault(s, op);
        return Flow.Next(processor, s, op);
    }

    /// <summary>MASKMOVDQU: writes the bytes whose mask has bit 7 set.</summary>
    public static Operation* MaskedStore(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        return MaskedStore(processor, s, op, Xmm.At(s, op->Destination), Xmm.At(s, op->Source), 16)
            ? Flow.Next(processor, s, op) : Flow.Fault(s, op);
    }

    /// <summary>MASKMOVQ. The x87 state changes even if the store faults.</summary>
    public static Operation* MaskedStoreMmx(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.MmxFaults(s)) return SimdAccess.MmxFault(processor, s, op);
        Mmx.Enter(s);
        if (!MaskedStore(processor, s, op, Mmx.At(s, op->Destination), Mmx.At(s, op->Source), 8)) return Flow.Fault(s, op);
        return Flow.Next(processor, s, op);
    }

    private static bool MaskedStore(Processor processor, VcpuState* s, Operation* op, byte* data, byte* mask, int size)
    {
        // The whole operand is checked, whatever the mask.
        ulong address = Operand<TAddressing>.EffectiveAddress(s, op);
        if (!processor.Mmu.TryGetLinear(op->Segment, address, size, write: true, out ulong linear)) return false;
        if ((linear & 7) != 0 && SimdAccess.ChecksAlignment(s))
        {
            processor.RaiseFault(ExceptionVector.AlignmentCheck, 0);
            return false;
        }

        if (!processor.Mmu.TryProbeWrite(linear, size, Memory.Privilege.Current)) return false;
        for (int i = 0; i < size; i++)
        {
            if ((sbyte)mask[i] >= 0) continue;
            ulong offset = (address + (ulong)i) & op->AddressMask;
            if (!Operand<TAddressing>.TryWriteAt(processor, s, op->Segment, offset, data[i])) return false;
        }

        return true;
    }
}
