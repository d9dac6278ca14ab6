using System.Runtime.InteropServices;

namespace Ringfence.Host;

/// <summary>
/// A fault of emitted code, in memory that the thread's GS base reaches. The signal handler of
/// <see cref="FaultRedirection"/> fills it when a fault interrupts code inside the arena of <see cref="ExecutableMemory"/>,
/// except <see cref="Resume"/>, which the emitted code's owner sets beforehand.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal struct HostFault
{
    /// <summary>Host address of the instruction that faulted.</summary>
    public ulong InstructionPointer;

    /// <summary>
    /// What the host says the fault is about (si_addr): for SIGSEGV and SIGBUS the address accessed, or 0 where the
    /// processor names none (#GP and #SS: not canonical; #AC); for SIGFPE and SIGILL the instruction's own address.
    /// </summary>
    public ulong Address;

    /// <summary>Number of the signal (Linux, see <see cref="NativeSignals"/>).</summary>
    public ulong Signal;

    /// <summary>Host address where the thread goes on, with all other registers and flags as the fault left them.</summary>
    public ulong Resume;
}
