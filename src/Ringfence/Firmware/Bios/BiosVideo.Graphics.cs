namespace Ringfence.Firmware.Bios;

/// <summary>INT 10h: points, and characters in graphics.</summary>
internal sealed partial class BiosVideo
{
    private const byte ExclusiveOr = 0x80;

    /// <summary>The glyph of a character: programs may point interrupt 43h to a font of their own.</summary>
    private void ReadGlyph(byte character, Span<byte> glyph)
    {
        uint pointer = _machine.Read32(0x43 * 4);
        ulong font = ServiceFrame.Address((ushort)(pointer >> 16), (ushort)pointer);
        ulong at = font + (ulong)(character * glyph.Length);
        if (glyph.Length == 8 && pointer == FontPointer(8) && character >= 128) at = BiosImage.Address + BiosImage.Font8Upper + (ulong)((character - 128) * 8);
        _machine.Read(at, glyph);
    }

    private void DrawCharacter(VideoMode mode, int page, int column, int row, byte character, byte color)
    {
        if (column >= mode.Columns || row >= Rows) return;
        Span<byte> glyph = stackalloc byte[CharacterHeight];
        ReadGlyph(character, glyph);
        int top = row * glyph.Length;
        if (mode.Memory == VideoMemory.Planar)
        {
            DrawPlanar(mode, page, column, top, glyph, color);
            return;
        }

        bool isMixed = mode.Memory == VideoMemory.Cga && (color & ExclusiveOr) != 0;
        for (int y = 0; y < glyph.Length; y++)
        {
            for (int x = 0; x < 8; x++)
            {
                bool isSet = (glyph[y] & (0x80 >> x)) != 0;
                if (isMixed && !isSet) continue;
                WritePoint(page, (column * 8) + x, top + y, isSet ? color : (byte)0);
            }
        }
    }

    /// <summary>A whole byte of points in each plane: the set/reset registers and the function select make the colors.</summary>
    private void DrawPlanar(VideoMode mode, int page, int column, int top, ReadOnlySpan<byte> glyph, byte color)
    {
        bool isMixed = (color & ExclusiveOr) != 0;
        ulong at = PlanarAddress(mode, page, column * 8, top);
        for (int plane = 0; plane < 4; plane++)
        {
            Set(SequencerPort, 2, 1 << plane);
            Set(GraphicsPort, 4, plane);
            bool isOn = (color & (1 << plane)) != 0;
            if (isMixed && !isOn) continue;
            for (int y = 0; y < glyph.Length; y++)
            {
                ulong address = at + (ulong)(y * mode.Columns);
                byte value = isMixed ? (byte)(_machine.Read8(address) ^ glyph[y]) : isOn ? glyph[y] : (byte)0;
                _machine.Write8(address, value);
            }
        }

        RestorePlanar(mode);
    }

    private void RestorePlanar(VideoMode mode)
    {
        Set(SequencerPort, 2, mode.Sequencer[1]);
        Set(GraphicsPort, 4, 0);
    }

    private ulong PlanarAddress(VideoMode mode, int page, int x, int y) =>
        mode.Window + ((ulong)(uint)((page * mode.PageBytes) + (y * mode.Columns) + (x >> 3)) & 0xffff);

    private void WritePoint(int page, int x, int y, byte color)
    {
        VideoMode mode = Mode;
        if (mode.Memory == VideoMemory.Text || x >= mode.Width || y >= mode.Height) return;
        switch (mode.Memory)
        {
            case VideoMemory.Packed:
                _machine.Write8(mode.Window + (ulong)((y * mode.Width) + x), color);
                break;
            case VideoMemory.Cga:
                (ulong at, int shift, int mask) = CgaPoint(mode, x, y);
                int old = _machine.Read8(at);
                int bits = (color & mask) << shift;
                _machine.Write8(at, (color & ExclusiveOr) != 0 ? old ^ bits : (old & ~(mask << shift)) | bits);
                break;
            default:
                ulong address = PlanarAddress(mode, page, x, y);
                byte bit = (byte)(0x80 >> (x & 7));
                for (int plane = 0; plane < 4; plane++)
                {
                    Set(SequencerPort, 2, 1 << plane);
                    Set(GraphicsPort, 4, plane);
                    byte before = _machine.Read8(address);
                    bool isOn = (color & (1 << plane)) != 0;
                    int after = (color & ExclusiveOr) != 0 ? (isOn ? before ^ bit : before) : isOn ? before | bit : before & ~bit;
                    _machine.Write8(address, after);
                }

                RestorePlanar(mode);
                break;
        }
    }

