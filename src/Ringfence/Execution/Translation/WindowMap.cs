using Ringfence.Host;
using Ringfence.Memory;
using Ringfence.Processors;

namespace Ringfence.Execution.Translation;

/// <summary>
/// Windows: 512 GiB slots of the guest's linear address space, reserved in the host's, in which the guest's pages are mapped as
/// they are touched. Code that knows its addresses to lie in a slot accesses them at linear address + delta, and the host's memory
/// management unit checks the access.
/// <para>
/// A window shows user pages only, and only what the TLB holds or would hold: a page is mapped after an access to it has filled the
/// TLB, writable only if it is dirty and holds no translated code, and goes when the TLB forgets it. Inaccessible guards on both sides
/// are wider than any displacement or scaled 32-bit index reaches.
/// </para>
/// </summary>
internal sealed unsafe class WindowMap : IDisposable
{
    /// <summary>Number of windows.</summary>
    public const int Count = 2;

    /// <summary>log2 of a slot's bytes.</summary>
    public const int SlotShift = 39;

    private const ulong SlotBytes = 1UL << SlotShift;
    private const ulong Guard = 64UL << 30;
    private const ulong Page = 4096;
    private const ulong LargePage = 2 << 20;
    private const ulong ReservedBytes = SlotBytes + (2 * Guard) + LargePage;
    private const ulong AroundPages = 16;
    private const int MaximumRuns = 16 << 10;

    private readonly Processor _processor;
    private readonly VcpuState* _s;
    private readonly PhysicalMemory _memory;
    private readonly byte*[] _starts = new byte*[Count];
    private readonly byte*[] _reservations = new byte*[Count];
    private readonly uint[] _slots = [uint.MaxValue, uint.MaxValue];
    private readonly Dictionary<ulong, (ulong Frame, bool Writable)> _pages = [];
    private readonly List<(ulong Linear, ulong Frame, bool Writable)> _large = [];
    private readonly ulong[] _low = new ulong[Count];
    private readonly ulong[] _high = new ulong[Count];
    private int _runs;

    public WindowMap(Processor processor)
    {
        _processor = processor;
        _s = processor.State;
        _memory = processor.Mmu.Memory;
        for (int i = 0; i < Count; i++)
        {
            _s->Native.WindowSlot[i] = uint.MaxValue;
            _low[i] = ulong.MaxValue;
        }
    }

    /// <summary>Faults that mapped pages.</summary>
    public long Faults { get; private set; }

    /// <summary>Times everything was unmapped.</summary>
    public long Drops { get; private set; }

    /// <summary>Which window shows a slot; -1 if none.</summary>
    public int WindowOf(ulong slot)
    {
        for (int i = 0; i < Count; i++)
            if (_slots[i] == slot) return i;
        return -1;
    }

    /// <summary>Makes a window show a slot.</summary>
    public void Assign(int window, uint slot)
    {
        if (_starts[window] is null)
        {
            _reservations[window] = NativeMemoryMap.Reserve(unchecked((nuint)ReservedBytes));
            _starts[window] = (byte*)(((ulong)_reservations[window] + Guard + LargePage - 1) & ~(LargePage - 1));
        }

        DropAll();
        _slots[window] = slot;
        _s->Native.WindowSlot[window] = slot;
        _s->Native.WindowDelta[window] = (ulong)_starts[window] - ((ulong)slot << SlotShift);
    }

    /// <summary>The linear address that a host address stands for. False: it lies in no window or guard.</summary>
    public bool TryGetLinear(ulong host, out ulong linear, out bool isInSlot)
    {
        for (int i = 0; i < Count; i++)
        {
            if (_starts[i] is null) continue;
            ulong offset = host - (ulong)_starts[i] + Guard;
            if (offset >= SlotBytes + (2 * Guard)) continue;
            linear = host - _s->Native.WindowDelta[i];
            isInSlot = offset - Guard < SlotBytes;
            return true;
        }

        linear = 0;
        isInSlot = false;
        return false;
    }

    /// <summary>Maps the page of a linear address, which an access has just brought to the TLB, and its neighbours.</summary>
    public void Map(ulong linear)
    {
        Faults++;
        TlbEntry* entry = _processor.Mmu.UserEntryFor(linear);
        if (entry is null || !_processor.Mmu.TryLook(linear, out PageTranslation page) || !page.IsUser) return;
        if (_runs > MaximumRuns) DropAll();
        bool writable = entry->WriteTag == entry->ReadTag;
        if (page.PageBytes >= LargePage && TryMapLarge(linear, page.Physical, writable)) return;
        ulong first = linear & ~((AroundPages * Page) - 1);
        Run run = default;
        for (ulong at = first; at < first + (AroundPages * Page); at += Page)
        {
            bool isThis = at == (linear & ~(Page - 1));
            if (isThis) Extend(ref run, at, entry->Physical, writable);
            else if (!_pages.ContainsKey(at)) ExtendIfUsed(ref run, at);
        }

        Finish(run);
    }

