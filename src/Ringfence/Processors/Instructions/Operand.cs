using System.Numerics;
using System.Runtime.CompilerServices;
using Ringfence.Memory;

namespace Ringfence.Processors.Instructions;

/// <summary>
/// Access to register and memory operands. Memory: the fast path probes the TLB inline; everything else (page crossing,
/// MMIO, faults, limits, alignment checks, code pages being written) is the <see cref="Mmu"/>'s slow path.
/// A failed access has raised its fault: the handler returns <see cref="Flow.Fault(VcpuState*, Operation*)"/>.
/// </summary>
/// <typeparam name="TAddressing">The addressing of the code the handler was decoded for.</typeparam>
internal static unsafe class Operand<TAddressing>
    where TAddressing : struct, IAddressing
{
    /// <summary>Offset of the memory operand in its segment.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong EffectiveAddress(VcpuState* s, Operation* op)
    {
        ulong address = *(ulong*)((byte*)s + op->Base) + (*(ulong*)((byte*)s + op->Index) << op->Scale) + (ulong)op->Displacement;
        return address & op->AddressMask;
    }

    /// <summary>Reads the memory operand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryRead<T>(Processor processor, VcpuState* s, Operation* op, out T value)
        where T : unmanaged => TryReadAt(processor, s, op->Segment, EffectiveAddress(s, op), out value);

    /// <summary>Writes the memory operand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryWrite<T>(Processor processor, VcpuState* s, Operation* op, T value)
        where T : unmanaged => TryWriteAt(processor, s, op->Segment, EffectiveAddress(s, op), value);

    /// <summary>Reads at an offset of a segment (<see cref="SegmentIndex"/>; Flat where 64-bit mode ignores bases).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryReadAt<T>(Processor processor, VcpuState* s, int segment, ulong offset, out T value)
        where T : unmanaged
    {
        SegmentRegister* register = (SegmentRegister*)&s->Segments + segment;
        ulong linear = offset + register->Base;
        if (!TAddressing.IsLong) linear = (uint)linear;
        TlbEntry* entry = TlbEntry.For(s->Tlb, linear);
        if (entry->ReadTag == TlbEntry.TagOf(linear + (ulong)sizeof(T) - 1, s->AddressSpaceTag)
            && (TAddressing.IsLong || offset + (ulong)sizeof(T) <= register->ReadEnd))
        {
            value = Unsafe.ReadUnaligned<T>((void*)(linear + (ulong)entry->Addend));
            return true;
        }

        bool ok = processor.Mmu.ReadSlow(segment, offset, sizeof(T));
        value = Unsafe.ReadUnaligned<T>(s->Transfer);
        return ok;
    }

    /// <summary>Writes at an offset of a segment.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryWriteAt<T>(Processor processor, VcpuState* s, int segment, ulong offset, T value)
        where T : unmanaged
    {
        SegmentRegister* register = (SegmentRegister*)&s->Segments + segment;
        ulong linear = offset + register->Base;
        if (!TAddressing.IsLong) linear = (uint)linear;
        TlbEntry* entry = TlbEntry.For(s->Tlb, linear);
        if (entry->WriteTag == TlbEntry.TagOf(linear + (ulong)sizeof(T) - 1, s->AddressSpaceTag)
            && (TAddressing.IsLong || offset + (ulong)sizeof(T) <= register->WriteEnd))
        {
            Unsafe.WriteUnaligned((void*)(linear + (ulong)entry->Addend), value);
            return true;
        }

        Unsafe.WriteUnaligned(s->Transfer, value);
        return processor.Mmu.WriteSlow(segment, offset, sizeof(T));
    }

    /// <summary>
    /// Makes the memory operand ready to be read, changed and written in place. Null: a fault was raised.
    /// After changing it the handler calls <see cref="Commit"/> if the pointer <see cref="IsStaged"/>.
    /// A fault for reading or writing is raised here, before anything changes. With a LOCK prefix the handler uses the
    /// host's atomic operations on the pointer, staged or not; a staged locked operand is exclusive until its commit.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T* TryModify<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged => TryModifyAt<T>(processor, s, op, EffectiveAddress(s, op));

    /// <summary>As <see cref="TryModify{T}"/>, at an offset of the operand's segment.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T* TryModifyAt<T>(Processor processor, VcpuState* s, Operation* op, ulong offset)
        where T : unmanaged
    {
        SegmentRegister* register = (SegmentRegister*)&s->Segments + op->Segment;
        ulong linear = offset + register->Base;
        if (!TAddressing.IsLong) linear = (uint)linear;
        TlbEntry* entry = TlbEntry.For(s->Tlb, linear);
        if (entry->WriteTag == TlbEntry.TagOf(linear + (ulong)sizeof(T) - 1, s->AddressSpaceTag)
            && (TAddressing.IsLong || offset + (ulong)sizeof(T) <= register->WriteEnd))
        {
            return (T*)(linear + (ulong)entry->Addend);
        }

        return (T*)processor.Mmu.ModifySlow(op->Segment, offset, sizeof(T), (op->Flags & OperationFlags.Lock) != 0);
    }

    /// <summary>Was the operand copied to <see cref="VcpuState.Transfer"/> because it is not plain RAM?</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsStaged(VcpuState* s, void* pointer) => pointer == s->Transfer;

    /// <summary>Writes a staged operand back. Cannot fault.</summary>
    public static void Commit(Processor processor) => processor.Mmu.CommitModify();

    /// <summary>Pushes a value of the operand's size on the stack; RSP changes only if the write succeeds.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryPush<T>(Processor processor, VcpuState* s, T value)
        where T : unmanaged
    {
        if (TAddressing.IsLong)
        {
            ulong rsp = s->Gpr[4] - (ulong)sizeof(T);
            if (!TryWriteAt(processor, s, (int)SegmentIndex.FlatStack, rsp, value)) return false;
            s->Gpr[4] = rsp;
            return true;
        }

        ulong mask = s->StackMask;
        ulong sp = (s->Gpr[4] - (ulong)sizeof(T)) & mask;
        if (!TryWriteAt(processor, s, (int)SegmentIndex.Ss, sp, value)) return false;
        s->Gpr[4] = (s->Gpr[4] & ~mask) | sp;
        return true;
    }

    /// <summary>Reads the value on top of the stack; the handler then calls <see cref="DropStack"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryPeek<T>(Processor processor, VcpuState* s, out T value)
        where T : unmanaged => TAddressing.IsLong
            ? TryReadAt(processor, s, (int)SegmentIndex.FlatStack, s->Gpr[4], out value)
            : TryReadAt(processor, s, (int)SegmentIndex.Ss, s->Gpr[4] & s->StackMask, out value);

    /// <summary>Adds to the stack pointer, in the stack's width.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void DropStack(VcpuState* s, ulong bytes)
    {
        if (TAddressing.IsLong)
        {
            s->Gpr[4] += bytes;
            return;
        }

        ulong mask = s->StackMask;
        s->Gpr[4] = (s->Gpr[4] & ~mask) | ((s->Gpr[4] + bytes) & mask);
    }
}

/// <summary>Access to register operands.</summary>
internal static unsafe class Register
{
    /// <summary>Reads the general register at a byte offset of <see cref="VcpuState.Gpr"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Read<T>(VcpuState* s, int offset)
        where T : unmanaged => *(T*)((byte*)s + offset);

    /// <summary>Writes it; a 32-bit write clears the upper half (Intel SDM 1 3.4.1.1).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Write<T>(VcpuState* s, int offset, T value)
        where T : unmanaged, IBinaryInteger<T>
    {
        if (sizeof(T) == 4) *(ulong*)((byte*)s + offset) = uint.CreateTruncating(value);
        else *(T*)((byte*)s + offset) = value;
    }
}
