namespace Ringfence.Firmware.Bios;

/// <summary>INT 1Ah function B1h: PCI BIOS Specification 2.1. Bus 0 is the only bus.</summary>
/// <param name="machine">The machine.</param>
internal sealed class BiosPci(FirmwareMachine machine)
{
    private const byte Successful = 0x00, NotSupported = 0x81, BadVendor = 0x83, NotFound = 0x86, BadRegister = 0x87;
    private const int Functions = 256;
    private const int AddressPort = 0xcf8;
    private const int DataPort = 0xcfc;

    /// <summary>INT 1Ah with AH = B1h.</summary>
    public bool Serve(ServiceFrame f)
    {
        switch (f.Al)
        {
            case 0x01:
                f.Edx = 0x2049_4350; // "PCI "
                f.Ebx = (f.Ebx & 0xffff_0000) | 0x0210;
                f.Cl = 0;
                f.Al = 1;
                Return(f, Successful);
                return true;
            case 0x02:
                if (f.Dx == 0xffff) Return(f, BadVendor);
                else Find(f, function => ReadConfiguration(function, 0, 4) == (((uint)f.Cx << 16) | f.Dx));
                return true;
            case 0x03:
                uint code = f.Ecx & 0xff_ffff;
                Find(f, function => (ushort)ReadConfiguration(function, 0, 2) != 0xffff && ReadConfiguration(function, 8, 4) >> 8 == code);
                return true;
            case 0x08 or 0x09 or 0x0a or 0x0b or 0x0c or 0x0d:
                Access(f);
                return true;
            default:
                Return(f, NotSupported);
                return false;
        }
    }

    /// <summary>Reads configuration space of bus 0.</summary>
    /// <param name="function">Device and function as in the address.</param>
    /// <param name="register">Offset.</param>
    /// <param name="size">1, 2 or 4 bytes.</param>
    public uint ReadConfiguration(int function, int register, int size) => At(function, register, () => machine.Platform.ReadPort((ushort)(DataPort + (register & 3)), size));

    private static void Return(ServiceFrame f, byte status)
    {
        f.Ah = status;
        f.Carry = status != Successful;
    }

    private void Find(ServiceFrame f, Func<int, bool> isIt)
    {
        int index = f.Si;
        for (int function = 0; function < Functions; function++)
        {
            if (!isIt(function) || index-- > 0) continue;
            f.Bx = (ushort)function;
            Return(f, Successful);
            return;
        }

        Return(f, NotFound);
    }

    private void Access(ServiceFrame f)
    {
        int size = 1 << ((f.Al - 8) % 3);
        bool writes = f.Al >= 0x0b;
        int register = f.Di;
        if (register > 255 || register % size != 0)
        {
            Return(f, BadRegister);
            return;
        }

        uint value = uint.MaxValue;
        if (f.Bh == 0)
        {
            int function = f.Bl;
            if (writes)
            {
                uint written = f.Ecx;
                At(function, register, () =>
                {
                    machine.Platform.WritePort((ushort)(DataPort + (register & 3)), size, written);
                    return 0;
                });
            }
            else
            {
                value = ReadConfiguration(function, register, size);
            }
        }

        if (!writes)
        {
            if (size == 1) f.Cl = (byte)value;
            else if (size == 2) f.Cx = (ushort)value;
            else f.Ecx = value;
        }

        Return(f, Successful);
    }

    /// <summary>Leaves the address register as the caller has it.</summary>
    private uint At(int function, int register, Func<uint> access)
    {
        uint before = machine.In32(AddressPort);
        machine.Out32(AddressPort, 0x8000_0000 | ((uint)function << 8) | ((uint)register & 0xfc));
        uint value = access();
        machine.Out32(AddressPort, before);
        return value;
    }
}
