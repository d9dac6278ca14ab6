using System.Buffers.Binary;

namespace Ringfence.Firmware.Bios;

/// <summary>What an image on a CD stands for (El Torito Bootable CD-ROM Format Specification 1.0, figure 4).</summary>
internal enum ElToritoMedia : byte
{
    /// <summary>A program; the CD is seen as it is.</summary>
    None = 0,

    /// <summary>A 1.2 MB diskette.</summary>
    Floppy1200 = 1,

    /// <summary>A 1.44 MB diskette.</summary>
    Floppy1440 = 2,

    /// <summary>A 2.88 MB diskette.</summary>
    Floppy2880 = 3,

    /// <summary>A hard disk.</summary>
    HardDisk = 4,
}

/// <summary>An entry of a CD's boot catalog that a PC can start. What a CD claims is believed only as far as the CD reaches.</summary>
internal sealed class ElToritoImage
{
    private const int SectorBytes = 2048;
    private const int EntryBytes = 32;
    private const int FirstDescriptor = 16;
    private const int MostDescriptors = 64;

    private ElToritoImage()
    {
    }

    /// <summary>Number of the CD-ROM drive.</summary>
    public required int CdRom { get; init; }

    /// <summary>The CD-ROM drive.</summary>
    public required FirmwareDrive Drive { get; init; }

    /// <summary>Place in the catalog.</summary>
    public required int Entry { get; init; }

    /// <summary>What it stands for.</summary>
    public required ElToritoMedia Media { get; init; }

    /// <summary>Where it is loaded.</summary>
    public required ushort LoadSegment { get; init; }

    /// <summary>How many sectors of 512 bytes are loaded.</summary>
    public required ushort SectorCount { get; init; }

    /// <summary>First byte on the CD.</summary>
    public required long Start { get; init; }

    /// <summary>Bytes of the disk it stands for.</summary>
    public long Bytes { get; private init; }

    /// <summary>Geometry of the disk it stands for; null: none.</summary>
    public DiskGeometry? Geometry { get; private init; }

    /// <summary>The number under which the system finds what it was started from.</summary>
    public int DriveNumber => Media switch
    {
        ElToritoMedia.None => CdRom,
        ElToritoMedia.HardDisk => BiosDisk.FirstHardDisk,
        _ => 0,
    };

    /// <summary>Looks for something to start on a CD.</summary>
    /// <param name="cdRom">The drive.</param>
    /// <param name="entry">Place in the catalog; 0: the first one for a PC.</param>
    /// <returns>Null: there is nothing.</returns>
    public static ElToritoImage? Find(DiskView cdRom, int entry = 0)
    {
        byte[] sector = new byte[SectorBytes];
        if (FindCatalog(cdRom, sector) is not { } catalog || !cdRom.TryRead(catalog, sector)) return null;
        if (sector[0] != 1 || sector[0x1e] != 0x55 || sector[0x1f] != 0xaa || Sum(sector.AsSpan(0, EntryBytes)) != 0) return null;

        // The first entry belongs to the platform of the validation entry, those behind a header to the header's.
        byte platform = sector[1];
        for (int i = 1; i < SectorBytes / EntryBytes; i++)
        {
            ReadOnlySpan<byte> at = sector.AsSpan(i * EntryBytes, EntryBytes);
            switch (at[0])
            {
                case 0x90 or 0x91:
                    platform = at[1];
                    break;
                case 0x88 when platform == 0 && (entry == 0 || entry == i):
                    return Make(cdRom, i, at);
                case 0x00 when i > 1:
                    return null;
            }
        }

        return null;
    }

    private static long? FindCatalog(DiskView cdRom, byte[] sector)
    {
        for (int i = FirstDescriptor; i < FirstDescriptor + MostDescriptors; i++)
        {
            const byte BootRecord = 0, Terminator = 255;
            if (!cdRom.TryRead(i, sector) || !sector.AsSpan(1, 5).SequenceEqual("CD001"u8) || sector[0] == Terminator) return null;
            if (sector[0] == BootRecord && sector.AsSpan(7).StartsWith("EL TORITO SPECIFICATION"u8))
                return BinaryPrimitives.ReadUInt32LittleEndian(sector.AsSpan(0x47));
        }

        return null;
    }

    private static ElToritoImage? Make(DiskView cdRom, int entry, ReadOnlySpan<byte> at)
    {
        var media = (ElToritoMedia)(at[1] & 15);
        long start = BinaryPrimitives.ReadUInt32LittleEndian(at[8..]) * (long)SectorBytes;
        long available = (cdRom.Sectors * SectorBytes) - start;
        ushort segment = BinaryPrimitives.ReadUInt16LittleEndian(at[2..]);
        if (available < 512 || media > ElToritoMedia.HardDisk) return null;
        DiskGeometry? geometry = media switch
        {
            ElToritoMedia.Floppy1200 => new DiskGeometry(80, 2, 15),
            ElToritoMedia.Floppy1440 => new DiskGeometry(80, 2, 18),
            ElToritoMedia.Floppy2880 => new DiskGeometry(80, 2, 36),
            ElToritoMedia.HardDisk => HardDiskGeometry(cdRom, start / SectorBytes),
            _ => null,
        };
        if (media == ElToritoMedia.HardDisk && geometry is null) return null;
        long bytes = geometry is { } g ? Math.Min(512L * g.Cylinders * g.Heads * g.Sectors, available) : 0;
        return new ElToritoImage
        {
            CdRom = cdRom.Number,
            Drive = cdRom.Drive,
            Entry = entry,
            Media = media,
            LoadSegment = segment == 0 ? (ushort)0x7c0 : segment,
            SectorCount = BinaryPrimitives.ReadUInt16LittleEndian(at[6..]),
            Start = start,
            Bytes = bytes,
            Geometry = geometry,
        };
    }

    /// <summary>A hard disk's geometry is told by the end of its only partition.</summary>
    private static DiskGeometry? HardDiskGeometry(DiskView cdRom, long start)
    {
        byte[] sector = new byte[SectorBytes];
        if (!cdRom.TryRead(start, sector)) return null;
        ReadOnlySpan<byte> partition = sector.AsSpan(446);
        int sectors = partition[6] & 63;
        int cylinders = (partition[7] | ((partition[6] & 0xc0) << 2)) + 1;
        return sectors == 0 ? null : new DiskGeometry(cylinders, partition[5] + 1, sectors);
    }

    private static ushort Sum(ReadOnlySpan<byte> words)
    {
        ushort sum = 0;
        for (int i = 0; i < words.Length; i += 2) sum += BinaryPrimitives.ReadUInt16LittleEndian(words[i..]);
        return sum;
    }
}
