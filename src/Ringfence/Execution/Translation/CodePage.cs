namespace Ringfence.Execution.Translation;

/// <summary>A linear page of guest code at a physical frame, as seen in one mode.</summary>
internal sealed class CodePage(int index, ulong linear, ulong frame, TranslationMode mode, bool isGlobal)
{
    /// <summary>Linear address of its first byte.</summary>
    public ulong Linear { get; } = linear;

    /// <summary>Physical frame.</summary>
    public ulong Frame { get; } = frame;

    /// <summary>The mode its fragments were made for.</summary>
    public TranslationMode Mode { get; } = mode;

    /// <summary>Its mapping survives a write to CR3.</summary>
    public bool IsGlobal { get; } = isGlobal;

    /// <summary>Its number, also that of its epoch, which emitted code compares.</summary>
    public int Index { get; } = index;

    /// <summary>The next page with the same linear address.</summary>
    public CodePage? NextByLinear { get; set; }

    /// <summary>The next page with the same frame.</summary>
    public CodePage? NextByFrame { get; set; }

    /// <summary>First fragment of the page; 0 if none.</summary>
    public int FirstFragment { get; set; }

    /// <summary>Fragments of the page before whose instruction ends in this one; dead ones are left here for a while.</summary>
    public List<int> Across { get; } = [];
}
