namespace Ringfence.Execution.Translation;

/// <summary>The compiled code of a translation unit. Offsets are bytes from the start of the code cache.</summary>
internal struct Fragment
{
    /// <summary>Guest instruction pointer of the unit's first instruction.</summary>
    public ulong Rip;

    /// <summary>Index of the <see cref="CodePage"/> that the unit lies in.</summary>
    public int Page;

    /// <summary>Offset of the unit in its page.</summary>
    public ushort PageOffset;

    /// <summary>Traces: offset in the page where they are entered. The same as <see cref="PageOffset"/> otherwise.</summary>
    public ushort EntryPageOffset;

    /// <summary>Guest bytes; traces: from the lowest to the highest instruction.</summary>
    public ushort GuestLength;

    /// <summary>Guest instructions.</summary>
    public byte Instructions;

    /// <summary>False once the guest code has changed: the fragment is never entered again.</summary>
    public bool IsAlive;

    /// <summary>What the body does first with the status flags: where <see cref="EntrySaved"/> is.</summary>
    public FlagsEntry FlagsEntry;

    /// <summary>Start of the code that lies in the main area, which is the entry that looks for events, flags in the host's.</summary>
    public int Start;

    /// <summary>End of it.</summary>
    public int End;

    /// <summary>Start of the rare paths that were emitted together with it.</summary>
    public int RareStart;

    /// <summary>End of them.</summary>
    public int RareEnd;

    /// <summary>Entry for chained code, status flags in the host's.</summary>
    public int EntryHost;

    /// <summary>Entry for chained code, status flags in memory; 0 until it is needed.</summary>
    public int EntrySaved;

    /// <summary>As <see cref="EntrySaved"/>, looking for events first; 0 until it is needed.</summary>
    public int PollSaved;

    /// <summary>Entry through the jump table, with the guest address to check in R15; 0 until it is needed.</summary>
    public int EntryTable;

    /// <summary>Head of the list of sites that are chained to this fragment.</summary>
    public int Incoming;

    /// <summary>The next fragment of the same page.</summary>
    public int NextInPage;

    /// <summary>The trace that has taken this fragment's place; 0 if none.</summary>
    public int Trace;

    /// <summary>Traces: the fragment whose place they take. 0 for fragments.</summary>
    public int TraceOf;

    /// <summary>Traces that were given up.</summary>
    public byte Misses;

    /// <summary>No trace can be made from here.</summary>
    public bool HasNoTrace;

    /// <summary>Times a look at events found the processor here.</summary>
    public int Samples;
}

/// <summary>What a fragment needs of the status flags when it is entered.</summary>
internal enum FlagsEntry : byte
{
    /// <summary>They are overwritten before anyone can see them: the host's may hold anything.</summary>
    Dead,

    /// <summary>The body begins by saving them; saved ones enter behind that.</summary>
    SavedFirst,

    /// <summary>They must be in the host's.</summary>
    Host,
}
