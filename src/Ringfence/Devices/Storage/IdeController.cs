namespace Ringfence.Devices.Storage;

/// <summary>
/// The IDE function of the PIIX3 (82371SB data sheet, 2.3 and 2.5): two channels at the ports of the PC/AT, and their bus masters behind
/// base address register 4.
/// </summary>
internal sealed class IdeController : PciFunction
{
    /// <summary>First port of the first channel's command block.</summary>
    public const ushort PrimaryPort = 0x1f0;

    /// <summary>Port of the first channel's device control.</summary>
    public const ushort PrimaryControlPort = 0x3f6;

    /// <summary>Interrupt of the first channel.</summary>
    public const int PrimaryInterrupt = 14;

    /// <summary>First port of the second channel's command block.</summary>
    public const ushort SecondaryPort = 0x170;

    /// <summary>Port of the second channel's device control.</summary>
    public const ushort SecondaryControlPort = 0x376;

    /// <summary>Interrupt of the second channel.</summary>
    public const int SecondaryInterrupt = 15;

    /// <summary>Ports of a command block.</summary>
    public const int PortLength = 8;

    private const int BusMasterRegister = 4;
    private const int BusMasterPorts = 16;
    private const int ChannelTiming = 0x40;

    /// <summary>Makes the controller.</summary>
    /// <param name="memory">Guest memory.</param>
    /// <param name="primaryIrq">IRQ 14.</param>
    /// <param name="secondaryIrq">IRQ 15.</param>
    /// <param name="devices">Up to four: devices 0 and 1 of the first channel, then of the second; null: there is none.</param>
    public IdeController(IGuestMemory memory, InterruptLine primaryIrq, InterruptLine secondaryIrq, params ReadOnlySpan<AtaDevice?> devices)
        : base("pci-ide", 0x8086, 0x7010, 0x01_0180)
    {
        Span<AtaDevice?> all = [null, null, null, null];
        devices.CopyTo(all!);
        Primary = new IdeChannel("primary", primaryIrq, new IdeBusMaster(memory, () => BusMasterEnabled), all[0], all[1]);
        Secondary = new IdeChannel("secondary", secondaryIrq, new IdeBusMaster(memory, () => BusMasterEnabled), all[2], all[3]);
        // IDETIM: both channels decode their ports, as firmware leaves them.
        Define(ChannelTiming, 4, 0x8000_8000, uint.MaxValue);
        Define(ChannelTiming + 4, 1, 0, 0xff);
        DefineBar(BusMasterRegister, BusMasterPorts, PciBarKind.Io, new BytePorts(
            offset => ChannelAt(offset).ReadBusMaster(offset & 7),
            (offset, value) => ChannelAt(offset).WriteBusMaster(offset & 7, value)));
    }

    /// <summary>The channel at 1F0h.</summary>
    public IdeChannel Primary { get; }

    /// <summary>The channel at 170h.</summary>
    public IdeChannel Secondary { get; }

    /// <inheritdoc/>
    public override void Reset()
    {
        base.Reset();
        Primary.Reset();
        Secondary.Reset();
    }

    /// <inheritdoc/>
    public override void DescribeState(IStateVisitor visitor)
    {
        base.DescribeState(visitor);
        Primary.DescribeState(visitor);
        Secondary.DescribeState(visitor);
    }

    private IdeChannel ChannelAt(int offset) => offset < 8 ? Primary : Secondary;
}
