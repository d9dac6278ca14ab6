using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Ringfence.Memory;

/// <summary>
/// One entry of the software TLB, in native memory so that emitted code can probe it. A tag is a linear page address
/// with the address space's tag in its low 12 bits; 0 never matches. There is one table for each of user, supervisor
/// and supervisor-with-AC accesses.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct TlbEntry
{
    /// <summary>log2 of the number of entries of a table.</summary>
    public const int CountLog2 = 12;

    /// <summary>Matches when the page may be read.</summary>
    public ulong ReadTag;

    /// <summary>Matches when the page may be written, is dirty, is RAM and holds no decoded code.</summary>
    public ulong WriteTag;

    /// <summary>Host address minus linear address.</summary>
    public long Addend;

    /// <summary>Physical address of the page.</summary>
    public ulong Physical;

    /// <summary>The entry that would hold <paramref name="linear"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static unsafe TlbEntry* For(TlbEntry* table, ulong linear) =>
        (TlbEntry*)((byte*)table + ((linear >> (12 - 5)) & (((1UL << CountLog2) - 1) << 5)));

    /// <summary>The tag of the page of <paramref name="linear"/>; give the access's last byte, so that crossing pages miss.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static ulong TagOf(ulong linear, ulong addressSpaceTag) => (linear & ~0xfffUL) | addressSpaceTag;
}

/// <summary>One entry of the instruction-fetch TLB: leads from a linear page to its decoded code.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct CodeTlbEntry
{
    /// <summary>log2 of the number of entries.</summary>
    public const int CountLog2 = 9;

    /// <summary>Linear page address with the code tag in its low 12 bits.</summary>
    public ulong Tag;

    /// <summary>The page's decoded entry points.</summary>
    public uint* Entries;
}
