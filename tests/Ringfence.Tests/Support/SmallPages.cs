using Ringfence.Processors;

namespace Ringfence.Tests.Support;

/// <summary>
/// 4 KiB pages for a <see cref="TestMachine"/> in 64-bit mode: one table for each 2 MiB of the first 8 MiB of the linear space, RAM one to one,
/// above it nothing. Several such address spaces may exist, each at its own tables.
/// </summary>
internal static unsafe class SmallPages
{
    public const ulong Present = 1, Writable = 2, User = 4, Accessed = 0x20, Dirty = 0x40, NoExecute = 1UL << 63;

    /// <summary>Tables of a second address space.</summary>
    public const uint OtherTables = 0x180000;

    /// <summary>Linear addresses behind RAM, where nothing is mapped until a test does.</summary>
    public const uint Window = 0x400000;

    /// <summary>Linear 4 KiB pages that the tables cover.</summary>
    public const int Pages = 2048;

    /// <summary>64-bit mode at CPL 0 with small pages.</summary>
    public static void EnterLongSmall(this TestMachine machine)
    {
        machine.EnterLong();
        machine.BuildSmallPages(TestMachine.PageTables);
        machine.Processor.Mmu.Flush();
    }

    /// <summary>Builds the tables of an address space.</summary>
    public static void BuildSmallPages(this TestMachine machine, uint tables)
    {
        machine.Write64(tables, (tables + 0x1000) | 7UL);
        machine.Write64(tables + 0x1000, (tables + 0x2000) | 7UL);
        for (uint i = 0; i < 4; i++) machine.Write64(tables + 0x2000 + (i * 8), (tables + 0x3000 + (i * 0x1000)) | 7UL);
        for (uint page = 0; page < Pages; page++) machine.Write64(Pte(page << 12, tables), page < 1024 ? (page << 12) | 7UL : 0);
    }

    /// <summary>Physical address of a page's PTE.</summary>
    public static uint Pte(uint linear, uint tables = TestMachine.PageTables) => tables + 0x3000 + ((linear >> 12) * 8);

    /// <summary>Writes a PTE as another processor would: nothing is flushed.</summary>
    public static void Map(this TestMachine machine, uint linear, ulong physical, ulong rights = Present | Writable | User, uint tables = TestMachine.PageTables) =>
        machine.Write64(Pte(linear, tables), physical | rights);

    /// <summary>Makes a page missing, with INVLPG's effect: what a test does before it runs anything.</summary>
    public static void Unmap(this TestMachine machine, uint linear, uint tables = TestMachine.PageTables)
    {
        machine.Write64(Pte(linear, tables), 0);
        machine.Processor.Mmu.FlushPage(linear);
    }

    /// <summary>32-bit protected mode with 32-bit paging: one table for each 4 MiB of the first 8, RAM one to one, above it nothing.</summary>
    public static void EnterProtectedSmall(this TestMachine machine)
    {
        machine.EnterProtected();
        machine.Write32(TestMachine.PageTables, (TestMachine.PageTables + 0x1000) | 7U);
        machine.Write32(TestMachine.PageTables + 4, (TestMachine.PageTables + 0x2000) | 7U);
        for (uint page = 0; page < Pages; page++) machine.Write32(Pte32(page << 12), page < 1024 ? (page << 12) | 7U : 0);
        machine.State->Cr3 = TestMachine.PageTables;
        machine.State->Cr0 |= Cr0.Pg | Cr0.Wp;
        machine.Processor.Mmu.Flush();
    }

    /// <summary>Physical address of a page's PTE in 32-bit paging.</summary>
    public static uint Pte32(uint linear) => TestMachine.PageTables + 0x1000 + ((linear >> 12) * 4);

    /// <summary>Writes a PTE of 32-bit paging as another processor would.</summary>
    public static void Map32(this TestMachine machine, uint linear, uint physical, ulong rights = Present | Writable | User) =>
        machine.Write32(Pte32(linear), physical | (uint)rights);
}
