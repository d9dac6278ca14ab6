using Ringfence.Devices.Storage;
using Ringfence.Storage;

namespace Ringfence.Firmware.Bios;

/// <summary>A drive under its number: a real one, or an image on a CD that stands for one.</summary>
internal sealed class DiskView
{
    /// <summary>What and where it is.</summary>
    public required FirmwareDrive Drive { get; init; }

    /// <summary>Its number in DL.</summary>
    public required int Number { get; init; }

    /// <summary>Bytes of a sector.</summary>
    public int SectorBytes => Number >= BiosDisk.FirstCdRom ? 2048 : 512;

    /// <summary>First byte on the medium.</summary>
    public long Start { get; init; }

    /// <summary>Bytes, if less than the medium.</summary>
    public long Limit { get; init; } = long.MaxValue;

    /// <summary>Geometry, if it is not the medium's.</summary>
    public DiskGeometry? OwnGeometry { get; init; }

    /// <summary>Is it an image on a CD?</summary>
    public bool IsEmulated => OwnGeometry is not null;

    /// <summary>The medium; null: none is in.</summary>
    public BlockStore? Medium => Drive.Drive.Medium;

    /// <summary>Sectors.</summary>
    public long Sectors => Medium is { } medium ? Math.Max(Math.Min(medium.Length - Start, Limit), 0) / SectorBytes : 0;

    /// <summary>Writes are refused.</summary>
    public bool IsReadOnly => IsEmulated || Medium is { IsReadOnly: true } || Drive.Kind == FirmwareDriveKind.CdRom;

    /// <summary>Is it a diskette?</summary>
    public bool IsFloppy => Number < BiosDisk.FirstHardDisk;

    /// <summary>How its sectors are counted.</summary>
    public DiskGeometry Geometry => OwnGeometry ?? (IsFloppy ? DiskGeometry.OfFloppy(Medium?.Length ?? 0) : DiskGeometry.OfHardDisk(Sectors));

    /// <summary>Reads bytes.</summary>
    /// <returns>Whether that worked.</returns>
    public bool TryRead(long sector, Span<byte> data) => Drive.Drive.Read(Start + (sector * SectorBytes), data) == BlockStatus.Done;

    /// <summary>Begins to write bytes.</summary>
    public void Write(long sector, byte[] data, Action<BlockStatus> completed) =>
        Drive.Drive.Submit(new BlockRequest(BlockOperation.Write, Start + (sector * SectorBytes), data.Length, data, completed));
}
