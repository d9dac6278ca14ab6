using System.Runtime.InteropServices;

namespace Ringfence.Host;

/// <summary>What the host's fault handler records when emitted code faults, and where execution continues then.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct HostFault
{
    /// <summary>Host address of the instruction that faulted.</summary>
    public ulong InstructionPointer;

    /// <summary>The address it accessed, as the host tells it.</summary>
    public ulong Address;

    /// <summary>The signal's number.</summary>
    public ulong Signal;

    /// <summary>Host address where execution continues.</summary>
    public ulong Resume;
}
