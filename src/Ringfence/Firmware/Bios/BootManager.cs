using System.Globalization;
using Ringfence.Devices;
using Ringfence.Machines;

namespace Ringfence.Firmware.Bios;

/// <summary>INT 19h: the boot menu, and the search for a system along the boot order. INT 18h goes on where it found nothing that works.</summary>
/// <param name="machine">The machine.</param>
/// <param name="options">Order and how long F12 is waited for.</param>
/// <param name="video">Prints.</param>
/// <param name="keyboard">Gives keys.</param>
/// <param name="disk">The drives.</param>
internal sealed class BootManager(FirmwareMachine machine, FirmwareOptions options, BiosVideo video, BiosKeyboard keyboard, BiosDisk disk)
{
    private const ushort F12 = 0x8600;
    private const ushort BootAddress = 0x7c00;
    private const int SectorBytes = 512;

    private Stage _stage;
    private int _next;
    private long _menuUntil;
    private int _chosen = -1;

    private enum Stage
    {
        /// <summary>Behind power-on.</summary>
        First,

        /// <summary>F12 is waited for.</summary>
        Waiting,

        /// <summary>The menu is shown.</summary>
        Menu,

        /// <summary>Drives are tried.</summary>
        Trying,

        /// <summary>There is nothing to start.</summary>
        Failed,
    }

    /// <summary>RESET.</summary>
    public void Reset()
    {
        _stage = Stage.First;
        _next = 0;
        _chosen = -1;
    }

    /// <summary>Visits the state.</summary>
    public void DescribeState(IStateVisitor visitor)
    {
        int stage = (int)_stage;
        visitor.Field("boot_stage", ref stage);
        visitor.Field("boot_next", ref _next);
        visitor.Field("boot_menu_until", ref _menuUntil);
        visitor.Field("boot_chosen", ref _chosen);
        _stage = (Stage)Math.Clamp(stage, 0, (int)Stage.Failed);
        _next = Math.Clamp(_next, 0, 64);
    }

    /// <summary>INT 19h.</summary>
    public void Serve(ServiceFrame f)
    {
        // A system that asks for another start gets one without the menu.
        if (f.Step == 0 && _stage == Stage.Trying) _next = 0;
        f.Step = 1;
        Continue(f);
    }

    /// <summary>INT 18h.</summary>
    public void TryNext(ServiceFrame f)
    {
        f.Step = 1;
        if (_stage is Stage.First) _stage = Stage.Trying;
        Continue(f);
    }

    private IReadOnlyList<DiskView> Candidates
    {
        get
        {
            List<DiskView> all = [];
            foreach (BootDevice device in options.Order)
            {
                all.AddRange(disk.Views.Where(v => !v.IsEmulated && !all.Contains(v) && v.Drive.Kind == device switch
                {
                    BootDevice.Floppy => FirmwareDriveKind.Floppy,
                    BootDevice.CdRom => FirmwareDriveKind.CdRom,
                    _ => FirmwareDriveKind.HardDisk,
                }));
            }

            return all;
        }
    }

    private void Continue(ServiceFrame f)
    {
        switch (_stage)
        {
            case Stage.First:
                if (options.MenuWait <= TimeSpan.Zero)
                {
                    _stage = Stage.Trying;
                    break;
                }

                video.Print("Press F12 for the boot menu.\n");
                _menuUntil = machine.Platform.Now + (options.MenuWait.Ticks * 100);
                _stage = Stage.Waiting;
                f.Answer = ServiceAnswer.Halt;
                return;
            case Stage.Waiting:
                if (keyboard.TakeKey() is { } key)
                {
                    if (key == F12 || (byte)key == 0x1b) ShowMenu();
                    else _stage = Stage.Trying;
                    break;
                }

                if (machine.Platform.Now < _menuUntil)
                {
                    f.Answer = ServiceAnswer.Halt;
                    return;
                }

                _stage = Stage.Trying;
                break;
            case Stage.Menu:
                Choose();
                break;
            case Stage.Failed:
                if (keyboard.TakeKey() is null) break;
                Reset();
                f.Answer = ServiceAnswer.Again;
                return;
        }

        if (_stage is Stage.Menu or Stage.Failed) f.Answer = ServiceAnswer.Halt;
        else TryDrives(f);
    }

