namespace Ringfence.Guests.Kernel;

/// <summary>
/// The tables the processor reads, all constants of the image: GDT, TSS, and the kernel's page tables. The IDT is written by
/// <see cref="Interrupts"/>, which knows the handlers.
/// </summary>
internal sealed class ProcessorTables
{
    /// <summary>
    /// Selectors. SYSCALL takes CS from STAR and SS from the entry after it; SYSRET to 64-bit code takes SS from the entry
    /// after STAR's and CS from the second one: hence the order (Intel SDM 2B, SYSCALL and SYSRET).
    /// </summary>
    public const int KernelCode = 0x08, KernelData = 0x10, UserCode32 = 0x1b, UserData = 0x23, UserCode = 0x2b, TaskState = 0x30;

    /// <summary>Interrupt stack table: the entries for NMI, #DF and #MC, which can come at a moment when RSP is not to be trusted.</summary>
    public const int NonMaskableStack = 1, DoubleFaultStack = 2, MachineCheckStack = 3;

    /// <summary>Offsets in the processor's own block, which GS points to in the kernel.</summary>
    public const int KernelStackTop = 0, UserRsp = 8, CurrentTask = 16;

    public const ulong Present = 1, Writable = 2, User = 4, WriteThrough = 8, CacheDisable = 16, Large = 0x80, Global = 0x100;

    /// <summary>In our own use of a bit the processor ignores: the frame belongs to the image, not to the task.</summary>
    public const ulong Shared = 0x200;

    public const ulong NoExecute = 1UL << 63;
    private const int PointersAPage = 512;
    private const ulong LargePage = 0x20_0000;

    public ProcessorTables(KernelCode kernel)
    {
        DataSection data = kernel.Data;
        PageMap = data.Reserve(4096, 4096);
        BootDirectory = data.Reserve(4096, 4096);
        WriteStacks(kernel);
        WritePageTables(data);
        Tss = data.Reserve(104, 16);
        data.WriteUInt64(Tss + 4, StackTop(0));
        data.WriteUInt64(Tss + 36, StackTop(TaskLayout.Count));
        data.WriteUInt64(Tss + 44, StackTop(TaskLayout.Count + 1));
        data.WriteUInt64(Tss + 52, StackTop(TaskLayout.Count + 2));
        data.WriteUInt16(Tss + 102, 104); // the I/O permission map lies beyond the limit: no port for user mode
        WriteGdt(data);
        Block = data.Reserve(64, 64);
        data.WriteUInt64(Block + KernelStackTop, StackTop(0));
        data.WriteUInt64(Block + CurrentTask, 0);
    }

    /// <summary>The kernel's PML4 table.</summary>
    public ulong PageMap { get; }

    /// <summary>A page directory pointer table that maps memory where it is, for the switch to long mode.</summary>
    public ulong BootDirectory { get; }

    public ulong Tss { get; }

    /// <summary>Operand of LGDT with a linear address.</summary>
    public ulong GdtRegister { get; private set; }

    /// <summary>Operand of LGDT with a physical address.</summary>
    public ulong BootGdtRegister { get; private set; }

    /// <summary>The processor's own block.</summary>
    public ulong Block { get; }

    /// <summary>End of a kernel stack; the stacks of the interrupt stack table follow those of the tasks.</summary>
    public static ulong StackTop(int index) => MemoryMap.KernelStacks + ((ulong)(index + 1) * MemoryMap.KernelStackBytes);

    private ulong _stackTable;

    private void WriteStacks(KernelCode kernel)
    {
        _stackTable = kernel.Data.Reserve(4096, 4096);
        for (int stack = 0; stack < TaskLayout.Count + 3; stack++)
        {
            for (int page = 1; page < MemoryMap.KernelStackBytes / MemoryMap.PageBytes; page++)
            {
                uint frame = MemoryMap.ToPhysical(kernel.Zeroed.Reserve(4096, 4096));
                int index = (stack * (int)(MemoryMap.KernelStackBytes / MemoryMap.PageBytes)) + page;
                kernel.Data.WriteUInt64(_stackTable + ((ulong)index * 8), frame | Present | Writable | Global | NoExecute);
            }
        }
    }

    /// <summary>4-level paging (Intel SDM 3A 4.5). No page is both writable and executable.</summary>
    private void WritePageTables(DataSection data)
    {
        ulong direct = data.Reserve(4096, 4096);
        ulong top = data.Reserve(4096, 4096);
        ulong pointers = data.Reserve(4096, 4096);
        for (ulong i = 0; i < PointersAPage; i++)
        {
            ulong rights = i switch
            {
                MemoryMap.TextPhysical / LargePage => 0,
                MemoryMap.ReadOnlyPhysical / LargePage => NoExecute,
                _ => Writable | NoExecute,
            };
            data.WriteUInt64(direct + (i * 8), (i * LargePage) | Present | Large | Global | rights);
        }

        const ulong Device = Present | Writable | Large | Global | NoExecute | WriteThrough | CacheDisable;
        data.WriteUInt64(Entry(top, MemoryMap.KernelStacks, 21), MemoryMap.ToPhysical(_stackTable) | Present | Writable);
        data.WriteUInt64(Entry(top, MemoryMap.LocalApic, 21), MemoryMap.LocalApicPhysical | Device);
        data.WriteUInt64(Entry(top, MemoryMap.IoApic, 21), MemoryMap.IoApicPhysical | Device);
        data.WriteUInt64(Entry(pointers, MemoryMap.KernelBase, 30), MemoryMap.ToPhysical(direct) | Present | Writable);
        data.WriteUInt64(Entry(pointers, MemoryMap.KernelStacks, 30), MemoryMap.ToPhysical(top) | Present | Writable);
        data.WriteUInt64(Entry(PageMap, MemoryMap.KernelBase, 39), MemoryMap.ToPhysical(pointers) | Present | Writable);
        data.WriteUInt64(BootDirectory, MemoryMap.ToPhysical(direct) | Present | Writable);
        data.WriteUInt64(PageMap, MemoryMap.ToPhysical(BootDirectory) | Present | Writable);
    }

    private static ulong Entry(ulong table, ulong linear, int shift) => table + (((linear >> shift) & 511) * 8);

    /// <summary>Segment descriptors (Intel SDM 3A 3.4.5) and the 16-byte TSS descriptor (7.2.3).</summary>
    private void WriteGdt(DataSection data)
    {
        ulong gdt = data.Reserve(64, 16);
        data.WriteUInt64(gdt + KernelCode, 0x00af_9b00_0000_ffff);
        data.WriteUInt64(gdt + KernelData, 0x00cf_9300_0000_ffff);
        data.WriteUInt64(gdt + (UserCode32 & ~3), 0x00cf_fb00_0000_ffff);
        data.WriteUInt64(gdt + (UserData & ~3), 0x00cf_f300_0000_ffff);
        data.WriteUInt64(gdt + (UserCode & ~3), 0x00af_fb00_0000_ffff);
        data.WriteUInt64(gdt + TaskState, 103 | ((Tss & 0xff_ffff) << 16) | (0x89UL << 40) | (((Tss >> 24) & 0xff) << 56));
        data.WriteUInt64(gdt + TaskState + 8, Tss >> 32);
        GdtRegister = data.Reserve(10);
        data.WriteUInt16(GdtRegister, 63);
        data.WriteUInt64(GdtRegister + 2, gdt);
        BootGdtRegister = data.Reserve(10);
        data.WriteUInt16(BootGdtRegister, 63);
        data.WriteUInt64(BootGdtRegister + 2, MemoryMap.ToPhysical(gdt));
    }
}