    private byte ReadPoint(int page, int x, int y)
    {
        VideoMode mode = Mode;
        if (mode.Memory == VideoMemory.Text || x >= mode.Width || y >= mode.Height) return 0;
        switch (mode.Memory)
        {
            case VideoMemory.Packed:
                return _machine.Read8(mode.Window + (ulong)((y * mode.Width) + x));
            case VideoMemory.Cga:
                (ulong at, int shift, int mask) = CgaPoint(mode, x, y);
                return (byte)((_machine.Read8(at) >> shift) & mask);
            default:
                ulong address = PlanarAddress(mode, page, x, y);
                int color = 0;
                for (int plane = 0; plane < 4; plane++)
                {
                    Set(GraphicsPort, 4, plane);
                    if ((_machine.Read8(address) & (0x80 >> (x & 7))) != 0) color |= 1 << plane;
                }

                RestorePlanar(mode);
                return (byte)color;
        }
    }

    private static (ulong Address, int Shift, int Mask) CgaPoint(VideoMode mode, int x, int y)
    {
        int perByte = 8 / mode.BitsPerPoint;
        ulong at = mode.Window + (ulong)(((y & 1) * 0x2000) + ((y >> 1) * 80) + (x / perByte));
        return (at, (perByte - 1 - (x % perByte)) * mode.BitsPerPoint, (1 << mode.BitsPerPoint) - 1);
    }

    /// <summary>The character that looks like what is drawn at a place; 0 if there is none.</summary>
    private byte RecognizeCharacter(VideoMode mode, int page, int column, int row)
    {
        Span<byte> seen = stackalloc byte[CharacterHeight];
        Span<byte> glyph = stackalloc byte[seen.Length];
        for (int y = 0; y < seen.Length; y++)
        {
            seen[y] = 0;
            for (int x = 0; x < 8; x++)
                if (ReadPoint(page, (column * 8) + x, (row * seen.Length) + y) != 0) seen[y] |= (byte)(0x80 >> x);
        }

        for (int character = 0; character < 256; character++)
        {
            ReadGlyph((byte)character, glyph);
            if (seen.SequenceEqual(glyph)) return (byte)character;
        }

        return 0;
    }

    private void ScrollGraphics(VideoMode mode, int page, int lines, byte color, int left, int top, int right, int bottom, bool up)
    {
        int height = CharacterHeight;
        int firstLine = top * height, lastLine = ((bottom + 1) * height) - 1, distance = lines * height;
        int planes = mode.Memory == VideoMemory.Planar ? 4 : 1;
        int bytesPerCharacter = mode.Memory switch { VideoMemory.Packed => 8, VideoMemory.Cga => mode.BitsPerPoint, _ => 1 };
        byte[] line = new byte[(right - left + 1) * bytesPerCharacter];
        ulong Line(int y) => mode.Memory switch
        {
            VideoMemory.Packed => mode.Window + (ulong)((y * mode.Width) + (left * 8)),
            VideoMemory.Cga => mode.Window + (ulong)(((y & 1) * 0x2000) + ((y >> 1) * 80) + (left * bytesPerCharacter)),
            _ => PlanarAddress(mode, page, left * 8, y),
        };

        for (int plane = 0; plane < planes; plane++)
        {
            if (planes > 1)
            {
                Set(SequencerPort, 2, 1 << plane);
                Set(GraphicsPort, 4, plane);
            }

            int count = lastLine - firstLine + 1 - distance;
            for (int i = 0; i < count; i++)
            {
                int to = up ? firstLine + i : lastLine - i;
                _machine.Read(Line(up ? to + distance : to - distance), line);
                _machine.Write(Line(to), line);
            }

            byte fill = mode.Memory switch
            {
                VideoMemory.Packed => color,
                VideoMemory.Planar => (color & (1 << plane)) != 0 ? (byte)0xff : (byte)0,
                _ => mode.BitsPerPoint == 2 ? (byte)((color & 3) * 0x55) : (color & 1) != 0 ? (byte)0xff : (byte)0,
            };
            line.AsSpan().Fill(fill);
            for (int i = 0; i < distance; i++) _machine.Write(Line(up ? lastLine - i : firstLine + i), line);
        }

        if (planes > 1) RestorePlanar(mode);
    }
}
