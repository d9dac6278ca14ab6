using Ringfence.Firmware.Bios;

namespace Ringfence.Machines;

/// <summary>Ringfence's own firmware: it looks for a system on the machine's drives, as a PC's BIOS does.</summary>
public sealed record BiosBoot : BootSource
{
    /// <summary>Where a system is looked for, in this order; what is not named is not tried.</summary>
    public IReadOnlyList<BootDevice> Order { get; init; } = [BootDevice.Floppy, BootDevice.CdRom, BootDevice.HardDisk];

    /// <summary>How long F12 is waited for, which shows the boot menu. Zero: not at all.</summary>
    public TimeSpan MenuWait { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>Where the text of the firmware and of what uses its teletype function goes beside the screen.</summary>
    public FirmwareConsole Console { get; init; }

    /// <summary>Drives beside those the machine's controllers have: for tests.</summary>
    internal IReadOnlyList<FirmwareDrive> Drives { get; init; } = [];

    /// <inheritdoc/>
    internal override void Load(Pc pc, bool isReset) => pc.StartBios(this, isReset);
}
