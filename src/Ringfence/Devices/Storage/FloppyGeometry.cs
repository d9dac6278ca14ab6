namespace Ringfence.Devices.Storage;

/// <summary>A format of diskettes.</summary>
/// <param name="Cylinders">Cylinders.</param>
/// <param name="Heads">Heads.</param>
/// <param name="Sectors">Sectors of 512 bytes on a track.</param>
/// <param name="Rates">Data rates at which it is read, a bit for each value of the data rate select (82077AA data sheet, 2.1.7).</param>
/// <param name="DriveType">The smallest drive for it, as CMOS register 10h names it.</param>
internal sealed record FloppyGeometry(int Cylinders, int Heads, int Sectors, int Rates, byte DriveType)
{
    /// <summary>Bytes of a sector.</summary>
    public const int SectorBytes = 512;

    private const int Rate500 = 1 << 0;
    private const int Rate300 = 1 << 1;
    private const int Rate250 = 1 << 2;
    private const int Rate1000 = 1 << 3;
    private const byte Drive360 = 1;
    private const byte Drive1200 = 2;
    private const byte Drive1440 = 4;
    private const byte Drive2880 = 5;

    private static readonly FloppyGeometry[] All =
    [
        new(40, 1, 8, Rate250 | Rate300, Drive360),
        new(40, 1, 9, Rate250 | Rate300, Drive360),
        new(40, 2, 8, Rate250 | Rate300, Drive360),
        new(40, 2, 9, Rate250 | Rate300, Drive360),
        new(80, 2, 9, Rate250, Drive1440),
        new(80, 2, 15, Rate500, Drive1200),
        new(80, 2, 18, Rate500, Drive1440),
        new(80, 2, 21, Rate500, Drive1440),
        new(82, 2, 21, Rate500, Drive1440),
        new(80, 2, 36, Rate1000, Drive2880),
    ];

    /// <summary>Bytes of a diskette.</summary>
    public long Bytes => (long)Cylinders * Heads * Sectors * SectorBytes;

    /// <summary>The smallest format that holds an image; null: it is larger than any.</summary>
    public static FloppyGeometry? Of(long bytes) => All.FirstOrDefault(geometry => geometry.Bytes >= bytes);

    /// <summary>The drive for an image, as CMOS register 10h names it; of an empty drive that for 1.44 MB.</summary>
    /// <param name="bytes">Bytes of the image; null: none is in.</param>
    public static byte DriveFor(long? bytes) => (bytes is { } length ? Of(length) : null)?.DriveType ?? Drive1440;
}
