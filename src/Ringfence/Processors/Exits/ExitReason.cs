namespace Ringfence.Processors.Exits;

/// <summary>
/// Why control passed from guest code to the monitor: a closed set, counted and timed alike in all engines. One exit has one reason:
/// what the monitor found out to be the cause, the most specific one that applies.
/// </summary>
public enum ExitReason
{
    /// <summary>The next piece of guest code was looked for, and was there: nothing had to be decoded or translated.</summary>
    CodeLookup,

    /// <summary>Guest code had no decoded or translated form yet, or got a better one.</summary>
    Translation,

    /// <summary>An address had no entry in the software TLB, in a window or in a shadow page table, and was looked up in the guest's tables.</summary>
    TlbFill,

    /// <summary>An innocuous instruction that the engine does not run by itself was executed by its definition.</summary>
    Emulation,

    /// <summary>A privileged or sensitive instruction.</summary>
    PrivilegedInstruction,

    /// <summary>IN, OUT, INS or OUTS.</summary>
    PortIo,

    /// <summary>An access to a device's memory.</summary>
    Mmio,

    /// <summary>A page fault delivered to the guest.</summary>
    PageFault,

    /// <summary>Any other exception or software interrupt delivered to the guest.</summary>
    Exception,

    /// <summary>An external interrupt or NMI delivered to the guest.</summary>
    ExternalInterrupt,

    /// <summary>Execution stopped at the next boundary to look at the event word, and nothing was delivered.</summary>
    InterruptWindow,

    /// <summary>HLT. Its time is what the processor then slept.</summary>
    Halt,

    /// <summary>Guest code was written and its decoded or translated form thrown away.</summary>
    CodeModification,

    /// <summary>The instruction limit was reached (deterministic time, stepping), or guest code ran one instruction at a time.</summary>
    InstructionLimit,

    /// <summary>Somebody asked the processor to stop or pause.</summary>
    Stop,

    /// <summary>INIT or start-up IPI.</summary>
    ProcessorReset,

    /// <summary>A triple fault.</summary>
    Shutdown,

    /// <summary>A hypercall.</summary>
    Hypercall,
}
