using Ringfence.Devices;
using Ringfence.Host;

namespace Ringfence.Memory;

/// <summary>
/// The machine's physical address space: RAM, ROM and device regions, which never overlap.
/// RAM is one anonymous file mapped so that host address = <see cref="HostBase"/> + physical address, inside a larger
/// inaccessible reservation; pages cost host memory when first touched. Addresses nobody answers read as all ones.
/// </summary>
public sealed unsafe class PhysicalMemory : IDisposable
{
    /// <summary>Width of a physical address in bits (CPUID 80000008h).</summary>
    public const int AddressBits = 40;

    /// <summary>Where the space for devices below 4 GiB begins, and RAM continues at 4 GiB.</summary>
    public const ulong DeviceSpace = 0xC000_0000;

    private const ulong FourGiB = 1UL << 32;
    private const ulong ShadowStart = 0xC_0000;
    private const ulong ShadowEnd = 0x10_0000;
    private const nuint ShadowBytes = (nuint)(ShadowEnd - ShadowStart);
    private const ulong VideoStart = 0xA_0000;
    private const ulong VideoEnd = 0xC_0000;
    private const nuint Guard = 1 << 20;
    private const nuint HugePage = 2 << 20;

    private Region[] _regions = [];
    private readonly nuint _reserved;
    private readonly byte* _reservation;
    private readonly byte* _codeUsers;
    private readonly byte* _writers;
    private readonly ulong _frames;
    private readonly int _file;
    private byte* _shadowRom;
    private byte* _shadowRam;
    private int _shadowRomFile = -1;
    private ulong _mainStart;
    private ulong _mainLength;

    /// <summary>Makes the memory of a machine.</summary>
    /// <param name="ramBytes">RAM in bytes, a multiple of 4 KiB, from 1 MiB.</param>
    /// <exception cref="ArgumentOutOfRangeException">The size is none of these.</exception>
    /// <exception cref="System.ComponentModel.Win32Exception">The host refuses the mapping.</exception>
    public PhysicalMemory(ulong ramBytes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(ramBytes, 1UL << 20);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(ramBytes, 1UL << (AddressBits - 1));
        if ((ramBytes & 0xfff) != 0) throw new ArgumentOutOfRangeException(nameof(ramBytes), "RAM is counted in pages of 4 KiB.");
        RamBytes = ramBytes;
        LowRamEnd = Math.Min(ramBytes, DeviceSpace);
        HighRamEnd = ramBytes > DeviceSpace ? FourGiB + (ramBytes - DeviceSpace) : FourGiB;
        ulong top = Math.Max(HighRamEnd, FourGiB);
        _frames = top >> 12;
        // Physical address 0 lies at a multiple of 2 MiB, so that the host can back the guest's large pages with large pages.
        _reserved = (nuint)top + (2 * Guard) + HugePage;
        _reservation = NativeMemoryMap.Reserve(_reserved);
        HostBase = (byte*)(((nuint)_reservation + Guard + HugePage - 1) & ~(HugePage - 1));
        int file = NativeMemoryMap.CreateFile("guest-ram", (nuint)ramBytes);
        _file = file;
        try
        {
            AddRam(file, 0, VideoStart, 0);
            AddRam(file, VideoEnd, LowRamEnd - VideoEnd, VideoEnd);
            if (ramBytes > DeviceSpace) AddRam(file, FourGiB, ramBytes - DeviceSpace, DeviceSpace);
        }
        catch
        {
            NativeMemoryMap.CloseFile(file);
            throw;
        }

        _codeUsers = NativeMemoryMap.Allocate((nuint)_frames);
        _writers = NativeMemoryMap.Allocate((nuint)_frames);
    }

    /// <summary>Called after a device wrote RAM that processors (a bit each) hold decoded code of. Arguments: frame, processors.</summary>
    internal Action<ulong, int>? CodeWritten { get; set; }

    /// <summary>The machine lock, taken around every device access.</summary>
    public Lock DeviceLock { get; } = new();

    /// <summary>RAM in bytes.</summary>
    public ulong RamBytes { get; }

    /// <summary>End of the RAM that begins at 0.</summary>
    public ulong LowRamEnd { get; }

    /// <summary>End of the RAM that begins at 4 GiB; 4 GiB if there is none.</summary>
    public ulong HighRamEnd { get; }

