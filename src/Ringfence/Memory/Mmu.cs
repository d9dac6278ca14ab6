using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Ringfence.Devices;
using Ringfence.Processors;

namespace Ringfence.Memory;

/// <summary>Whose rights an explicit access has.</summary>
internal enum Privilege
{
    /// <summary>Those of the current privilege level.</summary>
    Current,

    /// <summary>The processor's own: descriptor tables, task state segments (an implicit supervisor access).</summary>
    Implicit,

    /// <summary>Supervisor data, such as a new inner stack.</summary>
    Supervisor,

    /// <summary>User data.</summary>
    User,
}

/// <summary>
/// A processor's memory management unit: the software TLB, the slow paths behind it, and explicit accesses for
/// sensitive instructions. Failed accesses raise their fault in the processor and return false.
/// <para>
/// TLB tags carry an address space number (8 bits), so that flushing everything is taking a new number; when the numbers run out
/// the tables are cleared. User and supervisor entries have numbers of their own: a write to CR3 takes a new one for user entries, while
/// supervisor entries, most of them of global pages (Intel SDM 3A 4.10.2.4), keep theirs, and those of pages that are not global, which
/// were noted when they were made, are removed one by one. While alignment checks or data breakpoints are on, the current tag is one that no entry
/// has, and every access takes the slow path, which checks.
/// </para>
/// <para>
/// Decoded code: a page with decoded code never has a write tag, so writes to it come through <see cref="WriteSlow"/>, which tells the
/// decode caches (own at once and to the instruction, others by a request).
/// </para>
/// </summary>
internal sealed unsafe partial class Mmu : IDisposable
{
    private const int TableCount = 3;
    private const int User = 0;
    private const int Supervisor = 1;
    private const int SupervisorWithAc = 2;
    private const ulong NeverTag = 2;
    private const ulong Spaces = 256;
    private const int NonGlobalCapacity = 1024;
    private const int TableEntries = 1 << TlbEntry.CountLog2;
    private const int CodeEntries = 1 << CodeTlbEntry.CountLog2;

    private readonly Processor _processor;
    private readonly VcpuState* _s;
    private readonly PhysicalMemory _memory;
    private readonly TlbEntry* _tables;
    private readonly CodeTlbEntry* _codeTlb;
    private readonly TlbFrames _frames;
    private readonly LargePageFilter _largePages = new();
    private readonly int[] _nonGlobal = new int[NonGlobalCapacity];
    private int _nonGlobalCount;
    private ulong _userSpace = 1;
    private ulong _supervisorSpace = 1;
    private ulong _codeSpace = 1;
    private Staged _staged;

    /// <summary>Makes the unit of a processor; <paramref name="tables"/> is zeroed memory for <see cref="TableBytes"/>, which the processor owns.</summary>
    public Mmu(Processor processor, PhysicalMemory memory, TlbEntry* tables)
    {
        _processor = processor;
        _s = processor.State;
        _memory = memory;
        _tables = tables;
        _frames = new TlbFrames(tables, TableCount * TableEntries);
        nuint codeBytes = (nuint)(CodeEntries * sizeof(CodeTlbEntry));
        _codeTlb = (CodeTlbEntry*)NativeMemory.AlignedAlloc(codeBytes, 64);
        _s->CodeTlb = _codeTlb;
        _s->Tlb = _tables;
        FlushCodeTlb();
    }

    /// <summary>Bytes of the data TLB's tables.</summary>
    public static nuint TableBytes => (nuint)(TableCount * TableEntries * sizeof(TlbEntry));

    /// <summary>Told when linear addresses may lead elsewhere than before.</summary>
    public IMappingObserver? MappingObserver { get; set; }

    /// <summary>Byte distance from the first table to the one that <see cref="VcpuState.Tlb"/> is.</summary>
    public int CurrentTableOffset => (int)((byte*)_s->Tlb - (byte*)_tables);

    /// <summary>The physical memory behind this unit.</summary>
    public PhysicalMemory Memory => _memory;

    /// <summary>Told of writes to pages that hold decoded code of this processor.</summary>
    public ICodeWatcher? CodeWatcher { get; set; }

