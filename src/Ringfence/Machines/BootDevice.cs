namespace Ringfence.Machines;

/// <summary>A kind of drive that a system may be started from.</summary>
public enum BootDevice
{
    /// <summary>The first diskette drive.</summary>
    Floppy,

    /// <summary>CD-ROM drives.</summary>
    CdRom,

    /// <summary>Hard disks.</summary>
    HardDisk,
}

/// <summary>Where the firmware's text goes beside the screen.</summary>
public enum FirmwareConsole
{
    /// <summary>Nowhere.</summary>
    None,

    /// <summary>To the debug console (port E9h).</summary>
    Debug,

    /// <summary>To COM1; what is typed there are keys for the boot menu and INT 16h.</summary>
    Serial,
}
