using Ringfence.Memory;

namespace Ringfence.Firmware;

/// <summary>Where PCI devices' memory lies.</summary>
internal static class PciMemory
{
    private const ulong TwoGiB = 1UL << 31;

    /// <summary>First address: where SeaBIOS begins on a 440FX.</summary>
    /// <param name="lowRamEnd">End of the RAM below 4 GiB.</param>
    public static ulong Start(ulong lowRamEnd) => lowRamEnd <= TwoGiB ? TwoGiB : PhysicalMemory.DeviceSpace;

    /// <summary>First address behind: the interrupt controllers follow.</summary>
    public const ulong End = PlatformAddresses.IoApic;
}
