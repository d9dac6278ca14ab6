using System.Runtime.InteropServices;
using Ringfence.Host;

namespace Ringfence.Processors;

/// <summary>
/// The part of a processor's state that emitted code and the engine that emits it share. Emitted code reaches it, as all of
/// <see cref="VcpuState"/>, relative to the host thread's GS base.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct NativeCodeState
{
    /// <summary>
    /// The guest's status flags while they are not in the host's: SF, ZF, AF, PF and CF in bits 8 to 15 as LAHF stores them, OF in bit 0.
    /// </summary>
    public ushort Flags;

    /// <summary>The host's flags at a host fault, in the same form.</summary>
    public ushort FaultFlags;

    /// <summary>Version of the mappings that code was found through: a code page's own must equal it before its fragments are entered.</summary>
    public uint CodeEpoch;

    /// <summary>As <see cref="CodeEpoch"/>, for mappings of global pages.</summary>
    public uint GlobalCodeEpoch;

    /// <summary>The site through which translated code came back.</summary>
    public ulong ExitSite;

    /// <summary>The site of the last indirect transfer; its target's look-up may fail.</summary>
    public ulong IndirectSite;

    /// <summary>Guest address whose fragment was not found.</summary>
    public ulong Target;

    /// <summary>The host's R15 when translated code came back: the linear address of an access whose probe failed.</summary>
    public ulong Address;

    /// <summary>Where <c>enter</c> jumps to.</summary>
    public void* EntryPoint;

    /// <summary>
    /// What translated code reads at loop heads: a readable page, or an inaccessible one as soon as an event is posted. Any thread sets it.
    /// </summary>
    public void* Poll;

    /// <summary>The inaccessible page.</summary>
    public void* PollTrap;

    /// <summary>Fragments of the current mode by the low 16 bits of their address.</summary>
    public void** JumpTable;

    /// <summary>Number of the 512 GiB slot of the linear address space that each window shows; all ones if it must not be used.</summary>
    public fixed uint WindowSlot[2];

    /// <summary>Host address minus linear address in each window.</summary>
    public fixed ulong WindowDelta[2];

    /// <summary>Guest registers whose host registers a trace has lent to others.</summary>
    public fixed ulong Lent[12];

    /// <summary>R13 and R15 of the host at a host fault.</summary>
    public fixed ulong FaultScratch[2];

    /// <summary>The host's MXCSR outside translated code.</summary>
    public uint HostMxcsr;

    /// <summary>The site of the last numeric x87 instruction that translated code executed; 0: the state's pointers are right.</summary>
    public uint X87Note;

    /// <summary>The site of the last one with a memory operand; 0: the state's data pointer is right.</summary>
    public uint X87DataNote;

    /// <summary>Its operand's offset.</summary>
    public ulong X87DataOffset;

    /// <summary>The mode that translated code runs in, as a number; translated code changes some of its bits itself.</summary>
    public uint Mode;

    /// <summary>Scratch of emitted code.</summary>
    public uint Scratch;

    /// <summary>Where the host's fault handler leaves what happened.</summary>
    internal HostFault Fault;
}
