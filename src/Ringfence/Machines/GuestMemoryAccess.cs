using Ringfence.Memory;
using Ringfence.Processors;

namespace Ringfence.Machines;

/// <summary>A person's access to guest memory: RAM and ROM only, so that looking never disturbs a device.</summary>
internal static unsafe class GuestMemoryAccess
{
    /// <summary>Reads; bytes that are neither RAM nor ROM are ones.</summary>
    public static void Read(PhysicalMemory memory, ulong physical, Span<byte> data)
    {
        while (data.Length > 0)
        {
            Span<byte> part = data[..PartLength(physical, data.Length)];
            byte* page = memory.PageAt(physical, out _);
            if (page is null) part.Fill(0xff);
            else new ReadOnlySpan<byte>(page + (physical & 0xfff), part.Length).CopyTo(part);
            physical += (ulong)part.Length;
            data = data[part.Length..];
        }
    }

    /// <summary>Writes what is RAM.</summary>
    public static void Write(PhysicalMemory memory, ulong physical, ReadOnlySpan<byte> data)
    {
        while (data.Length > 0)
        {
            ReadOnlySpan<byte> part = data[..PartLength(physical, data.Length)];
            if (memory.PageAt(physical, out bool writable) is not null && writable) memory.Write(new GuestPhysical(physical), part);
            physical += (ulong)part.Length;
            data = data[part.Length..];
        }
    }

    /// <summary>Reads at linear addresses.</summary>
    public static void Read(Processor processor, ulong linear, Span<byte> data)
    {
        while (data.Length > 0)
        {
            Span<byte> part = data[..PartLength(linear, data.Length)];
            Read(processor.Mmu.Memory, Translate(processor, linear), part);
            linear += (ulong)part.Length;
            data = data[part.Length..];
        }
    }

    /// <summary>Writes at linear addresses.</summary>
    public static void Write(Processor processor, ulong linear, ReadOnlySpan<byte> data)
    {
        while (data.Length > 0)
        {
            ReadOnlySpan<byte> part = data[..PartLength(linear, data.Length)];
            Write(processor.Mmu.Memory, Translate(processor, linear), part);
            linear += (ulong)part.Length;
            data = data[part.Length..];
        }
    }

    private static int PartLength(ulong address, int length) => (int)Math.Min((ulong)length, GuestPhysical.PageSize - (address & 0xfff));

    private static ulong Translate(Processor processor, ulong linear) =>
        processor.Mmu.TryTranslateForDebugger(linear, out ulong physical)
            ? physical
            : throw new ArgumentException($"Nothing is mapped at linear address 0x{linear:x}.");
}
