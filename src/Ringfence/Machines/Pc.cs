using Ringfence.Devices;
using Ringfence.Devices.Storage;
using Ringfence.Devices.Video;
using Ringfence.Devices.Virtio;
using Ringfence.Firmware;
using Ringfence.Firmware.Bios;
using Ringfence.Memory;
using Ringfence.Processors;

namespace Ringfence.Machines;

/// <summary>
/// The parts of a PC and the wires between them. Each ISA IRQ goes to the 8259 pair and to the I/O APIC pin of its number, IRQ 0 to
/// pin 2; the pair's output goes to LINT0 of the bootstrap processor's local APIC, which starts in virtual wire mode
/// (Intel MultiProcessor Specification 3.6.2.2), so that systems which know no APIC get their interrupts.
/// </summary>
internal sealed unsafe class Pc : IDisposable
{
    private static readonly (ushort Port, int Irq)[] SerialPortPlaces = [(0x3f8, 4), (0x2f8, 3), (0x3e8, 4), (0x2e8, 3)];

    private readonly MachineOptions _options;
    private readonly Action<EndRequest> _end;
    private const int AhciDevice = 3;
    private const int FirstVirtioDevice = 4;
    private const int MostBiosBytes = 64 << 10;

    private readonly RandomSource _random = null!;
    private readonly List<IResettable> _resettable = [];
    private readonly List<IStateful> _stateful = [];
    private readonly List<SerialConsole> _serial = [];
    private ExecutionControl? _control;
    private bool _disposed;
    private DualPic? _pic;
    private IoApic? _ioApic;
    private AcpiPowerManagement? _acpi;
    private PciHostBridge? _pci;
    private FirmwareConfiguration? _firmwareConfiguration;
    private FirmwareServices? _firmwareServices;
    private FrameBufferMemory? _frameBuffer;
    private VgaAdapter? _vga;
    private KeyboardController8042? _keyboard;

