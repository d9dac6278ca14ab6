using Ringfence.Devices;
using Ringfence.Devices.Storage;
using Ringfence.Devices.Virtio;
using Ringfence.Storage;

namespace Ringfence.Machines;

/// <summary>A machine's drives: opens their images and makes the devices in front of them.</summary>
internal sealed class PcDrives : IDisposable
{
    private const int MostIdeDevices = 4;

    private readonly List<ImageDrive> _drives = [];
    private readonly List<VirtioBlock> _virtio = [];
    private readonly AtaDevice?[] _ide = new AtaDevice?[MostIdeDevices];
    private readonly List<ImageDrive> _floppies = [];

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

    /// <summary>The drives in the order of the options.</summary>
    public IReadOnlyList<ImageDrive> Drives => _drives;

    /// <summary>Makes the IDE controller; null if nothing is connected to one.</summary>
    public IdeController? CreateIde(IGuestMemory memory, Func<int, InterruptLine> irq) => Array.TrueForAll(_ide, d => d is null)
        ? null
        : new IdeController(memory, irq(IdeController.PrimaryInterrupt), irq(IdeController.SecondaryInterrupt), _ide);

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
        if (options.Kind == DriveKind.Floppy) _floppies.Add(drive);
        else if (isCdRom) Connect(new AtapiDevice(drive, name), first: 2);
        else if (options.Interface == DriveInterface.Ide) Connect(new AtaDisk(drive, name), first: 0);
        else _virtio.Add(new VirtioBlock(name, drive, machine.ProcessorCount));
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
