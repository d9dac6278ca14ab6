using System.Runtime.CompilerServices;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>MXCSR, FXSAVE and FXRSTOR, EMMS (Intel SDM 1 10.2.3, 10.5; 2A).</summary>
internal static unsafe class SimdControl<TAddressing>
    where TAddressing : struct, IAddressing
{
    private const uint MxcsrMask = 0xffff;
    private const int AreaSize = 512;
    private const int RegistersAt = 32;
    private const int XmmAt = 160;

    /// <summary>Bytes 416 to 511 are reserved or the software's: never written.</summary>
    private const int WrittenSize = 416;

    /// <summary>LDMXCSR.</summary>
    public static Operation* LoadMxcsr(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!Operand<TAddressing>.TryRead(processor, s, op, out uint value)) return Flow.Fault(s, op);
        if ((value & ~MxcsrMask) != 0) return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        s->Mxcsr = value;
        return Flow.Next(processor, s, op);
    }

    /// <summary>STMXCSR.</summary>
    public static Operation* StoreMxcsr(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!Operand<TAddressing>.TryWrite(processor, s, op, s->Mxcsr)) return Flow.Fault(s, op);
        return Flow.Next(processor, s, op);
    }

    /// <summary>EMMS: TOP becomes 0 as with every MMX instruction, but all x87 registers empty (Intel SDM 3A table 12-2).</summary>
    public static Operation* EmptyMmx(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.MmxFaults(s)) return SimdAccess.MmxFault(processor, s, op);
        Mmx.Enter(s);
        s->X87Tag = 0;
        return Flow.Next(processor, s, op);
    }

    /// <summary>FXSAVE, and FXSAVE64 with 64-bit pointers.</summary>
    [SkipLocalsInit]
    public static Operation* Save(Processor processor, VcpuState* s, Operation* op)
    {
        if (!CanAccess(processor, s, op, write: true, out ulong offset, out ulong linear)) return Flow.Fault(s, op);
        bool crossesPages = (linear >> 12) != ((linear + WrittenSize - 1) >> 12);
        if (crossesPages && !processor.Mmu.TryProbeWrite(linear, WrittenSize, Memory.Privilege.Current)) return Flow.Fault(s, op);
        byte* area = stackalloc byte[WrittenSize];
        new Span<byte>(area, XmmAt).Clear();
        Fill(s, area, op->IcedCode == Iced.Intel.Code.Fxsave64_m512byte);
        int size = s->Mode == ProcessorMode.Long ? WrittenSize : XmmAt + (8 * 16);
        Unsafe.CopyBlockUnaligned(area + XmmAt, s->Xmm, (uint)(size - XmmAt));
        for (int i = 0; i < size; i += 8)
        {
            if (!Operand<TAddressing>.TryWriteAt(processor, s, op->Segment, offset + (ulong)i, *(ulong*)(area + i)))
                return Flow.Fault(s, op);
        }

        return Flow.Next(processor, s, op);
    }

    /// <summary>FXRSTOR, and FXRSTOR64. Nothing is loaded if anything faults.</summary>
    [SkipLocalsInit]
    public static Operation* Restore(Processor processor, VcpuState* s, Operation* op)
    {
        if (!CanAccess(processor, s, op, write: false, out ulong offset, out _)) return Flow.Fault(s, op);
        // The end of the area is touched first.
        if (!Operand<TAddressing>.TryReadAt(processor, s, op->Segment, offset + AreaSize - 1, out byte _)) return Flow.Fault(s, op);
        byte* area = stackalloc byte[WrittenSize];
        int size = s->Mode == ProcessorMode.Long ? WrittenSize : XmmAt + (8 * 16);
        for (int i = 0; i < size; i += 8)
        {
            if (!Operand<TAddressing>.TryReadAt(processor, s, op->Segment, offset + (ulong)i, out ulong word)) return Flow.Fault(s, op);
            *(ulong*)(area + i) = word;
        }

        uint mxcsr = *(uint*)(area + 24);
        if ((mxcsr & ~MxcsrMask) != 0) return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        Load(s, area, op->IcedCode == Iced.Intel.Code.Fxrstor64_m512byte);
        s->Mxcsr = mxcsr;
        Unsafe.CopyBlockUnaligned(s->Xmm, area + XmmAt, (uint)(size - XmmAt));
        return Flow.Next(processor, s, op);
    }

    /// <summary>
    /// #NM for EM or TS, then the segment, then alignment: #GP, or for FXRSTOR #AC if
    /// alignment checks are on and not even doublewords are aligned.
    /// </summary>
    private static bool CanAccess(Processor processor, VcpuState* s, Operation* op, bool write, out ulong offset, out ulong linear)
    {
        offset = Operand<TAddressing>.EffectiveAddress(s, op);
        linear = 0;
        if (s->HasCr0(Cr0.Em | Cr0.Ts))
        {
            processor.RaiseFault(ExceptionVector.DeviceNotAvailable);
            return false;
        }

        if (!processor.Mmu.TryGetLinear(op->Segment, offset, AreaSize, write, out linear)) return false;
        if ((linear & 15) == 0) return true;
        processor.RaiseFault((linear & 3) != 0 && SimdAccess.ChecksAlignment(s) ? ExceptionVector.AlignmentCheck : ExceptionVector.GeneralProtection, 0);
        return false;
    }

    private static void Fill(VcpuState* s, byte* area, bool wide)
    {
        *(ushort*)area = s->X87Control;
        *(ushort*)(area + 2) = s->X87Status;
        area[4] = s->X87Tag;
        *(ushort*)(area + 6) = s->X87Opcode;
        if (wide)
        {
            *(ulong*)(area + 8) = s->X87InstructionPointer;
            *(ulong*)(area + 16) = s->X87DataPointer;
        }
        else
        {
            *(uint*)(area + 8) = (uint)s->X87InstructionPointer;
            *(ushort*)(area + 12) = s->X87InstructionSelector;
            *(uint*)(area + 16) = (uint)s->X87DataPointer;
            *(ushort*)(area + 20) = s->X87DataSelector;
        }

        *(uint*)(area + 24) = s->Mxcsr;
        *(uint*)(area + 28) = MxcsrMask;
        int top = (s->X87Status >> 11) & 7;
        for (int i = 0; i < 8; i++)
        {
            int physical = (top + i) & 7;
            *(ulong*)(area + RegistersAt + (i * 16)) = s->X87Significand[physical];
            *(ushort*)(area + RegistersAt + (i * 16) + 8) = s->X87SignExponent[physical];
        }
    }

    private static void Load(VcpuState* s, byte* area, bool wide)
    {
        // Reserved control bits read as hardware keeps them: bit 6 set, 7, 13 to 15 clear; ES and B follow the unmasked exceptions.
        s->X87Control = (ushort)((*(ushort*)area & 0x1f7f) | 0x40);
        ushort status = (ushort)(*(ushort*)(area + 2) & 0x7f7f);
        if ((status & ~s->X87Control & 0x3f) != 0) status |= 0x8080;
        s->X87Status = status;
        s->X87Tag = area[4];
        s->X87Opcode = (ushort)(*(ushort*)(area + 6) & 0x7ff);
        if (wide)
        {
            s->X87InstructionPointer = *(ulong*)(area + 8);
            s->X87DataPointer = *(ulong*)(area + 16);
            s->X87InstructionSelector = 0;
            s->X87DataSelector = 0;
        }
        else
        {
            s->X87InstructionPointer = *(uint*)(area + 8);
            s->X87InstructionSelector = *(ushort*)(area + 12);
            s->X87DataPointer = *(uint*)(area + 16);
            s->X87DataSelector = *(ushort*)(area + 20);
        }

        int top = (status >> 11) & 7;
        for (int i = 0; i < 8; i++)
        {
            int physical = (top + i) & 7;
            s->X87Significand[physical] = *(ulong*)(area + RegistersAt + (i * 16));
            s->X87SignExponent[physical] = *(ushort*)(area + RegistersAt + (i * 16) + 8);
        }
    }
}
