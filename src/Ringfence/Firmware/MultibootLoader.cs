using System.Buffers.Binary;
using System.Text;
using Ringfence.Memory;
using Ringfence.Processors;

namespace Ringfence.Firmware;

/// <summary>
/// Loads a Multiboot 1 image with its modules and hands over in 32-bit protected mode
/// (Multiboot Specification 0.6.96, sections 3.2 and 3.3).
/// </summary>
internal static unsafe class MultibootLoader
{
    private const uint LoaderMagic = 0x2bad_b002;
    private const int InformationBytes = 120;
    private const int ModuleBytes = 16;
    private const int MapEntryBytes = 24;
    private const int GdtBytes = 32;
    private const ulong OneMiB = 1 << 20;
    private const int CopyBytes = 1 << 20;
    private const ulong FourGiB = 1UL << 32;

    // The block of information goes to the first of these places that the image leaves free.
    private static readonly ulong[] Places = [0x1_0000, 0x5_0000, 0x8_0000, 0x1000];

    [Flags]
    private enum Information : uint
    {
        Memory = 1,
        CommandLine = 1 << 2,
        Modules = 1 << 3,
        MemoryMap = 1 << 6,
        LoaderName = 1 << 9,
    }

    /// <summary>Loads image and modules, writes tables and the information structure, and sets the processors up.</summary>
    /// <exception cref="BootImageException">Something cannot be read or does not fit.</exception>
    public static void Load(BootTarget target, MultibootImage image, BootRequest request)
    {
        PhysicalMemory memory = target.Memory;
        ulong end = OneMiB;
        foreach (LoadSegment segment in image.Segments)
        {
            CheckPlace(memory, image, segment);
            end = Math.Max(end, segment.End);
        }

        // Firmware tables first: an image that loads over them has the last word.
        LowMemory.WriteBiosDataArea(memory, target.SerialPorts);
        FirmwareTables.Write(target);
        foreach (LoadSegment segment in image.Segments)
        {
            memory.Write(new GuestPhysical(segment.Address), image.Bytes(segment));
            memory.Clear(new GuestPhysical(segment.Address + (ulong)segment.FileBytes), segment.MemoryBytes - (ulong)segment.FileBytes);
        }

        List<(ulong Start, ulong End, string Text)> modules = [];
        foreach (BootFile file in request.InitialRamDisks)
        {
            (ulong start, end) = LoadModule(memory, file, end);
            modules.Add((start, end, Line(file.Name, file.Arguments)));
        }

        ulong place = WriteInformation(memory, image, Line(image.Name, request.CommandLine ?? ""), modules);
        foreach (Processor processor in target.Processors) BootState.SetMemoryTypes(processor);
        Processor boot = target.BootProcessor;
        BootState.EnterProtectedMode(boot, place, image.Entry);
        const int Rax = 0;
        const int Rbx = 3;
        boot.State->Gpr[Rax] = LoaderMagic;
        boot.State->Gpr[Rbx] = place + GdtBytes;
    }

    private static void CheckPlace(PhysicalMemory memory, MultibootImage image, LoadSegment segment)
    {
        if (segment.Address < FourGiB && memory.IsRam(segment.Address, segment.MemoryBytes)) return;
        if (segment.Address >= OneMiB && segment.End > memory.LowRamEnd && segment.End <= PhysicalMemory.DeviceSpace)
        {
            throw new BootImageException(
                $"{image.Name}: the image is too large for the memory asked for: it needs RAM up to {ByteSize.Format(segment.End)}, the machine has {ByteSize.Format(memory.RamBytes)}");
        }

        throw new BootImageException($"{image.Name}: the image wants to be loaded at 0x{segment.Address:x} to 0x{segment.End - 1:x}, which is not RAM");
    }

