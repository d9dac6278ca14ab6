namespace Ringfence.Machines;

/// <summary>Why a machine has come to its end.</summary>
public enum MachineExitReason
{
    /// <summary>The guest switched the machine off (ACPI soft-off, S5).</summary>
    PowerOff,

    /// <summary>The guest asked for a reset and <see cref="MachineOptions.ExitOnReset"/> is set.</summary>
    Reset,

    /// <summary>A processor shut down: a fault while delivering a double fault (Intel SDM 3A 6.15).</summary>
    TripleFault,

    /// <summary>Every processor is halted with interrupts disabled and nothing can wake one.</summary>
    Halted,

    /// <summary>The guest wrote to the debug-exit port.</summary>
    DebugExit,

    /// <summary>The host stopped the machine.</summary>
    Stopped,

    /// <summary>The monitor failed: a defect of ours or an exhausted host.</summary>
    InternalError,
}
