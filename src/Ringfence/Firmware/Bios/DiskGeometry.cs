namespace Ringfence.Firmware.Bios;

/// <summary>How the disk services count a disk's sectors.</summary>
/// <param name="Cylinders">Cylinders, 1 to 1,024.</param>
/// <param name="Heads">Heads, 1 to 255.</param>
/// <param name="Sectors">Sectors of a track, 1 to 63.</param>
internal readonly record struct DiskGeometry(int Cylinders, int Heads, int Sectors)
{
    /// <summary>A hard disk's geometry: as few heads as reach its end, or 255 (Phoenix Enhanced Disk Drive Specification 3.0, "LBA-assisted translation").</summary>
    public static DiskGeometry OfHardDisk(long sectors)
    {
        const int SectorsOfATrack = 63;
        const int MostCylinders = 1024;
        foreach (int heads in (int[])[16, 32, 64, 128])
        {
            long cylinders = sectors / (SectorsOfATrack * heads);
            if (cylinders <= MostCylinders) return new DiskGeometry((int)Math.Max(cylinders, 1), heads, SectorsOfATrack);
        }

        return new DiskGeometry((int)Math.Min(sectors / (SectorsOfATrack * 255), MostCylinders), 255, SectorsOfATrack);
    }

    /// <summary>A diskette's geometry by its size, that of a 1.44 MB one if the size is none diskettes have.</summary>
    public static DiskGeometry OfFloppy(long bytes) => (bytes >> 10) switch
    {
        160 => new(40, 1, 8),
        180 => new(40, 1, 9),
        320 => new(40, 2, 8),
        360 => new(40, 2, 9),
        720 => new(80, 2, 9),
        1200 => new(80, 2, 15),
        1680 => new(80, 2, 21),
        2880 => new(80, 2, 36),
        _ => new(80, 2, 18),
    };

    /// <summary>The type of drive that INT 13h function 08h and CMOS call it.</summary>
    public byte FloppyType => (Cylinders, Sectors) switch
    {
        (40, _) => 1,
        (_, 15) => 2,
        (_, 9) => 3,
        (_, 36) => 5,
        _ => 4,
    };
}
