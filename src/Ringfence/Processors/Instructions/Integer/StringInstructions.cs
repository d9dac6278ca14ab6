using System.Numerics;
using System.Runtime.CompilerServices;
using Iced.Intel;
using Ringfence.Memory;
using Ringfence.Processors.Exits;

namespace Ringfence.Processors.Instructions.Integer;

/// <summary>
/// MOVS, STOS, LODS, CMPS, SCAS (Intel SDM 1 7.3.9). Registers advance after each element, so that a fault or an
/// interrupt between two elements restarts where it stopped. A repeated instruction does a bounded number of elements
/// and then leaves with RIP at itself, so that events are seen. MOVS and STOS of plain RAM go page by page.
/// </summary>
internal static unsafe class StringInstructions
{
    private const int Burst = 4096;
    private const int Rax = 0;

    /// <summary>The handler, or null if the instruction is none of these.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing => instruction.Mnemonic switch
        {
            Mnemonic.Movsb => Select<byte, Move, TAddressing>(op),
            Mnemonic.Movsw => Select<ushort, Move, TAddressing>(op),
            Mnemonic.Movsd when instruction.Op0Kind != OpKind.Register && instruction.Op1Kind != OpKind.Register => Select<uint, Move, TAddressing>(op),
            Mnemonic.Movsq => Select<ulong, Move, TAddressing>(op),
            Mnemonic.Stosb => Select<byte, Store, TAddressing>(op),
            Mnemonic.Stosw => Select<ushort, Store, TAddressing>(op),
            Mnemonic.Stosd => Select<uint, Store, TAddressing>(op),
            Mnemonic.Stosq => Select<ulong, Store, TAddressing>(op),
            Mnemonic.Lodsb => Select<byte, Load, TAddressing>(op),
            Mnemonic.Lodsw => Select<ushort, Load, TAddressing>(op),
            Mnemonic.Lodsd => Select<uint, Load, TAddressing>(op),
            Mnemonic.Lodsq => Select<ulong, Load, TAddressing>(op),
            Mnemonic.Cmpsb => Select<byte, CompareElements, TAddressing>(op),
            Mnemonic.Cmpsw => Select<ushort, CompareElements, TAddressing>(op),
            Mnemonic.Cmpsd when instruction.Op0Kind != OpKind.Register => Select<uint, CompareElements, TAddressing>(op),
            Mnemonic.Cmpsq => Select<ulong, CompareElements, TAddressing>(op),
            Mnemonic.Scasb => Select<byte, Scan, TAddressing>(op),
            Mnemonic.Scasw => Select<ushort, Scan, TAddressing>(op),
            Mnemonic.Scasd => Select<uint, Scan, TAddressing>(op),
            Mnemonic.Scasq => Select<ulong, Scan, TAddressing>(op),
            _ => null,
        };

