using System.Text;

namespace Ringfence.Firmware.Bios;

/// <summary>INT 13h: the enhanced disk drive functions, and those of El Torito.</summary>
internal sealed partial class BiosDisk
{
    private const byte NotLocked = 0xb0, NotRemovable = 0xb2;

    private bool ServeExtension(ServiceFrame f, DiskView view)
    {
        switch (f.Ah)
        {
            case 0x41:
                if (f.Bx != 0x55aa) break;
                f.Bx = 0xaa55;
                f.Cx = (ushort)(view.Number >= FirstCdRom ? 7 : 5);
                Return(f, view.Number, Done);
                f.Ah = 0x30;
                return true;
            case 0x42 or 0x43 or 0x44:
                TransferExtended(f, view);
                return true;
            case 0x47:
                Return(f, view.Number, Done);
                return true;
            case 0x45:
                if (f.Al == 2) f.Al = 0;
                Return(f, view.Number, view.Number < FirstCdRom ? NotRemovable : f.Al == 1 ? NotLocked : Done);
                return true;
            case 0x46:
                Return(f, view.Number, view.Number < FirstCdRom ? NotRemovable : Done);
                return true;
            case 0x48:
                ReportExtended(f, view);
                return true;
            case 0x49:
                Return(f, view.Number, view.Number >= FirstCdRom && TakeChange(view) ? Changed : Done);
                return true;
            case 0x4e:
                Return(f, view.Number, f.Al <= 6 ? Done : BadCommand);
                return true;
        }

        Return(f, view.Number, BadCommand);
        return false;
    }

    private void TransferExtended(ServiceFrame f, DiskView view)
    {
        ulong packet = ServiceFrame.Address(f.Ds, f.Si);
        int size = _machine.Read8(packet);
        int count = _machine.Read16(packet + 2);
        uint pointer = _machine.Read32(packet + 4);
        long first = unchecked((long)_machine.Read64(packet + 8));
        ulong buffer = ServiceFrame.Address((ushort)(pointer >> 16), (ushort)pointer);
        if (size >= 0x18 && pointer == uint.MaxValue) buffer = _machine.Read64(packet + 0x10);
        if (size < 0x10 || (long)count * view.SectorBytes > MostBytes)
        {
            Return(f, view.Number, BadCommand);
            return;
        }

        byte status = view.Medium is null ? NoMedia : count == 0 ? Done : Move(f, view, f.Ah - 0x40, first, count, buffer);
        if (f.Answer != ServiceAnswer.Done) return;
        if (status != Done) _machine.Write16(packet + 2, 0);
        Return(f, view.Number, status);
    }

    private void ReportExtended(ServiceFrame f, DiskView view)
    {
        const int Version1 = 0x1a, Version2 = 0x1e, Version3 = 0x42;
        const ushort GeometryIsValid = 2, Removable = 4, ChangeLine = 0x10, Lockable = 0x20;
        ulong at = ServiceFrame.Address(f.Ds, f.Si);
        int size = _machine.Read16(at);
        if (size < Version1)
        {
            Return(f, view.Number, BadCommand);
            return;
        }

        bool isCdRom = view.Number >= FirstCdRom;
        DiskGeometry geometry = isCdRom ? default : view.Geometry;
        int? function = view.Drive.PciFunction;
        size = size >= Version3 && function is not null ? Version3 : size >= Version2 ? Version2 : Version1;
        Span<byte> data = stackalloc byte[Version3];
        data.Clear();
        BitConverter.TryWriteBytes(data, (ushort)size);
        BitConverter.TryWriteBytes(data[2..], isCdRom ? (ushort)(Removable | ChangeLine | Lockable) : GeometryIsValid);
        BitConverter.TryWriteBytes(data[4..], isCdRom ? -1 : geometry.Cylinders);
        BitConverter.TryWriteBytes(data[8..], isCdRom ? -1 : geometry.Heads);
        BitConverter.TryWriteBytes(data[12..], isCdRom ? -1 : geometry.Sectors);
        BitConverter.TryWriteBytes(data[16..], view.Medium is null ? -1L : view.Sectors);
        BitConverter.TryWriteBytes(data[24..], (ushort)view.SectorBytes);
        // There is no table of the controller's settings.
        BitConverter.TryWriteBytes(data[26..], uint.MaxValue);
        if (function is { } controller) DescribePath(data[30..], controller, view.Drive.Interface);
        _machine.Write(at, data[..size]);
        Return(f, view.Number, Done);
    }

    /// <summary>The device path of EDD 3.0, 8.21: 36 bytes with their key, and a sum of zero.</summary>
    private static void DescribePath(Span<byte> path, int function, string name)
    {
        BitConverter.TryWriteBytes(path, (ushort)0xbedd);
        path[2] = 36;
        Encoding.ASCII.GetBytes("PCI ", path[6..]);
        Encoding.ASCII.GetBytes(name.PadRight(8).AsSpan(0, 8), path[10..]);
        path[18] = (byte)(function >> 8);
        path[19] = (byte)((function >> 3) & 31);
        path[20] = (byte)(function & 7);
        path[35] = AcpiTables.Checksum(path[..36]);
    }

    /// <summary>Function 4Bh: which image the system was started from, and the end of its emulation.</summary>
    private bool ServeElTorito(ServiceFrame f)
    {
        if (_emulated is not { } image || f.Al > 1)
        {
            Return(f, f.Dl, BadCommand);
            return f.Al <= 1;
        }

        DiskGeometry geometry = image.Geometry ?? default;
        ulong at = ServiceFrame.Address(f.Ds, f.Si);
        Span<byte> data = stackalloc byte[0x13];
        data.Clear();
        data[0] = 0x13;
        data[1] = (byte)image.Media;
        data[2] = (byte)image.DriveNumber;
        BitConverter.TryWriteBytes(data[4..], (uint)(image.Start / 2048));
        BitConverter.TryWriteBytes(data[12..], image.LoadSegment);
        BitConverter.TryWriteBytes(data[14..], image.SectorCount);
        if (geometry != default)
        {
            data[16] = (byte)(geometry.Cylinders - 1);
            data[17] = (byte)(geometry.Sectors | (((geometry.Cylinders - 1) >> 2) & 0xc0));
            data[18] = (byte)(geometry.Heads - 1);
        }

        _machine.Write(at, data);
        Return(f, f.Dl, Done);
        if (f.Al == 0 && image.Geometry is not null)
        {
            _emulated = null;
            _views = null;
        }

        return true;
    }
}
