namespace Ringfence.Tests.Fuzz;

/// <summary>The mode a fuzzed machine begins in.</summary>
public enum FuzzMode
{
    /// <summary>The reset vector, with random memory.</summary>
    Reset,

    /// <summary>Real-address mode.</summary>
    Real,

    /// <summary>Real-address mode with segments left over from protected mode.</summary>
    Unreal,

    /// <summary>16-bit protected mode.</summary>
    Protected16,

    /// <summary>32-bit protected mode without paging.</summary>
    Protected32,

    /// <summary>32-bit paging.</summary>
    Paged,

    /// <summary>PAE paging.</summary>
    Pae,

    /// <summary>Virtual-8086 mode.</summary>
    Virtual8086,

    /// <summary>64-bit mode.</summary>
    Long,

    /// <summary>32-bit compatibility mode.</summary>
    Compatibility32,

    /// <summary>16-bit compatibility mode.</summary>
    Compatibility16,
}
