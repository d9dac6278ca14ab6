using System.Runtime.InteropServices;

namespace Ringfence.Tests.Differential;

/// <summary>
/// Everything one instruction can read or change in a case: the same layout before and after, on the host and in an engine.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct CpuImage
{
    /// <summary>Value of <see cref="Vector"/> when the instruction completed.</summary>
    public const long NoFault = -1;

    /// <summary>RAX to R15.</summary>
    public fixed ulong Gpr[16];

    /// <summary>RFLAGS.</summary>
    public ulong Rflags;

    /// <summary>Instruction pointer.</summary>
    public ulong Rip;

    /// <summary>The FXSAVE64 image; 16-byte aligned in an aligned image.</summary>
    public fixed byte Fx[512];

    /// <summary>Vector of the fault, or <see cref="NoFault"/>.</summary>
    public long Vector;

    /// <summary>Error code of the fault, 0 if it has none.</summary>
    public ulong ErrorCode;

    /// <summary>CR2 of a page fault, otherwise 0.</summary>
    public ulong FaultAddress;

    private readonly ulong _padding;

    /// <summary>The memory windows of <see cref="TestMap"/>, behind each other.</summary>
    public fixed byte Memory[TestMap.WindowBytes];
}
