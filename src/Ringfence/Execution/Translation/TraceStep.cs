using Iced.Intel;

namespace Ringfence.Execution.Translation;

/// <summary>One instruction of a trace and how its memory operand is accessed.</summary>
internal struct TraceStep
{
    /// <summary>The instruction.</summary>
    public Instruction Instruction;

    /// <summary>How it is translated.</summary>
    public TranslationKind Kind;

    /// <summary>Conditional branches: the trace goes on at the target, and leaves where the branch is not taken.</summary>
    public bool FollowsTaken;

    /// <summary>How the memory operand is accessed.</summary>
    public TraceAccess Access;

    /// <summary>The window, for accesses through one.</summary>
    public int Window;

    /// <summary>The register whose slot is compared, for <see cref="TraceAccess.CheckedWindow"/>.</summary>
    public int Register;
}

/// <summary>How a trace accesses memory.</summary>
internal enum TraceAccess : byte
{
    /// <summary>Through the TLB, or not at all.</summary>
    Tlb,

    /// <summary>Through a window, checked before the trace or by an earlier access.</summary>
    Window,

    /// <summary>Through a window, whose slot is compared here.</summary>
    CheckedWindow,
}
