namespace Ringfence.Virtualizability.HostProcessors;

/// <summary>How an execution on the host's processor ended.</summary>
internal enum HostOutcomeKind
{
    /// <summary>The instruction completed: execution went on behind it, or where it branched to.</summary>
    Completed,

    /// <summary>The processor raised an exception at the instruction, or it is a software interrupt's.</summary>
    Trapped,

    /// <summary>It called the kernel, which refused: nothing was done.</summary>
    SystemCall,

    /// <summary>It was still executing when its processor time was over.</summary>
    TimedOut,

    /// <summary>The child process ended without an answer, or gave none in time and was killed.</summary>
    Died,
}