    /// <summary>ANDed to every physical address: bit 20 is 0 while the A20 gate is closed. Changing it needs a TLB flush in every processor.</summary>
    internal ulong A20Mask { get; set; } = ulong.MaxValue;

    /// <summary>Host address of physical address 0.</summary>
    internal byte* HostBase { get; }

    /// <summary>Bytes of RAM that the guest or the monitor have touched and the host therefore holds.</summary>
    public ulong TouchedBytes => HostMemory.ResidentBytes(HostBase, (nuint)(HighRamEnd > FourGiB ? HighRamEnd : LowRamEnd));

    /// <summary>Maps a device's registers.</summary>
    /// <exception cref="InvalidOperationException">The range overlaps a region that exists.</exception>
    public void MapDevice(string name, ulong start, ulong length, IBusDevice device) =>
        Add(new Region(name, start, start + length, RegionKind.Device, device));

    /// <summary>Removes a device mapped at <paramref name="start"/>.</summary>
    public void UnmapDevice(ulong start) => SetRegions([.. _regions.Where(r => r.Start != start || r.Kind != RegionKind.Device)]);

    /// <summary>Maps read-only memory. Inside RAM it replaces the RAM of those pages.</summary>
    /// <param name="name">For dumps.</param>
    /// <param name="start">Page-aligned physical address.</param>
    /// <param name="contents">The bytes; padded to a whole page with ones.</param>
    public void MapRom(string name, ulong start, ReadOnlySpan<byte> contents)
    {
        ulong length = ((ulong)contents.Length + 0xfff) & ~0xfffUL;
        ulong end = start + length;
        if ((start & 0xfff) != 0 || end > FourGiB) throw new ArgumentOutOfRangeException(nameof(start));
        SetRegions([.. _regions.SelectMany(r => r.Kind == RegionKind.Ram ? Cut(r, start, end) : [r])]);

        byte* host = HostBase + start;
        int file = NativeMemoryMap.CreateFile("guest-rom", (nuint)length);
        NativeMemoryMap.MapFile(host, (nuint)length, NativeMemoryMap.ProtectRead | NativeMemoryMap.ProtectWrite, file, 0);
        NativeMemoryMap.CloseFile(file);
        new Span<byte>(host, (int)length).Fill(0xff);
        contents.CopyTo(new Span<byte>(host, (int)length));
        NativeMemoryMap.Protect(host, (nuint)length, NativeMemoryMap.ProtectRead);
        Add(new Region(name, start, end, RegionKind.Rom, null));
    }

    /// <summary>
    /// Puts a ROM that ends at 1 MiB in front of the RAM of [<see cref="ShadowStart"/>, 1 MiB): accesses go to the ROM until
    /// <see cref="SetShadow"/> says otherwise.
    /// </summary>
    /// <param name="rom">At most 256 KiB; what is below it reads as ones.</param>
    public void SetShadowRom(ReadOnlySpan<byte> rom)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((ulong)rom.Length, ShadowEnd - ShadowStart);
        if (_shadowRom is null)
        {
            int file = NativeMemoryMap.CreateFile("guest-shadow-rom", ShadowBytes);
            _shadowRomFile = file;
            _shadowRom = NativeMemoryMap.MapFile(null, ShadowBytes, NativeMemoryMap.ProtectRead | NativeMemoryMap.ProtectWrite, file, 0);
            _shadowRam = NativeMemoryMap.MapFile(null, ShadowBytes, NativeMemoryMap.ProtectRead | NativeMemoryMap.ProtectWrite, _file, (long)ShadowStart);
        }

