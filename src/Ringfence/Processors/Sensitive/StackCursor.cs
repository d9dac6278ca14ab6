using Ringfence.Memory;

namespace Ringfence.Processors.Sensitive;

/// <summary>
/// A stack, current or about to become current, on which a transfer pushes or pops several values before it changes any
/// register: memory may be written by a transfer that faults later, registers may not.
/// </summary>
internal unsafe struct StackCursor
{
    private readonly Processor _processor;
    private readonly SegmentRegister _segment;
    private readonly ulong _mask;
    private readonly Privilege _privilege;
    private readonly uint _errorCode;

    /// <summary>A stack.</summary>
    /// <param name="processor">Whose memory it is in.</param>
    /// <param name="segment">SS; not looked at if <paramref name="flat"/>.</param>
    /// <param name="pointer">Its stack pointer.</param>
    /// <param name="flat">64-bit mode.</param>
    /// <param name="cpl">Privilege level of the stack.</param>
    /// <param name="errorCode">Error code of #SS if the stack's bounds are exceeded.</param>
    public StackCursor(Processor processor, in SegmentRegister segment, ulong pointer, bool flat, int cpl, uint errorCode)
    {
        _processor = processor;
        _segment = segment;
        if (flat) _segment.Base = 0;
        _mask = flat ? ulong.MaxValue : segment.IsBig ? 0xffff_ffffUL : 0xffffUL;
        _privilege = cpl == 3 ? Privilege.User : Privilege.Supervisor;
        _errorCode = errorCode;
        Pointer = pointer & _mask;
    }

    /// <summary>The processor's current stack.</summary>
    public static StackCursor Current(Processor processor, uint errorCode = 0)
    {
        VcpuState* s = processor.State;
        return new StackCursor(processor, in s->Segment(SegmentIndex.Ss), s->Gpr[4], s->Mode == ProcessorMode.Long, s->Cpl, errorCode);
    }

    /// <summary>The stack pointer reached so far, in the stack's width.</summary>
    public ulong Pointer { get; private set; }

    /// <summary>Pushes the low <paramref name="size"/> (2, 4, 8) bytes. False: #SS or #PF was raised.</summary>
    public bool TryPush(ulong value, int size)
    {
        ulong pointer = (Pointer - (ulong)size) & _mask;
        if (!TryLocate(pointer, size, write: true, out ulong linear)) return false;
        bool ok = size switch
        {
            2 => _processor.Mmu.TryWrite(linear, _privilege, (ushort)value),
            4 => _processor.Mmu.TryWrite(linear, _privilege, (uint)value),
            _ => _processor.Mmu.TryWrite(linear, _privilege, value),
        };
        if (ok) Pointer = pointer;
        return ok;
    }

    /// <summary>Pops <paramref name="size"/> bytes. False: #SS or #PF was raised.</summary>
    public bool TryPop(int size, out ulong value)
    {
        value = 0;
        if (!TryLocate(Pointer, size, write: false, out ulong linear)) return false;
        bool ok;
        if (size == 2)
        {
            ok = _processor.Mmu.TryRead(linear, _privilege, out ushort word);
            value = word;
        }
        else if (size == 4)
        {
            ok = _processor.Mmu.TryRead(linear, _privilege, out uint word);
            value = word;
        }
        else
        {
            ok = _processor.Mmu.TryRead(linear, _privilege, out value);
        }

        if (ok) Skip((ulong)size);
        return ok;
    }

    /// <summary>Moves up without reading.</summary>
    public void Skip(ulong bytes) => Pointer = (Pointer + bytes) & _mask;

    /// <summary>Aligns down to 16 bytes (interrupts in IA-32e mode).</summary>
    public void Align() => Pointer &= ~15UL;

    /// <summary>Makes the pointer reached the processor's; a 16-bit stack leaves the upper bits alone.</summary>
    public readonly void Commit() => Set(_processor.State, Pointer, _mask);

    /// <summary>Sets RSP, ESP or SP.</summary>
    public static void Set(VcpuState* s, ulong pointer, ulong mask) =>
        s->Gpr[4] = mask == 0xffff ? (s->Gpr[4] & ~0xffffUL) | (pointer & 0xffff) : pointer & mask;

    private readonly bool TryLocate(ulong pointer, int size, bool write, out ulong linear)
    {
        if (_mask == ulong.MaxValue)
        {
            linear = pointer;
            return (Mmu.IsCanonical(pointer) && Mmu.IsCanonical(pointer + (ulong)size - 1)) || Faults.Stack(_processor, _errorCode);
        }

        linear = DescriptorTables.Linear(_processor.State, (uint)(pointer + _segment.Base));
        if (pointer + (ulong)size <= (write ? _segment.WriteEnd : _segment.ReadEnd)) return true;
        return IsInExpandDown(pointer, size, write) || Faults.Stack(_processor, _errorCode);
    }

    private readonly bool IsInExpandDown(ulong pointer, int size, bool write)
    {
        const int Kind = SegmentAttributes.CodeOrData | SegmentAttributes.Code | SegmentAttributes.ConformingOrExpandDown;
        if (!_segment.IsUsable || (_segment.Attributes & Kind) != (SegmentAttributes.CodeOrData | SegmentAttributes.ConformingOrExpandDown)) return false;
        if (write && (_segment.Attributes & SegmentAttributes.ReadableOrWritable) == 0) return false;
        return pointer > _segment.Limit && pointer + (ulong)size - 1 <= _mask;
    }
}
