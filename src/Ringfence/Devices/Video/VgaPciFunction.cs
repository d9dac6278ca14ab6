namespace Ringfence.Devices.Video;

/// <summary>The adapter on the PCI bus: the standard VGA of QEMU (docs/specs/standard-vga), which Linux's bochs-drm binds to.</summary>
internal sealed class VgaPciFunction : PciFunction
{
    private const ushort Vendor = 0x1234;
    private const ushort Device = 0x1111;
    private const uint VgaCompatible = 0x03_00_00;

    // From this revision on the registers at 600h of the register window exist.
    private const byte Revision = 2;

    /// <summary>Makes the function.</summary>
    /// <param name="adapter">The adapter.</param>
    /// <param name="frameBuffer">What answers in the frame buffer: the adapter's frame memory as a device or as the machine maps it.</param>
    /// <param name="rom">A VGA BIOS for the expansion ROM; empty: there is none.</param>
    public VgaPciFunction(VgaAdapter adapter, object frameBuffer, ReadOnlyMemory<byte> rom)
        : base("vga-pci", Vendor, Device, VgaCompatible, Revision)
    {
        DefineBar(0, (uint)adapter.Memory.Length, PciBarKind.Memory, frameBuffer, prefetchable: true);
        DefineBar(2, VgaRegisterBar.Length, PciBarKind.Memory, adapter.Registers);
        if (rom.IsEmpty) return;
        RomImage image = new(rom.ToArray());
        DefineBar(PciBar.ExpansionRom, image.DecodedLength, PciBarKind.Memory, image);
    }
}
