namespace Ringfence.Processors.Exits;

/// <summary>
/// Why control passed from guest code to the monitor: a closed set, counted and timed alike in all engines. One exit has one reason: of
/// everything that applies the most specific, which is the one that stands last here. An instruction that faults is one exit, its fault.
/// </summary>
public enum ExitReason
{
    /// <summary>The next piece of guest code was looked for, and was there: nothing had to be decoded or translated.</summary>
    CodeLookup,

    /// <summary>
    /// Guest code ran one instruction at a time: single step, breakpoints, an interrupt shadow, an instruction limit, or an instruction that
    /// no cache of code can hold.
    /// </summary>
    SingleStep,

    /// <summary>An innocuous instruction that the engine does not run by itself was executed by its definition.</summary>
    Emulation,

    /// <summary>
    /// An access that the fast path could not do: its address had no entry in the software TLB, in a window or in a shadow page table, or it
    /// lay across two pages.
    /// </summary>
    TlbFill,

    /// <summary>Guest code had no decoded or translated form yet, or got a better one.</summary>
    Translation,

    /// <summary>Execution stopped at a boundary to look at the event word, and there was nothing to deliver.</summary>
    InterruptWindow,

    /// <summary>Guest code was written, and its decoded or translated form was thrown away.</summary>
    CodeModification,

    /// <summary>An access to a device's memory.</summary>
    Mmio,

    /// <summary>A privileged or sensitive instruction.</summary>
    PrivilegedInstruction,

    /// <summary>IN, OUT, INS or OUTS.</summary>
    PortIo,

    /// <summary>A hypercall.</summary>
    Hypercall,

    /// <summary>HLT. What the processor then sleeps is counted as idle time.</summary>
    Halt,

    /// <summary>An exception or a software interrupt delivered to the guest, except a page fault.</summary>
    Exception,

    /// <summary>A page fault delivered to the guest.</summary>
    PageFault,

    /// <summary>An external interrupt or NMI delivered to the guest.</summary>
    ExternalInterrupt,

    /// <summary>INIT or start-up IPI.</summary>
    ProcessorReset,

    /// <summary>The instruction limit was reached, or guest time brought the processor out of the engine.</summary>
    InstructionLimit,

    /// <summary>Somebody asked the processor to stop or pause.</summary>
    Stop,

    /// <summary>A triple fault.</summary>
    Shutdown,
}
