namespace Ringfence.Execution;

/// <summary>
/// Why control passed from guest code to the monitor: a closed set, counted alike in all engines.
/// </summary>
public enum ExitReason
{
    /// <summary>A privileged or sensitive instruction needed the monitor.</summary>
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

    /// <summary>Execution stopped at the next boundary to look at the event word.</summary>
    InterruptWindow,

    /// <summary>HLT: the processor has nothing to do until an interrupt.</summary>
    Halt,

    /// <summary>Guest code was written and its decoded or translated form thrown away.</summary>
    CodeModification,

    /// <summary>The instruction limit was reached (deterministic time, stepping).</summary>
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