    private static Handler Select<T, TElement, TAddressing>(Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TElement : struct, IElement
        where TAddressing : struct, IAddressing =>
        (op->Flags & (OperationFlags.Repeat | OperationFlags.RepeatNotEqual)) == 0
            ? &Once<T, TElement, TAddressing>
            : &Repeated<T, TElement, TAddressing>;

    private static Operation* Once<T, TElement, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TElement : struct, IElement
        where TAddressing : struct, IAddressing =>
        TElement.TryDo<T, TAddressing>(processor, s, op) ? Flow.Next(processor, s, op) : Flow.Fault(s, op);

    private static Operation* Repeated<T, TElement, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TElement : struct, IElement
        where TAddressing : struct, IAddressing => RepeatedBurst<T, TElement, TAddressing>(processor, s, op) switch
        {
            Outcome.Done => Flow.Next(processor, s, op),
            Outcome.More => Flow.Repeat(s, op),
            _ => Flow.Fault(s, op),
        };

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Outcome RepeatedBurst<T, TElement, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TElement : struct, IElement
        where TAddressing : struct, IAddressing
    {
        bool single = (op->Flags & OperationFlags.SingleStep) != 0;
        bool whileEqual = (op->Flags & OperationFlags.RepeatNotEqual) == 0;
        for (int left = single ? 1 : Burst; ;)
        {
            ulong count = s->Gpr[1] & op->AddressMask;
            if (count == 0) return Outcome.Done;
            if (left <= 0) return Outcome.More;
            if (!single)
            {
                ulong bulk = TElement.TryBulk<T, TAddressing>(processor, s, op, Math.Min(count, (ulong)(Burst * 16)));
                if (bulk != 0)
                {
                    Advance(s, op, 1, 0 - bulk);
                    left -= 1 + (int)(bulk / 16);
                    continue;
                }
            }

            if (!TElement.TryDo<T, TAddressing>(processor, s, op)) return Outcome.Fault;
            Advance(s, op, 1, ulong.MaxValue);
            left--;
            if (TElement.Compares && StatusFlags.Zero(s) != whileEqual) return Outcome.Done;
        }
    }

    /// <summary>Adds to a register in the width of the instruction's addresses; 32-bit counts and indexes clear the upper half.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Advance(VcpuState* s, Operation* op, int register, ulong amount)
    {
        ulong value = s->Gpr[register] + amount;
        s->Gpr[register] = op->AddressMask == 0xffff
            ? (s->Gpr[register] & ~0xffffUL) | (value & 0xffff)
            : value & op->AddressMask;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong StepOf<T>(VcpuState* s)
        where T : unmanaged => (s->SystemFlags & RflagsBits.Df) == 0 ? (ulong)sizeof(T) : 0 - (ulong)sizeof(T);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int DestinationSegment<TAddressing>()
        where TAddressing : struct, IAddressing => TAddressing.IsLong ? (int)SegmentIndex.Flat : (int)SegmentIndex.Es;

    /// <summary>
    /// Host address of at least one element of RAM that the TLB lets the instruction read or write, and how many elements follow in
    /// the page, inside the segment and before the index wraps; 0 if the slow path must look.
    /// </summary>
    private static ulong Probe<T, TAddressing>(Processor processor, VcpuState* s, Operation* op, int segment, ulong offset, ulong count, bool write, out byte* host)
        where T : unmanaged
        where TAddressing : struct, IAddressing
    {
        ref SegmentRegister register = ref s->Segment((SegmentIndex)segment);
        ulong linear = register.Base + offset;
        if (!TAddressing.IsLong) linear = (uint)linear;
        TlbEntry* entry = TlbEntry.For(s->Tlb, linear);
        ulong bytes = 4096 - (linear & 0xfff);
        bool fits = (write ? entry->WriteTag : entry->ReadTag) == TlbEntry.TagOf(linear, s->AddressSpaceTag)
            || (write && processor.Mmu.TryReclaim(linear, Math.Min(bytes, count * (ulong)sizeof(T))))
            || TryFill(processor, linear, sizeof(T), write);
        host = (byte*)(linear + (ulong)entry->Addend);
        if (!fits) return 0;
        if (!TAddressing.IsLong)
        {
            ulong end = write ? register.WriteEnd : register.ReadEnd;
            if (offset >= end) return 0;
            bytes = Math.Min(bytes, end - offset);
        }

        // Where the segment's base is no multiple of the page size, the index may wrap inside a page.
        if (op->AddressMask - offset < bytes) bytes = op->AddressMask - offset + 1;

        return bytes / (ulong)sizeof(T);
    }

    /// <summary>
    /// Makes the TLB's entry for an element of RAM. Source and target may need the same entry (they do where their distance is a multiple of the
    /// TLB's reach): whoever has a host address keeps it.
    /// </summary>
    private static bool TryFill(Processor processor, ulong linear, int size, bool write)
    {
        processor.Exits.Enter(ExitReason.TlbFill);
        bool filled = processor.Mmu.TryRefill(linear, size, write);
        processor.Exits.Leave(counts: filled);
        return filled;
    }

    private enum Outcome
    {
        Done,
        More,
        Fault,
    }

    /// <summary>What a string instruction does with one element.</summary>
    private interface IElement
    {
        static abstract bool Compares { get; }

        static abstract bool TryDo<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
            where TAddressing : struct, IAddressing;

        /// <summary>Does up to <paramref name="count"/> elements at once and advances the index registers; returns how many, 0 if it cannot.</summary>
        static abstract ulong TryBulk<T, TAddressing>(Processor processor, VcpuState* s, Operation* op, ulong count)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
            where TAddressing : struct, IAddressing;
    }

    private readonly struct Move : IElement
    {
        public static bool Compares => false;

        public static bool TryDo<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
            where TAddressing : struct, IAddressing
        {
            ulong mask = op->AddressMask;
            if (!Operand<TAddressing>.TryReadAt(processor, s, op->Segment, s->Gpr[6] & mask, out T value)) return false;
            if (!Operand<TAddressing>.TryWriteAt(processor, s, DestinationSegment<TAddressing>(), s->Gpr[7] & mask, value)) return false;
            ulong step = StepOf<T>(s);
            Advance(s, op, 6, step);
            Advance(s, op, 7, step);
            return true;
        }

        public static ulong TryBulk<T, TAddressing>(Processor processor, VcpuState* s, Operation* op, ulong count)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
            where TAddressing : struct, IAddressing
        {
            if ((s->SystemFlags & RflagsBits.Df) != 0) return TAddressing.IsLong ? Backward<T>(processor, s, op, count) : 0;
            ulong source = s->Gpr[6] & op->AddressMask;
            ulong target = s->Gpr[7] & op->AddressMask;
            ulong elements = Math.Min(count, Probe<T, TAddressing>(processor, s, op, op->Segment, source, count, write: false, out byte* from));
            if (elements < 2) return 0;
            elements = Math.Min(elements, Probe<T, TAddressing>(processor, s, op, DestinationSegment<TAddressing>(), target, elements, write: true, out byte* to));
            if (elements < 2) return 0;
            ulong bytes = elements * (ulong)sizeof(T);
            if (to > from && to < from + bytes)
            {
                // An overlapping forward move repeats what it has just written: only element by element is right.
                for (ulong i = 0; i < elements; i++) Unsafe.WriteUnaligned(to + (i * (ulong)sizeof(T)), Unsafe.ReadUnaligned<T>(from + (i * (ulong)sizeof(T))));
            }
            else
            {
                Buffer.MemoryCopy(from, to, bytes, bytes);
            }

            Advance(s, op, 6, bytes);
            Advance(s, op, 7, bytes);
            return elements;
        }

        /// <summary>The same downwards, in 64-bit mode.</summary>
        private static ulong Backward<T>(Processor processor, VcpuState* s, Operation* op, ulong count)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        {
            ulong size = (ulong)sizeof(T);
            ulong source = (s->Gpr[6] & op->AddressMask) + s->Segment((SegmentIndex)op->Segment).Base;
            ulong target = s->Gpr[7] & op->AddressMask;
            ulong elements = Math.Min(count, Math.Min(BelowInPage(source, size), BelowInPage(target, size)));
            if (elements < 2) return 0;
            TlbEntry* read = TlbEntry.For(s->Tlb, source);
            TlbEntry* write = TlbEntry.For(s->Tlb, target);
            if (read->ReadTag != TlbEntry.TagOf(source, s->AddressSpaceTag) || write->WriteTag != TlbEntry.TagOf(target, s->AddressSpaceTag)) return 0;
            ulong bytes = elements * size;
            byte* from = (byte*)(source + size - bytes + (ulong)read->Addend);
            byte* to = (byte*)(target + size - bytes + (ulong)write->Addend);
            if (from > to && from < to + bytes)
            {
                for (ulong i = bytes; i != 0; i -= size) Unsafe.WriteUnaligned(to + (i - size), Unsafe.ReadUnaligned<T>(from + (i - size)));
            }
            else
            {
                Buffer.MemoryCopy(from, to, bytes, bytes);
            }

            Advance(s, op, 6, 0 - bytes);
            Advance(s, op, 7, 0 - bytes);
            return elements;
        }

        /// <summary>Elements from an address downwards that lie in its page; 0 if the first does not.</summary>
        private static ulong BelowInPage(ulong linear, ulong size)
        {
            ulong offset = linear & 0xfff;
            return offset + size > 4096 ? 0 : (offset / size) + 1;
        }
    }

    private readonly struct Store : IElement
    {
        public static bool Compares => false;

        public static bool TryDo<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
            where TAddressing : struct, IAddressing
        {
            T value = Register.Read<T>(s, Rax);
            if (!Operand<TAddressing>.TryWriteAt(processor, s, DestinationSegment<TAddressing>(), s->Gpr[7] & op->AddressMask, value)) return false;
            Advance(s, op, 7, StepOf<T>(s));
            return true;
        }

        public static ulong TryBulk<T, TAddressing>(Processor processor, VcpuState* s, Operation* op, ulong count)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
            where TAddressing : struct, IAddressing
        {
            if ((s->SystemFlags & RflagsBits.Df) != 0) return 0;
            ulong target = s->Gpr[7] & op->AddressMask;
            ulong elements = Math.Min(count, Probe<T, TAddressing>(processor, s, op, DestinationSegment<TAddressing>(), target, count, write: true, out byte* to));
            if (elements < 2) return 0;
            new Span<T>(to, (int)elements).Fill(Register.Read<T>(s, Rax));
            Advance(s, op, 7, elements * (ulong)sizeof(T));
            return elements;
        }
    }

    private readonly struct Load : IElement
    {
        public static bool Compares => false;

        public static bool TryDo<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
            where TAddressing : struct, IAddressing
        {
            if (!Operand<TAddressing>.TryReadAt(processor, s, op->Segment, s->Gpr[6] & op->AddressMask, out T value)) return false;
            Register.Write(s, Rax, value);
            Advance(s, op, 6, StepOf<T>(s));
            return true;
        }

        public static ulong TryBulk<T, TAddressing>(Processor processor, VcpuState* s, Operation* op, ulong count)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
            where TAddressing : struct, IAddressing => 0;
    }

    private readonly struct CompareElements : IElement
    {
        public static bool Compares => true;

        public static bool TryDo<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
            where TAddressing : struct, IAddressing
        {
            ulong mask = op->AddressMask;
            // Processors read the second operand first, which decides what is raised when both fault.
            if (!Operand<TAddressing>.TryReadAt(processor, s, DestinationSegment<TAddressing>(), s->Gpr[7] & mask, out T second)) return false;
            if (!Operand<TAddressing>.TryReadAt(processor, s, op->Segment, s->Gpr[6] & mask, out T first)) return false;
            Compare.Apply(s, first, second);
            ulong step = StepOf<T>(s);
            Advance(s, op, 6, step);
            Advance(s, op, 7, step);
            return true;
        }

        public static ulong TryBulk<T, TAddressing>(Processor processor, VcpuState* s, Operation* op, ulong count)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
            where TAddressing : struct, IAddressing => 0;
    }

    private readonly struct Scan : IElement
    {
        public static bool Compares => true;

        public static bool TryDo<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
            where TAddressing : struct, IAddressing
        {
            if (!Operand<TAddressing>.TryReadAt(processor, s, DestinationSegment<TAddressing>(), s->Gpr[7] & op->AddressMask, out T value)) return false;
            Compare.Apply(s, Register.Read<T>(s, Rax), value);
            Advance(s, op, 7, StepOf<T>(s));
            return true;
        }

        public static ulong TryBulk<T, TAddressing>(Processor processor, VcpuState* s, Operation* op, ulong count)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
            where TAddressing : struct, IAddressing => 0;
    }
}
