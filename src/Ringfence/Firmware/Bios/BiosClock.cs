namespace Ringfence.Firmware.Bios;

/// <summary>INT 1Ah: ticks and the real-time clock (IBM PS/2 and PC BIOS Interface Technical Reference).</summary>
/// <param name="machine">The machine.</param>
internal sealed class BiosClock(FirmwareMachine machine)
{
    private const int RegisterB = 0x0b;
    private const byte AlarmInterrupt = 0x20;
    private const byte Set = 0x80;

    /// <summary>INT 1Ah without PCI.</summary>
    public bool Serve(ServiceFrame f)
    {
        f.Carry = false;
        switch (f.Ah)
        {
            case 0x00:
                uint ticks = machine.Read32(BiosData.Ticks);
                f.Cx = (ushort)(ticks >> 16);
                f.Dx = (ushort)ticks;
                f.Al = machine.Read8(BiosData.MidnightPassed);
                machine.Write8(BiosData.MidnightPassed, 0);
                return true;
            case 0x01:
                machine.Write32(BiosData.Ticks, ((uint)f.Cx << 16) | f.Dx);
                machine.Write8(BiosData.MidnightPassed, 0);
                return true;
            case 0x02:
                f.Ch = machine.ReadCmos(4);
                f.Cl = machine.ReadCmos(2);
                f.Dh = machine.ReadCmos(0);
                f.Dl = (byte)(machine.ReadCmos(RegisterB) & 1);
                f.Ah = 0;
                f.Al = f.Ch;
                return true;
            case 0x03:
                Stop(() =>
                {
                    machine.WriteCmos(4, f.Ch);
                    machine.WriteCmos(2, f.Cl);
                    machine.WriteCmos(0, f.Dh);
                });
                f.Ah = 0;
                return true;
            case 0x04:
                f.Ch = machine.ReadCmos(0x32);
                f.Cl = machine.ReadCmos(9);
                f.Dh = machine.ReadCmos(8);
                f.Dl = machine.ReadCmos(7);
                f.Ah = 0;
                f.Al = f.Ch;
                return true;
            case 0x05:
                Stop(() =>
                {
                    machine.WriteCmos(0x32, f.Ch);
                    machine.WriteCmos(9, f.Cl);
                    machine.WriteCmos(8, f.Dh);
                    machine.WriteCmos(7, f.Dl);
                });
                f.Ah = 0;
                return true;
            case 0x06:
                if ((machine.ReadCmos(RegisterB) & AlarmInterrupt) != 0)
                {
                    f.Carry = true;
                    return true;
                }

                machine.WriteCmos(5, f.Ch);
                machine.WriteCmos(3, f.Cl);
                machine.WriteCmos(1, f.Dh);
                machine.Out8(0xa1, machine.In8(0xa1) & ~1);
                machine.WriteCmos(RegisterB, machine.ReadCmos(RegisterB) | AlarmInterrupt);
                return true;
            case 0x07:
                machine.WriteCmos(RegisterB, machine.ReadCmos(RegisterB) & ~AlarmInterrupt);
                return true;
            default:
                f.Carry = true;
                return false;
        }
    }

    /// <summary>Sets the tick count to the time of day, as power-on does.</summary>
    public void StartTicks()
    {
        long seconds = (Decimal(machine.ReadCmos(4) & 0x7f) * 3600L) + (Decimal(machine.ReadCmos(2)) * 60L) + Decimal(machine.ReadCmos(0));
        machine.Write32(BiosData.Ticks, (uint)Math.Min(seconds * BiosData.TicksOfADay / 86_400, BiosData.TicksOfADay - 1));
    }

    private static int Decimal(int value) => ((value >> 4) * 10) + (value & 15);

    private void Stop(Action change)
    {
        byte b = machine.ReadCmos(RegisterB);
        machine.WriteCmos(RegisterB, b | Set);
        change();
        machine.WriteCmos(RegisterB, b & ~Set);
    }
}
