using Ringfence.Devices;
using Ringfence.Devices.Storage;
using Ringfence.Devices.Virtio;
using Ringfence.Firmware.Bios;
using Ringfence.Storage;

namespace Ringfence.Machines;

/// <summary>A machine's drives: opens their images and makes the devices in front of them.</summary>
internal sealed class PcDrives : IDisposable
{
    private const int MostIdeDevices = 4;
    private const int MostAhciDevices = 6;

    // Device 1, function 1.
    private const int IdeFunction = 0x09;

    private readonly List<ImageDrive> _drives = [];
    private readonly List<VirtioBlock> _virtio = [];
    private readonly AtaDevice?[] _ide = new AtaDevice?[MostIdeDevices];
    private readonly List<AtaDevice> _ahci = [];
    private readonly List<ImageDrive> _floppies = [];
    private readonly List<FirmwareDrive> _firmware = [];

    /// <summary>Opens the images.</summary>
    /// <param name="options">The machine's options.</param>
    /// <param name="clock">Guest time.</param>
    /// <param name="machineLock">The machine lock.</param>
    /// <param name="failed">Takes an error of the monitor.</param>
    /// <exception cref="BlockImageException">An image cannot be used.</exception>
    public PcDrives(MachineOptions options, MachineClock clock, Lock machineLock, Action<Exception> failed)
    {
        try
        {
            foreach (DriveOptions drive in options.Drives) Add(drive, options, clock, machineLock, failed);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The virtio disks.</summary>
    public IReadOnlyList<VirtioDevice> Virtio => _virtio;

    /// <summary>The floppy drives.</summary>
    public IReadOnlyList<ImageDrive> Floppies => _floppies;

    /// <summary>The drives as our firmware sees them, in the order of the options.</summary>
    public IReadOnlyList<FirmwareDrive> Firmware => _firmware;

    /// <summary>What the drives have done, by name, in the order of the options. Read under the machine lock.</summary>
    public IReadOnlyDictionary<string, BlockDriveStatistics> Statistics
    {
        get
        {
            OrderedDictionary<string, BlockDriveStatistics> statistics = [];
            foreach (ImageDrive drive in _drives) statistics.Add(drive.Name, drive.Statistics);
            return statistics;
        }
    }

    /// <summary>Makes the IDE controller; null if nothing is connected to one.</summary>
    public IdeController? CreateIde(IGuestMemory memory, Func<int, InterruptLine> irq) => Array.TrueForAll(_ide, d => d is null)
        ? null
        : new IdeController(memory, irq(IdeController.PrimaryInterrupt), irq(IdeController.SecondaryInterrupt), _ide);

    /// <summary>Makes the AHCI controller; null if nothing is connected to one.</summary>
    public AhciController? CreateAhci(IGuestMemory memory, Action<ulong, uint> send) => _ahci.Count == 0 ? null : new AhciController(memory, send, [.. _ahci]);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (ImageDrive drive in _drives) drive.Dispose();
    }

    private void Add(DriveOptions options, MachineOptions machine, MachineClock clock, Lock machineLock, Action<Exception> failed)
    {
        bool isCdRom = options.Kind == DriveKind.CdRom;
        string name = $"{options.Kind.ToString().ToLowerInvariant()}{_drives.Count}";
        // A CD is never written, whatever its image would allow.
        DiskImageOptions image = isCdRom ? options.Image with { ReadOnly = true } : options.Image;
        BlockStore? medium = options.Path is { } path ? DiskImage.Open(path, image) : null;
        ImageDrive drive = machine.Deterministic
            ? new SynchronousDrive(name, medium, clock, machine.Report)
            : new ThreadedDrive(name, medium, machineLock, machine.Report, failed);
        _drives.Add(drive);
        bool isIde = options.Interface == DriveInterface.Ide || (isCdRom && options.Interface != DriveInterface.Ahci);
        _firmware.Add(new FirmwareDrive(KindOf(options.Kind), drive, isIde ? IdeFunction : null, isCdRom ? "ATAPI" : "ATA"));
        if (options.Kind == DriveKind.Floppy) _floppies.Add(drive);
        else if (options.Interface == DriveInterface.Ahci) ConnectAhci(isCdRom ? new AtapiDevice(drive, name) : new AtaDisk(drive, name));
        else if (isCdRom) Connect(new AtapiDevice(drive, name), first: 2);
        else if (options.Interface == DriveInterface.Ide) Connect(new AtaDisk(drive, name), first: 0);
        else _virtio.Add(new VirtioBlock(name, drive, machine.ProcessorCount));
    }

    private static FirmwareDriveKind KindOf(DriveKind kind) => kind switch
    {
        DriveKind.CdRom => FirmwareDriveKind.CdRom,
        DriveKind.Floppy => FirmwareDriveKind.Floppy,
        _ => FirmwareDriveKind.HardDisk,
    };

    private void ConnectAhci(AtaDevice device)
    {
        if (_ahci.Count == MostAhciDevices) throw new ArgumentException($"An AHCI controller has room for {MostAhciDevices} drives.");
        _ahci.Add(device);
    }

    /// <summary>Disks come to the first channel if there is room, CD-ROMs to the second.</summary>
    private void Connect(AtaDevice device, int first)
    {
        for (int i = 0; i < MostIdeDevices; i++)
        {
            int place = (first + i) % MostIdeDevices;
            if (_ide[place] is not null) continue;
            _ide[place] = device;
            return;
        }

        throw new ArgumentException($"An IDE controller has room for {MostIdeDevices} drives.");
    }
}
