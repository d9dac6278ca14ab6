using System.Text;

namespace Ringfence.Firmware.Bios;

/// <summary>
/// INT 10h function 4Fh: VESA BIOS Extension 3.0 core functions over the Bochs display interface, with a linear frame buffer where PCI put it and a window of
/// 64 KiB at A0000h.
/// </summary>
/// <param name="machine">The machine.</param>
/// <param name="video">For modes that are not VESA's.</param>
internal sealed class BiosVesa(FirmwareMachine machine, BiosVideo video)
{
    private const int IndexPort = 0x1ce;
    private const int DataPort = 0x1cf;
    private const int Id = 0, Width = 1, Height = 2, Bits = 3, Enable = 4, Bank = 5, VirtualWidth = 6, XOffset = 8, YOffset = 9, Memory = 10;
    private const ushort OldestId = 0xb0c0, LatestId = 0xb0cf;
    private const ushort IsEnabled = 0x01, WideDac = 0x20, LinearBuffer = 0x40, NoClear = 0x80;
    private const ushort LinearMode = 0x4000, KeepMode = 0x8000;
    private const byte Supported = 0x4f, Successful = 0, Failed = 1, NotInThisMode = 3;

    // The numbers that VESA has given away, and numbers of our own from 140h on.
    private static readonly (ushort Number, ushort Width, ushort Height, byte Bits)[] Modes =
    [
        (0x100, 640, 400, 8), (0x101, 640, 480, 8), (0x103, 800, 600, 8), (0x105, 1024, 768, 8), (0x107, 1280, 1024, 8),
        (0x110, 640, 480, 15), (0x111, 640, 480, 16), (0x112, 640, 480, 24), (0x113, 800, 600, 15), (0x114, 800, 600, 16), (0x115, 800, 600, 24),
        (0x116, 1024, 768, 15), (0x117, 1024, 768, 16), (0x118, 1024, 768, 24), (0x119, 1280, 1024, 15), (0x11a, 1280, 1024, 16), (0x11b, 1280, 1024, 24),
        (0x140, 320, 200, 32), (0x141, 640, 400, 32), (0x142, 640, 480, 32), (0x143, 800, 600, 32), (0x144, 1024, 768, 32), (0x145, 1280, 1024, 32),
        (0x146, 320, 200, 8), (0x147, 1600, 1200, 32), (0x148, 1152, 864, 8), (0x149, 1152, 864, 16), (0x14a, 1152, 864, 32),
        (0x14b, 1280, 768, 32), (0x14c, 1280, 800, 32), (0x14d, 1280, 960, 32), (0x14e, 1440, 900, 32), (0x14f, 1400, 1050, 32),
        (0x150, 1680, 1050, 32), (0x151, 1920, 1200, 32), (0x152, 2560, 1600, 32), (0x153, 1280, 720, 32), (0x154, 1920, 1080, 32),
    ];

    private bool IsPresent => Get(Id) is >= OldestId and <= LatestId;

    private long MemoryBytes => (long)Get(Memory) << 16;

    /// <summary>AX = 4Fxxh.</summary>
    public bool Serve(ServiceFrame f)
    {
        if (!IsPresent)
        {
            f.Ax = 0x0100;
            return true;
        }

        byte? status = f.Al switch
        {
            0x00 => ReportController(f),
            0x01 => ReportMode(f),
            0x02 => SetMode(f.Bx),
            0x03 => ReportCurrent(f),
            0x04 => SaveState(f),
            0x05 => MoveWindow(f),
            0x06 => SetScanLine(f),
            0x07 => SetStart(f),
            0x08 => SetDacWidth(f),
            0x09 => AccessPalette(f),
            _ => null,
        };
        if (status is not { } result)
        {
            f.Ax = 0x0100;
            return false;
        }

        f.Al = Supported;
        f.Ah = result;
        return true;
    }

    /// <summary>Leaves a VESA mode, before one of the VGA's is set.</summary>
    public void Off()
    {
        if (IsPresent && (Get(Enable) & IsEnabled) != 0) Set(Enable, 0);
    }

