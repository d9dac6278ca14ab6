using Ringfence.Devices;

namespace Ringfence.Firmware;

/// <summary>What firmware does to PCI before a system starts: addresses, interrupt routes, interrupt lines. For machines whose kernel our loaders start.</summary>
internal static class PciSetup
{
    private const uint FirstPort = 0xc000;
    private const int CommandRegister = 0x04;
    private const int FirstBar = 0x10;
    private const int InterruptLineRegister = 0x3c;
    private const int InterruptPinRegister = 0x3d;

    /// <summary>Sets the functions of a bus up.</summary>
    /// <param name="bus">The bus.</param>
    /// <param name="bridge">The ISA bridge with the interrupt routes.</param>
    /// <param name="lowRamEnd">End of the RAM below 4 GiB.</param>
    /// <returns>The ISA interrupts that PCI drives and that are level triggered therefore, a bit each.</returns>
    public static int Apply(PciBus bus, PciFunction bridge, ulong lowRamEnd)
    {
        for (int line = 0; line < PciInterrupts.OfLine.Length; line++) bridge.Write(PciInterruptRouter.FirstRegister + line, 1, PciInterrupts.OfLine[line]);
        uint port = FirstPort;
        uint memory = (uint)PciMemory.Start(lowRamEnd);
        foreach (PciFunction function in bus.Functions)
        {
            // Larger ones first: no gaps.
            foreach (PciBar bar in function.Bars.Where(b => b.Index != PciBar.ExpansionRom).OrderByDescending(b => b.Size))
            {
                ref uint next = ref bar.Kind == PciBarKind.Io ? ref port : ref memory;
                uint size = Math.Max(bar.Size, bar.Kind == PciBarKind.Io ? 4u : 0x1000u);
                next = (next + size - 1) & ~(size - 1);
                function.Write(FirstBar + (4 * bar.Index), 4, next);
                if (bar.Kind == PciBarKind.Memory64) function.Write(FirstBar + (4 * bar.Index) + 4, 4, 0);
                next += size;
            }

            if (function.Bars.Count > 0) function.Write(CommandRegister, 2, function.Read(CommandRegister, 2) | 3);
            int pin = (int)function.Read(InterruptPinRegister, 1);
            if (pin != 0 && function.DeviceNumber > 1) function.Write(InterruptLineRegister, 1, PciInterrupts.Of(function.DeviceNumber, pin));
        }

        return PciInterrupts.All.Aggregate(0, (bits, irq) => bits | (1 << irq));
    }
}
