namespace Ringfence.Devices;

/// <summary>
/// Configuration mechanism 1 (PCI Local Bus Specification 3.0, 3.2.2.3.2) at ports CF8h to CFFh, and the functions every machine
/// has: a host bridge like the 440FX's, an ISA bridge and the power management function like the PIIX's. Accesses of a byte to CF9h
/// belong to the reset control register.
/// </summary>
internal sealed class PciHostBridge : IBusDevice, IStateful, IResettable
{
    /// <summary>First port: CONFIG_ADDRESS, then CONFIG_DATA.</summary>
    public const ushort Port = 0xcf8;

    /// <summary>Number of ports.</summary>
    public const int PortLength = 8;

    // Firmware written for QEMU's machines knows them by the subsystem.
    private const ushort QemuVendor = 0x1af4;
    private const ushort QemuSubsystem = 0x1100;
    private const uint Enable = 0x8000_0000;
    private const uint AddressBits = 0x80ff_fffc;
    private const int ResetRegister = 1;
    private const int Data = 4;

    private readonly ResetControl _reset;
    private uint _address;

    /// <summary>Makes the bridge and puts the three functions on its bus.</summary>
    /// <param name="reset">The reset control register.</param>
    /// <param name="shadowChanged">Told start, length, whether reads and whether writes of a range below 1 MiB reach RAM.</param>
    public PciHostBridge(ResetControl reset, Action<ulong, ulong, bool, bool>? shadowChanged = null)
    {
        _reset = reset;

        ShadowControl host = new(shadowChanged ?? ((_, _, _, _) => { }));
        host.DefineSubsystem(QemuVendor, QemuSubsystem);
        host.Define(0x50, 4, 0, uint.MaxValue);
        for (int i = 0x58; i < 0x60; i += 4) host.Define(i, 4, 0, uint.MaxValue);
        host.Define(0x72, 1, 0x02, 0x7f);
        Bus.Add(0, 0, host);

        IsaBridge.DefineSubsystem(QemuVendor, QemuSubsystem);
        Bus.Add(1, 0, IsaBridge);

        PciFunction power = new("pci-power", 0x8086, 0x7113, 0x06_8000, 3);
        power.Define(0x3c, 2, 0x0100u | AcpiPowerManagement.SciInterrupt, 0xff);
        power.DefineSubsystem(QemuVendor, QemuSubsystem);
        power.Define(0x40, 4, AcpiPowerManagement.PortBase | 1u, 0);
        // DEVACTB.APMC_EN: there is no system management mode for firmware to set up.
        power.Define(0x58, 4, 1 << 25, 0);
        power.Define(0x80, 1, 1, 0);
        Bus.Add(1, 3, power);
    }

    /// <summary>The ISA bridge.</summary>
    public IsaBridge IsaBridge { get; } = new();

    /// <summary>Bus 0.</summary>
    public PciBus Bus { get; } = new();

    /// <inheritdoc/>
    public string StateName => "pci-mechanism";

    /// <inheritdoc/>
    public int StateVersion => 1;

    /// <summary>Accesses that no correct driver makes.</summary>
    public ulong MisuseCount { get; private set; }

    /// <inheritdoc/>
    public void Reset()
    {
        _address = 0;
        Bus.Reset();
    }

    /// <inheritdoc/>
    public void Read(ulong offset, Span<byte> data)
    {
        if (offset == ResetRegister && data.Length == 1)
        {
            data[0] = _reset.ReadResetRegister();
        }
        else if (offset == 0 && data.Length == 4)
        {
            Store(_address, data);
        }
        else if (offset >= Data && (int)offset + data.Length <= PortLength && (_address & Enable) != 0)
        {
            Store(Bus.Read((_address & ~Enable) | ((uint)offset & 3), data.Length), data);
        }
        else
        {
            if (offset < Data) MisuseCount++;
            data.Fill(0xff);
        }
    }

    /// <inheritdoc/>
    public void Write(ulong offset, ReadOnlySpan<byte> data)
    {
        uint value = 0;
        for (int i = 0; i < Math.Min(data.Length, 4); i++) value |= (uint)data[i] << (8 * i);
        if (offset == ResetRegister && data.Length == 1)
        {
            _reset.WriteResetRegister(data[0]);
        }
        else if (offset == 0 && data.Length == 4)
        {
            _address = value & AddressBits;
        }
        else if (offset >= Data && (int)offset + data.Length <= PortLength)
        {
            if ((_address & Enable) != 0) Bus.Write((_address & ~Enable) | ((uint)offset & 3), data.Length, value);
        }
        else
        {
            MisuseCount++;
        }
    }

    /// <inheritdoc/>
    public void DescribeState(IStateVisitor visitor) => visitor.Field("address", ref _address);

    private static void Store(uint value, Span<byte> data)
    {
        for (int i = 0; i < data.Length; i++) data[i] = i < 4 ? (byte)(value >> (8 * i)) : (byte)0xff;
    }
}
