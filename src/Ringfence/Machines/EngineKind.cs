namespace Ringfence.Machines;

/// <summary>Which engine executes guest code.</summary>
public enum EngineKind
{
    /// <summary>The fastest one that this host can run.</summary>
    Auto,

    /// <summary>The interpreter: every host, and the reference for what instructions mean.</summary>
    Interpreter,

    /// <summary>Binary translation: x86-64 Linux hosts.</summary>
    Translator,

    /// <summary>For debugging: each translated block is also interpreted from the same state, and the results are compared.</summary>
    LockStep,
}