    /// <summary>Registers only this processor sees: its local APIC.</summary>
    public IBusDevice? PrivateDevice { get; set; }

    /// <summary>Physical page of <see cref="PrivateDevice"/>.</summary>
    public ulong PrivateDevicePage { get; set; } = ulong.MaxValue;

    /// <summary>Counters of slow accesses.</summary>
    public MmuStatistics Statistics { get; } = new();

    /// <summary>Recomputes which table and tags the fast paths use. Called by <see cref="Processor.RefreshMode"/>.</summary>
    public void RefreshMode()
    {
        VcpuState* s = _s;
        bool ac = (s->SystemFlags & RflagsBits.Ac) != 0;
        int table = s->Cpl == 3 ? User : ac ? SupervisorWithAc : Supervisor;
        s->Tlb = _tables + (table * TableEntries);
        bool checks = (s->Cpl == 3 && ac && s->HasCr0(Cr0.Am)) || HasDataBreakpoints;
        s->AddressSpaceTag = checks ? NeverTag : SpaceTag(table);
        ulong size = s->Mode == ProcessorMode.Long ? 2UL : s->Segment(SegmentIndex.Cs).IsBig ? 1UL : 0UL;
        s->CodeTag = (_codeSpace << 4) | (size << 2) | (s->Cpl == 3 ? 2UL : 0UL) | 1;
        s->CodeEntries = null;
    }

    /// <summary>Forgets all translations.</summary>
    public void Flush()
    {
        Statistics.Flushes++;
        NewUserSpace();
        NewSupervisorSpace();
        NewCodeSpace();
        _largePages.Clear();
        MappingObserver?.AllChanged();
        RefreshMode();
    }

    /// <summary>Forgets all translations but those of global pages.</summary>
    public void FlushNonGlobal()
    {
        if (!_s->HasCr4(Cr4.Pge) || _largePages.IsCrowded)
        {
            Flush();
            return;
        }

        Statistics.NonGlobalFlushes++;
        NewUserSpace();
        NewCodeSpace();
        if (_nonGlobalCount == NonGlobalCapacity) NewSupervisorSpace();
        while (_nonGlobalCount > 0)
        {
            TlbEntry* entry = _tables + _nonGlobal[--_nonGlobalCount];
            entry->ReadTag = 0;
            entry->WriteTag = 0;
        }

        MappingObserver?.NonGlobalChanged();
        RefreshMode();
    }

    /// <summary>INVLPG: forgets the translation of one linear page, whatever its size.</summary>
    public void FlushPage(ulong linear)
    {
        if (_largePages.MayContain(linear))
        {
            Flush();
            return;
        }

        for (int i = 0; i < TableCount; i++)
        {
            TlbEntry* entry = TlbEntry.For(_tables + (i * TableEntries), linear);
            entry->ReadTag = 0;
            entry->WriteTag = 0;
        }

        CodeEntryFor(linear)->Tag = 0;
        _s->CodeEntries = null;
        MappingObserver?.PageChanged(linear & ~0xfffUL);
    }

    /// <summary>Forgets which code the linear pages lead to (the code segment or decoded code changed).</summary>
    public void FlushCodeTlb()
    {
        new Span<CodeTlbEntry>(_codeTlb, CodeEntries).Clear();
        _s->CodeEntries = null;
    }

    /// <summary>The code TLB's entry for a linear address.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public CodeTlbEntry* CodeEntryFor(ulong linear) => _codeTlb + ((linear >> 12) & (CodeEntries - 1));

    /// <summary>Drops write access to a physical page, so that the next write is seen.</summary>
    public void DropWriter(ulong frame)
    {
        _frames.DropWriter(frame << 12);
        MappingObserver?.WriterDropped(frame);
        _memory.RemoveWriter(frame, _processor.Index);
    }

    /// <summary>The TLB's entry for user accesses to a linear address if it is valid for reading; null otherwise.</summary>
    public TlbEntry* UserEntryFor(ulong linear)
    {
        TlbEntry* entry = TlbEntry.For(_tables + (User * TableEntries), linear);
        return entry->ReadTag == ((linear & ~0xfffUL) | SpaceTag(User)) ? entry : null;
    }