    private static int Stride(int width, int bits) => width * ((bits + 7) / 8);

    private ushort Get(int index)
    {
        machine.Out16(IndexPort, index);
        return machine.In16(DataPort);
    }

    private void Set(int index, int value)
    {
        machine.Out16(IndexPort, index);
        machine.Out16(DataPort, value);
    }

    private IEnumerable<(ushort Number, ushort Width, ushort Height, byte Bits)> Offered()
    {
        long memory = MemoryBytes;
        return Modes.Where(m => (long)Stride(m.Width, m.Bits) * m.Height <= memory);
    }

    private byte ReportController(ServiceFrame f)
    {
        const int OldLength = 256, NewLength = 512, ListAt = 0x22, TextAt = 0xc0;
        ulong at = ServiceFrame.Address(f.Es, f.Di);
        bool isNew = machine.Read32(at) == 0x3245_4256; // "VBE2"
        byte[] data = new byte[isNew ? NewLength : OldLength];
        Span<byte> d = data;
        "VESA"u8.CopyTo(d);
        BitConverter.TryWriteBytes(d[4..], (ushort)0x0300);
        uint Far(int offset) => ((uint)f.Es << 16) | (ushort)(f.Di + offset);
        BitConverter.TryWriteBytes(d[6..], Far(TextAt));
        BitConverter.TryWriteBytes(d[10..], 1u);
        BitConverter.TryWriteBytes(d[14..], Far(ListAt));
        BitConverter.TryWriteBytes(d[18..], (ushort)(MemoryBytes >> 16));
        if (isNew)
        {
            BitConverter.TryWriteBytes(d[20..], (ushort)1);
            BitConverter.TryWriteBytes(d[22..], Far(TextAt));
            BitConverter.TryWriteBytes(d[26..], Far(TextAt));
            BitConverter.TryWriteBytes(d[30..], Far(TextAt + 12));
        }

        int entry = ListAt;
        foreach ((ushort number, _, _, _) in Offered().Take(((TextAt - ListAt) / 2) - 1))
        {
            BitConverter.TryWriteBytes(d[entry..], number);
            entry += 2;
        }

        BitConverter.TryWriteBytes(d[entry..], ushort.MaxValue);
        Encoding.ASCII.GetBytes("Ringfence\0\0\0VGA\0", d[TextAt..]);
        machine.Write(at, data);
        return Successful;
    }

    private byte ReportMode(ServiceFrame f)
    {
        int number = f.Cx & 0x3fff;
        (ushort Number, ushort Width, ushort Height, byte Bits) mode = Offered().FirstOrDefault(m => m.Number == number);
        if (mode.Number == 0) return Failed;

        // Supported, with extended information, color, graphics, a linear frame buffer.
        const ushort Attributes = 0x9b;
        Span<byte> d = stackalloc byte[256];
        d.Clear();
        int stride = Stride(mode.Width, mode.Bits);
        BitConverter.TryWriteBytes(d, Attributes);
        d[2] = 7;
        BitConverter.TryWriteBytes(d[4..], (ushort)64);
        BitConverter.TryWriteBytes(d[6..], (ushort)64);
        BitConverter.TryWriteBytes(d[8..], (ushort)0xa000);
        BitConverter.TryWriteBytes(d[16..], (ushort)stride);
        BitConverter.TryWriteBytes(d[18..], mode.Width);
        BitConverter.TryWriteBytes(d[20..], mode.Height);
        d[22] = 8;
        d[23] = 16;
        d[24] = 1;
        d[25] = mode.Bits;
        d[26] = 1;
        d[27] = (byte)(mode.Bits == 8 ? 4 : 6);
        int images = (int)Math.Clamp((MemoryBytes / ((long)stride * mode.Height)) - 1, 0, 255);
        d[29] = (byte)images;
        d[30] = 1;
        ReadOnlySpan<byte> parts = mode.Bits switch
        {
            15 => [5, 10, 5, 5, 5, 0, 1, 15],
            16 => [5, 11, 6, 5, 5, 0, 0, 0],
            24 => [8, 16, 8, 8, 8, 0, 0, 0],
            32 => [8, 16, 8, 8, 8, 0, 8, 24],
            _ => [0, 0, 0, 0, 0, 0, 0, 0],
        };
        parts.CopyTo(d[31..]);
        d[39] = (byte)(mode.Bits == 32 ? 2 : 0);
        BitConverter.TryWriteBytes(d[40..], FrameBuffer());
        BitConverter.TryWriteBytes(d[50..], (ushort)stride);
        d[52] = d[53] = (byte)images;
        parts.CopyTo(d[54..]);
        BitConverter.TryWriteBytes(d[62..], 230_000_000u);
        machine.Write(ServiceFrame.Address(f.Es, f.Di), d);
        return Successful;
    }