    private static (ulong Start, ulong End) LoadModule(PhysicalMemory memory, BootFile file, ulong from)
    {
        using Stream stream = file.Open();
        ulong start = (from + GuestPhysical.PageSize - 1) & ~(GuestPhysical.PageSize - 1UL);
        ulong bytes = (ulong)stream.Length;
        ulong room = memory.LowRamEnd > start ? memory.LowRamEnd - start : 0;
        if (bytes > room)
        {
            throw new BootImageException(
                $"{file.Name}: the module of {ByteSize.Format(bytes)} is too large for the memory asked for: {ByteSize.Format(room)} are left in {ByteSize.Format(memory.RamBytes)}");
        }

        byte[] buffer = new byte[(int)Math.Min(bytes, CopyBytes)];
        for (ulong done = 0; done < bytes;)
        {
            Span<byte> part = buffer.AsSpan(0, (int)Math.Min((ulong)buffer.Length, bytes - done));
            file.Read(stream, part);
            memory.Write(new GuestPhysical(start + done), part);
            done += (ulong)part.Length;
        }

        return (start, start + bytes);
    }

    // Descriptor table, information structure, module list, memory map, texts: one block, so that one place must be free.
    private static ulong WriteInformation(
        PhysicalMemory memory, MultibootImage image, string commandLine, List<(ulong Start, ulong End, string Text)> modules)
    {
        IReadOnlyList<E820Entry> map = E820Map.Build(memory);
        int modulesAt = GdtBytes + InformationBytes;
        int mapAt = modulesAt + (modules.Count * ModuleBytes);
        int textAt = mapAt + (map.Count * MapEntryBytes);
        byte[][] texts = [Text(commandLine), Text("Ringfence"), .. modules.Select(m => Text(m.Text))];
        byte[] block = new byte[textAt + texts.Sum(t => t.Length)];
        ulong place = FindPlace(image, (ulong)block.Length);

        uint[] textAddresses = new uint[texts.Length];
        for (int i = 0, at = textAt; i < texts.Length; at += texts[i++].Length)
        {
            texts[i].CopyTo(block, at);
            textAddresses[i] = (uint)place + (uint)at;
        }

        Information flags = Information.Memory | Information.CommandLine | Information.MemoryMap | Information.LoaderName;
        if (modules.Count != 0) flags |= Information.Modules;
        Put(block, GdtBytes, (uint)flags);
        Put(block, GdtBytes + 4, (uint)(LowMemory.ExtendedBiosDataArea >> 10));
        Put(block, GdtBytes + 8, (uint)((memory.LowRamEnd - OneMiB) >> 10));
        Put(block, GdtBytes + 16, textAddresses[0]);
        Put(block, GdtBytes + 20, (uint)modules.Count);
        Put(block, GdtBytes + 24, (uint)place + (uint)modulesAt);
        Put(block, GdtBytes + 44, (uint)(map.Count * MapEntryBytes));
        Put(block, GdtBytes + 48, (uint)place + (uint)mapAt);
        Put(block, GdtBytes + 64, textAddresses[1]);
        for (int i = 0; i < modules.Count; i++)
        {
            int at = modulesAt + (i * ModuleBytes);
            Put(block, at, (uint)modules[i].Start);
            Put(block, at + 4, (uint)modules[i].End);
            Put(block, at + 8, textAddresses[2 + i]);
        }

        for (int i = 0; i < map.Count; i++)
        {
            int at = mapAt + (i * MapEntryBytes);
            Put(block, at, MapEntryBytes - 4);
            BinaryPrimitives.WriteUInt64LittleEndian(block.AsSpan(at + 4), map[i].Start);
            BinaryPrimitives.WriteUInt64LittleEndian(block.AsSpan(at + 12), map[i].Length);
            Put(block, at + 20, (uint)map[i].Type);
        }

        memory.Write(new GuestPhysical(place), block);
        return place;
    }

    private static ulong FindPlace(MultibootImage image, ulong bytes)
    {
        foreach (ulong place in Places)
        {
            if (place + bytes > LowMemory.ExtendedBiosDataArea) continue;
            if (image.Segments.All(s => s.End <= place || s.Address >= place + bytes)) return place;
        }

        throw new BootImageException($"{image.Name}: the image leaves no room below 640 KiB for {bytes} bytes of boot information");
    }

    // The guest learns the file's name, not where on the host it lies.
    private static string Line(string path, string arguments)
    {
        string name = Path.GetFileName(path);
        return arguments.Length == 0 ? name : $"{name} {arguments}";
    }

    private static byte[] Text(string text) => text.Contains('\0')
        ? throw new BootImageException("a command line contains a zero byte")
        : [.. Encoding.UTF8.GetBytes(text), 0];

    private static void Put(byte[] block, int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(block.AsSpan(at), value);
}
