using Ringfence.Devices;

namespace Ringfence.Firmware;

/// <summary>Which ISA interrupts the PCI bus's four interrupt lines drive, as our loaders and SeaBIOS set the router up.</summary>
internal static class PciInterrupts
{
    /// <summary>PIRQA to PIRQD.</summary>
    public static readonly byte[] OfLine = [10, 10, 11, 11];

    /// <summary>All of them.</summary>
    public static readonly byte[] All = [10, 11];

    /// <summary>The interrupt of every pin of every device behind the host bridge. Pin 1 is INTA.</summary>
    public static IEnumerable<(int Device, int Pin, byte Irq)> Routes
    {
        get
        {
            const int Devices = 32, Pins = 4;
            for (int device = 1; device < Devices; device++)
                for (int pin = 1; pin <= Pins; pin++)
                    yield return (device, pin, Of(device, pin));
        }
    }

    /// <summary>The interrupt of a device's pin.</summary>
    /// <param name="device">Number of the device.</param>
    /// <param name="pin">1 is INTA.</param>
    public static byte Of(int device, int pin) => OfLine[PciInterruptRouter.LineNumber(device, pin)];
}
