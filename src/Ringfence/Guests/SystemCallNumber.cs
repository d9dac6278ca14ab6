namespace Ringfence.Guests;

/// <summary>
/// What user programs ask of the kernel: number in EAX, arguments in RDI, RSI, RDX; the result comes in RAX, -1 for a
/// failure; RCX and R11 are lost, all other registers kept.
/// </summary>
internal enum SystemCallNumber
{
    /// <summary>Ends the task with the exit code in EDI.</summary>
    Exit,

    /// <summary>Writes RSI bytes at RDI to the console.</summary>
    Write,

    /// <summary>Waits for a byte from the console and returns it.</summary>
    Read,

    /// <summary>Sleeps for RDI milliseconds.</summary>
    Sleep,

    /// <summary>Lets the next task run.</summary>
    Yield,

    /// <summary>Returns the microseconds since the kernel started.</summary>
    Uptime,

    /// <summary>Starts a task at address RDI with the command line of RSI bytes at RDX, nobody waits for it if R10 is not 0. Returns its number.</summary>
    Spawn,

    /// <summary>Waits for the child with number RDI and returns its exit code.</summary>
    Wait,

    /// <summary>Fills RSI records of <see cref="Kernel.TaskRecord"/> at RDI and returns how many there are.</summary>
    Tasks,

    /// <summary>Fills <see cref="Kernel.SystemRecord"/> at RDI.</summary>
    Information,

    /// <summary>Returns how often the timer took the processor from this task.</summary>
    Preemptions,

    /// <summary>Ends the task with number RDI; not the shell.</summary>
    Kill,

    /// <summary>RDI 0: power off. 1: reset. 2: writes RSI to the debug exit port. 3: overflows the kernel's stack.</summary>
    Shutdown,
}
