using System.Buffers.Binary;
using Ringfence.Devices;
using Ringfence.Devices.Video;
using Ringfence.Firmware;
using Ringfence.Firmware.Bios;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Firmware.Bios;

/// <summary>A machine of firmware, memory, screen, keyboard and clock, without a processor: a test calls the services itself.</summary>
internal sealed class FakePlatform : IFirmwarePlatform
{
    private const ulong WindowEnd = VgaAdapter.WindowAddress + VgaAdapter.WindowLength;
    private const ulong Frame = 0x6_0000;

    private readonly byte[] _memory = new byte[2 << 20];
    private readonly FakeClock _clock = new();
    private readonly PortBus _ports = new();

    public FakePlatform(params IReadOnlyList<FirmwareDrive> drives)
    {
        Drives = drives;
        Vga = new VgaAdapter(_clock, new FrameMemory(1 << 20), new Lock());
        _ports.Map("vga", VgaAdapter.Port, VgaAdapter.PortLength, Vga.LegacyPorts);
        _ports.Map("vbe", BochsDisplay.Port, BochsDisplay.PortLength, Vga.Display);
        InterruptLine line = new(_ => { });
        A20Gate gate = new(_ => { });
        KeyboardController8042 keyboard = new(line, line, gate, () => Resets++);
        _ports.Map("data", KeyboardController8042.DataPortNumber, 1, keyboard.DataPort);
        _ports.Map("command", KeyboardController8042.CommandPortNumber, 1, keyboard.CommandPort);
        _ports.Map("rtc", RealTimeClock.Port, RealTimeClock.PortLength, new RealTimeClock(_clock, line, LowRamEnd, 0));
        _ports.Map("pci", PciHostBridge.Port, PciHostBridge.PortLength, new PciHostBridge(new ResetControl(gate, () => Resets++)));
        BiosImage.Instance.Bytes.CopyTo(_memory.AsSpan((int)BiosImage.Address));
        Services = new FirmwareServices(this, new FirmwareOptions([], TimeSpan.Zero, Ringfence.Machines.FirmwareConsole.None));
        Call(FirmwareService.PowerOn);
    }

    public FirmwareServices Services { get; }

    public VgaAdapter Vga { get; }

    public int Resets { get; private set; }

    /// <summary>Bytes written where there is no memory.</summary>
    public long Stray { get; private set; }

    public long Now => _clock.Now;

    public long DeviceAccesses { get; private set; }

    public ulong LowRamEnd => (ulong)_memory.Length;

    public ulong HighRamEnd => 1UL << 32;

    public int Processors => 1;

    public int SerialPorts => 2;

    public IReadOnlyList<E820Entry> MemoryMap => [new(0, 0x9_fc00, E820Type.Usable)];

    public IReadOnlyList<FirmwareDrive> Drives { get; }

    /// <summary>The screen's rows in a text mode.</summary>
    public IReadOnlyList<string>? Text => Vga.Output.ReadText();

    public Span<byte> Memory => _memory;

    public uint ReadPort(ushort port, int size) => _ports.Read(port, size);

    public void WritePort(ushort port, int size, uint value) => _ports.Write(port, size, value);

    public void ReadMemory(ulong address, Span<byte> data)
    {
        for (int i = 0; i < data.Length; i++)
        {
            ulong at = address + (ulong)i;
            if (at is >= VgaAdapter.WindowAddress and < WindowEnd) Vga.LegacyWindow.Read(at - VgaAdapter.WindowAddress, data.Slice(i, 1));
            else data[i] = at < LowRamEnd ? _memory[at] : (byte)0xff;
        }
    }

    public void WriteMemory(ulong address, ReadOnlySpan<byte> data)
    {
        for (int i = 0; i < data.Length; i++)
        {
            ulong at = address + (ulong)i;
            if (at is >= VgaAdapter.WindowAddress and < WindowEnd) Vga.LegacyWindow.Write(at - VgaAdapter.WindowAddress, data.Slice(i, 1));
            else if (at < LowRamEnd && (at < BiosImage.Address || at > 0xf_ffff)) _memory[at] = data[i];
            else Stray++;
        }
    }

    public void SetUp()
    {
    }

    public void WriteConsole(byte character)
    {
    }

    /// <summary>Calls a service as its stub would, once.</summary>
    /// <param name="service">The interrupt.</param>
    /// <param name="eax">Registers.</param>
    /// <param name="ebx">Registers.</param>
    /// <param name="ecx">Registers.</param>
    /// <param name="edx">Registers.</param>
    /// <param name="change">Sets others.</param>
    /// <returns>The frame afterwards.</returns>
    public ServiceFrame Call(ushort service, uint eax = 0, uint ebx = 0, uint ecx = 0, uint edx = 0, Action<ServiceFrame>? change = null)
    {
        ServiceFrame frame = new() { Eax = eax, Ebx = ebx, Ecx = ecx, Edx = edx };
        change?.Invoke(frame);
        BinaryPrimitives.WriteUInt16LittleEndian(frame.Bytes[40..], service);
        frame.Bytes.CopyTo(_memory.AsSpan((int)Frame));
        DeviceAccesses++;
        Services.Write32(0, (uint)Frame);
        _memory.AsSpan((int)Frame, ServiceFrame.Length).CopyTo(frame.Bytes);
        return frame;
    }
}
