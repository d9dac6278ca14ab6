namespace Ringfence.Processors.Sensitive;

/// <summary>An entry of a descriptor table as it stands in memory (Intel SDM 3A 3.4.5, 5.8, 6.11).</summary>
/// <param name="Low">The first eight bytes.</param>
/// <param name="High">The upper eight bytes of a 16-byte system descriptor in IA-32e mode, otherwise 0.</param>
internal readonly record struct Descriptor(ulong Low, ulong High = 0)
{
    /// <summary>Access rights in the form of <see cref="SegmentRegister.Attributes"/>.</summary>
    public ushort Attributes => (ushort)((Low >> 40) & 0xf0ff);

    /// <summary>The type field, four bits.</summary>
    public int Type => (int)(Low >> 40) & 15;

    /// <summary>S bit: a code or data segment.</summary>
    public bool IsCodeOrData => (Low & (1UL << 44)) != 0;

    /// <summary>A code segment.</summary>
    public bool IsCode => IsCodeOrData && (Type & SegmentAttributes.Code) != 0;

    /// <summary>A data segment that may be written.</summary>
    public bool IsWritableData => IsCodeOrData && (Type & (SegmentAttributes.Code | SegmentAttributes.ReadableOrWritable)) == SegmentAttributes.ReadableOrWritable;

    /// <summary>A data segment, or a code segment that may be read.</summary>
    public bool IsReadable => IsCodeOrData && (Type & (SegmentAttributes.Code | SegmentAttributes.ReadableOrWritable)) != SegmentAttributes.Code;

    /// <summary>A conforming code segment.</summary>
    public bool IsConforming => IsCode && (Type & SegmentAttributes.ConformingOrExpandDown) != 0;

    /// <summary>Descriptor privilege level.</summary>
    public int Dpl => (int)(Low >> 45) & 3;

    /// <summary>Present.</summary>
    public bool IsPresent => (Low & (1UL << 47)) != 0;

    /// <summary>L bit.</summary>
    public bool IsLong => (Low & (1UL << 53)) != 0;

    /// <summary>D/B bit.</summary>
    public bool IsBig => (Low & (1UL << 54)) != 0;

    /// <summary>Segment base; 64 bits for a 16-byte descriptor.</summary>
    public ulong Base => ((Low >> 16) & 0xff_ffff) | ((Low >> 32) & 0xff00_0000) | (High << 32);

    /// <summary>Limit in bytes, inclusive.</summary>
    public uint Limit
    {
        get
        {
            uint limit = (uint)((Low & 0xffff) | ((Low >> 32) & 0xf_0000));
            return (Low & (1UL << 55)) != 0 ? (limit << 12) | 0xfff : limit;
        }
    }

    /// <summary>Gates: the selector.</summary>
    public ushort GateSelector => (ushort)(Low >> 16);

    /// <summary>Gates: the offset; 32 bits, or 64 for a 16-byte gate.</summary>
    public ulong GateOffset => (Low & 0xffff) | ((Low >> 32) & 0xffff_0000) | (High << 32);

    /// <summary>Call gates: number of parameters.</summary>
    public int ParameterCount => (int)(Low >> 32) & 31;

    /// <summary>64-bit interrupt gates: index into the interrupt stack table, 0 for none.</summary>
    public int InterruptStack => (int)(Low >> 32) & 7;

    /// <summary>The segment register that holds this descriptor.</summary>
    public SegmentRegister ToRegister(ushort selector) => new(selector, Base, Limit, Attributes);
}

/// <summary>Types of system descriptors (Intel SDM 3A table 3-2).</summary>
internal static class SystemType
{
    /// <summary>Available 16-bit TSS.</summary>
    public const int Tss16 = 1;

    /// <summary>LDT.</summary>
    public const int Ldt = 2;

    /// <summary>Busy 16-bit TSS.</summary>
    public const int BusyTss16 = 3;

    /// <summary>16-bit call gate.</summary>
    public const int CallGate16 = 4;

    /// <summary>Task gate.</summary>
    public const int TaskGate = 5;

    /// <summary>16-bit interrupt gate.</summary>
    public const int InterruptGate16 = 6;

    /// <summary>16-bit trap gate.</summary>
    public const int TrapGate16 = 7;

    /// <summary>Available 32-bit (IA-32e mode: 64-bit) TSS.</summary>
    public const int Tss32 = 9;

    /// <summary>Busy 32-bit or 64-bit TSS.</summary>
    public const int BusyTss32 = 11;

    /// <summary>32-bit or 64-bit call gate.</summary>
    public const int CallGate32 = 12;

    /// <summary>32-bit or 64-bit interrupt gate.</summary>
    public const int InterruptGate32 = 14;

    /// <summary>32-bit or 64-bit trap gate.</summary>
    public const int TrapGate32 = 15;

    /// <summary>The bit that makes an available TSS busy.</summary>
    public const int Busy = 2;
}