        Span<byte> all = new(_shadowRom, (int)ShadowBytes);
        all.Fill(0xff);
        rom.CopyTo(all[^rom.Length..]);
        SetShadow(ShadowStart, ShadowBytes, readsRam: false, writesRam: false);
    }

    /// <summary>
    /// Whether reads and writes of a range reach the RAM or the ROM (440FX data sheet, 3.2.19: PAM registers). Does nothing in a machine without
    /// <see cref="SetShadowRom"/>. Processors must forget their translations before they go on.
    /// </summary>
    /// <param name="start">Multiple of 4 KiB in the shadow range.</param>
    /// <param name="length">Multiple of 4 KiB.</param>
    /// <param name="readsRam">Reads reach the RAM.</param>
    /// <param name="writesRam">Writes reach the RAM; those to ROM are ignored.</param>
    internal void SetShadow(ulong start, ulong length, bool readsRam, bool writesRam)
    {
        ulong end = start + length;
        if (_shadowRom is null || start < ShadowStart || end > ShadowEnd) return;
        List<Region> regions = [.. _regions.SelectMany(r => Cut(r, start, end))];
        byte* host = HostBase + start;
        if (readsRam) NativeMemoryMap.MapFile(host, (nuint)length, NativeMemoryMap.ProtectRead | NativeMemoryMap.ProtectWrite, _file, (long)start);
        else NativeMemoryMap.MapFile(host, (nuint)length, NativeMemoryMap.ProtectRead, _shadowRomFile, (long)(start - ShadowStart));
        regions.Add((readsRam, writesRam) switch
        {
            (true, true) => new Region("ram", start, end, RegionKind.Ram, null),
            (false, true) => new Region("shadow", start, end, RegionKind.Device, new ShadowWriter(_shadowRom + (start - ShadowStart), _shadowRam + (start - ShadowStart), (int)length)),
            _ => new Region("shadow", start, end, RegionKind.Rom, null),
        });
        SetRegions([.. regions]);
        for (ulong frame = start >> 12; frame < end >> 12; frame++)
            if (CodeUsers(frame) is var users && users != 0) CodeWritten?.Invoke(frame, users);
    }

    /// <summary>Maps memory of a device that processors access as they access RAM, such as a frame buffer.</summary>
    /// <exception cref="InvalidOperationException">The range overlaps a region that exists, or does not end below 4 GiB.</exception>
    internal void MapFrameBuffer(string name, ulong start, FrameBufferMemory memory)
    {
        if (start + (ulong)memory.Length > FourGiB || (start & 0xfff) != 0) throw new InvalidOperationException($"{name} does not fit at 0x{start:x}.");
        Add(new Region(name, start, start + (ulong)memory.Length, RegionKind.FrameBuffer, null));
        NativeMemoryMap.MapFile(HostBase + start, (nuint)memory.Length, NativeMemoryMap.ProtectRead | NativeMemoryMap.ProtectWrite, memory.File, 0);
    }

    /// <summary>Removes memory mapped by <see cref="MapFrameBuffer"/>. Processors must forget their translations before they go on.</summary>
    internal void UnmapFrameBuffer(ulong start)
    {
        if (Array.Find(_regions, r => r.Start == start && r.Kind == RegionKind.FrameBuffer) is not { } region) return;
        SetRegions([.. _regions.Where(r => r != region)]);
        // Processors that have not forgotten it yet write where nobody looks.
        nuint length = (nuint)(region.End - region.Start);
        int file = NativeMemoryMap.CreateFile("guest-nothing", length);
        NativeMemoryMap.MapFile(HostBase + start, length, NativeMemoryMap.ProtectRead | NativeMemoryMap.ProtectWrite, file, 0);
        NativeMemoryMap.CloseFile(file);
    }

    /// <summary>Is no byte of [start, start + length) taken by RAM, ROM or a device?</summary>
    internal bool IsFree(ulong start, ulong length) => !Array.Exists(_regions, r => r.Start < start + length && start < r.End);

    /// <summary>Reads anything on the bus; bytes nobody answers for are 0xff. Any thread.</summary>
    public void Read(GuestPhysical address, Span<byte> data) => Access(address.Value, data, default, false);

    /// <summary>As <see cref="Read"/>, without devices: what they decode reads as ones. For devices that are bus master.</summary>
    internal void ReadMemory(ulong address, Span<byte> data) => Access(address, data, default, false, devices: false);

    /// <summary>As <see cref="Write"/>, without devices: they ignore it. For devices that are bus master.</summary>
    internal void WriteMemory(ulong address, ReadOnlySpan<byte> data) => Access(address, default, data, true, devices: false);

    /// <summary>Writes anything on the bus, as a device or a loader does. ROM ignores writes. Any thread.</summary>
    public void Write(GuestPhysical address, ReadOnlySpan<byte> data) => Access(address.Value, default, data, true);

    /// <summary>
    /// Makes RAM zero again and gives its whole pages back to the host. What is not RAM stays as it is. Only while no processor runs.
    /// </summary>
    public void Clear(GuestPhysical start, ulong length)
    {
        ulong end = length > ulong.MaxValue - start.Value ? ulong.MaxValue : start.Value + length;
        foreach (Region region in _regions)
        {
            if (region.Kind != RegionKind.Ram) continue;
            ulong from = Math.Max(start.Value, region.Start);
            ulong to = Math.Min(end, region.End);
            if (from >= to) continue;
            ulong firstPage = Math.Min((from + 0xfff) & ~0xfffUL, to);
            ulong lastPage = Math.Max(to & ~0xfffUL, firstPage);
            new Span<byte>(HostBase + from, (int)(firstPage - from)).Clear();
            if (lastPage > firstPage) NativeMemoryMap.Discard(HostBase + firstPage, (nuint)(lastPage - firstPage));
            new Span<byte>(HostBase + lastPage, (int)(to - lastPage)).Clear();
        }
    }

    /// <summary>The page's host address and whether it may be written, or null if it is not RAM or ROM.</summary>
    internal byte* PageAt(ulong physical, out bool writable)
    {
        // Page walks ask this for each level: the largest piece of RAM is answered without a search.
        if (physical - _mainStart < _mainLength)
        {
            writable = true;
            return HostBase + (physical & ~0xfffUL);
        }

        Region? region = RegionAt(physical);
        writable = region?.Kind is RegionKind.Ram or RegionKind.FrameBuffer;
        return region is null || region.Kind == RegionKind.Device ? null : HostBase + (physical & ~0xfffUL);
    }

    /// <summary>Is all of [start, start + length) RAM?</summary>
    public bool IsRam(ulong start, ulong length) =>
        Array.Exists(_regions, r => r.Kind == RegionKind.Ram && start >= r.Start && length <= r.End - r.Start && start <= r.End - length);

    /// <summary>Maps whole pages of RAM a second time, at a fixed place inside a reservation.</summary>
    /// <param name="target">Host address of the first page.</param>
    /// <param name="physical">Guest physical address of the first page; all of them must be RAM (<see cref="IsRam"/>).</param>
    /// <param name="length">Bytes.</param>
    /// <param name="writable">Readable only otherwise.</param>
    internal void MapRam(byte* target, ulong physical, nuint length, bool writable)
    {
        ulong offset = physical < FourGiB ? physical : physical - FourGiB + DeviceSpace;
        int protection = NativeMemoryMap.ProtectRead | (writable ? NativeMemoryMap.ProtectWrite : 0);
        NativeMemoryMap.MapFile(target, length, protection, _file, (long)offset, populate: true);
    }

    /// <summary>Processors (a bit each) that hold decoded code of a frame.</summary>
    internal int CodeUsers(ulong frame) => frame < _frames ? Volatile.Read(ref _codeUsers[frame]) : 0;

    /// <summary>Processors that may write a frame through their TLB.</summary>
    internal int Writers(ulong frame) => frame < _frames ? Volatile.Read(ref _writers[frame]) : 0;

    internal void AddCodeUser(ulong frame, int processor) => SetBit(_codeUsers, frame, processor);

    internal void RemoveCodeUser(ulong frame, int processor) => ClearBit(_codeUsers, frame, processor);

    internal void AddWriter(ulong frame, int processor) => SetBit(_writers, frame, processor);

    internal void RemoveWriter(ulong frame, int processor) => ClearBit(_writers, frame, processor);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_reserved == 0) return;
        NativeMemoryMap.CloseFile(_file);
        if (_shadowRom is not null)
        {
            NativeMemoryMap.CloseFile(_shadowRomFile);
            NativeMemoryMap.Unmap(_shadowRom, ShadowBytes);
            NativeMemoryMap.Unmap(_shadowRam, ShadowBytes);
        }

        NativeMemoryMap.Unmap(_reservation, _reserved);
        NativeMemoryMap.Unmap(_codeUsers, (nuint)_frames);
        NativeMemoryMap.Unmap(_writers, (nuint)_frames);
    }

    private void AddRam(int file, ulong start, ulong length, ulong offset)
    {
        NativeMemoryMap.MapFile(HostBase + start, (nuint)length, NativeMemoryMap.ProtectRead | NativeMemoryMap.ProtectWrite, file, (long)offset);
        NativeMemoryMap.PreferHugePages(HostBase + start, (nuint)length);
        Add(new Region("ram", start, start + length, RegionKind.Ram, null));
    }

    /// <summary>What is left of a region without [start, end).</summary>
    private static IEnumerable<Region> Cut(Region region, ulong start, ulong end)
    {
        if (region.End <= start || region.Start >= end)
        {
            yield return region;
            yield break;
        }

        if (region.Start < start) yield return region with { End = start };
        if (region.End > end) yield return region with { Start = end };
    }

    private void Add(Region added)
    {
        Region? other = Array.Find(_regions, r => r.Start < added.End && added.Start < r.End);
        if (other is not null) throw new InvalidOperationException($"{added.Name} at 0x{added.Start:x} overlaps {other.Name}.");
        SetRegions([.. _regions, added]);
    }

    private void SetRegions(Region[] regions)
    {
        // Processors may look at the same time: an empty main piece sends them to the search.
        Region? main = regions.Where(r => r.Kind == RegionKind.Ram).MaxBy(r => r.End - r.Start);
        Volatile.Write(ref _mainLength, 0);
        _regions = regions;
        if (main is null) return;
        _mainStart = main.Start;
        Volatile.Write(ref _mainLength, main.End - main.Start);
    }

    private void Access(ulong physical, Span<byte> read, ReadOnlySpan<byte> written, bool write, bool devices = true)
    {
        int length = write ? written.Length : read.Length;
        for (int done = 0; done < length;)
        {
            // The gate is at the processor: devices do not come by it.
            ulong at = physical + (ulong)done;
            if (devices) at &= A20Mask;
            int part = (int)Math.Min((ulong)(length - done), 4096 - (at & 0xfff));
            Region? region = RegionAt(at);
            if (region?.Kind == RegionKind.Device && !devices) region = null;
            if (region?.Kind == RegionKind.Device) AccessDevice(region, at, read, written, done, ref part, write);
            else if (!write)
            {
                if (region is null) read.Slice(done, part).Fill(0xff);
                else new ReadOnlySpan<byte>(HostBase + at, part).CopyTo(read.Slice(done, part));
            }
            else if (region?.Kind is RegionKind.Ram or RegionKind.FrameBuffer)
            {
                written.Slice(done, part).CopyTo(new Span<byte>(HostBase + at, part));
                int users = CodeUsers(at >> 12);
                if (users != 0) CodeWritten?.Invoke(at >> 12, users);
            }

            done += part;
        }
    }

    private void AccessDevice(Region region, ulong at, Span<byte> read, ReadOnlySpan<byte> written, int done, ref int part, bool write)
    {
        part = (int)Math.Min((ulong)Math.Min(part, 16), region.End - at);
        lock (DeviceLock)
        {
            if (write) region.Device!.Write(at - region.Start, written.Slice(done, part));
            else region.Device!.Read(at - region.Start, read.Slice(done, part));
        }
    }

    private Region? RegionAt(ulong physical)
    {
        foreach (Region region in _regions)
            if (physical >= region.Start && physical < region.End) return region;
        return null;
    }

    private void SetBit(byte* map, ulong frame, int bit)
    {
        if (frame < _frames) Interlocked.Or(ref *(uint*)(map + (frame & ~3UL)), 1u << ((int)(frame & 3) * 8 + bit));
    }

    private void ClearBit(byte* map, ulong frame, int bit)
    {
        if (frame < _frames) Interlocked.And(ref *(uint*)(map + (frame & ~3UL)), ~(1u << ((int)(frame & 3) * 8 + bit)));
    }

    private enum RegionKind
    {
        Ram,
        Rom,
        Device,
        FrameBuffer,
    }

    /// <summary>Reads come from the ROM, writes go to the RAM behind it.</summary>
    private sealed class ShadowWriter(byte* rom, byte* ram, int length) : IBusDevice
    {
        public void Read(ulong offset, Span<byte> data) => new ReadOnlySpan<byte>(rom, length).Slice((int)offset, data.Length).CopyTo(data);

        public void Write(ulong offset, ReadOnlySpan<byte> data) => data.CopyTo(new Span<byte>(ram, length)[(int)offset..]);
    }

    private sealed record Region(string Name, ulong Start, ulong End, RegionKind Kind, IBusDevice? Device);
}
