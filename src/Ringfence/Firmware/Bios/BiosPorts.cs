namespace Ringfence.Firmware.Bios;

/// <summary>INT 14h, serial ports, and INT 17h, printers (IBM PS/2 and PC BIOS Interface Technical Reference).</summary>
/// <param name="machine">The machine.</param>
internal sealed class BiosPorts(FirmwareMachine machine)
{
    private const byte TimedOut = 0x80;

    /// <summary>INT 14h.</summary>
    public bool ServeSerial(ServiceFrame f)
    {
        ushort port = f.Dx < 4 ? machine.Read16(BiosData.SerialPorts + (2UL * f.Dx)) : (ushort)0;
        if (port == 0)
        {
            f.Ah = TimedOut;
            return f.Ah < 4;
        }

        switch (f.Ah)
        {
            case 0:
                Initialize(port, f.Al);
                break;
            case 1:
                machine.Out8(port + 4, machine.In8(port + 4) | 3);
                if ((machine.In8(port + 5) & 0x20) == 0)
                {
                    f.Ah = (byte)(machine.In8(port + 5) | TimedOut);
                    return true;
                }

                machine.Out8(port, f.Al);
                f.Ah = (byte)(machine.In8(port + 5) & ~TimedOut);
                return true;
            case 2:
                machine.Out8(port + 4, machine.In8(port + 4) | 1);
                if ((machine.In8(port + 5) & 1) == 0)
                {
                    if (Wait(f)) return true;
                    f.Ah = TimedOut;
                    return true;
                }

                f.Al = machine.In8(port);
                f.Ah = (byte)(machine.In8(port + 5) & 0x1e);
                return true;
            case 3:
                break;
            default:
                return false;
        }

        f.Ah = machine.In8(port + 5);
        f.Al = machine.In8(port + 6);
        return true;
    }

    /// <summary>INT 17h: there is no printer port.</summary>
    public bool ServeParallel(ServiceFrame f)
    {
        if (f.Ah > 2) return false;
        f.Ah = 1;
        return true;
    }

    // A quarter of a second for a character: fewer than 256 timer ticks of 55 ms fit into the step.
    private static bool Wait(ServiceFrame f)
    {
        const int Ticks = 5;
        if (f.Step >= Ticks) return false;
        f.Step++;
        f.Answer = ServiceAnswer.Halt;
        return true;
    }

    private void Initialize(ushort port, byte parameters)
    {
        ReadOnlySpan<ushort> divisors = [1047, 768, 384, 192, 96, 48, 24, 12];
        ushort divisor = divisors[parameters >> 5];
        machine.Out8(port + 3, 0x80);
        machine.Out8(port, divisor & 0xff);
        machine.Out8(port + 1, divisor >> 8);
        machine.Out8(port + 3, parameters & 0x1f);
        machine.Out8(port + 1, 0);
    }
}
