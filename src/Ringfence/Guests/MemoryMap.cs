namespace Ringfence.Guests;

/// <summary>
/// Where everything lies in the built-in guest.
/// <code>
/// physical                      what                                    kernel's mapping
/// 0000_0000 - 001f_ffff         firmware, Multiboot information         read, write
/// 0020_0000 - 003f_ffff         kernel text                             read, execute
/// 0040_0000 - 004f_ffff         kernel constants                        read
/// 0050_0000 - 0057_ffff         user text                               read (execute in user mode)
/// 0058_0000 - 005f_ffff         user constants                          read
/// 0060_0000 - 006f_ffff         kernel data, tables, page tables        read, write
/// 0070_0000 - 007f_ffff         kernel data that starts as zeros        read, write
/// 0080_0000 - end of memory     page frames (at most 1 GiB is used)     read, write
///
/// linear                        what
/// 0000_0000_0040_0000           user text                               read, execute
/// 0000_0000_0050_0000           user constants                          read
/// 0000_0000_0060_0000           user data; the command line comes first read, write
/// below 0000_7fff_fff0_0000     user stack                              read, write
/// ffff_ffff_8000_0000           physical memory from 0, 1 GiB, in 2 MiB pages
/// ffff_ffff_c000_0000           kernel stacks, each below a page that is not there
/// ffff_ffff_fec0_0000           I/O APIC, uncached
/// ffff_ffff_fee0_0000           local APIC, uncached
/// </code>
/// </summary>
internal static class MemoryMap
{
    public const ulong KernelBase = 0xffff_ffff_8000_0000;

    /// <summary>The same, to be added to a physical address in an addressing mode.</summary>
    public const long DirectMap = unchecked((long)KernelBase);

    public const uint TextPhysical = 0x20_0000;
    public const uint ReadOnlyPhysical = 0x40_0000;
    public const uint UserTextPhysical = 0x50_0000;
    public const uint UserReadOnlyPhysical = 0x58_0000;
    public const uint DataPhysical = 0x60_0000;
    public const uint ZeroedPhysical = 0x70_0000;
    public const uint FramesPhysical = 0x80_0000;

    /// <summary>The kernel uses no memory above this address.</summary>
    public const uint MemoryLimit = 0x4000_0000;

    /// <summary>The kernel refuses to start with less memory.</summary>
    public const uint LeastMemoryMebibytes = 12;

    /// <summary>The first page of the text holds the Multiboot header and 32-bit code, the next one starts 64-bit code.</summary>
    public const uint LongModeOffset = 0x1000;

    public const ulong KernelStacks = 0xffff_ffff_c000_0000;

    /// <summary>A guard page and three pages of stack.</summary>
    public const uint KernelStackBytes = 0x4000;
    public const ulong IoApic = 0xffff_ffff_fec0_0000;
    public const ulong LocalApic = 0xffff_ffff_fee0_0000;
    public const ulong LocalApicPhysical = 0xfee0_0000;
    public const ulong IoApicPhysical = 0xfec0_0000;

    public const uint UserText = 0x40_0000;
    public const uint UserReadOnly = 0x50_0000;
    public const uint UserData = 0x60_0000;
    public const uint UserDataPages = 2;
    public const ulong UserStackTop = 0x7fff_fff0_0000;
    public const uint UserStackPages = 4;

    /// <summary>
    /// The last page of the lower half is never mapped: a SYSCALL in its last bytes would leave a non-canonical return
    /// address, for which SYSRET faults in the kernel (Intel SDM 2B, SYSRET).
    /// </summary>
    public const ulong UserLimit = 0x7fff_ffff_f000;

    public const uint PageBytes = 0x1000;

    /// <summary>The physical address of something the kernel has at a linear address of its direct map.</summary>
    public static uint ToPhysical(ulong linear) => (uint)(linear - KernelBase);
}
