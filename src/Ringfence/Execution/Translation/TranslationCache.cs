using System.Globalization;
using Ringfence.Host;
using Ringfence.Memory;
using Ringfence.Processors;

namespace Ringfence.Execution.Translation;

/// <summary>
/// The translated code of one processor: memory for it, fragments by guest address, the pages they came from, and the chains
/// between them.
/// <para>
/// A fragment is found by linear address and mode, and valid for the physical page it was made from. Each page carries the
/// epoch in which its mapping was last known to be right; the processor's epoch advances when the guest makes it forget mappings, and
/// a page is looked up again before its code is entered in a new epoch. Global pages have an epoch of their own, which a write to CR3
/// does not advance. Chains stay inside a page; code of other pages is
/// reached through the jump table, whose targets check address and epoch.
/// </para>
/// <para>When memory is full everything is thrown away: only between runs of translated code.</para>
/// </summary>
internal sealed unsafe class TranslationCache : ICodeWatcher, IMappingObserver, IDisposable
{
    /// <summary>Slots of a jump table: one for each value of the low 16 bits of an address.</summary>
    public const int JumpTableSlots = 1 << 16;

    /// <summary>Pages of guest code for which there is an epoch.</summary>
    public const int MostPages = EpochBytes / sizeof(uint);

    /// <summary>Bytes that are kept free in either area, since compiling is never interrupted: more than the longest trace needs.</summary>
    public const int Reserve = 1 << 16;

    /// <summary>Sites that are kept free: more than the longest trace has.</summary>
    public const int ReservedSites = 1 << 10;

    private const int EpochBytes = 1 << 18;
    private const int CommonBytes = 1 << 14;
    private const int MostJumpTables = 32;

    private readonly Processor _processor;
    private readonly VcpuState* _s;
    private readonly PhysicalMemory _memory;
    private readonly CacheLimits _limits;
    private readonly ExecutableMemory _code;
    private readonly uint* _epochs;
    private readonly List<CodePage> _pages = [];
    private readonly Dictionary<ulong, CodePage> _byLinear = [];
    private readonly Dictionary<ulong, CodePage> _byFrame = [];
    private readonly Dictionary<ulong, ulong> _lines = [];
    private readonly Dictionary<ulong, int> _fragments = [];
    private readonly Dictionary<uint, nint> _jumpTables = [];
    private readonly Dictionary<int, int> _faultSites = [];
    private int _fragmentCount = 1;
    private int _siteCount = 1;

    public TranslationCache(Processor processor, CacheLimits limits)
    {
        _limits = limits;
        _processor = processor;
        _s = processor.State;
        _memory = processor.Mmu.Memory;
        int main = EpochBytes + CommonBytes;
        int rare = main + limits.MainBytes;
        _code = new ExecutableMemory((nuint)(rare + limits.RareBytes));
        _epochs = (uint*)_code.Writable;
        Common = new CodeStream(_code.Writable, EpochBytes, main);
        Main = new CodeStream(_code.Writable, main, rare);
        Rare = new CodeStream(_code.Writable, rare, rare + limits.RareBytes);
        Fragments = (Fragment*)NativeMemoryMap.Allocate((nuint)limits.Fragments * (nuint)sizeof(Fragment));
        Sites = (Site*)NativeMemoryMap.Allocate((nuint)limits.Sites * (nuint)sizeof(Site));
        _s->Native.CodeEpoch = _s->Native.GlobalCodeEpoch = 1;
        processor.Mmu.CodeWatcher = this;
        processor.Mmu.MappingObserver = this;
    }

    /// <summary>Entry, exit and look-up code that all fragments share.</summary>
    public CodeStream Common { get; }

    /// <summary>Where execution mostly is: fragments, laid behind each other.</summary>
    public CodeStream Main { get; }

    /// <summary>Rare paths.</summary>
    public CodeStream Rare { get; }

    /// <summary>All fragments; 0 is none.</summary>
    public Fragment* Fragments { get; }

    /// <summary>All sites; 0 is none.</summary>
    public Site* Sites { get; }

    /// <summary>Address at which offset 0 is executed.</summary>
    public byte* Executable => _code.Executable;

    /// <summary>The same bytes to read and write.</summary>
    public byte* Writable => _code.Writable;

    /// <summary>Offset of the code that a mode's jump table leads to where it knows nothing better.</summary>
    public Func<TranslationMode, int> LookUpFailed { get; set; } = _ => 0;

    /// <summary>Counts the times everything was thrown away; what was known before is void.</summary>
    public int Generation { get; private set; }