    /// <summary>Where the display's PCI function decodes its first base address.</summary>
    private uint FrameBuffer()
    {
        BiosPci pci = new(machine);
        for (int function = 0; function < 256; function++)
        {
            const uint VgaClass = 0x0300;
            if ((ushort)pci.ReadConfiguration(function, 0, 2) == 0xffff || pci.ReadConfiguration(function, 10, 2) != VgaClass) continue;
            return pci.ReadConfiguration(function, 0x10, 4) & 0xffff_fff0;
        }

        return 0;
    }

    private byte SetMode(ushort wanted)
    {
        int number = wanted & 0x1ff;
        bool keep = (wanted & KeepMode) != 0;
        if (number < 0x100)
        {
            Off();
            video.SetMode((byte)((number & 0x7f) | (keep ? 0x80 : 0)));
            return VideoMode.Find(number & 0x7f) is null ? Failed : Successful;
        }

        (ushort Number, ushort Width, ushort Height, byte Bits) mode = Offered().FirstOrDefault(m => m.Number == number);
        if (mode.Number == 0) return Failed;

        // Mode 13h's registers and colors lie below.
        video.SetMode((byte)(0x13 | 0x80));
        Set(Enable, 0);
        Set(Width, mode.Width);
        Set(Height, mode.Height);
        Set(Bits, mode.Bits);
        Set(VirtualWidth, mode.Width);
        Set(XOffset, 0);
        Set(YOffset, 0);
        Set(Bank, 0);
        Set(Enable, IsEnabled | ((wanted & LinearMode) != 0 ? LinearBuffer : 0) | (keep ? NoClear : 0));
        machine.Write16(BiosData.Columns, mode.Width / 8);
        machine.Write8(BiosData.LastRow, Math.Min((mode.Height / 16) - 1, 255));
        machine.Write16(BiosData.CharacterHeight, 16);
        return Successful;
    }

    private byte ReportCurrent(ServiceFrame f)
    {
        ushort enable = Get(Enable);
        if ((enable & IsEnabled) == 0)
        {
            f.Bx = machine.Read8(BiosData.VideoMode);
            return Successful;
        }

        (ushort width, ushort height, ushort bits) = (Get(Width), Get(Height), Get(Bits));
        ushort number = Modes.FirstOrDefault(m => m.Width == width && m.Height == height && m.Bits == bits).Number;
        f.Bx = (ushort)(number | ((enable & LinearBuffer) != 0 ? LinearMode : 0));
        return Successful;
    }

    private byte? SaveState(ServiceFrame f)
    {
        // The registers of the display interface; the VGA's are set anew with the mode.
        const int Registers = 10;
        ulong at = ServiceFrame.Address(f.Es, f.Bx);
        switch (f.Dl)
        {
            case 0:
                f.Bx = 1;
                return Successful;
            case 1:
                for (int i = 0; i < Registers; i++) machine.Write16(at + (2UL * (uint)i), Get(i));
                machine.Write8(at + (2 * Registers), machine.Read8(BiosData.VideoMode));
                return Successful;
            case 2:
                Set(Enable, 0);
                ushort enable = machine.Read16(at + (2 * Enable));
                video.SetMode((byte)(machine.Read8(at + (2 * Registers)) | 0x80));
                if ((enable & IsEnabled) == 0) return Successful;
                foreach (int register in (int[])[Width, Height, Bits, VirtualWidth, XOffset, YOffset]) Set(register, machine.Read16(at + (2UL * (uint)register)));
                Set(Enable, enable | NoClear);
                Set(Bank, machine.Read16(at + (2 * Bank)));
                return Successful;
            default:
                return null;
        }
    }

