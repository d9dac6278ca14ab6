using Iced.Intel;
using Ringfence.Host;
using Ringfence.Memory;
using Ringfence.Processors;
using Ringfence.Processors.Exits;
using Ringfence.Processors.Instructions;
using Ringfence.Processors.Instructions.Integer;

namespace Ringfence.Execution.Interpretation;

/// <summary>
/// Decoded code of one processor, by physical page: decode once, run many times.
/// <para>
/// A block is a run of operations from an entry point to an unconditional transfer, the end of the page or a bound;
/// a conditional branch that is not taken continues in it. Blocks lie in one arena; when it is full everything is thrown
/// away. When code is written, the operations of the page's blocks are overwritten with ones that leave the loop, so
/// that even a block that changes itself stops before the first stale instruction.
/// </para>
/// <para>
/// The page's writers are shot down before its first bytes are decoded (see <see cref="Mmu"/>), so that no write goes unseen.
/// </para>
/// </summary>
internal sealed unsafe class DecodeCache : ICodeWatcher, IDisposable
{
    /// <summary>Instructions a block holds at most; also bounds the host stack where tail calls are not made.</summary>
    public const int BlockLimit = 64;

    /// <summary>Operations of a block: an instruction and a boundary behind it each, and the end.</summary>
    private const int MostOperations = (2 * BlockLimit) + 1;

    private const int ArenaOperations = 640 * 1024;
    private const int PageLimit = 6144;

    private readonly Processor _processor;
    private readonly PhysicalMemory _memory;
    private readonly Operation* _arena;
    private readonly byte* _entryPool;
    private readonly Dictionary<ulong, CodePage> _pages = [];
    private readonly List<CodePage> _recycled = [];
    private readonly Decoder[] _decoders;
    private readonly CodeBytes _bytes = new();
    private uint _next = 1;
    private int _poolUsed;

    public DecodeCache(Processor processor)
    {
        _processor = processor;
        _memory = processor.Mmu.Memory;
        _arena = (Operation*)NativeMemoryMap.Allocate(ArenaOperations * Operation.SizeInBytes);
        _entryPool = NativeMemoryMap.Allocate((nuint)PageLimit * CodePage.EntryBytes);
        _decoders =
        [
            Decoder.Create(16, _bytes, OperationDecoder.Options),
            Decoder.Create(32, _bytes, OperationDecoder.Options),
            Decoder.Create(64, _bytes, OperationDecoder.Options),
        ];
        processor.State->CodeArena = _arena;
        processor.Mmu.CodeWatcher = this;
    }

    /// <summary>Instructions decoded into blocks.</summary>
    public long Decoded { get; private set; }

    /// <summary>Pages whose decoded code was thrown away because it was written.</summary>
    public long Invalidations { get; private set; }

    /// <summary>Times everything was thrown away because the arena was full.</summary>
    public long Overflows { get; private set; }

    /// <summary>The page's cache entry, made if it does not exist. Only between blocks.</summary>
    public CodePage PageFor(ulong frame, int kind)
    {
        ulong key = (frame << 2) | (uint)kind;
        if (_pages.TryGetValue(key, out CodePage? page)) return page;
        if (_recycled.Count == 0 && _poolUsed == PageLimit) Clear();
        uint* entries;
        if (_recycled.Count > 0)
        {
            entries = _recycled[^1].Entries;
            _recycled.RemoveAt(_recycled.Count - 1);
        }
        else
        {
            entries = (uint*)(_entryPool + ((nuint)_poolUsed++ * CodePage.EntryBytes));
        }

        page = new CodePage(frame, kind, entries);
        _pages.Add(key, page);
        return page;
    }