    /// <summary>Counters.</summary>
    public TranslationStatistics Statistics { get; } = new();

    /// <summary>Is there room for one more unit?</summary>
    public bool HasRoom => Main.Free > Reserve && Rare.Free > Reserve && _fragmentCount < _limits.Fragments - 1
        && _siteCount < _limits.Sites - ReservedSites && _pages.Count < _limits.Pages - 1
        && _jumpTables.Count < MostJumpTables;

    /// <summary>The code page's number of executable bytes of the cache in use.</summary>
    public long UsedBytes => Main.Used + Rare.Used;

    /// <summary>Offset of a page's epoch.</summary>
    public static int EpochOffset(CodePage page) => page.Index * sizeof(uint);

    /// <summary>A code page by number.</summary>
    public CodePage Page(int index) => _pages[index];

    /// <summary>The jump table of a mode, which emitted code may name until everything is thrown away.</summary>
    public void** JumpTable(TranslationMode mode)
    {
        // Code in a segment that is not flat never looks there.
        if (!mode.IsFlatCode) return null;
        if (_jumpTables.TryGetValue(mode.Bits, out nint table)) return (void**)table;
        table = (nint)NativeMemoryMap.Allocate(JumpTableSlots * (nuint)sizeof(void*));
        _jumpTables.Add(mode.Bits, table);
        ClearJumpTable(mode.Bits, table);
        return (void**)table;
    }

    /// <summary>
    /// The page of code at a linear address in the current mode, its mapping known to be right. Null: the fetch faulted (the fault is
    /// pending), or the page is not RAM or ROM.
    /// </summary>
    public CodePage? PageFor(ulong linear, TranslationMode mode) => PageFor(linear, mode, raises: true);

    /// <summary>As <see cref="PageFor(ulong, TranslationMode)"/>, with or without a fault that is pending afterwards.</summary>
    public CodePage? PageFor(ulong linear, TranslationMode mode, bool raises)
    {
        ulong address = linear & ~0xfffUL;
        _byLinear.TryGetValue(address, out CodePage? first);
        for (CodePage? page = first; page is not null; page = page.NextByLinear)
            if (page.Mode == mode && IsCurrent(page)) return page;
        if (!_processor.Mmu.TryTranslateFetch(linear, raises, out ulong physical, out bool isGlobal)) return null;
        ulong frame = physical >> 12;
        for (CodePage? page = first; page is not null; page = page.NextByLinear)
        {
            if (page.Mode != mode || page.Frame != frame || page.IsGlobal != isGlobal) continue;
            _epochs[page.Index] = Epoch(page);
            return page;
        }

        return _memory.PageAt(physical, out _) is null ? null : Add(address, frame, mode, isGlobal);
    }

    /// <summary>The fragment at an offset of a page; 0 if there is none.</summary>
    public int FragmentAt(CodePage page, int offset) =>
        _fragments.TryGetValue(((ulong)page.Index << 12) | (uint)offset, out int fragment) ? fragment : 0;

    /// <summary>Makes the writes to a page be seen before its bytes are read for the first time.</summary>
    public byte* Watch(CodePage page)
    {
        byte* host = _memory.PageAt(page.Frame << 12, out bool writable);
        if (writable && !_lines.ContainsKey(page.Frame))
        {
            _processor.Mmu.WatchCode(page.Frame);
            _lines[page.Frame] = 0;
        }

        return host;
    }

    /// <summary>Enters a compiled fragment in the books.</summary>
    public int Add(in Fragment compiled)
    {
        int index = _fragmentCount++;
        Fragments[index] = compiled;
        CodePage page = _pages[compiled.Page];
        Fragments[index].NextInPage = page.FirstFragment;
        page.FirstFragment = index;
        if (compiled.TraceOf == 0) _fragments[((ulong)page.Index << 12) | compiled.PageOffset] = index;
        if (_lines.TryGetValue(page.Frame, out ulong lines))
            _lines[page.Frame] = lines | Interpretation.CodePage.LinesOf(compiled.PageOffset, compiled.GuestLength);
        return index;
    }

    /// <summary>Notes that a fragment's instruction ends in another page.</summary>
    public void AddAcross(CodePage next, int index)
    {
        next.Across.Add(index);
        if (_lines.TryGetValue(next.Frame, out ulong lines)) _lines[next.Frame] = lines | Interpretation.CodePage.LinesOf(0, BytesBeyond(Fragments + index));
    }

    /// <summary>The number the next fragment will have.</summary>
    public int NextFragment => _fragmentCount;

