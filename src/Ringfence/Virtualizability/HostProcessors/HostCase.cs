namespace Ringfence.Virtualizability.HostProcessors;

/// <summary>An instruction for the host's processor, and the state it starts in.</summary>
internal sealed record HostCase
{
    /// <summary>Linux's 64-bit code segment for programs (GDT_ENTRY_DEFAULT_USER_CS).</summary>
    public const ushort LongCodeSelector = 0x33;

    /// <summary>Linux's 32-bit code segment for programs (GDT_ENTRY_DEFAULT_USER32_CS).</summary>
    public const ushort CompatibilityCodeSelector = 0x23;

    /// <summary>Linux's flat data segment for programs (GDT_ENTRY_DEFAULT_USER_DS). SS always holds it.</summary>
    public const ushort FlatDataSelector = 0x2b;

    /// <summary>64, or 32 for compatibility mode.</summary>
    public required int Bitness { get; init; }

    /// <summary>The instruction's bytes. Around them the code area is filled with HLT: where execution comes by, it ends.</summary>
    public required ReadOnlyMemory<byte> Code { get; init; }

    /// <summary>Where in the code area the instruction lies, in bytes.</summary>
    public int CodeOffset { get; init; } = HostProbeLayout.AreaBytes / 2;

    /// <summary>General registers by their numbers; registers that are not given are 0. RSP is the fifth.</summary>
    public IReadOnlyList<ulong> Registers { get; init; } = [];

    /// <summary>RFLAGS. Bits that CPL 3 cannot change are ignored, and TF is not allowed.</summary>
    public ulong Flags { get; init; } = 2;

    /// <summary>DS: null or one of Linux's selectors for programs, as the following.</summary>
    public ushort Ds { get; init; } = FlatDataSelector;

    /// <summary>ES.</summary>
    public ushort Es { get; init; } = FlatDataSelector;

    /// <summary>FS; its base is 0.</summary>
    public ushort Fs { get; init; }

    /// <summary>GS; its base is 0.</summary>
    public ushort Gs { get; init; }

    /// <summary>What the data area begins with; the rest is zero.</summary>
    public ReadOnlyMemory<byte> Data { get; init; }

    /// <summary>What the stack area begins with; the rest is zero.</summary>
    public ReadOnlyMemory<byte> Stack { get; init; }
}
