using Ringfence.Memory;
using static Ringfence.Virtualizability.Model.ModelLayout;

namespace Ringfence.Virtualizability.Model;

/// <summary>The RAM of experiments: page tables, the system's tables, and the program's pages, in two sets of frames.</summary>
internal sealed unsafe class ModelMemory : IDisposable
{
    private const uint PageBytes = 4096;

    private readonly AnalysisMode _mode;
    private readonly byte[] _task;
    private readonly byte[] _target;
    private uint _nextTable;

    /// <summary>Makes and fills it for a mode.</summary>
    public ModelMemory(AnalysisMode mode)
    {
        _mode = mode;
        _task = ModelTables.Task(mode);
        Ram = new PhysicalMemory(ModelRegion.RamBytes);
        _target = ModelTables.TargetTask(ModelRegion.Usual.PageTables);
        Fill(ModelRegion.Real, AnalysisMode.Real);
        if (mode == AnalysisMode.Real) return;
        foreach (ModelRegion region in (ReadOnlySpan<ModelRegion>)[ModelRegion.Usual, ModelRegion.Other])
        {
            Fill(region, mode);
            Map(region);
        }
    }

    /// <summary>The RAM.</summary>
    public PhysicalMemory Ram { get; }

    /// <summary>Host address of the words at <see cref="DataOffset"/>.</summary>
    public ulong* Data(ModelRegion region) => (ulong*)(Ram.HostBase + region.Data + DataOffset);

    /// <summary>Host address of the lowest words of the stack that are looked at.</summary>
    public ulong* Stack(ModelRegion region) => (ulong*)(Ram.HostBase + region.Stack + StackOffset - StackBelow);

    /// <summary>Makes memory what it is before an experiment.</summary>
    /// <param name="region">Where the program lies.</param>
    /// <param name="descriptors">The descriptor tables.</param>
    /// <param name="operands">The program's data.</param>
    public void Prepare(ModelRegion region, byte[] descriptors, OperandState operands)
    {
        foreach (uint table in (ReadOnlySpan<uint>)[Gdt, OtherGdt, Ldt, OtherLdt]) Renew(region, table, descriptors);
        RenewTasks(region);
        operands.Data.CopyTo(new Span<byte>(Data(region), DataBytes));
        var stack = new Span<byte>(Stack(region), StackBelow + StackAbove);
        stack[..StackBelow].Clear();
        operands.Stack.CopyTo(stack[StackBelow..]);
    }

    /// <summary>Stands for the changes in descriptor tables and task state since <see cref="Prepare"/>; 0: none.</summary>
    public ulong Changes(ModelRegion region, byte[] descriptors)
    {
        ulong changes = 0;
        foreach (uint table in (ReadOnlySpan<uint>)[Gdt, OtherGdt, Ldt, OtherLdt, Tss, OtherTss, TargetTss])
        {
            byte[] expected = table switch { Tss or OtherTss => _task, TargetTss => _target, _ => descriptors };
            Span<byte> actual = At(region, table, expected.Length);
            int first = actual.CommonPrefixLength(expected);
            if (first < expected.Length) changes = (changes << 16) + table + (ulong)first;
        }

        return changes;
    }

    /// <inheritdoc/>
    public void Dispose() => Ram.Dispose();

    private void RenewTasks(ModelRegion region)
    {
        Renew(region, Tss, _task);
        Renew(region, OtherTss, _task);
        Renew(region, TargetTss, _target);
    }

    private void Renew(ModelRegion region, uint table, byte[] contents)
    {
        Span<byte> actual = At(region, table, contents.Length);
        if (!actual.SequenceEqual(contents)) contents.CopyTo(actual);
    }

    private Span<byte> At(ModelRegion region, uint linear, int length) => new(Ram.HostBase + region.System + (linear - SystemPages), length);

    private void Fill(ModelRegion region, AnalysisMode mode)
    {
        byte[] interrupts = ModelTables.Interrupts(mode);
        interrupts.CopyTo(At(region, Idt, interrupts.Length));
        interrupts.CopyTo(At(region, OtherIdt, interrupts.Length));
        RenewTasks(region);
    }

    /// <summary>Maps the system's pages for the supervisor, the program's for everybody, and in protected mode all of it a second time for relocated segments.</summary>
    private void Map(ModelRegion region)
    {
        _nextTable = region.PageTables + PageBytes;
        MapAll(0);
        if (_mode == AnalysisMode.Protected) MapAll(Relocation);

        void MapAll(uint distance)
        {
            bool narrow = _mode == AnalysisMode.Virtual8086;
            MapPages(region, SystemPages + distance, region.System, SystemPageCount, user: false);
            MapPages(region, (narrow ? RealCode : CodePage) + distance, region.Code, 1, user: true);
            MapPages(region, (narrow ? RealData : DataPage) + distance, region.Data, 2, user: true);
            MapPages(region, (narrow ? RealStack : StackPage) + distance, region.Stack, 2, user: true);
        }
    }

    private void MapPages(ModelRegion region, uint linear, uint physical, int pages, bool user)
    {
        const uint PresentWritableUsed = 0x63;
        const uint User = 4;
        int levels = _mode == AnalysisMode.Long ? 4 : 2;
        int bits = _mode == AnalysisMode.Long ? 9 : 10;
        uint entryBytes = _mode == AnalysisMode.Long ? 8U : 4U;
        for (uint page = 0; page < pages; page++)
        {
            uint table = region.PageTables;
            for (int level = levels - 1; level >= 0; level--)
            {
                ulong slot = ((ulong)(linear + (page * PageBytes)) >> (12 + (level * bits))) & ((1UL << bits) - 1);
                uint* entry = (uint*)(Ram.HostBase + table + (slot * entryBytes));
                if (level == 0)
                {
                    *entry = (physical + (page * PageBytes)) | PresentWritableUsed | (user ? User : 0);
                }
                else if (*entry == 0)
                {
                    *entry = _nextTable | PresentWritableUsed | User;
                    _nextTable += PageBytes;
                }

                table = *entry & ~(PageBytes - 1);
            }
        }
    }
}