    /// <summary>A new site.</summary>
    public int NewSite(in Site site)
    {
        Sites[_siteCount] = site;
        return _siteCount++;
    }

    /// <summary>The number the next site will have.</summary>
    public int NextSite => _siteCount;

    /// <summary>Forgets the last sites, from one on.</summary>
    public void ForgetSites(int first)
    {
        for (int i = first; i < _siteCount; i++)
            if (_faultSites.TryGetValue(Sites[i].HostOffset, out int site) && site == i) _faultSites.Remove(Sites[i].HostOffset);
        _siteCount = first;
    }

    /// <summary>Records that the host instruction at an offset may fault, and what the fault means.</summary>
    public void AddFaultSite(int offset, int site) => _faultSites[offset] = site;

    /// <summary>The site of a host instruction that faulted; 0 if none is known.</summary>
    public int FaultSite(ulong hostAddress)
    {
        long offset = (long)hostAddress - (long)_code.Executable;
        return offset >= 0 && offset < (long)_code.Length && _faultSites.TryGetValue((int)offset, out int site) ? site : 0;
    }

    /// <summary>Names the fragment whose code an offset lies in, for reports.</summary>
    public string DescribeAt(int offset)
    {
        int nearest = 0;
        for (int i = 1; i < _fragmentCount; i++)
        {
            if (Fragments[i].Start <= offset && (nearest == 0 || Fragments[i].Start > Fragments[nearest].Start)) nearest = i;
        }

        if (nearest != 0 && offset < EpochBytes + CommonBytes + _limits.MainBytes)
            return $"At +0x{offset - Fragments[nearest].Start:x} of {Describe(nearest, offset)}";
        return "No fragment lies there.";
    }

    /// <summary>Lists a fragment's host code, for reports.</summary>
    /// <param name="index">The fragment.</param>
    /// <param name="marked">Offset of the instruction to mark.</param>
    public string Describe(int index, int marked = -1)
    {
        ref Fragment fragment = ref Fragments[index];
        return $"Fragment {index} of guest address 0x{fragment.Rip:x}, {fragment.Instructions} instructions:"
            + Disassemble(fragment.Start, Math.Max(fragment.End, marked + 16), marked);
    }

    /// <summary>Chains a site to a fragment's entry.</summary>
    public void Link(int site, int fragment, int entry)
    {
        Site* s = Sites + site;
        Main.Patch(s->HostOffset, entry);
        Register(site, fragment);
    }

    /// <summary>Notes that a site leads to a fragment.</summary>
    public void Register(int site, int fragment)
    {
        Site* s = Sites + site;
        s->IsLinked = true;
        s->Next = Fragments[fragment].Incoming;
        Fragments[fragment].Incoming = site;
    }

    /// <summary>Changes one byte of emitted code.</summary>
    public void SetByte(int offset, byte value) => _code.Writable[offset] = value;

    /// <summary>Makes the current mode's jump table lead to a fragment.</summary>
    public void SetJumpTarget(ulong linear, int entry)
    {
        if (_s->Native.JumpTable is not null) _s->Native.JumpTable[(ushort)linear] = _code.Executable + entry;
    }

    /// <summary>The promoted registers of traces that have some.</summary>
    public Dictionary<int, Promotion[]> Promotions { get; } = [];

    /// <summary>The windows whose contents follow the TLB's; null until there are any.</summary>
    public WindowMap? Windows { get; set; }

    /// <inheritdoc/>
    public void WriterDropped(ulong frame) => Windows?.DropWriter(frame);

    /// <inheritdoc/>
    public void AllChanged()
    {
        NonGlobalChanged();
        if (++_s->Native.GlobalCodeEpoch == 0) RestartEpochs();
    }

    /// <inheritdoc/>
    public void NonGlobalChanged()
    {
        Windows?.DropAll();
        if (++_s->Native.CodeEpoch == 0) RestartEpochs();
    }

    /// <inheritdoc/>
    public void PageChanged(ulong linear)
    {
        Windows?.DropPage(linear);
        _byLinear.TryGetValue(linear, out CodePage? page);
        for (; page is not null; page = page.NextByLinear) _epochs[page.Index] = 0;
    }

    /// <summary>Was a page's mapping known to be right in this epoch?</summary>
    public bool IsCurrent(CodePage page) => _epochs[page.Index] == Epoch(page);

