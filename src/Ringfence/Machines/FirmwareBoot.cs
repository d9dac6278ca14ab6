using Ringfence.Firmware;

namespace Ringfence.Machines;

/// <summary>A raw ROM of 64 KiB to 1 MiB at the top of 4 GiB, started at the reset vector (Intel SDM 3A 9.1.4).</summary>
/// <param name="Image">The ROM.</param>
public sealed record FirmwareBoot(BootFile Image) : BootSource
{
    /// <inheritdoc/>
    internal override void Load(Pc pc, bool isReset)
    {
        // The ROM stays mapped across a reset, and the processor is at the reset vector already.
        if (isReset) return;
        pc.AddFirmwareItems();
        BootLoader.Load(pc.BootTarget, new BootRequest { Firmware = Image });
    }
}
