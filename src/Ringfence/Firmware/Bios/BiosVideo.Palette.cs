namespace Ringfence.Firmware.Bios;

/// <summary>INT 10h: colors, fonts and the functions of 12h.</summary>
internal sealed partial class BiosVideo
{
    private void SetAttribute(int index, int value)
    {
        _machine.In8(CrtcPort + 6);
        _machine.Out8(AttributePort, index);
        _machine.Out8(AttributePort, value);
        _machine.Out8(AttributePort, ShowAttributes);
    }

    private byte GetAttribute(int index)
    {
        _machine.In8(CrtcPort + 6);
        _machine.Out8(AttributePort, index);
        byte value = _machine.In8(AttributePort + 1);
        _machine.In8(CrtcPort + 6);
        _machine.Out8(AttributePort, ShowAttributes);
        return value;
    }

    /// <summary>Function 0Bh: the border, or which of the CGA's palettes.</summary>
    private void SetCgaPalette(byte what, byte value)
    {
        byte register = _machine.Read8(BiosData.CgaPalette);
        if (what == 0)
        {
            byte color = (byte)((value & 7) | ((value & 8) << 1));
            if (Mode.Memory != VideoMemory.Text) SetAttribute(0, color);
            SetAttribute(0x11, color);
            _machine.Write8(BiosData.CgaPalette, (register & 0xe0) | (value & 0x1f));
            return;
        }

        for (int i = 1; i < 4; i++) SetAttribute(i, 0x10 | (2 * i) | (value & 1));
        _machine.Write8(BiosData.CgaPalette, (register & 0xdf) | ((value & 1) << 5));
    }

    private bool ServePalette(ServiceFrame f)
    {
        switch (f.Al)
        {
            case 0x00:
                if (f.Bl < 0x15) SetAttribute(f.Bl, f.Bh);
                return true;
            case 0x01:
                SetAttribute(0x11, f.Bh);
                return true;
            case 0x02:
                for (int i = 0; i < 16; i++) SetAttribute(i, _machine.Read8(ServiceFrame.Address(f.Es, f.Dx) + (ulong)i));
                SetAttribute(0x11, _machine.Read8(ServiceFrame.Address(f.Es, f.Dx) + 16));
                return true;
            case 0x03:
                SetAttribute(0x10, (GetAttribute(0x10) & ~8) | ((f.Bl & 1) << 3));
                return true;
            case 0x07:
                if (f.Bl < 0x15) f.Bh = GetAttribute(f.Bl);
                return true;
            case 0x08:
                f.Bh = GetAttribute(0x11);
                return true;
            case 0x09:
                for (int i = 0; i < 16; i++) _machine.Write8(ServiceFrame.Address(f.Es, f.Dx) + (ulong)i, GetAttribute(i));
                _machine.Write8(ServiceFrame.Address(f.Es, f.Dx) + 16, GetAttribute(0x11));
                return true;
            case 0x10:
                _machine.Out8(DacWriteIndex, f.Bl);
                _machine.Out8(DacData, f.Dh);
                _machine.Out8(DacData, f.Ch);
                _machine.Out8(DacData, f.Cl);
                return true;
            case 0x12:
                _machine.Out8(DacWriteIndex, f.Bl);
                for (int i = 0; i < 3 * Math.Min((int)f.Cx, 256); i++) _machine.Out8(DacData, _machine.Read8(ServiceFrame.Address(f.Es, f.Dx) + (ulong)i));
                return true;
            case 0x13:
                byte mode = GetAttribute(0x10);
                if (f.Bl == 0) SetAttribute(0x10, (mode & 0x7f) | ((f.Bh & 1) << 7));
                else SetAttribute(0x14, (mode & 0x80) != 0 ? f.Bh & 0x0f : (f.Bh << 2) & 0x0c);
                return true;
            case 0x15:
                _machine.Out8(DacReadIndex, f.Bl);
                f.Dh = _machine.In8(DacData);
                f.Ch = _machine.In8(DacData);
                f.Cl = _machine.In8(DacData);
                return true;
            case 0x17:
                _machine.Out8(DacReadIndex, f.Bl);
                for (int i = 0; i < 3 * Math.Min((int)f.Cx, 256); i++) _machine.Write8(ServiceFrame.Address(f.Es, f.Dx) + (ulong)i, _machine.In8(DacData));
                return true;
            case 0x18:
                _machine.Out8(DacMask, f.Bl);
                return true;
            case 0x19:
                f.Bl = _machine.In8(DacMask);
                return true;
            case 0x1a:
                bool isWhole = (GetAttribute(0x10) & 0x80) == 0;
                f.Bl = (byte)(isWhole ? 0 : 1);
                f.Bh = (byte)(isWhole ? GetAttribute(0x14) >> 2 : GetAttribute(0x14));
                return true;
            case 0x1b:
                SumToGray(f.Bx, Math.Min((int)f.Cx, 256));
                return true;
            default:
                return false;
        }
    }

