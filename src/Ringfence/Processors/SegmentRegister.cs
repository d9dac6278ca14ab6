using System.Runtime.InteropServices;

namespace Ringfence.Processors;

/// <summary>
/// A segment register with its hidden part (Intel SDM 3A 3.4.3), and the two bounds the memory path compares with.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct SegmentRegister
{
    /// <summary>Segment base, a linear address.</summary>
    public ulong Base;

    /// <summary>
    /// First offset past what may be read without a further check: limit + 1 for readable expand-up segments,
    /// 0 where each access needs the full check (null, expand-down, execute-only, not present).
    /// </summary>
    public ulong ReadEnd;

    /// <summary>As <see cref="ReadEnd"/>, for writes.</summary>
    public ulong WriteEnd;

    /// <summary>Limit in bytes, inclusive, granularity applied.</summary>
    public uint Limit;

    /// <summary>The visible selector.</summary>
    public ushort Selector;

    /// <summary>Access rights: bits 40 to 55 of the descriptor with the limit's bits masked out, and <see cref="SegmentAttributes"/>.</summary>
    public ushort Attributes;

    /// <summary>A register with its bounds.</summary>
    /// <param name="selector">The visible part.</param>
    /// <param name="start">Base.</param>
    /// <param name="limit">Limit in bytes, inclusive, granularity applied.</param>
    /// <param name="attributes">Access rights; see <see cref="Attributes"/>.</param>
    public SegmentRegister(ushort selector, ulong start, uint limit, ushort attributes)
    {
        Selector = selector;
        Base = start;
        Limit = limit;
        Attributes = attributes;
        UpdateBounds();
    }

    /// <summary>Descriptor privilege level.</summary>
    public readonly int Dpl => (Attributes >> 5) & 3;

    /// <summary>The four type bits.</summary>
    public readonly int Type => Attributes & 15;

    /// <summary>Present and usable (not loaded with a null selector).</summary>
    public readonly bool IsUsable => (Attributes & (SegmentAttributes.Present | SegmentAttributes.Unusable)) == SegmentAttributes.Present;

    /// <summary>The D/B bit: 32-bit default operand size, stack or upper bound.</summary>
    public readonly bool IsBig => (Attributes & SegmentAttributes.Big) != 0;

    /// <summary>Recomputes <see cref="ReadEnd"/> and <see cref="WriteEnd"/> from attributes and limit. Call after every change of these.</summary>
    public void UpdateBounds()
    {
        const int CodeOrData = SegmentAttributes.Present | SegmentAttributes.CodeOrData;
        ReadEnd = 0;
        WriteEnd = 0;
        if ((Attributes & (CodeOrData | SegmentAttributes.Unusable)) != CodeOrData) return;
        ulong end = (ulong)Limit + 1;
        bool code = (Attributes & SegmentAttributes.Code) != 0;
        if (code)
        {
            if ((Attributes & SegmentAttributes.ReadableOrWritable) != 0) ReadEnd = end;
            return;
        }

        if ((Attributes & SegmentAttributes.ConformingOrExpandDown) != 0) return;
        ReadEnd = end;
        if ((Attributes & SegmentAttributes.ReadableOrWritable) != 0) WriteEnd = end;
    }
}

/// <summary>Bits of <see cref="SegmentRegister.Attributes"/> (Intel SDM 3A 3.4.5).</summary>
public static class SegmentAttributes
{
    /// <summary>Accessed (code and data).</summary>
    public const ushort Accessed = 1;

    /// <summary>Readable (code) or writable (data).</summary>
    public const ushort ReadableOrWritable = 2;

    /// <summary>Conforming (code) or expand-down (data).</summary>
    public const ushort ConformingOrExpandDown = 4;

    /// <summary>Code, otherwise data.</summary>
    public const ushort Code = 8;

    /// <summary>S bit: code or data, otherwise a system segment.</summary>
    public const ushort CodeOrData = 0x10;

    /// <summary>Present.</summary>
    public const ushort Present = 0x80;

    /// <summary>Ours: the register holds a null selector and every use faults (outside 64-bit mode).</summary>
    public const ushort Unusable = 0x100;

    /// <summary>L bit: 64-bit code.</summary>
    public const ushort Long = 0x2000;

    /// <summary>D/B bit.</summary>
    public const ushort Big = 0x4000;

    /// <summary>G bit: the limit counts 4 KiB units.</summary>
    public const ushort Granularity = 0x8000;
}

/// <summary>Segment registers in the order of their encoding, then the ones without one.</summary>
public enum SegmentIndex
{
    /// <summary>ES.</summary>
    Es,

    /// <summary>CS.</summary>
    Cs,

    /// <summary>SS.</summary>
    Ss,

    /// <summary>DS.</summary>
    Ds,

    /// <summary>FS.</summary>
    Fs,

    /// <summary>GS.</summary>
    Gs,

    /// <summary>Base 0, no limit: what ES, CS, SS and DS are in 64-bit mode.</summary>
    Flat,

    /// <summary>As <see cref="Flat"/>, for accesses whose default segment is SS: a non-canonical address is #SS, not #GP.</summary>
    FlatStack,

    /// <summary>The local descriptor table register.</summary>
    Ldtr,

    /// <summary>The task register.</summary>
    Tr,
}

/// <summary>GDTR or IDTR.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct DescriptorTableRegister
{
    /// <summary>Linear base address.</summary>
    public ulong Base;

    /// <summary>Limit in bytes, inclusive.</summary>
    public ulong Limit;
}
