using System.Runtime.Intrinsics;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>Moves between registers of different kinds, and extraction and insertion of elements.</summary>
internal static unsafe class RegisterMoves
{
    /// <summary>MOVD, MOVQ xmm, r.</summary>
    public static Operation* XmmFromGeneral<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        Xmm.Write(s, op->Destination, Vector128.CreateScalar(Register.Read<T>(s, op->Source)).AsByte());
        return Flow.Next(processor, s, op);
    }

    /// <summary>MOVD r32, xmm.</summary>
    public static Operation* DoublewordFromXmm(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        Register.Write(s, op->Destination, *(uint*)Xmm.At(s, op->Source));
        return Flow.Next(processor, s, op);
    }

    /// <summary>MOVQ r64, xmm.</summary>
    public static Operation* QuadwordFromXmm(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        Register.Write(s, op->Destination, *(ulong*)Xmm.At(s, op->Source));
        return Flow.Next(processor, s, op);
    }

    /// <summary>MOVD mm, r32.</summary>
    public static Operation* MmxFromDoubleword(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.MmxFaults(s)) return SimdAccess.MmxFault(processor, s, op);
        Mmx.Write(s, op->Destination, Register.Read<uint>(s, op->Source));
        Mmx.Enter(s);
        return Flow.Next(processor, s, op);
    }

    /// <summary>MOVQ mm, r64.</summary>
    public static Operation* MmxFromQuadword(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.MmxFaults(s)) return SimdAccess.MmxFault(processor, s, op);
        Mmx.Write(s, op->Destination, Register.Read<ulong>(s, op->Source));
        Mmx.Enter(s);
        return Flow.Next(processor, s, op);
    }

    /// <summary>MOVD r32, mm.</summary>
    public static Operation* DoublewordFromMmx(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.MmxFaults(s)) return SimdAccess.MmxFault(processor, s, op);
        Register.Write(s, op->Destination, (uint)Mmx.Read(s, op->Source));
        Mmx.Enter(s);
        return Flow.Next(processor, s, op);
    }

    /// <summary>MOVQ r64, mm.</summary>
    public static Operation* QuadwordFromMmx(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.MmxFaults(s)) return SimdAccess.MmxFault(processor, s, op);
        Register.Write(s, op->Destination, Mmx.Read(s, op->Source));
        Mmx.Enter(s);
        return Flow.Next(processor, s, op);
    }

    /// <summary>MOVQ2DQ.</summary>
    public static Operation* XmmFromMmx(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (SimdAccess.MmxFaults(s)) return SimdAccess.MmxFault(processor, s, op);
        Xmm.Write(s, op->Destination, Vector128.CreateScalar(Mmx.Read(s, op->Source)).AsByte());
        Mmx.Enter(s);
        return Flow.Next(processor, s, op);
    }

    /// <summary>MOVDQ2Q.</summary>
    public static Operation* MmxFromXmm(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (SimdAccess.MmxFaults(s)) return SimdAccess.MmxFault(processor, s, op);
        Mmx.Write(s, op->Destination, *(ulong*)Xmm.At(s, op->Source));
        Mmx.Enter(s);
        return Flow.Next(processor, s, op);
    }

    /// <summary>MOVMSKPS, MOVMSKPD, PMOVMSKB: the sign bits of the elements.</summary>
    public static Operation* SignMask<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        uint mask = Xmm.Read(s, op->Source).As<byte, T>().ExtractMostSignificantBits();
        Register.Write(s, op->Destination, mask);
        return Flow.Next(processor, s, op);
    }

    /// <summary>PMOVMSKB r, mm.</summary>
    public static Operation* SignMaskMmx(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.MmxFaults(s)) return SimdAccess.MmxFault(processor, s, op);
        uint mask = Vector128.CreateScalar(Mmx.Read(s, op->Source)).AsByte().ExtractMostSignificantBits();
        Register.Write(s, op->Destination, mask);
        Mmx.Enter(s);
        return Flow.Next(processor, s, op);
    }

    /// <summary>PEXTRB, PEXTRW, PEXTRD, EXTRACTPS to a register, zero-extended.</summary>
    public static Operation* Extract<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        T* element = (T*)Xmm.At(s, op->Source) + (op->Immediate & ((16 / (uint)sizeof(T)) - 1));
        if (sizeof(T) == 8) Register.Write(s, op->Destination, *(ulong*)element);
        else Register.Write(s, op->Destination, sizeof(T) == 4 ? *(uint*)element : sizeof(T) == 2 ? *(ushort*)element : *(byte*)element);
        return Flow.Next(processor, s, op);
    }

    /// <summary>The same to memory.</summary>
    public static Operation* ExtractToMemory<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged
        where TAddressing : struct, IAddressing
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        T* element = (T*)Xmm.At(s, op->Source) + (op->Immediate & ((16 / (uint)sizeof(T)) - 1));
        if (!Operand<TAddressing>.TryWrite(processor, s, op, *element)) return Flow.Fault(s, op);
        return Flow.Next(processor, s, op);
    }

    /// <summary>PEXTRW r, mm.</summary>
    public static Operation* ExtractMmx(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.MmxFaults(s)) return SimdAccess.MmxFault(processor, s, op);
        Register.Write(s, op->Destination, (uint)((ushort*)Mmx.At(s, op->Source))[op->Immediate & 3]);
        Mmx.Enter(s);
        return Flow.Next(processor, s, op);
    }

    /// <summary>PINSRB, PINSRW, PINSRD, PINSRQ from a register.</summary>
    public static Operation* Insert<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        ((T*)Xmm.At(s, op->Destination))[op->Immediate & ((16 / (uint)sizeof(T)) - 1)] = Register.Read<T>(s, op->Source);
        return Flow.Next(processor, s, op);
    }

    /// <summary>The same from memory.</summary>
    public static Operation* InsertFromMemory<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged
        where TAddressing : struct, IAddressing
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!Operand<TAddressing>.TryRead(processor, s, op, out T value)) return Flow.Fault(s, op);
        ((T*)Xmm.At(s, op->Destination))[op->Immediate & ((16 / (uint)sizeof(T)) - 1)] = value;
        return Flow.Next(processor, s, op);
    }

    /// <summary>PINSRW mm, r32.</summary>
    public static Operation* InsertMmx(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.MmxFaults(s)) return SimdAccess.MmxFault(processor, s, op);
        InsertMmx(s, op, Register.Read<ushort>(s, op->Source));
        return Flow.Next(processor, s, op);
    }

    /// <summary>PINSRW mm, m16.</summary>
    public static Operation* InsertMmxFromMemory<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (SimdAccess.MmxFaults(s)) return SimdAccess.MmxFault(processor, s, op);
        if (!Operand<TAddressing>.TryRead(processor, s, op, out ushort value)) return Flow.Fault(s, op);
        InsertMmx(s, op, value);
        return Flow.Next(processor, s, op);
    }

    private static void InsertMmx(VcpuState* s, Operation* op, ushort value)
    {
        int shift = (int)(op->Immediate & 3) * 16;
        ulong old = Mmx.Read(s, op->Destination);
        Mmx.Write(s, op->Destination, (old & ~(0xffffUL << shift)) | ((ulong)value << shift));
        Mmx.Enter(s);
    }
}
