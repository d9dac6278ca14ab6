namespace Ringfence.Firmware;

/// <summary>Where a PC's interrupt controllers answer.</summary>
internal static class PlatformAddresses
{
    /// <summary>The I/O APIC's registers.</summary>
    public const uint IoApic = 0xfec0_0000;

    /// <summary>The local APIC's registers after reset (Intel SDM 3A 10.4.1).</summary>
    public const uint LocalApic = 0xfee0_0000;
}
