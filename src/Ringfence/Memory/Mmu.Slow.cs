using System.Runtime.CompilerServices;
using Ringfence.Processors;
using Ringfence.Processors.Exits;

namespace Ringfence.Memory;

/// <content>What stands behind a failed probe of the TLB: checks, device accesses, accesses across pages.</content>
internal sealed unsafe partial class Mmu
{
    /// <summary>The read path behind the TLB probe. The value is left in <see cref="VcpuState.Transfer"/>.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public bool ReadSlow(int segment, ulong offset, int size)
    {
        _processor.Exits.Enter(ExitReason.TlbFill);
        bool ok = TryReadSlow(segment, offset, size);
        _processor.Exits.Leave(counts: ok);
        return ok;
    }

    private bool TryReadSlow(int segment, ulong offset, int size)
    {
        if (!TryGetLinear(segment, offset, size, write: false, out ulong linear)) return false;
        if (!IsAligned(linear, size) || !TryPrepare(linear, size, AccessOf(Privilege.Current), out Staged place)) return false;
        CheckDataBreakpoints(linear, size, write: false);
        ReadPlace(place, (byte*)_s->Transfer);
        return true;
    }

    /// <summary>The write path behind the TLB probe. The value stands in <see cref="VcpuState.Transfer"/>.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public bool WriteSlow(int segment, ulong offset, int size)
    {
        _processor.Exits.Enter(ExitReason.TlbFill);
        bool ok = TryWriteSlow(segment, offset, size);
        _processor.Exits.Leave(counts: ok);
        return ok;
    }

    private bool TryWriteSlow(int segment, ulong offset, int size)
    {
        if (!TryGetLinear(segment, offset, size, write: true, out ulong linear)) return false;
        if (!IsAligned(linear, size) || !TryPrepare(linear, size, AccessOf(Privilege.Current) | PageAccess.Write, out Staged place)) return false;
        CheckDataBreakpoints(linear, size, write: true);
        WritePlace(place, (byte*)_s->Transfer);
        return true;
    }

    /// <summary>
    /// The read-modify-write path: a host pointer to plain RAM, or <see cref="VcpuState.Transfer"/> filled and to be committed,
    /// or null after raising a fault. Faults are those of a write.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public void* ModifySlow(int segment, ulong offset, int size, bool locked)
    {
        _processor.Exits.Enter(ExitReason.TlbFill);
        void* place = FindModified(segment, offset, size, locked);
        _processor.Exits.Leave(counts: place is not null);
        return place;
    }

    private void* FindModified(int segment, ulong offset, int size, bool locked)
    {
        if (!TryGetLinear(segment, offset, size, write: true, out ulong linear)) return null;
        if (!IsReadable(segment, offset, size)) return null;
        if (!IsAligned(linear, size) || !TryPrepare(linear, size, AccessOf(Privilege.Current) | PageAccess.Write, out Staged place)) return null;
        CheckDataBreakpoints(linear, size, write: true);
        if (place.SecondSize == 0 && !place.IsWatched)
        {
            byte* page = _memory.PageAt(place.First, out bool writable);
            if (page is not null && writable) return page + (place.First & 0xfff);
        }

        _staged = place;
        _staged.Exclusive = locked;
        if (locked) _processor.Bus.EnterExclusive(_processor);
        ReadPlace(place, (byte*)_s->Transfer);
        return _s->Transfer;
    }

    /// <summary>Writes the staged operand of <see cref="ModifySlow"/> back.</summary>
    public void CommitModify()
    {
        WritePlace(_staged, (byte*)_s->Transfer);
        if (_staged.Exclusive) _processor.Bus.LeaveExclusive(_processor);
        _staged = default;
    }

    private void ReadPlace(in Staged place, byte* data)
    {
        ReadPhysical(place.First, data, place.FirstSize);
        if (place.SecondSize != 0) ReadPhysical(place.Second, data + place.FirstSize, place.SecondSize);
    }

    private void WritePlace(in Staged place, byte* data)
    {
        WritePhysical(place.First, data, place.FirstSize);
        if (place.SecondSize != 0) WritePhysical(place.Second, data + place.FirstSize, place.SecondSize);
    }

    private void ReadPhysical(ulong physical, byte* data, int size)
    {
        byte* page = physical >> 12 == PrivateDevicePage >> 12 ? null : _memory.PageAt(physical, out _);
        if (page is not null)
        {
            Copy(page + (physical & 0xfff), data, size);
            return;
        }

        Statistics.DeviceReads++;
        _processor.Exits.Enter(ExitReason.Mmio);
        _processor.Exits.Describe(physical);
        var span = new Span<byte>(data, size);
        if (physical >> 12 == PrivateDevicePage >> 12 && PrivateDevice is not null)
        {
            lock (_memory.DeviceLock) PrivateDevice.Read(physical & 0xfff, span);
        }
        else
        {
            _memory.Read(new GuestPhysical(physical), span);
        }

        _processor.Exits.Leave();
    }

    private void WritePhysical(ulong physical, byte* data, int size)
    {
        bool isPrivate = physical >> 12 == PrivateDevicePage >> 12 && PrivateDevice is not null;
        bool writable = false;
        byte* page = isPrivate ? null : _memory.PageAt(physical, out writable);
        if (page is not null)
        {
            if (!writable) return;
            Copy(data, page + (physical & 0xfff), size);
            int users = _memory.CodeUsers(physical >> 12);
            if (users != 0) TellCodeUsers(physical, size, users);
            return;
        }

        Statistics.DeviceWrites++;
        _processor.Exits.Enter(ExitReason.Mmio);
        _processor.Exits.Describe(physical);
        var span = new ReadOnlySpan<byte>(data, size);
        if (isPrivate)
        {
            lock (_memory.DeviceLock) PrivateDevice!.Write(physical & 0xfff, span);
        }
        else
        {
            _memory.Write(new GuestPhysical(physical), span);
        }

        _processor.Exits.Leave();
    }

    private void TellCodeUsers(ulong physical, int size, int users)
    {
        int self = 1 << _processor.Index;
        if ((users & self) != 0) CodeWatcher?.Written(physical, size);
        if ((users & ~self) != 0) _processor.Bus.InvalidateCode(_processor, physical >> 12, users & ~self);
    }

    /// <summary>Copies in one access where the size allows it: other processors see no half-written operand.</summary>
    private static void Copy(byte* source, byte* target, int size)
    {
        switch (size)
        {
            case 1: *target = *source; break;
            case 2: *(ushort*)target = *(ushort*)source; break;
            case 4: *(uint*)target = *(uint*)source; break;
            case 8: *(ulong*)target = *(ulong*)source; break;
            default: Buffer.MemoryCopy(source, target, size, size); break;
        }
    }

    /// <summary>Physical place of an access of up to 64 bytes: one or two pages.</summary>
    private struct Staged
    {
        public ulong First;
        public ulong Second;
        public int FirstSize;
        public int SecondSize;
        public bool IsWatched;
        public bool Exclusive;
    }
}
