using Ringfence.Memory;

namespace Ringfence.Firmware;

/// <summary>What a range of the memory map is (ACPI specification, "System Address Map Interfaces").</summary>
internal enum E820Type : uint
{
    /// <summary>RAM the system may use.</summary>
    Usable = 1,

    /// <summary>In use or not to be touched.</summary>
    Reserved = 2,
}

/// <summary>A range of the memory map.</summary>
/// <param name="Start">First byte.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Type">What it is.</param>
internal readonly record struct E820Entry(ulong Start, ulong Length, E820Type Type)
{
    /// <summary>First byte behind the range.</summary>
    public ulong End => Start + Length;
}

/// <summary>
/// The memory map every loader hands to its guest, sorted: conventional memory up to the extended BIOS data area, the
/// area of the firmware's tables, RAM from 1 MiB, the interrupt controllers, RAM from 4 GiB.
/// </summary>
internal static class E820Map
{
    private const ulong OneMiB = 1 << 20;
    private const ulong FourGiB = 1UL << 32;

    /// <summary>The memory map of a machine.</summary>
    public static IReadOnlyList<E820Entry> Build(PhysicalMemory memory)
    {
        List<E820Entry> map =
        [
            new(0, LowMemory.ExtendedBiosDataArea, E820Type.Usable),
            new(LowMemory.ExtendedBiosDataArea, LowMemory.VideoMemory - LowMemory.ExtendedBiosDataArea, E820Type.Reserved),
            new(LowMemory.Tables, OneMiB - LowMemory.Tables, E820Type.Reserved),
        ];
        if (memory.LowRamEnd > OneMiB) map.Add(new E820Entry(OneMiB, memory.LowRamEnd - OneMiB, E820Type.Usable));
        map.Add(new E820Entry(PlatformAddresses.IoApic, GuestPhysical.PageSize, E820Type.Reserved));
        map.Add(new E820Entry(PlatformAddresses.LocalApic, GuestPhysical.PageSize, E820Type.Reserved));
        if (memory.HighRamEnd > FourGiB) map.Add(new E820Entry(FourGiB, memory.HighRamEnd - FourGiB, E820Type.Usable));
        return map;
    }
}
