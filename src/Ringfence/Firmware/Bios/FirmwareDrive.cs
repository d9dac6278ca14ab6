using Ringfence.Devices.Storage;

namespace Ringfence.Firmware.Bios;

/// <summary>What kind of drive the firmware's disk services see.</summary>
internal enum FirmwareDriveKind
{
    /// <summary>A diskette drive: numbers 00h and 01h.</summary>
    Floppy,

    /// <summary>A hard disk: numbers from 80h on.</summary>
    HardDisk,

    /// <summary>A CD-ROM: numbers from E0h on, 2,048 bytes a sector.</summary>
    CdRom,
}

/// <summary>A drive the firmware can read and start a system from.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Drive">Its medium.</param>
/// <param name="PciFunction">
/// Bus, device and function of its controller for EDD's device path, as in configuration addresses: 8 bits bus, 5 device, 3 function. Null: no path is told.
/// </param>
/// <param name="Interface">Name of its interface in EDD's device path, up to 8 characters.</param>
internal sealed record FirmwareDrive(FirmwareDriveKind Kind, BlockDrive Drive, int? PciFunction = null, string Interface = "ATA");
