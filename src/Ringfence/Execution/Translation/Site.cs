namespace Ringfence.Execution.Translation;

/// <summary>A place in a fragment where control can leave translated code.</summary>
internal struct Site
{
    /// <summary>An <see cref="Index"/> of what lies before the first instruction.</summary>
    public const byte BeforeCount = byte.MaxValue;

    /// <summary>The fragment.</summary>
    public int Fragment;

    /// <summary>Links: offset of the 32-bit displacement to patch. Instructions that may fault: offset of the host instruction.</summary>
    public int HostOffset;

    /// <summary>Offset where translated code goes on after the instruction; links: the stub that leaves.</summary>
    public int Continuation;

    /// <summary>Call-outs: index of the decoded operation, 0 if none yet. Links: the next site chained to the same fragment.</summary>
    public int Next;

    /// <summary>Links: distance of the target from the fragment's first byte. Returns: bytes that were popped. Numeric x87
    /// instructions: <see cref="HostX87.Describe"/>.</summary>
    public int Distance;

    /// <summary>Failed probes: where the instruction begins and can be tried again; 0 if it cannot.</summary>
    public int Retry;

    /// <summary>Offset of the instruction from the unit's start.</summary>
    public ushort GuestOffset;

    /// <summary>Number of the instruction in the unit or trace, from 0; <see cref="BeforeCount"/> before its instructions are counted.</summary>
    public byte Index;

    /// <summary>Iced's code of the instruction, for counters; 0 where the site does not stand for one.</summary>
    public ushort Code;

    /// <summary>What the site is.</summary>
    public SiteKind Kind;

    /// <summary>Failed probes: number of the guest's register that is the linear address; 16 if it is in the host's R15.</summary>
    public byte AddressRegister;

    /// <summary>Failed probes: bytes of the access.</summary>
    public byte AccessSize;

    /// <summary>Failed probes: the access writes.</summary>
    public bool Writes;

    /// <summary>The status flags are in memory (or both places) rather than only in the host's.</summary>
    public bool FlagsSaved;

    /// <summary>The status flags are in the host's (or both places).</summary>
    public bool FlagsInHost;

    /// <summary>At a host fault here the trace's promoted registers are not in their places.</summary>
    public bool IsPromoted;

    /// <summary>Links: chained.</summary>
    public bool IsLinked;

    /// <summary>Links: the target lies directly behind, and the jump to it has disappeared.</summary>
    public bool IsLaid;

    /// <summary>Times the site was left through, up to 255.</summary>
    public byte Count;

    /// <summary>The instruction's shared definition uses x87 or MMX registers, which must then be in the state.</summary>
    public bool UsesX87;

    /// <summary>The continuation expects the guest's x87 registers in the host's unit.</summary>
    public bool ExpectsX87;

    /// <summary>The site of the unit's last numeric x87 instruction, if translated code has not noted it; 0: none, or it has.</summary>
    public int X87Note;
}

/// <summary>What a <see cref="Site"/> is.</summary>
internal enum SiteKind : byte
{
    /// <summary>The instruction is executed by its shared definition.</summary>
    CallOut,

    /// <summary>A memory access that the fast path could not do.</summary>
    Memory,

    /// <summary>An XMM instruction while the XMM registers are not in the host's.</summary>
    Simd,

    /// <summary>An x87 or MMX instruction while the guest's x87 registers are not in the host's unit, or not to be used.</summary>
    X87,

    /// <summary>A direct transfer whose target is not chained yet.</summary>
    Link,

    /// <summary>An indirect transfer; the record serves a failed look-up.</summary>
    Indirect,

    /// <summary>A look for events.</summary>
    Poll,

    /// <summary>An access to a window that the host refused.</summary>
    Window,

    /// <summary>A pointer that lies in another slot than expected.</summary>
    WindowMiss,

    /// <summary>The instruction limit is reached at the fragment's start.</summary>
    Limit,

    /// <summary>The second page of an instruction must be looked at again.</summary>
    Across,
}