    private void SumToGray(int first, int count)
    {
        for (int i = first & 0xff; i < Math.Min((first & 0xff) + count, 256); i++)
        {
            _machine.Out8(DacReadIndex, i);
            int red = _machine.In8(DacData), green = _machine.In8(DacData), blue = _machine.In8(DacData);
            int gray = Math.Min(((red * 77) + (green * 151) + (blue * 28) + 0x80) >> 8, 0x3f);
            _machine.Out8(DacWriteIndex, i);
            for (int part = 0; part < 3; part++) _machine.Out8(DacData, gray);
        }
    }

    /// <summary>Writes glyphs into plane 2, where text modes look for them: 32 bytes each, blocks of 8 KiB.</summary>
    private void LoadFont(int block, ReadOnlySpan<byte> glyphs, int first, int height)
    {
        byte map = Get(SequencerPort, 2), memory = Get(SequencerPort, 4);
        byte mode = Get(GraphicsPort, 5), miscellaneous = Get(GraphicsPort, 6);
        Set(SequencerPort, 0, 1);
        Set(SequencerPort, 2, 4);
        Set(SequencerPort, 4, 7);
        Set(SequencerPort, 0, 3);
        Set(GraphicsPort, 5, 0);
        Set(GraphicsPort, 6, 4);
        int start = ((block & 3) << 14) | ((block & 4) << 11);
        Span<byte> glyph = stackalloc byte[32];
        for (int i = 0; i * height < glyphs.Length && first + i < 256; i++)
        {
            glyph.Clear();
            glyphs.Slice(i * height, height).CopyTo(glyph);
            _machine.Write(0xa_0000 + (ulong)(start + ((first + i) * 32)), glyph);
        }

        Set(SequencerPort, 0, 1);
        Set(SequencerPort, 2, map);
        Set(SequencerPort, 4, memory);
        Set(SequencerPort, 0, 3);
        Set(GraphicsPort, 5, mode);
        Set(GraphicsPort, 6, miscellaneous);
    }