    /// <summary>Unmaps everything.</summary>
    public void DropAll()
    {
        if (_runs == 0) return;
        Drops++;
        for (int i = 0; i < Count; i++)
        {
            if (_low[i] >= _high[i]) continue;
            NativeMemoryMap.ReserveAgain((byte*)_low[i], (nuint)(_high[i] - _low[i]));
            _low[i] = ulong.MaxValue;
            _high[i] = 0;
        }

        _pages.Clear();
        _large.Clear();
        _runs = 0;
    }

    /// <summary>Unmaps one page.</summary>
    public void DropPage(ulong linear)
    {
        if (_runs == 0) return;
        linear &= ~(Page - 1);
        if (_pages.Remove(linear)) Unmap(linear, Page);
        for (int i = _large.Count - 1; i >= 0; i--)
        {
            if (linear - _large[i].Linear >= LargePage) continue;
            Unmap(_large[i].Linear, LargePage);
            _large.RemoveAt(i);
        }
    }

    /// <summary>Unmaps what is writable of a frame.</summary>
    public void DropWriter(ulong frame)
    {
        if (_runs == 0) return;
        foreach ((ulong linear, (ulong Frame, bool Writable) page) in _pages)
        {
            if (page.Frame != frame || !page.Writable) continue;
            Unmap(linear, Page);
            _pages.Remove(linear);
        }

        for (int i = _large.Count - 1; i >= 0; i--)
        {
            if (!_large[i].Writable || frame - _large[i].Frame >= LargePage / Page) continue;
            Unmap(_large[i].Linear, LargePage);
            _large.RemoveAt(i);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        for (int i = 0; i < Count; i++)
            if (_reservations[i] is not null) NativeMemoryMap.Unmap(_reservations[i], unchecked((nuint)ReservedBytes));
    }

    private bool TryMapLarge(ulong linear, ulong physical, bool writable)
    {
        ulong start = linear & ~(LargePage - 1);
        ulong from = physical & ~(LargePage - 1);
        if (!_memory.IsRam(from, LargePage)) return false;
        for (ulong frame = from >> 12; frame < (from + LargePage) >> 12; frame++)
        {
            if (frame == _processor.Mmu.PrivateDevicePage >> 12) return false;
            if (writable && !_processor.Mmu.TryBecomeWriter(frame)) return false;
        }

        DropRange(start);
        MapRun(new Run { Linear = start, Physical = from, Bytes = LargePage, Writable = writable });
        _large.Add((start, from >> 12, writable));
        return true;
    }

    /// <summary>Forgets single pages and an earlier mapping of a large page.</summary>
    private void DropRange(ulong start)
    {
        for (ulong at = start; at < start + LargePage; at += Page) _pages.Remove(at);
        _large.RemoveAll(l => l.Linear == start);
    }

    private void ExtendIfUsed(ref Run run, ulong linear)
    {
        if (!_processor.Mmu.TryLook(linear, out PageTranslation page) || !page.IsUser || !page.IsAccessed || page.PageBytes != Page) return;
        ulong physical = page.Physical & ~(Page - 1);
        if (!_memory.IsRam(physical, Page) || physical >> 12 == _processor.Mmu.PrivateDevicePage >> 12) return;
        bool writable = page.IsWritable && page.IsDirty && _processor.Mmu.TryBecomeWriter(physical >> 12);
        Extend(ref run, linear, physical, writable);
    }

    private void Extend(ref Run run, ulong linear, ulong physical, bool writable)
    {
        if (!_memory.IsRam(physical, Page)) return;
        _pages[linear] = (physical >> 12, writable);
        bool fits = run.Bytes != 0 && linear == run.Linear + run.Bytes && physical == run.Physical + run.Bytes && writable == run.Writable;
        if (fits)
        {
            run.Bytes += Page;
            return;
        }

        Finish(run);
        run = new Run { Linear = linear, Physical = physical, Bytes = Page, Writable = writable };
    }

    private void Finish(in Run run)
    {
        if (run.Bytes != 0) MapRun(run);
    }

    private void MapRun(in Run run)
    {
        int window = WindowOf(run.Linear >> SlotShift);
        if (window < 0) return;
        ulong host = run.Linear + _s->Native.WindowDelta[window];
        _memory.MapRam((byte*)host, run.Physical, (nuint)run.Bytes, run.Writable);
        _low[window] = Math.Min(_low[window], host);
        _high[window] = Math.Max(_high[window], host + run.Bytes);
        _runs++;
    }

    private void Unmap(ulong linear, ulong bytes)
    {
        int window = WindowOf(linear >> SlotShift);
        if (window >= 0) NativeMemoryMap.ReserveAgain((byte*)(linear + _s->Native.WindowDelta[window]), (nuint)bytes);
    }

    private struct Run
    {
        public ulong Linear;
        public ulong Physical;
        public ulong Bytes;
        public bool Writable;
    }
}