    /// <summary>
    /// The block at an offset of a page, decoded if need be. Null: the first instruction crosses into the next page, or
    /// the cache was emptied and the page must be asked for again. Only between blocks.
    /// </summary>
    public Operation* BlockAt(CodePage page, byte* host, bool writable, int offset)
    {
        uint index = page.Entries[offset];
        if (index != 0) return _arena + index;
        _processor.Exits.Refine(ExitReason.Translation);
        if (_next + MostOperations > ArenaOperations)
        {
            Clear();
            return null;
        }

        if (page.Lines == 0 && writable) _processor.Mmu.WatchCode(page.Frame);
        return DecodeBlock(page, host, offset);
    }

    /// <inheritdoc/>
    public void Written(ulong physical, int length)
    {
        ulong lines = CodePage.LinesOf((int)(physical & 0xfff), length);
        ulong frame = physical >> 12;
        bool hit = false;
        for (int kind = 0; kind < 3; kind++)
            if (_pages.TryGetValue((frame << 2) | (uint)kind, out CodePage? page) && (page.Lines & lines) != 0) hit = true;
        if (hit) Invalidate(frame);
    }

    /// <summary>Throws the decoded code of a physical page away.</summary>
    public void Invalidate(ulong frame)
    {
        bool any = false;
        for (int kind = 0; kind < 3; kind++)
        {
            if (!_pages.TryGetValue((frame << 2) | (uint)kind, out CodePage? page) || page.Lines == 0) continue;
            any = true;
            foreach ((uint first, int count) in page.Blocks)
            {
                page.Entries[_arena[first].PageOffset] = 0;
                for (uint i = first; i < first + (uint)count; i++) _arena[i].Execute = &ControlTransferInstructions.Stale;
            }

            page.Blocks.Clear();
            page.Lines = 0;
        }

        if (!any) return;
        Invalidations++;
        _processor.Exits.Count(ExitReason.CodeModification);
        _memory.RemoveCodeUser(frame, _processor.Index);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        NativeMemoryMap.Unmap((byte*)_arena, ArenaOperations * Operation.SizeInBytes);
        NativeMemoryMap.Unmap(_entryPool, (nuint)PageLimit * CodePage.EntryBytes);
    }

    /// <summary>Throws everything away. Only between blocks: no operation may be running.</summary>
    private void Clear()
    {
        Overflows++;
        foreach (CodePage page in _pages.Values)
        {
            foreach ((uint first, int _) in page.Blocks) page.Entries[_arena[first].PageOffset] = 0;
            if (page.Lines != 0) _memory.RemoveCodeUser(page.Frame, _processor.Index);
            _recycled.Add(page);
        }

        _pages.Clear();
        _next = 1;
        _processor.Mmu.FlushCodeTlb();
    }

    private Operation* DecodeBlock(CodePage page, byte* host, int offset)
    {
        Decoder decoder = _decoders[page.Kind];
        uint first = _next;
        Operation* op = _arena + first;
        int count = 0;
        int at = offset;
        bool ended = false;
        _bytes.Set(host + offset, 4096 - offset);
        decoder.IP = (ulong)offset;
        while (count < BlockLimit && at < 4096 && !ended)
        {
            decoder.Decode(out Instruction instruction);
            if (decoder.LastError == DecoderError.NoMoreBytes) break;
            OperationDecoder.Decode(instruction, op, at, page.Kind == 2, ++count);
            ended = (op->Flags & OperationFlags.EndsBlock) != 0;
            at += op->Length;
            bool isSensitive = (op->Flags & OperationFlags.Sensitive) != 0;
            op++;
            if (!isSensitive || ended) continue;
            // The handler comes back to whoever accounts for it, and the block goes on from there.
            SingleDecoder.SetSentinel(op, at, count + 1);
            op->Execute = &ControlTransferInstructions.Boundary;
            op++;
        }

        if (count == 0) return null;
        Decoded += count;
        if (!ended) SingleDecoder.SetSentinel(op++, at, count + 1);
        int operations = (int)(op - _arena) - (int)first;

        page.Blocks.Add((first, operations));
        page.Lines |= CodePage.LinesOf(offset, at - offset);
        page.Entries[offset] = first;
        _next += (uint)operations;
        return _arena + first;
    }
}