    private bool ServeFont(ServiceFrame f)
    {
        switch (f.Al)
        {
            case 0x00 or 0x10:
                int height = Math.Clamp((int)f.Bh, 1, 32);
                byte[] glyphs = new byte[height * Math.Min((int)f.Cx, 256)];
                _machine.Read(ServiceFrame.Address(f.Es, f.Bp), glyphs);
                LoadFont(f.Bl & 7, glyphs, f.Dx & 0xff, height);
                if (f.Al == 0x10) SetTextHeight(height);
                return true;
            case 0x01 or 0x11:
                LoadFont(f.Bl & 7, BiosFont.Medium, 0, 14);
                if (f.Al == 0x11) SetTextHeight(14);
                return true;
            case 0x02 or 0x12:
                LoadFont(f.Bl & 7, BiosFont.Small, 0, 8);
                if (f.Al == 0x12) SetTextHeight(8);
                return true;
            case 0x03:
                Set(SequencerPort, 3, f.Bl & 0x3f);
                return true;
            case 0x04 or 0x14:
                LoadFont(f.Bl & 7, BiosFont.Tall, 0, 16);
                if (f.Al == 0x14) SetTextHeight(16);
                return true;
            case 0x20:
                _machine.Write32(0x1f * 4, ((uint)f.Es << 16) | f.Bp);
                return true;
            case 0x21:
                SetGraphicsFont(((uint)f.Es << 16) | f.Bp, f.Cx, f.Bl, f.Dl);
                return true;
            case 0x22:
                SetGraphicsFont(FontPointer(14), 14, f.Bl, f.Dl);
                return true;
            case 0x23:
                SetGraphicsFont(FontPointer(8), 8, f.Bl, f.Dl);
                return true;
            case 0x24:
                SetGraphicsFont(FontPointer(16), 16, f.Bl, f.Dl);
                return true;
            case 0x30:
                uint pointer = f.Bh switch
                {
                    0 => _machine.Read32(0x1f * 4),
                    1 => _machine.Read32(0x43 * 4),
                    2 or 5 => FontPointer(14),
                    3 => FontPointer(8),
                    4 => ((uint)BiosImage.Segment << 16) | BiosImage.Font8Upper,
                    _ => FontPointer(16),
                };
                f.Es = (ushort)(pointer >> 16);
                f.Bp = (ushort)pointer;
                f.Cx = (ushort)CharacterHeight;
                f.Dl = _machine.Read8(BiosData.LastRow);
                return true;
            default:
                return false;
        }
    }

    private void SetGraphicsFont(uint pointer, int height, byte rows, byte otherRows)
    {
        _machine.Write32(0x43 * 4, pointer);
        _machine.Write16(BiosData.CharacterHeight, Math.Clamp(height, 1, 32));
        _machine.Write8(BiosData.LastRow, rows switch { 1 => 13, 2 => 24, 3 => 42, _ => Math.Max((int)otherRows, 1) - 1 });
    }

    /// <summary>Makes the text mode's characters so many lines high; as many rows as fit.</summary>
    private void SetTextHeight(int height)
    {
        int crtc = CrtcPort;
        Set(crtc, 9, (Get(crtc, 9) & 0xe0) | (height - 1));
        int overflow = Get(crtc, 7);
        int lines = (Get(crtc, 0x12) | ((overflow & 2) << 7) | ((overflow & 0x40) << 3)) + 1;
        int rows = Math.Clamp(lines / height, 1, 120);
        _machine.Write16(BiosData.CharacterHeight, height);
        _machine.Write8(BiosData.LastRow, rows - 1);
        _machine.Write16(BiosData.PageBytes, ((rows * Columns * 2) + 0xff) & ~0xff);
        Set(crtc, 0x0a, height - 3 > 0 ? height - 3 : 0);
        Set(crtc, 0x0b, height - 2 > 0 ? height - 2 : 0);
    }

    private bool ServeAlternate(ServiceFrame f)
    {
        switch (f.Bl)
        {
            case 0x10:
                f.Bx = (ushort)(Mode.Number == 7 ? 0x0103 : 0x0003);
                f.Cx = 0x0009;
                return true;
            case 0x20:
                return true;
            case 0x30:
                // 200, 350 or 400 lines in the next text mode: always 400.
                f.Al = 0x12;
                return true;
            case 0x31 or 0x32 or 0x33 or 0x35:
                f.Al = 0x12;
                return true;
            case 0x34:
                byte control = _machine.Read8(BiosData.VideoControl);
                _machine.Write8(BiosData.VideoControl, (control & ~1) | (f.Al & 1));
                f.Al = 0x12;
                return true;
            case 0x36:
                byte clocking = Get(SequencerPort, 1);
                Set(SequencerPort, 1, (clocking & ~0x20) | ((f.Al & 1) << 5));
                f.Al = 0x12;
                return true;
            default:
                return false;
        }
    }
}
