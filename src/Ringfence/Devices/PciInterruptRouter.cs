namespace Ringfence.Devices;

/// <summary>
/// The PIIX3's interrupt router: the pins of PCI devices share four lines, PIRQA to PIRQD, and a register for each says which ISA interrupt it
/// drives (82371SB data sheet, 2.4.12: PIRQRC). Device n's pin p is on line (n - 1 + p) modulo 4, as on boards with the 440FX.
/// </summary>
internal sealed class PciInterruptRouter
{
    /// <summary>Offset of PIRQRCA in the ISA bridge's configuration space.</summary>
    public const int FirstRegister = 0x60;

    private const int Lines = 4;
    private const int Disabled = 0x80;

    private readonly WiredOr[] _inputs;
    private readonly InterruptLine[][] _outputs;
    private readonly PciFunction _bridge;

    /// <summary>Makes a router.</summary>
    /// <param name="bridge">The ISA bridge, whose registers it follows.</param>
    /// <param name="isaInterrupt">Makes a line that drives an ISA interrupt, of those that PCI may use.</param>
    public PciInterruptRouter(PciFunction bridge, Func<int, InterruptLine> isaInterrupt)
    {
        _bridge = bridge;
        _inputs = [.. Enumerable.Range(0, Lines).Select(_ => new WiredOr(_ => Update()))];
        _outputs = [.. Enumerable.Range(0, Lines).Select(_ => Enumerable.Range(0, 16).Select(irq => IsUsable(irq) ? isaInterrupt(irq) : null!).ToArray())];
    }

    /// <summary>Makes the line of a device's interrupt pin.</summary>
    /// <param name="device">Number of the device.</param>
    /// <param name="pin">1 is INTA.</param>
    public InterruptLine LineOf(int device, int pin) => _inputs[LineNumber(device, pin)].AddLine();

    /// <summary>The line that a pin is on: 0 is PIRQA.</summary>
    public static int LineNumber(int device, int pin) => (device - 1 + pin - 1) & (Lines - 1);

    /// <summary>Drives the ISA interrupts anew: a line or a register has changed.</summary>
    public void Update()
    {
        for (int line = 0; line < Lines; line++)
        {
            uint register = _bridge.Read(FirstRegister + line, 1);
            int chosen = (register & Disabled) != 0 ? -1 : (int)(register & 15);
            for (int irq = 0; irq < 16; irq++) _outputs[line][irq]?.Set(irq == chosen && _inputs[line].Level);
        }
    }

    private static bool IsUsable(int irq) => irq is >= 3 and <= 7 or >= 9 and <= 12 or 14 or 15;
}
