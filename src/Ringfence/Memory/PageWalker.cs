using Ringfence.Processors;

namespace Ringfence.Memory;

/// <summary>What an access wants of a page.</summary>
[Flags]
internal enum PageAccess
{
    /// <summary>A data read.</summary>
    Read = 0,

    /// <summary>A write.</summary>
    Write = 2,

    /// <summary>User-mode access (CPL 3 and not implicit).</summary>
    User = 4,

    /// <summary>Instruction fetch.</summary>
    Fetch = 16,

    /// <summary>A supervisor access that SMAP forbids on user pages: implicit, or with RFLAGS.AC = 0.</summary>
    NoUserPages = 32,
}

/// <summary>Where a linear page lies and what may be done with it.</summary>
/// <param name="Physical">Physical address of the byte asked for.</param>
/// <param name="PageBytes">Size of the page: 4 KiB, 2 MiB, 4 MiB or 1 GiB.</param>
/// <param name="IsUser">User accesses are allowed.</param>
/// <param name="IsWritable">Write bits are set at all levels.</param>
/// <param name="IsExecutable">No NX bit is set.</param>
/// <param name="IsAccessed">The accessed bit of the last entry.</param>
/// <param name="IsDirty">The dirty bit is set (now).</param>
/// <param name="IsGlobal">The global bit is set.</param>
internal readonly record struct PageTranslation(
    ulong Physical, ulong PageBytes, bool IsUser, bool IsWritable, bool IsExecutable, bool IsAccessed, bool IsDirty, bool IsGlobal);

/// <summary>
/// The page walk, for processors, debugger and monitor alike (Intel SDM 3A chapter 4).
/// Order: each level's entry is fetched; not present ends the walk with P = 0; reserved bits end it with RSVD; the rights are
/// the AND over all levels; they are checked before any accessed or dirty bit is written; bits are written from the top
/// with the host's atomic operations, and a lost race restarts the walk.
/// 32-bit paging (4.3): two levels of 4-byte entries, 4 MiB pages with CR4.PSE (bits 13 to 20 are address bits 32 to 39).
/// PAE (4.4): PDPTE registers, then two levels of 8-byte entries. 4-level (4.5): PML4E, PDPTE (1 GiB), PDE (2 MiB), PTE.
/// </summary>
internal static unsafe class PageWalker
{
    private const uint ErrorPresent = 1;
    private const uint ErrorWrite = 2;
    private const uint ErrorUser = 4;
    private const uint ErrorReserved = 8;
    private const uint ErrorFetch = 16;
    private const ulong Present = 1;
    private const ulong Writable = 2;
    private const ulong User = 4;
    private const ulong Accessed = 0x20;
    private const ulong Dirty = 0x40;
    private const ulong Large = 0x80;
    private const ulong Global = 0x100;
    private const ulong NoExecute = 1UL << 63;
    private const ulong AddressMask = ((1UL << PhysicalMemory.AddressBits) - 1) & ~0xfffUL;
    private const ulong ReservedAbove = ((1UL << 52) - 1) & ~((1UL << PhysicalMemory.AddressBits) - 1);

    /// <summary>Translates a linear address.</summary>
    /// <param name="s">Control registers to translate with.</param>
    /// <param name="memory">Where the tables are.</param>
    /// <param name="linear">Canonical linear address.</param>
    /// <param name="access">Rights to check.</param>
    /// <param name="sideEffects">Set accessed and dirty bits; false for debuggers, which also see pages whatever <paramref name="access"/>.</param>
    /// <param name="translation">The result.</param>
    /// <param name="errorCode">On failure, the #PF error code.</param>
    /// <returns>False if the access faults.</returns>
    public static bool TryWalk(
        VcpuState* s, PhysicalMemory memory, ulong linear, PageAccess access, bool sideEffects, out PageTranslation translation, out uint errorCode)
    {
        if (!s->HasCr0(Cr0.Pg))
        {
            translation = new PageTranslation(linear & memory.A20Mask, 4096, true, true, true, true, true, true);
            errorCode = 0;
            return true;
        }

        while (true)
        {
            Outcome outcome = s->HasCr4(Cr4.Pae)
                ? WalkWide(s, memory, linear, access, sideEffects, out translation, out errorCode)
                : WalkNarrow(s, memory, linear, access, sideEffects, out translation, out errorCode);
            if (outcome == Outcome.Restart) continue;
            if (outcome == Outcome.Fault) errorCode |= AccessError(s, access);
            return outcome == Outcome.Done;
        }
    }

