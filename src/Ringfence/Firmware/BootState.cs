using System.Buffers.Binary;
using Ringfence.Memory;
using Ringfence.Processors;

namespace Ringfence.Firmware;

/// <summary>
/// Processor states in which boot protocols hand over. Each starts from the power-on state; interrupts are off, the
/// caches on, and the descriptor table the segments come from lies in guest memory.
/// </summary>
internal static unsafe class BootState
{
    /// <summary>Selector of the flat code segment.</summary>
    public const ushort CodeSelector = 0x10;

    /// <summary>Selector of the flat data segment.</summary>
    public const ushort DataSelector = 0x18;

    private const ulong GigabytePage = 1UL << 30;
    private const ulong LargePage = 1UL << 21;
    private const byte WriteBack = 6;

    /// <summary>32-bit protected mode, flat segments, no paging.</summary>
    /// <param name="processor">The processor.</param>
    /// <param name="gdt">Physical address for its descriptor table: four descriptors.</param>
    /// <param name="entry">Where execution begins.</param>
    public static void EnterProtectedMode(Processor processor, ulong gdt, uint entry)
    {
        Begin(processor, gdt, SegmentAttributes.Big);
        VcpuState* s = processor.State;
        s->Cr0 = Cr0.Pe | Cr0.Et;
        s->Rip = entry;
        Finish(processor);
    }

    /// <summary>64-bit mode, flat segments, 4-level paging that maps the first 4 GiB to themselves with 2 MiB pages.</summary>
    /// <param name="processor">The processor.</param>
    /// <param name="gdt">Physical address for its descriptor table: four descriptors.</param>
    /// <param name="pageTables">Physical address for six pages of page tables.</param>
    /// <param name="entry">Where execution begins.</param>
    public static void EnterLongMode(Processor processor, ulong gdt, ulong pageTables, ulong entry)
    {
        Begin(processor, gdt, SegmentAttributes.Long);
        WriteIdentityMap(processor.Mmu.Memory, pageTables);
        VcpuState* s = processor.State;
        s->Cr3 = pageTables;
        s->Cr4 = Cr4.Pae;
        s->Efer = Efer.Lme | Efer.Lma;
        s->Cr0 = Cr0.Pe | Cr0.Et | Cr0.Pg;
        s->Rip = entry;
        Finish(processor);
    }

    /// <summary>
    /// Memory types as firmware sets them on every processor before it starts a system (Intel SDM 3A 11.11): write-back,
    /// except video memory and the space for devices below 4 GiB.
    /// </summary>
    public static void SetMemoryTypes(Processor processor)
    {
        const ulong AllWriteBack = 0x0101_0101_0101_0101 * WriteBack;
        const ulong AddressMask = (1UL << PhysicalMemory.AddressBits) - 1;
        const ulong DeviceSpaceBytes = (1UL << 32) - PhysicalMemory.DeviceSpace;
        const int VideoMemoryRegister = 2;
        VcpuState* s = processor.State;
        for (int i = 0; i < 11; i++) s->MtrrFixed[i] = i == VideoMemoryRegister ? 0 : AllWriteBack;
        s->MtrrVariable[0] = PhysicalMemory.DeviceSpace;
        s->MtrrVariable[1] = (AddressMask & ~(DeviceSpaceBytes - 1)) | (1 << 11);
        s->MtrrDefaultType = (3 << 10) | WriteBack;
    }

    private static void Begin(Processor processor, ulong gdt, ushort codeSize)
    {
        const ushort Present = SegmentAttributes.Present | SegmentAttributes.CodeOrData | SegmentAttributes.Accessed
            | SegmentAttributes.ReadableOrWritable | SegmentAttributes.Granularity;
        ushort code = (ushort)(Present | SegmentAttributes.Code | codeSize);
        const ushort Data = Present | SegmentAttributes.Big;
        Span<byte> table = stackalloc byte[32];
        table.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(table[CodeSelector..], FlatDescriptor(code));
        BinaryPrimitives.WriteUInt64LittleEndian(table[DataSelector..], FlatDescriptor(Data));
        processor.Mmu.Memory.Write(new GuestPhysical(gdt), table);

        VcpuState* s = processor.State;
        s->Gdtr = new DescriptorTableRegister { Base = gdt, Limit = 31 };
        s->Idtr = new DescriptorTableRegister { Base = 0, Limit = 0 };
        for (SegmentIndex i = SegmentIndex.Es; i <= SegmentIndex.Gs; i++) SetFlat(s, i, DataSelector, Data);
        SetFlat(s, SegmentIndex.Cs, CodeSelector, code);
        for (int i = 0; i < 16; i++) s->Gpr[i] = 0;
        s->Rflags = RflagsBits.AlwaysOne;
        s->Cpl = 0;
        s->Cr4 = 0;
        s->Efer = 0;
        s->Activity = ActivityState.Active;
    }

    private static void Finish(Processor processor)
    {
        processor.Mmu.Flush();
        processor.Mmu.FlushCodeTlb();
        processor.RefreshMode();
    }

    private static void SetFlat(VcpuState* s, SegmentIndex index, ushort selector, ushort attributes) =>
        s->Segment(index) = new SegmentRegister(selector, 0, uint.MaxValue, attributes);

    private static ulong FlatDescriptor(ushort attributes) => 0x000f_0000_0000_ffffUL | ((ulong)attributes << 40);

    private static void WriteIdentityMap(PhysicalMemory memory, ulong pageTables)
    {
        const ulong PresentWritable = 3;
        const ulong PageSizeBit = 0x80;
        const int Directories = 4;
        byte[] tables = new byte[(2 + Directories) * GuestPhysical.PageSize];
        ulong pointers = pageTables + GuestPhysical.PageSize;
        BinaryPrimitives.WriteUInt64LittleEndian(tables, pointers | PresentWritable);
        for (int i = 0; i < Directories; i++)
        {
            ulong directory = pointers + ((ulong)(i + 1) * GuestPhysical.PageSize);
            BinaryPrimitives.WriteUInt64LittleEndian(tables.AsSpan(GuestPhysical.PageSize + (8 * i)), directory | PresentWritable);
            for (int j = 0; j < 512; j++)
            {
                ulong page = ((ulong)i * GigabytePage) + ((ulong)j * LargePage);
                int at = ((2 + i) * GuestPhysical.PageSize) + (8 * j);
                BinaryPrimitives.WriteUInt64LittleEndian(tables.AsSpan(at), page | PageSizeBit | PresentWritable);
            }
        }

        memory.Write(new GuestPhysical(pageTables), tables);
    }
}