    /// <summary>Builds a PC in its power-on state.</summary>
    /// <param name="options">What it is made of.</param>
    /// <param name="end">Told when the machine has come to its end. Any thread, perhaps under the machine lock.</param>
    public Pc(MachineOptions options, Action<EndRequest> end)
    {
        _options = options;
        _end = end;
        DebugOutput = new GuestConsole("debug console", options.TranscriptCharacters);
        Memory = new PhysicalMemory(options.MemoryBytes);
        try
        {
            Clock = options.Deterministic
                ? new InstructionClock(Memory.DeviceLock)
                : new HostClock($"{options.Name} clock", Memory.DeviceLock, exception => _end(new EndRequest(MachineExitReason.InternalError, 4, Exception: exception)));
            _random = new RandomSource(options.Seed ?? (options.Deterministic ? 0UL : null));
            var bus = new PcBus(this, _random);
            Drives = new PcDrives(options, Clock, Memory.DeviceLock, exception => _end(new EndRequest(MachineExitReason.InternalError, 4, Exception: exception)));
            for (int i = 0; i < options.ProcessorCount; i++) Processors = [.. Processors, new Processor(i, Memory, bus)];
            foreach (Processor processor in Processors)
            {
                if (options.CountInstructions) processor.State->InstructionLimit = VcpuState.CountingLimit;
                processor.Exits.IsTimed = options.TimeExits || options.Trace is not null;
            }

            if (Clock is InstructionClock clock) clock.Attach(Processors[0]);
            Memory.CodeWritten = (frame, users) => bus.InvalidateCode(null, frame, users);
            lock (Memory.DeviceLock) AddDevices(bus);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The physical address space.</summary>
    public PhysicalMemory Memory { get; }

    /// <summary>Guest time.</summary>
    public MachineClock Clock { get; } = null!;

    /// <summary>The drives.</summary>
    public PcDrives Drives { get; } = null!;

    /// <summary>The display adapter's screen, with keyboard and mouse; null if there is none.</summary>
    public Screen? Screen { get; private set; }

    /// <summary>The I/O ports.</summary>
    public PortBus Ports { get; } = new();

    /// <summary>The processors, the bootstrap processor first.</summary>
    public IReadOnlyList<Processor> Processors { get; } = [];

    /// <summary>The local APICs and what connects them.</summary>
    public ApicBus Apics { get; } = new();

    /// <summary>The consoles at the serial ports.</summary>
    public IReadOnlyList<SerialConsole> Serial => _serial;

    /// <summary>The console at the virtio console; null if there is none.</summary>
    public TerminalConsole? VirtioConsole { get; private set; }

    /// <summary>The console at port E9h.</summary>
    public GuestConsole DebugOutput { get; }

    /// <summary>Who may execute guest code.</summary>
    public ExecutionControl Control => _control ?? throw new InvalidOperationException("The machine is not complete yet.");

    /// <summary>What loaders fill.</summary>
    public BootTarget BootTarget => new(Memory, Processors, _serial.Count);

    /// <summary>Every part that can describe its state.</summary>
    public IReadOnlyList<IStateful> StatefulParts => _stateful;

    /// <summary>Can a device send a processor something that RFLAGS.IF does not hold back?</summary>
    public bool HasNonMaskableSource
    {
        get
        {
            lock (Memory.DeviceLock) return _ioApic!.HasNonMaskableInput;
        }
    }

    /// <summary>Connects the control of the processors' threads.</summary>
    public void Attach(ExecutionControl control) => _control = control;

    /// <summary>Turns ACPI on, as the tables of a machine without an SMI command port promise.</summary>
    public void EnableAcpi()
    {
        lock (Memory.DeviceLock) _acpi!.Enable();
    }

    /// <summary>Sets PCI up for a kernel, as firmware would.</summary>
    public void SetUpPci()
    {
        lock (Memory.DeviceLock)
        {
            int level = PciSetup.Apply(_pci!.Bus, _pci.IsaBridge, Memory.LowRamEnd);
            Span<byte> registers = [(byte)level, (byte)(level >> 8)];
            _pic!.EdgeLevelControl.Write(0, registers[..1]);
            _pic.EdgeLevelControl.Write(1, registers[1..]);
        }
    }

    /// <summary>Offers what firmware for QEMU's PC asks for.</summary>
    public void AddFirmwareItems()
    {
        lock (Memory.DeviceLock)
        {
            FirmwareItems.Fill(_firmwareConfiguration!, BootTarget);
            Ports.Map("firmware-console", DebugConsole.FirmwarePort, 1, new DebugConsole(DebugOutput.Receive));
            Ports.Map("fw-cfg", FirmwareConfiguration.Port, FirmwareConfiguration.PortLength, _firmwareConfiguration!);
        }
    }

    /// <summary>Puts the machine's own firmware in front of the processors at the reset vector.</summary>
    public void StartBios(BiosBoot boot, bool isReset)
    {
        foreach (Processor processor in Processors) BootState.SetMemoryTypes(processor);
        lock (Memory.DeviceLock)
        {
            if (!isReset)
            {
                Memory.MapRom("firmware", (1UL << 32) - BiosImage.Length, BiosImage.Instance.Bytes);
                Memory.SetShadowRom(BiosImage.Instance.Bytes);
                FirmwarePlatform platform = new(this, [.. Drives.Firmware, .. boot.Drives]);
                _firmwareServices = Add(new FirmwareServices(platform, new FirmwareOptions(boot.Order, boot.MenuWait, boot.Console)));
                Ports.Map("firmware-services", FirmwareServices.Port, FirmwareServices.PortLength, _firmwareServices);
            }
        }
    }

    /// <summary>What the firmware asks for at power-on: PCI, and itself with its tables in shadow RAM that cannot be written (440FX data sheet, 3.2.19).</summary>
    public void SetUpFromFirmware()
    {
        const int ReadWriteRam = 0x30, ReadRam = 0x10;
        lock (Memory.DeviceLock)
        {
            SetUpPci();
            PciFunction bridge = _pci!.Bus.Functions.First();
            bridge.Write(ShadowControl.FirstRegister, 1, ReadWriteRam);
            Memory.Write(new GuestPhysical(BiosImage.Address), new byte[BiosImage.TablesEnd]);
            Memory.Write(new GuestPhysical(BiosImage.Address + BiosImage.TablesEnd), BiosImage.Instance.Bytes[BiosImage.TablesEnd..]);
            FirmwareTables.Write(BootTarget);
            bridge.Write(ShadowControl.FirstRegister, 1, ReadRam);
        }
    }

    /// <summary>Presses the power button.</summary>
    public void PressPowerButton()
    {
        lock (Memory.DeviceLock)
        {
            if (!_disposed) _acpi!.PressPowerButton();
        }
    }

    /// <summary>A processor shut down. A chipset resets the machine then; a person would rather know why.</summary>
    public void OnTripleFault(Processor processor)
    {
        if (_options.ResetOnTripleFault) RequestReset();
        else _end(new EndRequest(MachineExitReason.TripleFault, 3, processor.Index));
    }

    /// <summary>The RESET signal: everything but RAM and the processors' instruction counts. While no processor executes.</summary>
    public void Reset()
    {
        lock (Memory.DeviceLock)
        {
            foreach (Processor processor in Processors)
            {
                processor.Withdraw(~ProcessorEvents.Stop & ~ProcessorEvents.FlushCode);
                Ringfence.Processors.Reset.PowerOn(processor);
            }

            foreach (IResettable part in _resettable) part.Reset();
            Apics.LocalApics[0].EnterVirtualWireMode();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // From here on consoles reach no device any more, and no timer runs.
        lock (Memory.DeviceLock) _disposed = true;
        Clock?.Dispose();
        Drives?.Dispose();
        foreach (Processor processor in Processors) processor.Dispose();
        _vga?.Close();
        _frameBuffer?.Dispose();
        Memory.Dispose();
    }

    private void AddDevices(PcBus bus)
    {
        foreach (Processor processor in Processors) AddLocalApic(processor, bus);
        LocalApic bootApic = Apics.LocalApics[0];
        _ioApic = Add(new IoApic(Apics));
        Memory.MapDevice("ioapic", IoApic.Address, IoApic.Length, _ioApic);
        _pic = Add(new DualPic(new InterruptLine(bootApic.Lint0.Set)));
        bootApic.AcknowledgeExternal = _pic.Acknowledge;
        Ports.Map("pic-master", DualPic.MasterPort, DualPic.PortLength, _pic.Master);
        Ports.Map("pic-slave", DualPic.SlavePort, DualPic.PortLength, _pic.Slave);
        Ports.Map("pic-elcr", DualPic.EdgeLevelPort, DualPic.PortLength, _pic.EdgeLevelControl);

        var timer = Add(new IntervalTimer8254(Clock, Irq(0)));
        Ports.Map("pit", IntervalTimer8254.Port, IntervalTimer8254.PortLength, timer);
        Ports.Map("port-b", IntervalTimer8254.SystemControlPortB, 1, timer.ControlPort);
        var clock = Add(new RealTimeClock(Clock, Irq(8), Memory.LowRamEnd, Memory.HighRamEnd - (1UL << 32)));
        Ports.Map("rtc", RealTimeClock.Port, RealTimeClock.PortLength, clock);
        if (Drives.Floppies.Count > 0) AddFloppies(clock);
        Ports.Map("post-code", PostCode.Port, 1, Add(new PostCode()));
        for (int i = 0; i < _options.SerialPorts; i++) AddSerialPort(i);

        var a20 = new A20Gate(SetA20);
        var resetControl = Add(new ResetControl(a20, RequestReset));
        Ports.Map("port-a", ResetControl.SystemControlPortA, 1, resetControl);
        KeyboardController8042 keyboard = _keyboard = Add(new KeyboardController8042(Irq(1), Irq(12), a20, RequestReset));
        Ports.Map("i8042-data", KeyboardController8042.DataPortNumber, 1, keyboard.DataPort);
        Ports.Map("i8042-command", KeyboardController8042.CommandPortNumber, 1, keyboard.CommandPort);
        AddPci(resetControl);
        _acpi = Add(new AcpiPowerManagement(Clock, Irq(AcpiPowerManagement.SciInterrupt), () => _end(new EndRequest(MachineExitReason.PowerOff))));
        Ports.Map("acpi", AcpiPowerManagement.PortBase, AcpiPowerManagement.PortLength, _acpi);
        Ports.Map("smi-command", AcpiPowerManagement.SmiCommandPort, 2, _acpi.CommandPorts);
        Ports.Map("debug-console", DebugConsole.Port, 1, new DebugConsole(DebugOutput.Receive));
        Ports.Map("debug-exit", DebugExit.Port, DebugExit.PortLength, new DebugExit(code => _end(new EndRequest(MachineExitReason.DebugExit, code))));
        bootApic.EnterVirtualWireMode();
    }

    private void AddPci(ResetControl resetControl)
    {
        var hostBridge = Add(new PciHostBridge(resetControl, (start, length, reads, writes) =>
        {
            Memory.SetShadow(start, length, reads, writes);
            _control?.RequestFlush();
        }));
        _pci = hostBridge;
        Ports.Map("pci", PciHostBridge.Port, PciHostBridge.PortLength, hostBridge);
        var router = new PciInterruptRouter(hostBridge.IsaBridge, Irq);
        hostBridge.IsaBridge.RoutesChanged = router.Update;
        var master = new BusMaster(Memory);
        _firmwareConfiguration = Add(new FirmwareConfiguration(master));
        if (Drives.CreateIde(master, Irq) is { } ide) AddIde(ide);
        if (_options.Display is { } display) AddDisplay(display);
        if (Drives.CreateAhci(master, SendMessage) is { } ahci) hostBridge.Bus.Add(AhciDevice, 0, ahci);
        int device = FirstVirtioDevice;
        foreach (VirtioDevice virtio in VirtioDevices()) hostBridge.Bus.Add(device++, 0, new VirtioFunction(virtio, master, SendMessage));
        foreach (PciFunction function in hostBridge.Bus.Functions)
        {
            int pin = (int)function.Read(0x3d, 1);
            if (pin != 0 && function.DeviceNumber > 1) function.Interrupt = router.LineOf(function.DeviceNumber, pin);
        }

        _stateful.AddRange(hostBridge.Bus.Functions);
        new PciAddressDecoder(hostBridge.Bus, Ports, Memory, () => _control?.RequestFlush()).Attach();
    }

    private List<VirtioDevice> VirtioDevices()
    {
        List<VirtioDevice> devices = [.. Drives.Virtio];
        if (_options.HasEntropySource) devices.Add(new VirtioRandom("rng0", _random.Next));
        if (_options.HasVirtioConsole) devices.Add(CreateVirtioConsole());
        return devices;
    }

    private VirtioConsole CreateVirtioConsole()
    {
        VirtioConsole? device = null;
        void WithDevice(Action<VirtioConsole> action)
        {
            lock (Memory.DeviceLock)
            {
                if (!_disposed) action(device!);
            }
        }

        TerminalConsole console = new("hvc0", _options.TranscriptCharacters, (columns, rows) => WithDevice(d => d.Resize(columns, rows)));
        device = new VirtioConsole("console0", Clock, console.Receive, () => console.PendingInput, console.Take);
        console.Connect(() => WithDevice(d => d.Offer()));
        VirtioConsole = console;
        return device;
    }

    private void AddFloppies(RealTimeClock clock)
    {
        var dma = Add(new DmaController8237(new BusMaster(Memory)));
        Ports.Map("dma-first", DmaController8237.FirstPort, DmaController8237.FirstPortLength, dma.First);
        Ports.Map("dma-second", DmaController8237.SecondPort, DmaController8237.SecondPortLength, dma.Second);
        Ports.Map("dma-pages", DmaController8237.PagePort, DmaController8237.PagePortLength, dma.Pages);
        var floppy = Add(new FloppyController(Clock, Irq(FloppyController.Interrupt), dma, [.. Drives.Floppies]));
        Ports.Map("floppy", FloppyController.Port, FloppyController.PortLength, floppy);
        Ports.Map("floppy-input", FloppyController.InputPortNumber, 1, floppy.InputPort);
        byte TypeOf(int drive) => drive < Drives.Floppies.Count ? FloppyGeometry.DriveFor(Drives.Floppies[drive].Medium?.Length) : (byte)0;
        clock.RecordFloppyDrives(TypeOf(0), TypeOf(1));
    }

    private void AddIde(IdeController ide)
    {
        _pci!.Bus.Add(1, 1, ide);
        Ports.Map("ide-primary", IdeController.PrimaryPort, IdeController.PortLength, ide.Primary.CommandPorts);
        Ports.Map("ide-primary-control", IdeController.PrimaryControlPort, 1, ide.Primary.ControlPort);
        Ports.Map("ide-secondary", IdeController.SecondaryPort, IdeController.PortLength, ide.Secondary.CommandPorts);
        Ports.Map("ide-secondary-control", IdeController.SecondaryControlPort, 1, ide.Secondary.ControlPort);
    }

    private void AddDisplay(DisplayOptions options)
    {
        const int DisplayDevice = 2;
        _frameBuffer = Add(new FrameBufferMemory(DisplayOptions.MemoryBytes));
        VgaAdapter vga = _vga = Add(new VgaAdapter(Clock, new ComparedFrameMemory(_frameBuffer), Memory.DeviceLock));
        Screen = new Screen(vga.Output, PressKey, MoveMouse);
        Ports.Map("vga", VgaAdapter.Port, VgaAdapter.PortLength, vga.LegacyPorts);
        Ports.Map("vga-display", BochsDisplay.Port, BochsDisplay.PortLength, vga.Display);
        Memory.MapDevice("vga-window", VgaAdapter.WindowAddress, VgaAdapter.WindowLength, vga.LegacyWindow);
        byte[] rom = options.Bios?.ReadAll(MostBiosBytes, "a video BIOS") ?? [];
        _pci!.Bus.Add(DisplayDevice, 0, new VgaPciFunction(vga, _frameBuffer, rom));
    }

    /// <summary>True: the keyboard has taken it, or the machine is gone.</summary>
    private bool PressKey(Key key, bool down)
    {
        lock (Memory.DeviceLock) return _disposed || (down ? _keyboard!.KeyDown(key) : _keyboard!.KeyUp(key));
    }

    private void MoveMouse(int x, int y, int wheel, int buttons)
    {
        lock (Memory.DeviceLock)
        {
            if (!_disposed) _keyboard!.MoveMouse(x, y, wheel, buttons);
        }
    }

    private void SendMessage(ulong address, uint data) => Apics.DeliverMessageSignaled(address, data);

    private void AddLocalApic(Processor processor, PcBus bus)
    {
        var apic = Add(new LocalApic(processor.Index, Clock, Apics, () => bus.TimestampCounter(processor) + processor.State->TscOffset, PcBus.TimestampHertz));
        apic.InterruptPendingChanged += pending =>
        {
            if (pending) processor.Post(ProcessorEvents.Interrupt);
            else processor.Withdraw(ProcessorEvents.Interrupt);
        };
        apic.NmiReceived += () => processor.Post(ProcessorEvents.Nmi);
        apic.InitReceived += () => processor.Post(ProcessorEvents.Init);
        apic.StartUpReceived += vector =>
        {
            processor.StartUpVector = vector;
            processor.Post(ProcessorEvents.StartUp);
        };
        apic.BaseChanged += () =>
        {
            // Only the processor itself, or a reset while it stands still, writes its IA32_APIC_BASE.
            processor.Mmu.PrivateDevicePage = apic.IsEnabled && !apic.IsX2Apic ? apic.BaseAddress : ulong.MaxValue;
            processor.Mmu.Flush();
        };
        processor.Mmu.PrivateDevice = apic;
        processor.Mmu.PrivateDevicePage = apic.BaseAddress;
    }

    private void AddSerialPort(int index)
    {
        string name = $"COM{index + 1}";
        (ushort port, int irq) = SerialPortPlaces[index];
        var console = new SerialConsole(name, _options.TranscriptCharacters);
        SerialPort16550A? device = null;
        byte[] one = new byte[1];
        void Offer()
        {
            while (!_disposed && device is { CanReceive: true } && console.Take(one) == 1) device.Receive(one);
        }

        device = Add(new SerialPort16550A(name.ToLowerInvariant(), Clock, Irq(irq), console.Receive, Offer));
        console.Connect(() =>
        {
            lock (Memory.DeviceLock) Offer();
        });
        _serial.Add(console);
        Ports.Map(name, port, SerialPort16550A.PortLength, device);
    }

    private T Add<T>(T part)
    {
        if (part is IResettable resettable) _resettable.Add(resettable);
        if (part is IStateful stateful) _stateful.Add(stateful);
        return part;
    }

    /// <summary>A line that drives an ISA IRQ at both interrupt controllers.</summary>
    private InterruptLine Irq(int irq)
    {
        InterruptLine pic = _pic!.Input(irq);
        InterruptLine ioApic = _ioApic!.Input(irq == 0 ? 2 : irq);
        return new InterruptLine(level =>
        {
            pic.Set(level);
            ioApic.Set(level);
        });
    }

    private void SetA20(bool enabled)
    {
        Memory.A20Mask = enabled ? ulong.MaxValue : ~(1UL << 20);
        _control?.RequestFlush();
    }

    private void RequestReset()
    {
        if (_options.ExitOnReset) _end(new EndRequest(MachineExitReason.Reset));
        else Control.RequestReset();
    }
}
