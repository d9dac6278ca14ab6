using Ringfence.Devices;
using Ringfence.Devices.Storage;

namespace Ringfence.Firmware.Bios;

/// <summary>
/// INT 13h (IBM PS/2 and PC BIOS Interface Technical Reference; Phoenix Enhanced Disk Drive Specification 3.0; El Torito Bootable CD-ROM Format
/// Specification 1.0). It reaches the media beside their controllers: those stay as power-on left them for the system's drivers.
/// </summary>
internal sealed partial class BiosDisk
{
    /// <summary>Number of the first hard disk.</summary>
    public const int FirstHardDisk = 0x80;

    /// <summary>Number of the first CD-ROM.</summary>
    public const int FirstCdRom = 0xe0;

    private const byte Done = 0x00, BadCommand = 0x01, WriteProtected = 0x03, NotFound = 0x04, Changed = 0x06, Failed = 0x20, NotReady = 0x80, NoMedia = 0x31, WriteFault = 0xcc;
    private const int MostBytes = 512 << 10;

    private readonly FirmwareMachine _machine;
    private readonly Dictionary<FirmwareDrive, int> _seenChanges = [];
    private List<DiskView>? _views;
    private Pending? _pending;
    private ElToritoImage? _emulated;

    /// <summary>Makes the service.</summary>
    /// <param name="machine">The machine.</param>
    public BiosDisk(FirmwareMachine machine) => _machine = machine;

    /// <summary>All drives in the order of their numbers.</summary>
    public IReadOnlyList<DiskView> Views => _views ??= MakeViews();

    /// <summary>RESET.</summary>
    public void Reset()
    {
        _pending = null;
        _emulated = null;
        _views = null;
        _seenChanges.Clear();
    }

    /// <summary>Visits the state: whose image stands for a drive, and where it is.</summary>
    public void DescribeState(IStateVisitor visitor)
    {
        int drive = _emulated?.CdRom ?? -1;
        int entry = _emulated?.Entry ?? 0;
        visitor.Field("emulating_cdrom", ref drive);
        visitor.Field("emulating_entry", ref entry);
        if (drive == (_emulated?.CdRom ?? -1) && entry == (_emulated?.Entry ?? 0)) return;
        _views = null;
        _emulated = null;
        if (drive >= 0 && Find(drive) is { } view && ElToritoImage.Find(view, entry) is { } image) Emulate(image);
    }

    /// <summary>The drive with a number; null: there is none.</summary>
    public DiskView? Find(int number)
    {
        foreach (DiskView view in Views)
            if (view.Number == number) return view;
        return null;
    }

    /// <summary>Lets an image on a CD be the first diskette or the first hard disk.</summary>
    public void Emulate(ElToritoImage image)
    {
        _emulated = image;
        _views = null;
    }

    /// <summary>Writes what programs look for in memory: counts, the tables of the first two hard disks, CMOS.</summary>
    public void Describe()
    {
        int floppies = Views.Count(v => v.IsFloppy);
        int disks = Views.Count(v => v.Number is >= FirstHardDisk and < FirstCdRom);
        _machine.Write8(BiosData.DiskCount, disks);
        ushort equipment = (ushort)(_machine.Read16(BiosData.Equipment) & ~0xc1);
        if (floppies > 0) equipment |= (ushort)(1 | ((floppies - 1) << 6));
        _machine.Write16(BiosData.Equipment, equipment);
        int types = 0;
        foreach (DiskView view in Views.Where(v => v.IsFloppy)) types |= view.Geometry.FloppyType << (view.Number == 0 ? 4 : 0);
        _machine.WriteCmos(0x10, types);

        const int FirstTable = 0x3d;
        for (int i = 0; i < 2; i++)
        {
            if (Find(FirstHardDisk + i) is not { } disk) continue;
            ulong table = _machine.Extension + FirstTable + (16UL * (uint)i);
            DiskGeometry geometry = disk.Geometry;
            _machine.Clear(table, 16);
            _machine.Write16(table, geometry.Cylinders);
            _machine.Write8(table + 2, geometry.Heads);
            _machine.Write8(table + 8, geometry.Heads > 8 ? 8 : 0);
            _machine.Write16(table + 12, geometry.Cylinders);
            _machine.Write8(table + 14, geometry.Sectors);
            ushort segment = _machine.Read16(BiosData.ExtensionSegment);
            _machine.Write32(4UL * (i == 0 ? 0x41u : 0x46u), ((uint)segment << 16) | (uint)(FirstTable + (16 * i)));
        }
    }