    /// <summary>Translates without side effects or checks.</summary>
    public bool TryLook(ulong linear, out PageTranslation translation) =>
        PageWalker.TryWalk(_s, _memory, linear, PageAccess.Read, sideEffects: false, out translation, out _);

    /// <summary>Announces this processor as a writer of a frame. False: the frame holds decoded code, and writes to it must be seen.</summary>
    public bool TryBecomeWriter(ulong frame)
    {
        if ((_memory.Writers(frame) & (1 << _processor.Index)) == 0) _memory.AddWriter(frame, _processor.Index);
        return _memory.CodeUsers(frame) == 0;
    }

    /// <summary>Do accesses at the current privilege need a check each (alignment, data breakpoints)?</summary>
    public bool ChecksEachAccess => _s->AddressSpaceTag == NeverTag;

    /// <summary>
    /// Makes every write to a page that is about to hold decoded code be seen: announces the code first, then removes everybody's
    /// unseen way to write the page; writers do it the other way round.
    /// </summary>
    public void WatchCode(ulong frame)
    {
        int self = 1 << _processor.Index;
        _memory.AddCodeUser(frame, _processor.Index);
        int writers = _memory.Writers(frame);
        if ((writers & self) != 0) DropWriter(frame);
        if ((writers & ~self) != 0) _processor.Bus.ShootDownWriters(_processor, frame, writers & ~self);
    }

    /// <summary>Translates an instruction fetch. False: #PF was raised.</summary>
    public bool TryTranslateFetch(ulong linear, out ulong physical) => TryTranslateFetch(linear, raises: true, out physical, out _);

    /// <summary>As <see cref="TryTranslateFetch(ulong, out ulong)"/>.</summary>
    /// <param name="linear">The address.</param>
    /// <param name="raises">Raise a fault if there is one.</param>
    /// <param name="physical">Where it lies.</param>
    /// <param name="isGlobal">The translation survives <see cref="FlushNonGlobal"/>.</param>
    public bool TryTranslateFetch(ulong linear, bool raises, out ulong physical, out bool isGlobal)
    {
        PageAccess access = PageAccess.Fetch | (_s->Cpl == 3 ? PageAccess.User : 0);
        Statistics.Walks++;
        bool ok = PageWalker.TryWalk(_s, _memory, linear, access, sideEffects: true, out PageTranslation translation, out uint errorCode);
        physical = translation.Physical;
        isGlobal = translation.IsGlobal && _s->HasCr4(Cr4.Pge);
        if (ok && translation.PageBytes > 4096) _largePages.Add(linear, translation.PageBytes);
        if (ok || !raises) return ok;
        _s->Cr2 = linear;
        _processor.RaiseFault(ExceptionVector.PageFault, errorCode);
        return false;
    }

    /// <summary>Where a linear address lies, without side effects or rights (debugger). False: not mapped.</summary>
    public bool TryTranslateForDebugger(ulong linear, out ulong physical)
    {
        bool ok = TryLook(linear, out PageTranslation translation);
        physical = translation.Physical;
        return ok;
    }

    /// <summary>Reads at a linear address with explicit rights.</summary>
    public bool TryRead<T>(ulong linear, Privilege privilege, out T value)
        where T : unmanaged
    {
        PageAccess access = AccessOf(privilege);
        int table = TableOf(access);
        TlbEntry* entry = TlbEntry.For(_tables + (table * TableEntries), linear);
        if (entry->ReadTag == TlbEntry.TagOf(linear + (ulong)sizeof(T) - 1, SpaceTag(table)))
        {
            value = Unsafe.ReadUnaligned<T>((byte*)linear + entry->Addend);
            return true;
        }

        bool ok = TryPrepare(linear, sizeof(T), access, out Staged place);
        T result = default;
        if (ok) ReadPlace(place, (byte*)&result);
        value = result;
        return ok;
    }

