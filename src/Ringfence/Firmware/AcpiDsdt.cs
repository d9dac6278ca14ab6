using Ringfence.Devices;

namespace Ringfence.Firmware;

/// <summary>The differentiated definition block: the soft-off state and the devices that cannot be enumerated.</summary>
internal static class AcpiDsdt
{
    private static readonly (ushort Port, int Irq)[] SerialPorts = [(0x3f8, 4), (0x2f8, 3), (0x3e8, 4), (0x2e8, 3)];

    /// <summary>The AML behind the table's header.</summary>
    /// <param name="lowRamEnd">End of the RAM below 4 GiB.</param>
    /// <param name="serialPorts">Serial ports.</param>
    public static byte[] Build(ulong lowRamEnd, int serialPorts) =>
    [
        .. AmlWriter.Name("\\_S5", AmlWriter.Package(
            AmlWriter.Integer(AcpiPowerManagement.SoftOffSleepType), AmlWriter.Integer(AcpiPowerManagement.SoftOffSleepType), AmlWriter.Integer(0), AmlWriter.Integer(0))),
        .. AmlWriter.Scope("\\_SB", HostBridge(lowRamEnd, serialPorts)),
    ];

    private static byte[] HostBridge(ulong lowRamEnd, int serialPorts)
    {
        List<byte[]> terms =
        [
            AmlWriter.Name("_HID", AmlWriter.EisaId("PNP0A03")),
            AmlWriter.Name("_UID", AmlWriter.Integer(0)),
            AmlWriter.Name("_CRS", AmlWriter.Resources(
                AmlWriter.BusRange(0, 0xff),
                AmlWriter.Ports(0xcf8, 8),
                AmlWriter.PortRange(0, 0xcf7),
                AmlWriter.PortRange(0xd00, 0xffff),
                AmlWriter.MemoryRange((uint)LowMemory.VideoMemory, 0xb_ffff),
                AmlWriter.MemoryRange((uint)PciMemory.Start(lowRamEnd), PlatformAddresses.IoApic - 1))),
            AmlWriter.Name("_PRT", Routes()),
            Device("PIC", "PNP0000", AmlWriter.Ports(0x20, 2), AmlWriter.Ports(0xa0, 2), AmlWriter.Interrupt(2)),
            Device("TMR", "PNP0100", AmlWriter.Ports(0x40, 4), AmlWriter.Interrupt(0)),
            Device("RTC", "PNP0B00", AmlWriter.Ports(0x70, 2), AmlWriter.Interrupt(8)),
            Device("KBD", "PNP0303", AmlWriter.Ports(0x60, 1), AmlWriter.Ports(0x64, 1), AmlWriter.Interrupt(1)),
            Device("MOU", "PNP0F13", AmlWriter.Interrupt(12)),
        ];
        for (int i = 0; i < Math.Min(serialPorts, SerialPorts.Length); i++)
        {
            (ushort port, int irq) = SerialPorts[i];
            terms.Add(AmlWriter.Device(
                $"COM{i + 1}",
                AmlWriter.Name("_HID", AmlWriter.EisaId("PNP0501")),
                AmlWriter.Name("_UID", AmlWriter.Integer((ulong)i + 1)),
                AmlWriter.Name("_CRS", AmlWriter.Resources(AmlWriter.Ports(port, 8), AmlWriter.Interrupt(irq)))));
        }

        return AmlWriter.Device("PCI0", [.. terms]);
    }

    /// <summary>The interrupt of every pin of every device: an input of the I/O APIC, and the same interrupt of the 8259As (ACPI specification 6.4, 6.2.13).</summary>
    private static byte[] Routes() => AmlWriter.Package([.. PciInterrupts.Routes.Select(route => AmlWriter.Package(
        AmlWriter.Integer(((ulong)route.Device << 16) | 0xffff), AmlWriter.Integer((ulong)route.Pin - 1), AmlWriter.Integer(0), AmlWriter.Integer(route.Irq)))]);

    private static byte[] Device(string name, string id, params byte[][] resources) => AmlWriter.Device(
        name, AmlWriter.Name("_HID", AmlWriter.EisaId(id)), AmlWriter.Name("_CRS", AmlWriter.Resources(resources)));
}
