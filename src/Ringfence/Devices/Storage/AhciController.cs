using System.Buffers.Binary;

namespace Ringfence.Devices.Storage;

/// <summary>
/// The ICH9's SATA function in AHCI mode (Serial ATA AHCI 1.3.1, chapters 3 and 5 to 10): six ports behind base address register 5, without native
/// command queuing and port multipliers. Registers are accessed in doublewords, as the specification wants it.
/// </summary>
internal sealed class AhciController : PciFunction
{
    /// <summary>Ports for devices.</summary>
    public const int PortCount = 6;

    private const int RegistersBar = 5;
    private const uint RegisterBytes = 0x1000;
    private const int FirstPort = 0x100;
    private const int PortBytes = 0x80;

    private const int Capabilities = 0x00;
    private const int GlobalControl = 0x04;
    private const int InterruptStatus = 0x08;
    private const int PortsImplemented = 0x0c;
    private const int VersionRegister = 0x10;

    // S64A, SAM, SCLO, 1.5 Gb/s, 32 command slots.
    private const uint CapabilityBits = 0x8000_0000 | 1u << 24 | 1u << 20 | 1u << 18 | 31u << 8 | (PortCount - 1);
    private const uint Version13 = 0x0001_0300;
    private const uint AhciEnable = 0x8000_0000;
    private const uint InterruptEnable = 0x02;
    private const uint HbaReset = 0x01;
    private const uint PciInterruptsOff = 0x0400;
    private const uint PciInterruptStatus = 0x08;

    // As on the ICH9 (data sheet, 14.1.26).
    private const int MsiOffset = 0x80;

    private readonly AhciPort[] _ports = new AhciPort[PortCount];
    private readonly MsiCapability _messages;
    private uint _control;
    private uint _interruptStatus;

    // Ports whose bits in the interrupt status a message has announced.
    private uint _announced;

    /// <summary>Makes the controller.</summary>
    /// <param name="memory">Guest memory.</param>
    /// <param name="send">Sends an interrupt message: address, data.</param>
    /// <param name="devices">The devices at the first ports; null: nothing is there.</param>
    public AhciController(IGuestMemory memory, Action<ulong, uint> send, params ReadOnlySpan<AtaDevice?> devices)
        : base("pci-ahci", 0x8086, 0x2922, 0x01_0601, revision: 2)
    {
        for (int i = 0; i < PortCount; i++) _ports[i] = new AhciPort(i, memory, () => BusMasterEnabled, i < devices.Length ? devices[i] : null, UpdateInterrupt);
        DefineInterruptPin(1);
        _messages = new MsiCapability(this, MsiOffset, send);
        // MAP: AHCI is what the function was set to (ICH9 data sheet, 14.1.29).
        Define(0x90, 1, 0x40, 0);
        DefineBar(RegistersBar, RegisterBytes, PciBarKind.Memory, new Registers(this));
    }

    /// <summary>Accesses that no correct driver makes.</summary>
    public ulong MisuseCount { get; private set; }

    /// <inheritdoc/>
    public override void Reset()
    {
        base.Reset();
        ResetHba();
    }

    /// <inheritdoc/>
    public override void DescribeState(IStateVisitor visitor)
    {
        base.DescribeState(visitor);
        visitor.Field("ghc", ref _control);
        visitor.Field("is", ref _interruptStatus);
        visitor.Field("announced", ref _announced);
        _control &= InterruptEnable;
        foreach (AhciPort port in _ports) port.DescribeState(visitor);
        UpdateInterrupt();
    }

    /// <inheritdoc/>
    protected override void OnConfigurationWritten(int offset, int size) => UpdateInterrupt();

    private void ResetHba()
    {
        _control = 0;
        _interruptStatus = 0;
        foreach (AhciPort port in _ports) port.Reset();
        UpdateInterrupt();
    }

    private uint Read32(int offset)
    {
        if (offset >= FirstPort)
        {
            int port = (offset - FirstPort) / PortBytes;
            return port < PortCount ? _ports[port].Read(offset & (PortBytes - 1)) : 0;
        }

        return offset switch
        {
            Capabilities => CapabilityBits,
            GlobalControl => _control | AhciEnable,
            InterruptStatus => _interruptStatus,
            PortsImplemented => (1u << PortCount) - 1,
            VersionRegister => Version13,
            _ => 0,
        };
    }

    private void Write32(int offset, uint value)
    {
        if (offset >= FirstPort)
        {
            int port = (offset - FirstPort) / PortBytes;
            if (port < PortCount) _ports[port].Write(offset & (PortBytes - 1), value);
            UpdateInterrupt();
            return;
        }

        switch (offset)
        {
            case GlobalControl:
                if ((value & HbaReset) != 0) ResetHba();
                else _control = value & InterruptEnable;
                break;
            case InterruptStatus:
                _interruptStatus &= ~value;
                _announced &= ~value;
                break;
        }

        UpdateInterrupt();
    }

    private void UpdateInterrupt()
    {
        for (int i = 0; i < PortCount; i++)
            if (_ports[i].IsInterrupting) _interruptStatus |= 1u << i;
        bool level = _interruptStatus != 0 && (_control & InterruptEnable) != 0;
        if (level) SetStatus(PciInterruptStatus);
        else ClearStatus(PciInterruptStatus);
        Interrupt?.Set(level && !_messages.IsEnabled && (Read(4, 2) & PciInterruptsOff) == 0);
        // With one message each bit that appears is one (AHCI 1.3.1, 10.6): of a port that goes on interrupting it appears again as soon as it is cleared.
        uint announced = level && _messages.IsEnabled ? _interruptStatus : 0;
        bool isNew = (announced & ~_announced) != 0;
        _announced = announced;
        if (isNew) _messages.Signal();
    }

    /// <summary>The registers as the bus sees them.</summary>
    private sealed class Registers(AhciController controller) : IBusDevice
    {
        public void Read(ulong offset, Span<byte> data)
        {
            for (int i = 0; i < data.Length; i++)
            {
                int at = (int)offset + i;
                data[i] = (byte)(controller.Read32(at & ~3) >> (8 * (at & 3)));
            }
        }

        public void Write(ulong offset, ReadOnlySpan<byte> data)
        {
            if (((offset | (uint)data.Length) & 3) != 0)
            {
                controller.MisuseCount++;
                return;
            }

            for (int i = 0; i < data.Length; i += 4) controller.Write32((int)offset + i, BinaryPrimitives.ReadUInt32LittleEndian(data[i..]));
        }
    }
}
