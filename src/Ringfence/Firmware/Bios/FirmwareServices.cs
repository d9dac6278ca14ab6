using System.Buffers.Binary;
using Ringfence.Devices;

namespace Ringfence.Firmware.Bios;

/// <summary>
/// The firmware's services. A stub in the ROM saves its caller's registers on the caller's stack and writes the physical address of this
/// <see cref="ServiceFrame"/> to <see cref="Port"/>; what the services change in the frame, the caller gets. They look at no processor, so engines
/// need not know of them. What the guest's memory holds is taken as it comes: a frame that is not in RAM is counted and ignored.
/// </summary>
internal sealed class FirmwareServices : IBusDevice, IStateful, IResettable
{
    /// <summary>The port: 32 bits wide, for writes.</summary>
    public const ushort Port = 0x5f0;

    /// <summary>Bytes of it.</summary>
    public const int PortLength = 4;

    private const int LastServiceInterrupt = 0x40;

    private readonly FirmwareMachine _machine;
    private readonly ServiceFrame _frame = new();
    private readonly BiosVideo _video;
    private readonly BiosKeyboard _keyboard;
    private readonly BiosDisk _disk;
    private readonly BiosSystem _system;
    private readonly BiosClock _clock;
    private readonly BiosPci _pci;
    private readonly BiosPorts _ports;
    private readonly BiosMouse _mouse;
    private readonly BootManager _boot;
    private readonly PowerOn _powerOn;
    private bool _hasStarted;
    private ulong _misuse;

    /// <summary>Makes the services.</summary>
    /// <param name="platform">The machine.</param>
    /// <param name="options">What the user chose.</param>
    public FirmwareServices(IFirmwarePlatform platform, FirmwareOptions options)
    {
        _machine = new FirmwareMachine(platform);
        _video = new BiosVideo(_machine, options);
        _keyboard = new BiosKeyboard(_machine, options);
        _disk = new BiosDisk(_machine);
        _mouse = new BiosMouse(_machine);
        _system = new BiosSystem(_machine, _mouse);
        _clock = new BiosClock(_machine);
        _pci = new BiosPci(_machine);
        _ports = new BiosPorts(_machine);
        _boot = new BootManager(_machine, options, _video, _keyboard, _disk);
        _powerOn = new PowerOn(_machine, _video, _disk, _clock);
    }

    /// <summary>Requests no stub makes.</summary>
    public ulong MisuseCount => _misuse;

    /// <summary>Calls of functions that do not exist.</summary>
    public ulong UnknownFunctions { get; private set; }

    /// <inheritdoc/>
    public string StateName => "firmware";

    /// <inheritdoc/>
    public int StateVersion => 1;

    /// <inheritdoc/>
    public void Reset()
    {
        _hasStarted = false;
        _keyboard.Reset();
        _disk.Reset();
        _mouse.Reset();
        _boot.Reset();
    }

    /// <inheritdoc/>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Field("has_started", ref _hasStarted);
        _keyboard.DescribeState(visitor);
        _mouse.DescribeState(visitor);
        _system.DescribeState(visitor);
        _boot.DescribeState(visitor);
        _disk.DescribeState(visitor);
    }

    /// <inheritdoc/>
    public void Read(ulong offset, Span<byte> data) => data.Fill(0xff);

    /// <inheritdoc/>
    public void Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (offset != 0 || data.Length != 4)
        {
            _misuse++;
            return;
        }

        uint address = BinaryPrimitives.ReadUInt32LittleEndian(data);
        if (address + (ulong)ServiceFrame.Length > _machine.Platform.LowRamEnd)
        {
            _misuse++;
            return;
        }

        _machine.Read(address, _frame.Bytes);
        _frame.Answer = ServiceAnswer.Done;
        if (!Serve(_frame)) UnknownFunctions++;
        _machine.Write(address, _frame.Bytes);
    }

    /// <summary>Does what a frame asks for.</summary>
    /// <returns>Whether there is such a function.</returns>
    private bool Serve(ServiceFrame f)
    {
        switch (f.Service)
        {
            case 0x10:
                return _video.Serve(f);
            case 0x11:
                f.Ax = _machine.Read16(BiosData.Equipment);
                return true;
            case 0x12:
                f.Ax = _machine.Read16(BiosData.MemoryKib);
                return true;
            case 0x13 or LastServiceInterrupt:
                return _disk.Serve(f);
            case 0x14:
                return _ports.ServeSerial(f);
            case 0x15:
                return _system.Serve(f);
            case 0x16:
                return _keyboard.Serve(f);
            case 0x17:
                return _ports.ServeParallel(f);
            case 0x18:
                _boot.TryNext(f);
                return true;
            case 0x19:
                _boot.Serve(f);
                return true;
            case 0x1a:
                return f.Ah == 0xb1 ? _pci.Serve(f) : _clock.Serve(f);
            case FirmwareService.PowerOn:
                Start();
                return true;
            case FirmwareService.KeyboardByte:
                f.Al = _keyboard.Receive(f.Al);
                return true;
            case FirmwareService.MouseByte:
                f.Al = (byte)(_mouse.Receive(f.Al) ? 1 : 0);
                return true;
            default:
                _misuse++;
                return true;
        }
    }

    /// <summary>Power-on. A program that jumps to the reset vector gets a real reset first: its devices may be in any state.</summary>
    private void Start()
    {
        if (_hasStarted)
        {
            _machine.Out8(ResetControl.Port, 0);
            _machine.Out8(ResetControl.Port, ResetControl.ResetValue);
            return;
        }

        _hasStarted = true;
        _boot.Reset();
        _powerOn.Run();
    }
}