    /// <summary>Writes at a linear address with explicit rights.</summary>
    public bool TryWrite<T>(ulong linear, Privilege privilege, T value)
        where T : unmanaged
    {
        PageAccess access = AccessOf(privilege) | PageAccess.Write;
        int table = TableOf(access);
        TlbEntry* entry = TlbEntry.For(_tables + (table * TableEntries), linear);
        if (entry->WriteTag == TlbEntry.TagOf(linear + (ulong)sizeof(T) - 1, SpaceTag(table)))
        {
            Unsafe.WriteUnaligned((byte*)linear + entry->Addend, value);
            return true;
        }

        if (!TryPrepare(linear, sizeof(T), access, out Staged place)) return false;
        WritePlace(place, (byte*)&value);
        return true;
    }

    /// <summary>Checks that a write would succeed (and marks the page dirty), without writing: for instructions that must fault before they change anything.</summary>
    public bool TryProbeWrite(ulong linear, int size, Privilege privilege) =>
        TryPrepare(linear, size, AccessOf(privilege) | PageAccess.Write, out _);

    /// <summary>
    /// Checks everything an access of the current privilege through a segment checks (alignment included), without making it.
    /// False: the fault was raised.
    /// </summary>
    public bool TryProbe(int segment, ulong offset, int size, bool write) =>
        TryGetLinear(segment, offset, size, write, out ulong linear)
        && IsAligned(linear, size)
        && TryPrepare(linear, size, AccessOf(Privilege.Current) | (write ? PageAccess.Write : PageAccess.Read), out _);

    /// <summary>
    /// Segmentation for one access: checks limit, rights and canonical form and gives the linear address.
    /// False: #GP(0) or #SS(0) was raised.
    /// </summary>
    public bool TryGetLinear(int segment, ulong offset, int size, bool write, out ulong linear)
    {
        ref SegmentRegister register = ref _s->Segment((SegmentIndex)segment);
        linear = register.Base + offset;
        bool allowed;
        if (_s->Mode == ProcessorMode.Long)
        {
            allowed = IsCanonical(linear) && IsCanonical(linear + (ulong)size - 1);
        }
        else
        {
            linear = (uint)linear;
            allowed = offset + (ulong)size <= (write ? register.WriteEnd : register.ReadEnd)
                || IsAllowedSlow(in register, offset, size, write);
        }

        if (allowed) return true;
        bool stack = segment is (int)SegmentIndex.Ss or (int)SegmentIndex.FlatStack;
        _processor.RaiseFault(stack ? ExceptionVector.StackFault : ExceptionVector.GeneralProtection, 0);
        return false;
    }

    /// <summary>
    /// Fills the TLB so that an access of the current privilege, segmentation done, finds its entry. False: it is not one to plain RAM
    /// inside one page, or would fault; nothing was raised.
    /// </summary>
    public bool TryRefill(ulong linear, int size, bool write)
    {
        ulong tag = TlbEntry.TagOf(linear, _s->AddressSpaceTag);
        if (TlbEntry.TagOf(linear + (ulong)size - 1, _s->AddressSpaceTag) != tag || _s->AddressSpaceTag == NeverTag) return false;
        TlbEntry* entry = TlbEntry.For(_s->Tlb, linear);
        if ((write ? entry->WriteTag : entry->ReadTag) == tag) return false;
        if (write && entry->ReadTag == tag && _memory.CodeUsers(entry->Physical >> 12) != 0) return false;
        PageAccess access = AccessOf(Privilege.Current) | (write ? PageAccess.Write : PageAccess.Read);
        Statistics.Walks++;
        if (!PageWalker.TryWalk(_s, _memory, linear, access, sideEffects: true, out PageTranslation translation, out _)) return false;
        Staged place = default;
        Fill(linear, access, translation, ref place);
        return (write ? entry->WriteTag : entry->ReadTag) == tag;
    }