    /// <inheritdoc/>
    public void Written(ulong physical, int length)
    {
        ulong frame = physical >> 12;
        int start = (int)(physical & 0xfff);
        if (!_lines.TryGetValue(frame, out ulong lines) || (lines & Interpretation.CodePage.LinesOf(start, length)) == 0) return;
        Invalidate(frame, start, length);
    }

    /// <summary>Throws the fragments of a physical page away.</summary>
    public void Invalidate(ulong frame) => Invalidate(frame, 0, 4096);

    /// <summary>Throws everything away.</summary>
    public void Clear()
    {
        Generation++;
        Statistics.Flushes++;
        foreach (ulong frame in _lines.Keys) _memory.RemoveCodeUser(frame, _processor.Index);
        _lines.Clear();
        _pages.Clear();
        _byLinear.Clear();
        _byFrame.Clear();
        _fragments.Clear();
        _faultSites.Clear();
        Promotions.Clear();
        _fragmentCount = _siteCount = 1;
        Main.Clear();
        Rare.Clear();
        FreeJumpTables();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _code.Dispose();
        NativeMemoryMap.Unmap((byte*)Fragments, (nuint)_limits.Fragments * (nuint)sizeof(Fragment));
        NativeMemoryMap.Unmap((byte*)Sites, (nuint)_limits.Sites * (nuint)sizeof(Site));
        FreeJumpTables();
    }

    private void FreeJumpTables()
    {
        foreach (nint table in _jumpTables.Values) NativeMemoryMap.Unmap((byte*)table, JumpTableSlots * (nuint)sizeof(void*));
        _jumpTables.Clear();
    }

    private void RestartEpochs()
    {
        new Span<uint>(_epochs, _pages.Count).Clear();
        _s->Native.CodeEpoch = _s->Native.GlobalCodeEpoch = 1;
    }

    private string Disassemble(int start, int end, int marked)
    {
        var bytes = new CodeBytes();
        bytes.Set(_code.Writable + start, end - start);
        var decoder = Iced.Intel.Decoder.Create(64, bytes);
        decoder.IP = (ulong)start;
        var text = new System.Text.StringBuilder();
        var line = new Iced.Intel.StringOutput();
        var formatter = new Iced.Intel.NasmFormatter();
        while (decoder.IP < (ulong)end)
        {
            decoder.Decode(out Iced.Intel.Instruction instruction);
            if (decoder.LastError == Iced.Intel.DecoderError.NoMoreBytes) break;
            formatter.Format(instruction, line);
            text.Append(CultureInfo.InvariantCulture, $"\n{(instruction.IP == (ulong)marked ? "->" : "  ")} {instruction.IP:x} {line.ToStringAndReset()}");
        }

        return text.ToString();
    }

    private CodePage Add(ulong linear, ulong frame, TranslationMode mode, bool isGlobal)
    {
        _byLinear.TryGetValue(linear, out CodePage? sameLinear);
        _byFrame.TryGetValue(frame, out CodePage? sameFrame);
        var page = new CodePage(_pages.Count, linear, frame, mode, isGlobal) { NextByLinear = sameLinear, NextByFrame = sameFrame };
        _pages.Add(page);
        _byLinear[linear] = page;
        _byFrame[frame] = page;
        _epochs[page.Index] = Epoch(page);
        return page;
    }

    private uint Epoch(CodePage page) => page.IsGlobal ? _s->Native.GlobalCodeEpoch : _s->Native.CodeEpoch;

    private void Invalidate(ulong frame, int start, int length)
    {
        if (!_byFrame.TryGetValue(frame, out CodePage? page)) return;
        ulong lines = 0;
        bool any = false;
        bool some = false;
        for (; page is not null; page = page.NextByFrame)
        {
            int previous = 0;
            for (int i = page.FirstFragment; i != 0; i = Fragments[i].NextInPage)
            {
                Fragment* fragment = Fragments + i;
                if (start < fragment->PageOffset + fragment->GuestLength && fragment->PageOffset < start + length)
                {
                    Kill(page, i);
                    Statistics.Sizes[page.Mode.Kind].Invalidations++;
                    any = true;
                    if (previous == 0) page.FirstFragment = fragment->NextInPage;
                    else Fragments[previous].NextInPage = fragment->NextInPage;
                    continue;
                }

                previous = i;
                some = true;
                lines |= Interpretation.CodePage.LinesOf(fragment->PageOffset, fragment->GuestLength);
            }
        }

        for (page = _byFrame[frame]; page is not null; page = page.NextByFrame)
        {
            for (int k = page.Across.Count - 1; k >= 0; k--)
            {
                int index = page.Across[k];
                bool alive = Fragments[index].IsAlive;
                if (alive && start >= BytesBeyond(Fragments + index))
                {
                    some = true;
                    lines |= Interpretation.CodePage.LinesOf(0, BytesBeyond(Fragments + index));
                    continue;
                }

                page.Across.RemoveAt(k);
                if (!alive) continue;
                Remove(index);
                Statistics.Sizes[page.Mode.Kind].Invalidations++;
                any = true;
            }
        }

        if (any) Invalidated?.Invoke();
        if (!_lines.ContainsKey(frame)) return;
        if (some)
        {
            _lines[frame] = lines;
        }
        else
        {
            _lines.Remove(frame);
            _memory.RemoveCodeUser(frame, _processor.Index);
        }
    }

