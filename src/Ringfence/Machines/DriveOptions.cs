using Ringfence.Storage;

namespace Ringfence.Machines;

/// <summary>What kind of drive a medium is in.</summary>
public enum DriveKind
{
    /// <summary>A hard disk.</summary>
    Disk,

    /// <summary>A CD-ROM drive.</summary>
    CdRom,

    /// <summary>A floppy drive; a machine has at most two.</summary>
    Floppy,
}

/// <summary>How a hard disk or a CD-ROM drive is connected; virtio is for disks only, and CD-ROM drives are at the IDE controller then.</summary>
public enum DriveInterface
{
    /// <summary>A virtio block device: the fastest, for systems that have a driver.</summary>
    Virtio,

    /// <summary>The PIIX3's IDE controller: at most four drives, CD-ROMs included.</summary>
    Ide,

    /// <summary>An AHCI controller: at most six drives.</summary>
    Ahci,
}

/// <summary>A drive of a machine and the image in it.</summary>
public sealed record DriveOptions
{
    /// <summary>Path of the image; null: the drive is empty, which only a CD-ROM drive can be.</summary>
    public string? Path { get; init; }

    /// <summary>What kind of drive.</summary>
    public DriveKind Kind { get; init; }

    /// <summary>How a disk is connected.</summary>
    public DriveInterface Interface { get; init; }

    /// <summary>How the image is opened.</summary>
    public DiskImageOptions Image { get; init; } = new();
}