    /// <summary>INT 13h.</summary>
    public bool Serve(ServiceFrame f)
    {
        DiskView? view = Find(f.Dl);
        if (f.Step != 0)
        {
            Continue(f, view);
            return true;
        }

        if (f.Ah == 0x4b) return ServeElTorito(f);
        if (view is null)
        {
            // How many drives there are is asked with any number.
            if (f.Ah == 0x08 && f.Dl < FirstHardDisk) f.Dl = (byte)Views.Count(v => v.IsFloppy);
            bool asksType = f.Ah == 0x15;
            Return(f, f.Dl, asksType ? Done : BadCommand);
            if (asksType) f.Ah = 0;
            return true;
        }

        switch (f.Ah)
        {
            case 0x00 or 0x0d or 0x09 or 0x11 or 0x0c or 0x14:
                Return(f, view.Number, Done);
                return true;
            case 0x10:
                Return(f, view.Number, view.Medium is null ? NotReady : Done);
                return true;
            case 0x01:
                byte status = _machine.Read8(StatusAddress(view.Number));
                f.Ah = status;
                f.Carry = status != 0;
                return true;
            case 0x02 or 0x03 or 0x04:
                Transfer(f, view);
                return true;
            case 0x05:
                Return(f, view.Number, view.IsReadOnly ? WriteProtected : Done);
                return true;
            case 0x08:
                ReportParameters(f, view);
                return true;
            case 0x15:
                ReportType(f, view);
                return true;
            case 0x16:
                ReportChange(f, view);
                return true;
            case 0x17 or 0x18:
                f.Es = BiosImage.Segment;
                f.Di = BiosImage.DisketteParameters;
                Return(f, view.Number, view.IsFloppy ? Done : BadCommand);
                return true;
            case >= 0x41 and <= 0x4e when !view.IsFloppy:
                return ServeExtension(f, view);
            case 0x41:
                // Whether a drive has the extensions is asked of diskettes, too.
                Return(f, view.Number, BadCommand);
                return true;
            default:
                Return(f, view.Number, BadCommand);
                return false;
        }
    }

    private static ulong StatusAddress(int number) => number < FirstHardDisk ? BiosData.FloppyStatus : BiosData.DiskStatus;

    private void Return(ServiceFrame f, int number, byte status)
    {
        f.Ah = status;
        f.Carry = status != Done;
        _machine.Write8(StatusAddress(number), status);
    }

    private List<DiskView> MakeViews()
    {
        List<DiskView> views = [];
        int floppy = 0, disk = FirstHardDisk, cdRom = FirstCdRom;
        if (_emulated is { Geometry: { } geometry } image)
        {
            bool isFloppy = image.Media != ElToritoMedia.HardDisk;
            views.Add(new DiskView
            {
                Drive = image.Drive,
                Number = isFloppy ? floppy++ : disk++,
                Start = image.Start,
                Limit = image.Bytes,
                OwnGeometry = geometry,
            });
        }

        foreach (FirmwareDrive drive in _machine.Platform.Drives)
        {
            switch (drive.Kind)
            {
                case FirmwareDriveKind.Floppy when floppy < 2:
                    views.Add(new DiskView { Drive = drive, Number = floppy++ });
                    break;
                case FirmwareDriveKind.HardDisk when disk < FirstCdRom:
                    views.Add(new DiskView { Drive = drive, Number = disk++ });
                    break;
                case FirmwareDriveKind.CdRom when cdRom < 0xf0:
                    views.Add(new DiskView { Drive = drive, Number = cdRom++ });
                    break;
            }
        }

        return views;
    }

    /// <summary>Functions 02h to 04h: sectors by cylinder, head and sector.</summary>
    private void Transfer(ServiceFrame f, DiskView view)
    {
        DiskGeometry geometry = view.Geometry;
        int cylinder = f.Ch | ((f.Cl & 0xc0) << 2), sector = f.Cl & 0x3f;
        int count = f.Al;
        if (count == 0 || sector == 0 || count * view.SectorBytes > MostBytes)
        {
            f.Al = 0;
            Return(f, view.Number, BadCommand);
            return;
        }

        if (view.Medium is null)
        {
            f.Al = 0;
            Return(f, view.Number, view.IsFloppy ? NotReady : NoMedia);
            return;
        }

        if (view.IsFloppy && TakeChange(view))
        {
            f.Al = 0;
            Return(f, view.Number, Changed);
            return;
        }

        if (cylinder >= geometry.Cylinders && view.IsFloppy || f.Dh >= geometry.Heads || sector > geometry.Sectors)
        {
            f.Al = 0;
            Return(f, view.Number, NotFound);
            return;
        }

        long first = ((((long)cylinder * geometry.Heads) + f.Dh) * geometry.Sectors) + sector - 1;
        byte status = Move(f, view, f.Ah, first, count, ServiceFrame.Address(f.Es, f.Bx));
        if (f.Answer != ServiceAnswer.Done) return;
        if (status != Done) f.Al = 0;
        Return(f, view.Number, status);
    }