    /// <summary>
    /// Before a run of bytes inside one page is written: if the page holds decoded code and none of it is left once what is about to be written
    /// has been thrown away, the page may be written unseen again. False: nothing was gained.
    /// </summary>
    public bool TryReclaim(ulong linear, ulong bytes)
    {
        ulong tag = TlbEntry.TagOf(linear, _s->AddressSpaceTag);
        TlbEntry* entry = TlbEntry.For(_s->Tlb, linear);
        if (entry->ReadTag != tag || _memory.CodeUsers(entry->Physical >> 12) == 0) return false;
        PageAccess access = AccessOf(Privilege.Current) | PageAccess.Write;
        Statistics.Walks++;
        if (!PageWalker.TryWalk(_s, _memory, linear, access, sideEffects: true, out PageTranslation translation, out _)) return false;
        TellCodeUsers(translation.Physical, (int)bytes, _memory.CodeUsers(translation.Physical >> 12));
        Staged place = default;
        Fill(linear, access, translation, ref place);
        return entry->WriteTag == tag;
    }

    /// <summary>Is bit 63 to 47 all the same?</summary>
    public static bool IsCanonical(ulong linear) => (ulong)((long)(linear << 16) >> 16) == linear;

    /// <inheritdoc/>
    public void Dispose()
    {
        NativeMemory.AlignedFree(_codeTlb);
    }

    private bool HasDataBreakpoints
    {
        get
        {
            for (int i = 0; i < 4; i++)
                if ((_s->Dr7 & (3UL << (i * 2))) != 0 && ((_s->Dr7 >> (16 + (i * 4))) & 3) is 1 or 3) return true;
            return false;
        }
    }

    private PageAccess AccessOf(Privilege privilege) => privilege switch
    {
        Privilege.User => PageAccess.User,
        Privilege.Implicit => PageAccess.NoUserPages,
        Privilege.Current when _s->Cpl == 3 => PageAccess.User,
        _ => (_s->SystemFlags & RflagsBits.Ac) != 0 ? PageAccess.Read : PageAccess.NoUserPages,
    };

    /// <summary>Expand-down segments (Intel SDM 3A 5.3) and everything else that has no fast bound.</summary>
    private static bool IsAllowedSlow(in SegmentRegister register, ulong offset, int size, bool write)
    {
        const int Needed = SegmentAttributes.Present | SegmentAttributes.CodeOrData;
        if ((register.Attributes & (Needed | SegmentAttributes.Unusable)) != Needed) return false;
        bool code = (register.Attributes & SegmentAttributes.Code) != 0;
        bool expandDown = !code && (register.Attributes & SegmentAttributes.ConformingOrExpandDown) != 0;
        if (!expandDown) return false;
        if (write && (register.Attributes & SegmentAttributes.ReadableOrWritable) == 0) return false;
        ulong upper = register.IsBig ? 0xffff_ffffUL : 0xffffUL;
        return offset > register.Limit && offset + (ulong)size - 1 <= upper;
    }

    private bool IsReadable(int segment, ulong offset, int size) =>
        _s->Mode == ProcessorMode.Long || TryGetLinear(segment, offset, size, write: false, out _);

    private bool IsAligned(ulong linear, int size)
    {
        if (_s->Cpl != 3 || (_s->SystemFlags & RflagsBits.Ac) == 0 || !_s->HasCr0(Cr0.Am)) return true;
        ulong mask = size switch { 2 => 1UL, 4 or 6 => 3UL, 8 or 10 => 7UL, 16 => 15UL, _ => 0UL };
        if ((linear & mask) == 0) return true;
        _processor.RaiseFault(ExceptionVector.AlignmentCheck, 0);
        return false;
    }

    private void CheckDataBreakpoints(ulong linear, int size, bool write)
    {
        if ((_s->Dr7 & 0xff) == 0) return;
        for (int i = 0; i < 4; i++)
        {
            if ((_s->Dr7 & (3UL << (i * 2))) == 0) continue;
            uint control = (uint)(_s->Dr7 >> (16 + (i * 4))) & 15;
            uint kind = control & 3;
            if (kind != 3 && !(kind == 1 && write)) continue;
            ulong length = (control >> 2) switch { 0 => 1UL, 1 => 2UL, 2 => 8UL, _ => 4UL };
            ulong start = _s->DebugAddress[i] & ~(length - 1);
            if (linear < start + length && start < linear + (ulong)size) _s->DebugHits |= 1u << i;
        }
    }

