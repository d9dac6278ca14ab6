using System.Globalization;
using System.Reflection;

namespace Ringfence.Firmware.Bios;

/// <summary>Power-on: interrupt controllers, timer, keyboard, vectors, data areas, PCI, tables, screen.</summary>
/// <param name="machine">The machine.</param>
/// <param name="video">The screen.</param>
/// <param name="disk">The drives.</param>
/// <param name="clock">The clock.</param>
internal sealed class PowerOn(FirmwareMachine machine, BiosVideo video, BiosDisk disk, BiosClock clock)
{
    private const ushort ExtensionSegment = (ushort)(LowMemory.ExtendedBiosDataArea >> 4);

    /// <summary>Does all of it.</summary>
    public void Run()
    {
        SetUpInterruptControllers();
        SetVectors();
        FillDataAreas();
        SetUpTimer();
        SetUpKeyboard();
        machine.Platform.SetUp();
        disk.Describe();
        clock.StartTicks();
        video.SetMode(3);
        string version = typeof(PowerOn).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "";
        int build = version.IndexOf('+', StringComparison.Ordinal);
        if (build >= 0) version = version[..build];
        ulong ram = machine.Platform.LowRamEnd + machine.Platform.HighRamEnd - (1UL << 32);
        video.Print(string.Create(
            CultureInfo.InvariantCulture,
            $"Ringfence {version}  {ByteSize.Format(ram)} RAM, {machine.Platform.Processors} processor{(machine.Platform.Processors == 1 ? "" : "s")}\n\n"));
    }

    private void SetUpInterruptControllers()
    {
        const int Master = 0x20, Slave = 0xa0;
        machine.Out8(Master, 0x11);
        machine.Out8(Slave, 0x11);
        machine.Out8(Master + 1, 0x08);
        machine.Out8(Slave + 1, 0x70);
        machine.Out8(Master + 1, 0x04);
        machine.Out8(Slave + 1, 0x02);
        machine.Out8(Master + 1, 0x01);
        machine.Out8(Slave + 1, 0x01);

        // The timer, the keyboard and the slave; drivers let in what they serve.
        machine.Out8(Master + 1, 0xf8);
        machine.Out8(Slave + 1, 0xff);
    }

    private void SetVectors()
    {
        for (int i = 0; i < 0x78; i++)
        {
            // Vectors that belong to programs are zero.
            bool isFree = i is >= 0x60 and <= 0x67;
            machine.Write32(4UL * (uint)i, isFree ? 0 : ((uint)BiosImage.Segment << 16) | BiosImage.Instance.Vector(i));
        }

        machine.Clear(4 * 0x78, 4 * (0x100 - 0x78));
        machine.Write32(4 * 0x1d, 0);
        machine.Write32(4 * 0x1e, ((uint)BiosImage.Segment << 16) | BiosImage.DisketteParameters);
        machine.Write32(4 * 0x1f, ((uint)BiosImage.Segment << 16) | BiosImage.Font8Upper);
        machine.Write32(4 * 0x41, 0);
        machine.Write32(4 * 0x46, 0);
    }

    private void FillDataAreas()
    {
        ushort warm = machine.Read16(BiosData.ResetFlag);
        machine.Clear(0x400, 0x100);
        machine.Write16(BiosData.ResetFlag, warm == BiosData.WarmStart ? warm : 0);
        ReadOnlySpan<ushort> ports = [0x3f8, 0x2f8, 0x3e8, 0x2e8];
        int serial = Math.Min(machine.Platform.SerialPorts, ports.Length);
        for (int i = 0; i < serial; i++)
        {
            machine.Write16(BiosData.SerialPorts + (2UL * (uint)i), ports[i]);
            machine.Write8(BiosData.SerialTimeouts + (ulong)i, 1);
        }

        const int MathCoprocessor = 2, PointingDevice = 4, Color80 = 0x20;
        machine.Write16(BiosData.Equipment, MathCoprocessor | PointingDevice | Color80 | (serial << 9));
        machine.WriteCmos(0x14, MathCoprocessor | PointingDevice);
        machine.Write16(BiosData.MemoryKib, (int)(LowMemory.ExtendedBiosDataArea >> 10));
        machine.Write16(BiosData.ExtensionSegment, ExtensionSegment);
        machine.Clear(LowMemory.ExtendedBiosDataArea, 1024);
        machine.Write8(LowMemory.ExtendedBiosDataArea, 1);
        foreach (ulong pointer in (ulong[])[BiosData.KeyHead, BiosData.KeyTail, BiosData.KeyBufferStart]) machine.Write16(pointer, BiosData.FirstKey);
        machine.Write16(BiosData.KeyBufferEnd, BiosData.EndOfKeys);
        machine.Write8(BiosData.KeyboardMode, 0x10);
        if (serial == 0) return;

        // COM1: 115,200 baud, 8 bits, no parity, its queues on.
        machine.Out8(0x3fb, 0x80);
        machine.Out8(0x3f8, 1);
        machine.Out8(0x3f9, 0);
        machine.Out8(0x3fb, 3);
        machine.Out8(0x3fa, 7);
        machine.Out8(0x3fc, 3);
    }

    private void SetUpTimer()
    {
        machine.Out8(0x43, 0x36);
        machine.Out8(0x40, 0);
        machine.Out8(0x40, 0);
    }

    private void SetUpKeyboard()
    {
        // Keyboard interrupts, translation to set 1, the mouse off until a program wants it.
        for (int i = 0; i < 32 && (machine.In8(0x64) & 1) != 0; i++) machine.In8(0x60);
        machine.Out8(0x64, 0x60);
        machine.Out8(0x60, 0x65);
    }
}