    /// <summary>Moves sectors: function 2 reads, 3 writes, 4 verifies. A write is waited for: the answer is not final then.</summary>
    private byte Move(ServiceFrame f, DiskView view, int function, long first, int count, ulong buffer)
    {
        if (first < 0 || first > view.Sectors || count > view.Sectors - first) return NotFound;
        if (function == 4) return Done;
        byte[] data = new byte[count * view.SectorBytes];
        if (function == 2)
        {
            if (!view.TryRead(first, data)) return Failed;
            _machine.Write(buffer, data);
            return Done;
        }

        if (view.IsReadOnly) return WriteProtected;
        _machine.Read(buffer, data);
        Pending pending = new();
        _pending = pending;
        view.Write(first, data, status =>
        {
            pending.Status = status;
            pending.IsDone = true;
        });
        f.Step = 1;
        f.Answer = ServiceAnswer.Again;
        return Done;
    }

    /// <summary>A write that was waited for.</summary>
    private void Continue(ServiceFrame f, DiskView? view)
    {
        if (_pending is { IsDone: false } && view is not null)
        {
            f.Answer = ServiceAnswer.Again;
            return;
        }

        byte status = _pending?.Status switch
        {
            BlockStatus.Done => Done,
            BlockStatus.ReadOnly => WriteProtected,
            BlockStatus.OutOfRange => NotFound,
            BlockStatus.NoMedium => NotReady,
            _ => WriteFault,
        };
        _pending = null;
        bool isExtended = f.Ah == 0x43;
        if (status != Done && !isExtended) f.Al = 0;
        if (status != Done && isExtended) _machine.Write16(ServiceFrame.Address(f.Ds, f.Si) + 2, 0);
        Return(f, f.Dl, status);
    }

    private void ReportParameters(ServiceFrame f, DiskView view)
    {
        if (view.Number >= FirstCdRom)
        {
            Return(f, view.Number, BadCommand);
            return;
        }

        DiskGeometry geometry = view.Geometry;
        int last = geometry.Cylinders - 1;
        f.Ax = 0;
        f.Ch = (byte)last;
        f.Cl = (byte)(geometry.Sectors | ((last >> 2) & 0xc0));
        f.Dh = (byte)(geometry.Heads - 1);
        f.Dl = (byte)Views.Count(v => v.IsFloppy == view.IsFloppy && v.Number < FirstCdRom);
        if (view.IsFloppy)
        {
            f.Bx = geometry.FloppyType;
            f.Es = BiosImage.Segment;
            f.Di = BiosImage.DisketteParameters;
        }

        Return(f, view.Number, Done);
    }

    private void ReportType(ServiceFrame f, DiskView view)
    {
        const byte WithChangeLine = 2, HardDisk = 3;
        Return(f, view.Number, Done);
        if (view.IsFloppy)
        {
            f.Ah = WithChangeLine;
            return;
        }

        uint sectors = (uint)Math.Min(view.Sectors, uint.MaxValue);
        f.Cx = (ushort)(sectors >> 16);
        f.Dx = (ushort)sectors;
        f.Ah = HardDisk;
    }

    private void ReportChange(ServiceFrame f, DiskView view)
    {
        if (!view.IsFloppy) Return(f, view.Number, BadCommand);
        else if (view.Medium is null) Return(f, view.Number, NotReady);
        else Return(f, view.Number, TakeChange(view) ? Changed : Done);
    }

    /// <summary>Has the medium been changed since this was asked?</summary>
    private bool TakeChange(DiskView view)
    {
        if (view.IsEmulated) return false;
        int changes = view.Drive.Drive.MediumChanges;
        bool isKnown = _seenChanges.TryGetValue(view.Drive, out int seen);
        _seenChanges[view.Drive] = changes;
        return isKnown && seen != changes;
    }

    private sealed class Pending
    {
        public bool IsDone { get; set; }

        public BlockStatus Status { get; set; }
    }
}
