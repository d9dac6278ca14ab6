namespace Ringfence.Virtualizability;

/// <summary>Which of the processor's modes an analysis is about.</summary>
public enum AnalysisMode
{
    /// <summary>Real-address mode: one privilege level, no user mode.</summary>
    Real,

    /// <summary>32-bit protected mode with paging.</summary>
    Protected,

    /// <summary>Virtual-8086 mode as the user mode of a protected-mode monitor.</summary>
    Virtual8086,

    /// <summary>64-bit mode.</summary>
    Long,
}

/// <summary>What is to be analysed.</summary>
public sealed record AnalysisOptions
{
    /// <summary>The mode.</summary>
    public AnalysisMode Mode { get; init; } = AnalysisMode.Protected;

    /// <summary>CR4.UMIP: SGDT, SIDT, SLDT, SMSW and STR trap outside CPL 0 (Intel SDM 3A 2.5).</summary>
    public bool Umip { get; init; }

    /// <summary>Run the experiments on the processor model.</summary>
    public bool Model { get; init; } = true;

    /// <summary>Execute the instructions on the host's processor as well, in a child process.</summary>
    public bool Host { get; init; }
}