    private bool TryTranslate(ulong linear, PageAccess access, out PageTranslation translation)
    {
        Statistics.Walks++;
        if (PageWalker.TryWalk(_s, _memory, linear, access, sideEffects: true, out translation, out uint errorCode)) return true;
        _s->Cr2 = linear;
        _processor.RaiseFault(ExceptionVector.PageFault, errorCode);
        return false;
    }

    /// <summary>Translates both ends of an access before anything is read or written, and fills the TLB.</summary>
    private bool TryPrepare(ulong linear, int size, PageAccess access, out Staged place)
    {
        place = default;
        int first = (int)Math.Min((ulong)size, 4096 - (linear & 0xfff));
        if (!TryTranslate(linear, access, out PageTranslation translation)) return false;
        place.First = translation.Physical;
        place.FirstSize = first;
        Fill(linear, access, translation, ref place);
        if (first == size) return true;
        ulong next = linear + (ulong)first;
        if (_s->Mode != ProcessorMode.Long && (linear >> 32) == 0) next = (uint)next;
        if (!TryTranslate(next, access, out translation)) return false;
        place.Second = translation.Physical;
        place.SecondSize = size - first;
        Fill(next, access, translation, ref place);
        return true;
    }

    private void Fill(ulong linear, PageAccess access, in PageTranslation page, ref Staged place)
    {
        ulong frame = page.Physical >> 12;
        if (page.Physical >> 12 == PrivateDevicePage >> 12) return;
        byte* host = _memory.PageAt(page.Physical, out bool writable);
        bool write = (access & PageAccess.Write) != 0;
        int self = 1 << _processor.Index;
        if (write && host is not null && writable)
        {
            // Announce the writer first, then look for code: the decoder does it the other way round.
            if ((_memory.Writers(frame) & self) == 0) _memory.AddWriter(frame, _processor.Index);
            if (_memory.CodeUsers(frame) != 0) place.IsWatched = true;
        }

        if (page.PageBytes > 4096) _largePages.Add(linear, page.PageBytes);
        if (host is null) return;
        int table = TableOf(access);
        TlbEntry* entry = TlbEntry.For(_tables + (table * TableEntries), linear);
        ulong tag = (linear & ~0xfffUL) | SpaceTag(table);
        if (entry->ReadTag != tag || entry->Physical != (page.Physical & ~0xfffUL)) entry->WriteTag = 0;
        entry->ReadTag = tag;
        _frames.Set(entry, page.Physical & ~0xfffUL);
        if (table != User && !page.IsGlobal && _nonGlobalCount < NonGlobalCapacity) _nonGlobal[_nonGlobalCount++] = (int)(entry - _tables);
        entry->Addend = (long)(host - (linear & ~0xfffUL));
        if (write) entry->WriteTag = writable && !place.IsWatched ? tag : 0;
    }

    private static int TableOf(PageAccess access) =>
        (access & PageAccess.User) != 0 ? User : (access & PageAccess.NoUserPages) != 0 ? Supervisor : SupervisorWithAc;

    private ulong SpaceTag(int table) => ((table == User ? _userSpace : _supervisorSpace) << 4) | 1;

    private void NewUserSpace()
    {
        if (++_userSpace != Spaces) return;
        ClearTags(_tables, TableEntries);
        _userSpace = 1;
    }

    private void NewSupervisorSpace()
    {
        _nonGlobalCount = 0;
        if (++_supervisorSpace != Spaces) return;
        ClearTags(_tables + TableEntries, (TableCount - 1) * TableEntries);
        _supervisorSpace = 1;
    }

    private void NewCodeSpace()
    {
        if (++_codeSpace != Spaces) return;
        FlushCodeTlb();
        _codeSpace = 1;
    }

    private static void ClearTags(TlbEntry* entries, int count)
    {
        for (int i = 0; i < count; i++) entries[i].ReadTag = entries[i].WriteTag = 0;
    }
}