    private static uint AccessError(VcpuState* s, PageAccess access)
    {
        uint error = 0;
        if ((access & PageAccess.Write) != 0) error |= ErrorWrite;
        if ((access & PageAccess.User) != 0) error |= ErrorUser;
        bool reportsFetch = s->HasCr4(Cr4.Smep) || (s->HasCr4(Cr4.Pae) && (s->Efer & Efer.Nxe) != 0);
        if ((access & PageAccess.Fetch) != 0 && reportsFetch) error |= ErrorFetch;
        return error;
    }

    private static Outcome WalkWide(
        VcpuState* s, PhysicalMemory memory, ulong linear, PageAccess access, bool sideEffects, out PageTranslation translation, out uint errorCode)
    {
        translation = default;
        bool longMode = s->IsLongModeActive;
        ulong noExecuteReserved = (s->Efer & Efer.Nxe) == 0 ? NoExecute : 0;
        ulong* entries = stackalloc ulong[4];
        ulong* places = stackalloc ulong[4];
        ulong rights = Writable | User;
        ulong noExecute = 0;
        int depth = 0;
        int level;
        ulong table;
        if (longMode)
        {
            level = 4;
            table = s->Cr3 & AddressMask;
        }
        else
        {
            ulong pdpte = s->Pdpte[(linear >> 30) & 3];
            errorCode = 0;
            if ((pdpte & Present) == 0) return Outcome.Fault;
            level = 2;
            table = pdpte & AddressMask;
        }

        for (; ; level--)
        {
            int shift = 12 + ((level - 1) * 9);
            ulong place = (table + (((linear >> shift) & 511) << 3)) & memory.A20Mask;
            ulong entry = ReadWide(memory, place);
            errorCode = 0;
            if ((entry & Present) == 0) return Outcome.Fault;
            bool leaf = level == 1 || (level <= 3 && (entry & Large) != 0);
            ulong reserved = ReservedAbove | noExecuteReserved;
            if (!longMode) reserved |= 0x7ffUL << 52;
            if (level == 4) reserved |= Large;
            if (leaf && level > 1) reserved |= ((1UL << shift) - 1) & ~0x1fffUL;
            if ((entry & reserved) != 0)
            {
                errorCode = ErrorPresent | ErrorReserved;
                return Outcome.Fault;
            }

            entries[depth] = entry;
            places[depth++] = place;
            rights &= entry;
            noExecute |= entry & NoExecute;
            if (!leaf)
            {
                table = entry & AddressMask;
                continue;
            }

            if (sideEffects && !IsAllowed(s, access, rights, noExecute != 0))
            {
                errorCode = ErrorPresent;
                return Outcome.Fault;
            }

            if (sideEffects && !MarkUsed(memory, entries, places, depth, access, wide: true)) return Outcome.Restart;
            ulong bytes = 1UL << shift;
            ulong physical = (entry & AddressMask & ~(bytes - 1)) | (linear & (bytes - 1));
            translation = Result(memory, physical, bytes, rights, noExecute != 0, entries[depth - 1]);
            return Outcome.Done;
        }
    }

