namespace Ringfence.Devices;

/// <summary>The PIIX3's PCI to ISA bridge (82371SB data sheet, 2.2): of its registers the interrupt routes do something.</summary>
internal sealed class IsaBridge : PciFunction
{
    private const byte NotRouted = 0x80;

    /// <summary>Makes the function.</summary>
    public IsaBridge()
        : base("pci-isa", 0x8086, 0x7000, 0x06_0100, 0, multifunction: true)
    {
        Define(0x04, 2, 0x0007, 0x0008);
        Define(0x4c, 4, 0x004d, 0xffff);
        for (int i = 0; i < 4; i++) Define(PciInterruptRouter.FirstRegister + i, 1, NotRouted, 0x8f);
    }

    /// <summary>Called when routes may have changed.</summary>
    public Action? RoutesChanged { get; set; }

    /// <inheritdoc/>
    protected override void OnConfigurationWritten(int offset, int size) => RoutesChanged?.Invoke();
}