    private byte MoveWindow(ServiceFrame f)
    {
        if ((Get(Enable) & IsEnabled) == 0 || (Get(Enable) & LinearBuffer) != 0) return NotInThisMode;
        if (f.Bl != 0) return Failed;
        if (f.Bh == 1)
        {
            f.Dx = Get(Bank);
            return Successful;
        }

        if (f.Dx >= MemoryBytes >> 16) return Failed;
        Set(Bank, f.Dx);
        return Successful;
    }

    private byte SetScanLine(ServiceFrame f)
    {
        if ((Get(Enable) & IsEnabled) == 0) return NotInThisMode;
        int bytes = Math.Max((Get(Bits) + 7) / 8, 1);
        int most = (int)Math.Min(MemoryBytes / Math.Max((int)Get(Height), 1), 0xffff) / bytes;
        switch (f.Bl)
        {
            case 0x00 or 0x02:
                int width = f.Bl == 0 ? f.Cx : (f.Cx + bytes - 1) / bytes;
                if (width > most) return 2;
                Set(VirtualWidth, Math.Max(width, (int)Get(Width)));
                break;
            case 0x01:
                break;
            case 0x03:
                f.Bx = (ushort)Math.Min(most * bytes, 0xffff);
                f.Cx = (ushort)most;
                f.Dx = Get(Height);
                return Successful;
            default:
                return Failed;
        }

        int now = Math.Max(Get(VirtualWidth), Get(Width));
        f.Bx = (ushort)(now * bytes);
        f.Cx = (ushort)now;
        f.Dx = (ushort)Math.Min(MemoryBytes / Math.Max(now * bytes, 1), 0xffff);
        return Successful;
    }

    private byte SetStart(ServiceFrame f)
    {
        if ((Get(Enable) & IsEnabled) == 0) return NotInThisMode;
        switch (f.Bl)
        {
            case 0x00 or 0x80:
                Set(XOffset, f.Cx);
                Set(YOffset, f.Dx);
                return Successful;
            case 0x01:
                f.Bh = 0;
                f.Cx = Get(XOffset);
                f.Dx = Get(YOffset);
                return Successful;
            default:
                return Failed;
        }
    }

    private byte SetDacWidth(ServiceFrame f)
    {
        ushort enable = Get(Enable);
        if ((enable & IsEnabled) == 0 || Get(Bits) != 8) return NotInThisMode;
        if (f.Bl == 0) Set(Enable, (f.Bh >= 8 ? enable | WideDac : enable & ~WideDac) | NoClear);
        f.Bh = (byte)((Get(Enable) & WideDac) != 0 ? 8 : 6);
        return Successful;
    }

    private byte AccessPalette(ServiceFrame f)
    {
        ulong at = ServiceFrame.Address(f.Es, f.Di);
        int first = f.Dx & 0xff, count = Math.Min((int)f.Cx, 256 - first);
        switch (f.Bl)
        {
            case 0x00 or 0x80:
                machine.Out8(0x3c8, first);
                for (int i = 0; i < count; i++)
                {
                    for (int part = 2; part >= 0; part--) machine.Out8(0x3c9, machine.Read8(at + (ulong)((4 * i) + part)));
                }

                return Successful;
            case 0x01:
                machine.Out8(0x3c7, first);
                for (int i = 0; i < count; i++)
                {
                    for (int part = 2; part >= 0; part--) machine.Write8(at + (ulong)((4 * i) + part), machine.In8(0x3c9));
                }

                return Successful;
            default:
                return Failed;
        }
    }
}
