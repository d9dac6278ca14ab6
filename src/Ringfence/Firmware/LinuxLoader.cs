using System.Buffers.Binary;
using System.Text;
using Ringfence.Memory;
using Ringfence.Processors;

namespace Ringfence.Firmware;

/// <summary>
/// Loads a Linux kernel the way a boot loader does and hands over at its 32-bit or 64-bit entry
/// (Linux documentation, "The Linux/x86 Boot Protocol").
/// </summary>
internal static unsafe class LinuxLoader
{
    private const int RspAddressAt = 0x70;
    private const int MapEntriesAt = 0x1e8;
    private const int VideoModeAt = 0x1fa;
    private const int LoaderTypeAt = 0x210;
    private const int LoadFlagsAt = 0x211;
    private const int CodeStartAt = 0x214;
    private const int RamDiskAddressAt = 0x218;
    private const int RamDiskSizeAt = 0x21c;
    private const int HeapEndAt = 0x224;
    private const int CommandLineAt = 0x228;
    private const int MapAt = 0x2d0;
    private const int MapEntryBytes = 20;
    private const byte CanUseHeap = 0x80;
    private const byte UndefinedLoader = 0xff;
    private const ulong OneMiB = 1 << 20;
    private const int CopyBytes = 1 << 20;

    /// <summary>Loads kernel, RAM disks and command line, writes tables and boot_params, and sets the processors up.</summary>
    /// <exception cref="BootImageException">Something cannot be read or does not fit.</exception>
    public static void Load(BootTarget target, LinuxImage image, BootRequest request)
    {
        PhysicalMemory memory = target.Memory;
        byte[] commandLine = EncodeCommandLine(image, request.CommandLine ?? BootRequest.DefaultLinuxCommandLine);
        ulong load = PlaceKernel(memory, image, out ulong kernelEnd);
        (ulong ramDisk, ulong ramDiskBytes) = LoadRamDisks(memory, image, request.InitialRamDisks, kernelEnd);

        LowMemory.WriteBiosDataArea(memory, target.SerialPorts);
        ulong rsdp = FirmwareTables.Write(target);
        memory.Write(new GuestPhysical(load), image.Code);
        memory.Write(new GuestPhysical(LowMemory.CommandLine), commandLine);
        byte[] parameters = BuildBootParameters(image, E820Map.Build(memory), load, ramDisk, ramDiskBytes, rsdp);
        memory.Write(new GuestPhysical(LowMemory.ZeroPage), parameters);

        foreach (Processor processor in target.Processors) BootState.SetMemoryTypes(processor);
        Processor boot = target.BootProcessor;
        if (image.Has64BitEntry && !request.Use32BitEntry)
            BootState.EnterLongMode(boot, LowMemory.Gdt, LowMemory.PageTables, load + 0x200);
        else
            BootState.EnterProtectedMode(boot, LowMemory.Gdt, (uint)load);
        const int Rsi = 6;
        boot.State->Gpr[Rsi] = LowMemory.ZeroPage;
    }

    private static byte[] EncodeCommandLine(LinuxImage image, string commandLine)
    {
        if (commandLine.Contains('\0')) throw new BootImageException("the kernel's command line contains a zero byte");
        byte[] bytes = [.. Encoding.UTF8.GetBytes(commandLine), 0];
        uint limit = Math.Min(image.CommandLineLimit, LowMemory.CommandLineBytes - 1);
        return bytes.Length - 1 <= limit
            ? bytes
            : throw new BootImageException($"{image.Name}: the command line has {bytes.Length - 1} bytes, this kernel takes at most {limit}");
    }

