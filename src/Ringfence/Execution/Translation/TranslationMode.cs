
using Ringfence.Processors;

namespace Ringfence.Execution.Translation;

/// <summary>
/// Everything about the processor's mode that translated code was made for, as a number. Code of one mode is never entered in another.
/// </summary>
/// <param name="Bits">The bits; see the properties.</param>
internal readonly record struct TranslationMode(uint Bits)
{
    /// <summary>Numbers for base and limit of a CS that is not flat go from 1 to this.</summary>
    public const int MaximumCodeContexts = (1 << 14) - 2;

    private const uint UserBit = 1 << 2;
    private const uint SimdBit = 1 << 3;
    private const uint CountingBit = 1 << 4;
    private const uint AccessBit = 1 << 5;
    private const uint FlatCodeBit = 1 << 6;
    private const int FlatDataShift = 7;
    private const int StackShift = 13;
    private const uint CheckedBit = 1 << 15;
    private const uint InnerBit = 1 << 16;
    private const uint LimitedBit = 1 << 17;
    private const int CodeContextShift = 18;

    /// <summary>Size of the code: 0 for 16-bit, 1 for 32-bit, 2 for 64-bit code.</summary>
    public int Kind => (int)Bits & 3;

    /// <summary>64-bit code.</summary>
    public bool IsLong => Kind == 2;

    /// <summary>CPL is 3.</summary>
    public bool IsUser => (Bits & UserBit) != 0;

    /// <summary>CPL is 0.</summary>
    public bool IsKernel => (Bits & (UserBit | InnerBit)) == 0;

    /// <summary>EFLAGS.AC is set; known for supervisor modes only.</summary>
    public bool IsAccess => (Bits & AccessBit) != 0;

    /// <summary>The guest's XMM registers are in the host's.</summary>
    public bool IsSimd => (Bits & SimdBit) != 0;

    /// <summary>Instructions are counted.</summary>
    public bool IsCounting => (Bits & CountingBit) != 0;

    /// <summary>They are counted, and the limit is looked at: units end there, and none is part of a trace.</summary>
    public bool IsLimited => (Bits & LimitedBit) != 0;

    /// <summary>The TLB's table: 0 user, 1 supervisor, 2 supervisor with EFLAGS.AC set (SMAP off).</summary>
    public int Table => IsUser ? 0 : (Bits & AccessBit) != 0 ? 2 : 1;

    /// <summary>CS has base 0 and covers 4 GiB, or the code is 64-bit.</summary>
    public bool IsFlatCode => (Bits & FlatCodeBit) != 0;

    /// <summary>Each access is checked by the monitor (alignment checks, data breakpoints).</summary>
    public bool IsChecked => (Bits & CheckedBit) != 0;

    /// <summary>There was no number for the code segment's base and limit.</summary>
    public bool IsBeyondCodeContexts => Bits >> CodeContextShift > MaximumCodeContexts;

    /// <summary>Size of the stack: 0 for 16-bit, 1 for 32-bit, 2 for 64-bit.</summary>
    public int StackKind => (int)(Bits >> StackShift) & 3;

    /// <summary>Does the segment have base 0 and cover 4 GiB for reading and writing?</summary>
    public bool IsFlat(SegmentIndex segment) => (Bits >> (FlatDataShift + (int)segment) & 1) != 0;

    /// <summary>The mode of a processor.</summary>
    /// <param name="s">Its state.</param>
    /// <param name="isChecked">Each access takes the slow path.</param>
    /// <param name="isCounting">Instructions are counted, up to <see cref="VcpuState.InstructionLimit"/>.</param>
    /// <param name="simd">XMM registers are to be in the host's.</param>
    /// <param name="codeContext">Number that stands for base and limit of a CS that is not flat.</param>
    public static unsafe TranslationMode Of(VcpuState* s, bool isChecked, bool isCounting, bool simd, uint codeContext)
    {
        bool isLong = s->Mode == ProcessorMode.Long;
        uint bits = (uint)CodeSize.KindOf(s);
        if (s->Cpl == 3) bits |= UserBit;
        else if ((s->SystemFlags & RflagsBits.Ac) != 0) bits |= AccessBit;
        if (s->Cpl is 1 or 2) bits |= InnerBit;
        if (isChecked) bits |= CheckedBit;
        if (simd) bits |= SimdBit;
        if (isCounting) bits |= CountingBit;
        if (isCounting && s->InstructionLimit != VcpuState.CountingLimit) bits |= LimitedBit;
        if (isLong) return new TranslationMode(bits | FlatCodeBit | (2 << StackShift));
        if (codeContext == 0) bits |= FlatCodeBit;
        bits |= codeContext << CodeContextShift;
        bits |= (s->StackMask == 0xffff ? 0U : 1U) << StackShift;
        // FS and GS are loaded often and rarely flat: code that uses them always looks.
        for (int i = 0; i <= (int)SegmentIndex.Ds; i++)
        {
            ref SegmentRegister segment = ref s->Segments[i];
            if (i == (int)SegmentIndex.Cs ? segment.Base == 0 && segment.ReadEnd == 1UL << 32
                : segment.Base == 0 && segment.ReadEnd == 1UL << 32 && segment.WriteEnd == 1UL << 32) bits |= 1U << (FlatDataShift + i);
        }

        return new TranslationMode(bits);
    }

    /// <summary>The same with another EFLAGS.AC.</summary>
    public TranslationMode WithAccess(bool access) => new(access ? Bits | AccessBit : Bits & ~AccessBit);

    /// <summary>Does CS have base 0 and a limit of 4 GiB?</summary>
    public static bool IsFlatCodeSegment(in SegmentRegister cs) => cs.Base == 0 && cs.Limit == uint.MaxValue;
}