    private void ShowMenu()
    {
        _stage = Stage.Menu;
        video.Print("\nStart from:\n");
        IReadOnlyList<DiskView> all = Candidates;
        for (int i = 0; i < Math.Min(all.Count, 9); i++) video.Print(string.Create(CultureInfo.InvariantCulture, $"  {i + 1}  {Describe(all[i])}\n"));
        video.Print("Number, or Esc for the usual order: ");
    }

    private void Choose()
    {
        while (keyboard.TakeKey() is { } key)
        {
            int number = (byte)key - '1';
            bool isEscape = (byte)key == 0x1b;
            if (!isEscape && (number < 0 || number >= Math.Min(Candidates.Count, 9))) continue;
            _chosen = isEscape ? -1 : number;
            video.Print(isEscape ? "\n" : string.Create(CultureInfo.InvariantCulture, $"{number + 1}\n"));
            _stage = Stage.Trying;
            return;
        }
    }

    private static string Describe(DiskView view)
    {
        string kind = view.Drive.Kind switch { FirmwareDriveKind.Floppy => "Diskette", FirmwareDriveKind.CdRom => "CD-ROM", _ => "Disk" };
        string size = view.Medium is { } medium ? ByteSize.Format((ulong)medium.Length) : "empty";
        return $"{kind} {view.Drive.Drive.Name} ({size})";
    }

    private void TryDrives(ServiceFrame f)
    {
        IReadOnlyList<DiskView> all = Candidates;
        if (_chosen >= 0 && _chosen < all.Count) all = [all[_chosen], .. all.Where((_, i) => i != _chosen)];
        while (_next < all.Count)
        {
            if (TryStart(f, all[_next++])) return;
        }

        video.Print(all.Count == 0 ? "There is no drive to start from.\n" : "No drive has a system that starts. Press a key to try again.\n");
        _stage = Stage.Failed;
        f.Answer = ServiceAnswer.Halt;
    }

    private bool TryStart(ServiceFrame f, DiskView view)
    {
        if (view.Drive.Kind == FirmwareDriveKind.CdRom) return TryStartCdRom(f, view);
        byte[] sector = new byte[SectorBytes];
        if (!view.TryRead(0, sector) || !IsBootSector(sector)) return false;
        Enter(f, 0x7c0, sector, view.Number);
        return true;
    }

    private static bool IsBootSector(ReadOnlySpan<byte> sector) => sector[510] == 0x55 && sector[511] == 0xaa;

    private bool TryStartCdRom(ServiceFrame f, DiskView view)
    {
        if (ElToritoImage.Find(view) is not { } image) return false;
        const int MostSectors = 0x9_0000 / SectorBytes;
        int sectors = image.Media == ElToritoMedia.None ? Math.Clamp((int)image.SectorCount, 1, MostSectors) : 1;
        ulong address = (ulong)image.LoadSegment << 4;
        if (address < 0x500 || address + (ulong)(sectors * SectorBytes) > LowMemory.ExtendedBiosDataArea) return false;
        byte[] program = new byte[sectors * SectorBytes];
        long available = (view.Sectors * view.SectorBytes) - image.Start;
        if (!view.TryRead(image.Start / view.SectorBytes, program.AsSpan(0, (int)Math.Min(program.Length, available)))) return false;
        if (image.Geometry is not null && !IsBootSector(program)) return false;
        disk.Emulate(image);
        disk.Describe();
        Enter(f, image.LoadSegment, program, image.DriveNumber);
        return true;
    }

    /// <summary>Lets the stub return to the system's first instruction.</summary>
    private void Enter(ServiceFrame f, ushort segment, ReadOnlySpan<byte> program, int drive)
    {
        const ushort InterruptsOn = 0x0202;
        machine.Write((ulong)segment << 4, program);
        f.Eax = f.Ebx = f.Ecx = f.Esi = f.Edi = f.Ebp = 0;
        f.Edx = (uint)drive;
        f.Ds = f.Es = 0;
        f.Cs = segment == 0x7c0 ? (ushort)0 : segment;
        f.Ip = segment == 0x7c0 ? BootAddress : (ushort)0;
        f.Flags = InterruptsOn;
        f.Answer = ServiceAnswer.Done;
    }
}
