namespace Ringfence.Virtualizability.Model;

/// <summary>
/// Where everything of an experiment lies. The program's pages are below 2 GiB, so that a process of a host can have them at the same addresses, and
/// the selectors of user mode are those of a Linux process.
/// </summary>
internal static class ModelLayout
{
    /// <summary>Offset of the instruction in its page.</summary>
    public const int CodeOffset = 0x100;

    /// <summary>Offset of the source operand in the data page: where RSI points to.</summary>
    public const int DataOffset = 0x100;

    /// <summary>Offset of the destination of string instructions: where RDI points to.</summary>
    public const int DestinationOffset = 0x280;

    /// <summary>Bytes of the data page that experiments look at, from <see cref="DataOffset"/>.</summary>
    public const int DataBytes = 0x200;

    /// <summary>Offset of RSP in the stack page.</summary>
    public const int StackOffset = 0x800;

    /// <summary>Bytes below RSP that experiments look at.</summary>
    public const int StackBelow = 0x40;

    /// <summary>Bytes from RSP up that experiments look at.</summary>
    public const int StackAbove = 0x40;

    /// <summary>Linear address of the code page with paging.</summary>
    public const uint CodePage = 0x2000_0000;

    /// <summary>Linear address of the data page with paging.</summary>
    public const uint DataPage = 0x2001_0000;

    /// <summary>Linear address of the stack page with paging.</summary>
    public const uint StackPage = 0x2002_0000;

    /// <summary>Linear address of the code page in 16-bit modes.</summary>
    public const uint RealCode = 0x2_0000;

    /// <summary>Linear address of the data page in 16-bit modes.</summary>
    public const uint RealData = 0x3_0000;

    /// <summary>Linear address of the stack page in 16-bit modes.</summary>
    public const uint RealStack = 0x4_0000;

    /// <summary>Linear address of the system's pages.</summary>
    public const uint SystemPages = 0x20_0000;

    /// <summary>The system's pages: GDT, another GDT, IDT, another IDT, LDT, another LDT, TSS, another TSS, a task to switch to, inner stacks, handlers.</summary>
    public const uint Gdt = SystemPages, OtherGdt = SystemPages + 0x1000, Idt = SystemPages + 0x2000, OtherIdt = SystemPages + 0x3000, Ldt = SystemPages + 0x4000,
        OtherLdt = SystemPages + 0x5000, Tss = SystemPages + 0x6000, OtherTss = SystemPages + 0x7000, TargetTss = SystemPages + 0x8000, InnerStacks = SystemPages + 0x9000,
        Handlers = SystemPages + 0xa000;

    /// <summary>Number of the system's pages.</summary>
    public const int SystemPageCount = 11;

    /// <summary>What is added to the program's linear addresses where its segments are relocated.</summary>
    public const uint Relocation = 0x100_0000;

    /// <summary>Selectors, with the RPL of their level where they have one.</summary>
    public const ushort Code0 = 0x08, LongCode0 = 0x10, Data0 = 0x18, Code3 = 0x23, Data3 = 0x2b, LongCode3 = 0x33, TssSelector = 0x40, LdtSelector = 0x50,
        OtherTssSelector = 0x60, OtherLdtSelector = 0x70, CallGate = 0x83, TargetTssSelector = 0x93, OtherData = 0xa3, Conforming = 0xab,
        Code1 = 0xb1, Data1 = 0xb9, Code2 = 0xc2, Data2 = 0xca, FreeTssSelector = 0xd0;

    /// <summary>Bytes of the GDT and the LDT.</summary>
    public const int TableBytes = 0x100;

    /// <summary>Vector whose gate may be used from every privilege level.</summary>
    public const byte OpenVector = 0x40;

    /// <summary>Vector whose gate is for privilege level 0.</summary>
    public const byte ClosedVector = 0x41;

    /// <summary>Port in the instructions that name one.</summary>
    public const byte Port = 0x10;
}