    /// <summary>Called when fragments were thrown away because their guest code was written.</summary>
    public Action? Invalidated { get; set; }

    /// <summary>Bytes of a fragment's guest code in the page behind its own.</summary>
    private static int BytesBeyond(Fragment* fragment) => fragment->PageOffset + fragment->GuestLength - 4096;

    private void Kill(CodePage page, int index)
    {
        Fragment* fragment = Fragments + index;
        fragment->IsAlive = false;
        if (fragment->TraceOf == 0) _fragments.Remove(((ulong)page.Index << 12) | fragment->PageOffset);
        else EndTrace(fragment);
        for (int i = fragment->Incoming; i != 0; i = Sites[i].Next)
        {
            Site* site = Sites + i;
            site->IsLinked = false;
            if (site->IsLaid)
            {
                // The predecessor runs into this fragment's first bytes: they become the jump that had disappeared.
                int place = fragment->Start;
                _code.Writable[place] = 0xe9;
                site->HostOffset = place + 1;
                site->IsLaid = false;
            }

            Main.Patch(site->HostOffset, site->Continuation);
        }

        fragment->Incoming = 0;
        ForgetJumpTarget(fragment);
    }

    /// <summary>Makes a trace take its fragment's place: whatever leads to the fragment leads to the trace from now on.</summary>
    public void BeginTrace(int index)
    {
        Fragment* trace = Fragments + index;
        Fragment* fragment = Fragments + trace->TraceOf;
        fragment->Trace = index;
        int laid = 0;
        for (int i = fragment->Incoming; i != 0;)
        {
            Site* site = Sites + i;
            int next = site->Next;
            if (site->IsLaid)
            {
                laid = i;
            }
            else
            {
                site->IsLinked = false;
                Main.Patch(site->HostOffset, site->Continuation);
            }

            i = next;
        }

        fragment->Incoming = laid;
        if (laid != 0) Sites[laid].Next = 0;
        _code.Writable[fragment->Start] = 0xe9;
        Main.Patch(fragment->Start + 1, trace->Start);
        ForgetJumpTarget(fragment);
    }

    /// <summary>Throws one fragment or trace away.</summary>
    public void Remove(int index)
    {
        if (!Fragments[index].IsAlive) return;
        CodePage page = _pages[Fragments[index].Page];
        int previous = 0;
        for (int i = page.FirstFragment; i != index; i = Fragments[i].NextInPage) previous = i;
        if (previous == 0) page.FirstFragment = Fragments[index].NextInPage;
        else Fragments[previous].NextInPage = Fragments[index].NextInPage;
        Kill(page, index);
    }

    /// <summary>The look for events that each fragment begins with; while a trace takes its place there is a jump, afterwards it is there again.</summary>
    public byte[] PollBytes { get; set; } = [];

    private void EndTrace(Fragment* trace)
    {
        Fragment* fragment = Fragments + trace->TraceOf;
        fragment->Trace = 0;
        if (fragment->IsAlive) PollBytes.CopyTo(new Span<byte>(_code.Writable + fragment->Start, PollBytes.Length));
    }

    private void ForgetJumpTarget(Fragment* fragment)
    {
        if (fragment->EntryTable == 0) return;
        CodePage page = _pages[fragment->Page];
        nint entry = (nint)(_code.Executable + fragment->EntryTable);
        if (!_jumpTables.TryGetValue(page.Mode.Bits, out nint table)) return;
        nint* slot = (nint*)table + (ushort)(page.Linear + (ulong)fragment->EntryPageOffset);
        if (*slot == entry) *slot = (nint)(_code.Executable + LookUpFailed(page.Mode));
    }

    private void ClearJumpTable(uint mode, nint table) =>
        new Span<nint>((void*)table, JumpTableSlots).Fill((nint)(_code.Executable + LookUpFailed(new TranslationMode(mode))));
}