    // A relocatable kernel is loaded where it wants to run; another one loads at 1 MiB and moves itself there.
    private static ulong PlaceKernel(PhysicalMemory memory, LinuxImage image, out ulong end)
    {
        ulong run = image.IsRelocatable ? AlignUp(Math.Max(image.PreferredAddress, OneMiB), image.Alignment) : image.PreferredAddress;
        ulong load = image.IsRelocatable ? run : OneMiB;
        ulong codeEnd = load + (ulong)image.Code.Length;
        end = run > ulong.MaxValue - image.InitSize ? ulong.MaxValue : Math.Max(run + image.InitSize, codeEnd);
        if (run < OneMiB || end > uint.MaxValue)
            throw new BootImageException($"{image.Name}: the Linux kernel wants to run at address 0x{run:x}, where it cannot be loaded");
        if (end <= memory.LowRamEnd) return load;
        throw new BootImageException(
            $"{image.Name}: the kernel is too large for the memory asked for: it needs RAM up to {ByteSize.Format(end)}, the machine has {ByteSize.Format(memory.RamBytes)}");
    }

    private static (ulong Start, ulong Bytes) LoadRamDisks(PhysicalMemory memory, LinuxImage image, IReadOnlyList<BootFile> files, ulong kernelEnd)
    {
        List<Stream> streams = [];
        try
        {
            ulong total = 0;
            foreach (BootFile file in files)
            {
                streams.Add(file.Open());
                total = AlignUp(total, 4) + (ulong)streams[^1].Length;
            }

            if (total == 0) return default;
            ulong limit = Math.Min(image.RamDiskLimit, memory.LowRamEnd);
            ulong lowest = AlignUp(kernelEnd, GuestPhysical.PageSize);
            ulong room = limit > lowest ? limit - lowest : 0;
            if (total > room)
            {
                throw new BootImageException(
                    $"{files[^1].Name}: the initial RAM disk of {ByteSize.Format(total)} is too large for the memory asked for: {ByteSize.Format(room)} are left beside the kernel in {ByteSize.Format(memory.RamBytes)}");
            }

            ulong start = (limit - total) & ~(GuestPhysical.PageSize - 1UL);
            ulong at = start;
            for (int i = 0; i < streams.Count; i++) at = Copy(memory, files[i], streams[i], AlignUp(at, 4));
            return (start, total);
        }
        finally
        {
            foreach (Stream stream in streams) stream.Dispose();
        }
    }

    private static ulong Copy(PhysicalMemory memory, BootFile file, Stream stream, ulong at)
    {
        long left = stream.Length;
        byte[] buffer = new byte[(int)Math.Min(left, CopyBytes)];
        while (left > 0)
        {
            Span<byte> part = buffer.AsSpan(0, (int)Math.Min(left, buffer.Length));
            file.Read(stream, part);
            memory.Write(new GuestPhysical(at), part);
            at += (ulong)part.Length;
            left -= part.Length;
        }

        return at;
    }

    // screen_info stays zero: there is no display. The sentinel at 1EFh stays zero, too, or the kernel distrusts the rest.
    private static byte[] BuildBootParameters(
        LinuxImage image, IReadOnlyList<E820Entry> map, ulong load, ulong ramDisk, ulong ramDiskBytes, ulong rsdp)
    {
        byte[] page = new byte[GuestPhysical.PageSize];
        image.Header.CopyTo(page.AsSpan(LinuxImage.HeaderStart));
        BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(RspAddressAt), rsdp);
        BinaryPrimitives.WriteUInt16LittleEndian(page.AsSpan(VideoModeAt), 0xffff);
        page[LoaderTypeAt] = UndefinedLoader;
        page[LoadFlagsAt] |= CanUseHeap;
        BinaryPrimitives.WriteUInt16LittleEndian(page.AsSpan(HeapEndAt), 0xde00);
        BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan(CodeStartAt), (uint)load);
        BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan(RamDiskAddressAt), (uint)ramDisk);
        BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan(RamDiskSizeAt), (uint)ramDiskBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan(CommandLineAt), (uint)LowMemory.CommandLine);
        page[MapEntriesAt] = (byte)map.Count;
        for (int i = 0; i < map.Count; i++)
        {
            Span<byte> entry = page.AsSpan(MapAt + (i * MapEntryBytes), MapEntryBytes);
            BinaryPrimitives.WriteUInt64LittleEndian(entry, map[i].Start);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], map[i].Length);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[16..], (uint)map[i].Type);
        }

        return page;
    }

    private static ulong AlignUp(ulong value, ulong alignment) => (value + alignment - 1) & ~(alignment - 1);
}