    private static Outcome WalkNarrow(
        VcpuState* s, PhysicalMemory memory, ulong linear, PageAccess access, bool sideEffects, out PageTranslation translation, out uint errorCode)
    {
        translation = default;
        errorCode = 0;
        ulong* entries = stackalloc ulong[2];
        ulong* places = stackalloc ulong[2];
        ulong rights = Writable | User;
        ulong table = s->Cr3 & 0xffff_f000;
        for (int depth = 0; ; depth++)
        {
            int shift = depth == 0 ? 22 : 12;
            ulong place = (table + (((linear >> shift) & 1023) << 2)) & memory.A20Mask;
            ulong entry = ReadNarrow(memory, place);
            if ((entry & Present) == 0) return Outcome.Fault;
            bool large = depth == 0 && (entry & Large) != 0 && s->HasCr4(Cr4.Pse);
            if (large && (entry & (1 << 21)) != 0)
            {
                errorCode = ErrorPresent | ErrorReserved;
                return Outcome.Fault;
            }

            entries[depth] = entry;
            places[depth] = place;
            rights &= entry;
            if (depth == 0 && !large)
            {
                table = entry & 0xffff_f000;
                continue;
            }

            if (sideEffects && !IsAllowed(s, access, rights, noExecute: false))
            {
                errorCode = ErrorPresent;
                return Outcome.Fault;
            }

            if (sideEffects && !MarkUsed(memory, entries, places, depth + 1, access, wide: false)) return Outcome.Restart;
            ulong physical = large
                ? (entry & 0xffc0_0000) | ((entry & 0x1f_e000) << 19) | (linear & 0x3f_ffff)
                : (entry & 0xffff_f000) | (linear & 0xfff);
            translation = Result(memory, physical, large ? 1UL << 22 : 4096, rights, false, entries[depth]);
            return Outcome.Done;
        }
    }

    private static PageTranslation Result(PhysicalMemory memory, ulong physical, ulong bytes, ulong rights, bool noExecute, ulong leaf) =>
        new(physical & memory.A20Mask, bytes, (rights & User) != 0, (rights & Writable) != 0, !noExecute,
            (leaf & Accessed) != 0, (leaf & Dirty) != 0, (leaf & Global) != 0);

    /// <summary>Access rights (Intel SDM 3A 4.6.1).</summary>
    private static bool IsAllowed(VcpuState* s, PageAccess access, ulong rights, bool noExecute)
    {
        bool userPage = (rights & User) != 0;
        bool writablePage = (rights & Writable) != 0;
        if ((access & PageAccess.User) != 0)
        {
            if (!userPage) return false;
            if ((access & PageAccess.Write) != 0 && !writablePage) return false;
            return (access & PageAccess.Fetch) == 0 || !noExecute;
        }

        if ((access & PageAccess.Fetch) != 0) return !noExecute && !(userPage && s->HasCr4(Cr4.Smep));
        if (userPage && (access & PageAccess.NoUserPages) != 0 && s->HasCr4(Cr4.Smap)) return false;
        return (access & PageAccess.Write) == 0 || writablePage || !s->HasCr0(Cr0.Wp);
    }

    private static bool MarkUsed(PhysicalMemory memory, ulong* entries, ulong* places, int depth, PageAccess access, bool wide)
    {
        for (int i = 0; i < depth; i++)
        {
            ulong wanted = entries[i] | Accessed;
            if (i == depth - 1 && (access & PageAccess.Write) != 0) wanted |= Dirty;
            if (wanted == entries[i]) continue;
            byte* page = memory.PageAt(places[i], out bool writable);
            if (page is not null && writable)
            {
                byte* place = page + (places[i] & 0xfff);
                bool won = wide
                    ? Interlocked.CompareExchange(ref *(ulong*)place, wanted, entries[i]) == entries[i]
                    : Interlocked.CompareExchange(ref *(uint*)place, (uint)wanted, (uint)entries[i]) == (uint)entries[i];
                if (!won) return false;
            }

            entries[i] = wanted;
        }

        return true;
    }

    private static ulong ReadWide(PhysicalMemory memory, ulong physical)
    {
        byte* page = memory.PageAt(physical, out _);
        return page is null ? ulong.MaxValue : Volatile.Read(ref *(ulong*)(page + (physical & 0xfff)));
    }

    private static ulong ReadNarrow(PhysicalMemory memory, ulong physical)
    {
        byte* page = memory.PageAt(physical, out _);
        return page is null ? uint.MaxValue : Volatile.Read(ref *(uint*)(page + (physical & 0xfff)));
    }

    private enum Outcome
    {
        Done,
        Fault,
        Restart,
    }
}
