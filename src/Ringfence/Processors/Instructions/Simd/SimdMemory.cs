using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Ringfence.Memory;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>
/// 128-bit memory operands that must be aligned on their linear address, otherwise #GP(0) (Intel SDM 2A 2.4, legacy SSE).
/// </summary>
internal static unsafe class SimdMemory<TAddressing>
    where TAddressing : struct, IAddressing
{
    /// <summary>Reads an aligned operand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryReadAligned(Processor processor, VcpuState* s, Operation* op, out Vector128<byte> value)
    {
        ulong offset = Operand<TAddressing>.EffectiveAddress(s, op);
        SegmentRegister* register = (SegmentRegister*)&s->Segments + op->Segment;
        ulong linear = offset + register->Base;
        if (!TAddressing.IsLong) linear = (uint)linear;
        TlbEntry* entry = TlbEntry.For(s->Tlb, linear);
        if (entry->ReadTag == TlbEntry.TagOf(linear, s->AddressSpaceTag)
            && (TAddressing.IsLong || offset + 16 <= register->ReadEnd)
            && (linear & 15) == 0)
        {
            value = Unsafe.ReadUnaligned<Vector128<byte>>((void*)(linear + (ulong)entry->Addend));
            return true;
        }

        bool ok = IsAligned(processor, op->Segment, offset) && processor.Mmu.ReadSlow(op->Segment, offset, 16);
        value = Unsafe.ReadUnaligned<Vector128<byte>>(s->Transfer);
        return ok;
    }

    /// <summary>Writes an aligned operand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryWriteAligned(Processor processor, VcpuState* s, Operation* op, Vector128<byte> value)
    {
        ulong offset = Operand<TAddressing>.EffectiveAddress(s, op);
        SegmentRegister* register = (SegmentRegister*)&s->Segments + op->Segment;
        ulong linear = offset + register->Base;
        if (!TAddressing.IsLong) linear = (uint)linear;
        TlbEntry* entry = TlbEntry.For(s->Tlb, linear);
        if (entry->WriteTag == TlbEntry.TagOf(linear, s->AddressSpaceTag)
            && (TAddressing.IsLong || offset + 16 <= register->WriteEnd)
            && (linear & 15) == 0)
        {
            Unsafe.WriteUnaligned((void*)(linear + (ulong)entry->Addend), value);
            return true;
        }

        Unsafe.WriteUnaligned(s->Transfer, value);
        return IsAligned(processor, op->Segment, offset) && processor.Mmu.WriteSlow(op->Segment, offset, 16);
    }

    /// <summary>Checks the alignment of an operand, which comes before limit and canonical form; false: the fault was raised.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool IsAligned(Processor processor, int segment, ulong offset)
    {
        ulong linear = processor.State->Segment((SegmentIndex)segment).Base + offset;
        if ((linear & 15) == 0) return true;
        processor.RaiseFault(ExceptionVector.GeneralProtection, 0);
        return false;
    }
}
