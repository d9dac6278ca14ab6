namespace Ringfence.Devices.Video;

/// <summary>
/// Where the pixels of a picture come from: equal layouts draw equal pictures from equal memory and colors. Lines are the monitor's, so that a mode of 200
/// lines has a picture of 400, and dots too: 320 pixels of 256 colors are 640 dots.
/// </summary>
internal readonly record struct VideoLayout
{
    private const int MaximumWidth = 2560;

    /// <summary>How the picture comes about.</summary>
    public VideoKind Kind { get; private init; }

    /// <summary>Dots in a line.</summary>
    public int Width { get; private init; }

    /// <summary>Lines.</summary>
    public int Height { get; private init; }

    /// <summary>The packed mode.</summary>
    public PackedMode Packed { get; private init; }

    /// <summary>Character clocks in a line.</summary>
    public int Characters { get; private init; }

    /// <summary>Dots of a character without repetition: 8 or 9.</summary>
    public int CharacterWidth { get; private init; }

    /// <summary>Lines of a row of characters, without double scan: 1 to 32.</summary>
    public int RowHeight { get; private init; }

    /// <summary>Is each line sent twice?</summary>
    public bool IsDoubleScan { get; private init; }

    /// <summary>Is each dot sent twice?</summary>
    public bool IsHalfClock { get; private init; }

    /// <summary>The address counter at the first line.</summary>
    public int Start { get; private init; }

    /// <summary>What it gains with each row.</summary>
    public int RowOffset { get; private init; }

    /// <summary>The last line before the counter returns to 0.</summary>
    public int LineCompare { get; private init; }

    /// <summary>The row scan counter at the first line.</summary>
    public int PresetRowScan { get; private init; }

    /// <summary>The pixel panning register.</summary>
    public int Panning { get; private init; }

    /// <summary>Does panning end at <see cref="LineCompare"/>?</summary>
    public bool PanningEnds { get; private init; }

    /// <summary>What the counter counts.</summary>
    public VideoAddressing Addressing { get; private init; }

    /// <summary>Character clocks for a step of the counter, as a power of two.</summary>
    public int CountShift { get; private init; }

    /// <summary>Bits of an address that the row scan counter replaces, from bit 13 on.</summary>
    public int RowScanBits { get; private init; }

    /// <summary>Offsets of a plane, less one.</summary>
    public int AddressMask { get; private init; }

    /// <summary>Offset in plane 2 of the font for attributes with bit 3.</summary>
    public int FontA { get; private init; }

    /// <summary>Offset in plane 2 of the font for attributes without bit 3.</summary>
    public int FontB { get; private init; }

    /// <summary>Does attribute bit 7 blink (or choose a bright background)?</summary>
    public bool Blinks { get; private init; }

    /// <summary>Do box characters reach into the ninth dot?</summary>
    public bool ExtendsBoxes { get; private init; }

    /// <summary>The line of a character that underlines; -1: none.</summary>
    public int UnderlineRow { get; private init; }

    /// <summary>Does this layout show characters?</summary>
    public bool IsText => Kind == VideoKind.Text;

    /// <summary>Finds the layout registers describe.</summary>
    /// <param name="registers">The registers.</param>
    /// <param name="isDark">Is nothing to be seen?</param>
    /// <param name="planeLength">Bytes of a plane.</param>
    public static VideoLayout From(VideoRegisters registers, bool isDark, int planeLength)
    {
        if (registers.Packed is not { } packed) return FromVga(registers, isDark);
        VideoLayout layout = new()
        {
            Kind = isDark ? VideoKind.Dark : packed.BitsPerPixel == 4 ? VideoKind.Planar : VideoKind.Packed,
            Width = packed.Width,
            Height = packed.Height,
            Packed = packed,
        };
        return layout.Kind != VideoKind.Planar ? layout : layout with
        {
            Characters = (packed.Width + 7) / 8,
            RowHeight = 1,
            Start = (int)(packed.Start & (planeLength - 1)),
            RowOffset = packed.Stride,
            LineCompare = int.MaxValue,
            AddressMask = planeLength - 1,
        };
    }

    /// <summary>The bytes of a frame memory that the picture is drawn from, [first, end).</summary>
    public (int First, int End) Memory(int length)
    {
        switch (Kind)
        {
            case VideoKind.Off or VideoKind.Dark:
                return (0, 0);
            case VideoKind.Packed:
                long end = Packed.Start + ((long)Packed.Stride * Packed.Height);
                return ((int)Math.Min(Packed.Start, length), (int)Math.Min(end, length));
            default:
                return (0, 4 * (AddressMask + 1));
        }
    }

    /// <summary>Where a line begins: the address counter, and the line of its row of characters.</summary>
    public (int Counter, int RowScan, bool IsBelow) LineAt(int y)
    {
        bool isBelow = y > LineCompare;
        int line = isBelow ? y - LineCompare - 1 : y;
        if (IsDoubleScan) line >>= 1;
        if (!isBelow) line += PresetRowScan;
        return ((isBelow ? 0 : Start) + (line / RowHeight * RowOffset), line % RowHeight, isBelow);
    }

    /// <summary>The offset in the planes that is read for a state of the address counter.</summary>
    public int OffsetOf(int counter, int rowScan)
    {
        int offset = Addressing switch
        {
            VideoAddressing.Words => (counter << 1) | ((counter >> 15) & 1),
            VideoAddressing.WordsBelow64K => (counter << 1) | ((counter >> 13) & 1),
            _ => counter,
        };
        if (RowScanBits != 0)
        {
            int first = Addressing == VideoAddressing.Doublewords ? 11 : 13;
            offset = (offset & ~(RowScanBits << first)) | ((rowScan & RowScanBits) << first);
        }

        return offset & AddressMask;
    }

    /// <summary>Dots the picture is moved to the left in a line.</summary>
    public int PanningAt(bool isBelow)
    {
        if (isBelow && PanningEnds) return 0;
        return Kind switch
        {
            VideoKind.Text when CharacterWidth == 9 => Panning >= 8 ? 0 : Panning + 1,
            VideoKind.PlaneBytes => (Panning & 7) >> 1,
            _ => Panning & 7,
        };
    }

    private static VideoLayout FromVga(VideoRegisters registers, bool isDark)
    {
        byte[] crtc = registers.Crtc;
        byte[] attributes = registers.Attributes;
        byte mode = crtc[0x17];

        // Without the bit the controller is held in reset and sends no synchronization.
        if ((mode & 0x80) == 0) return default;
        byte overflow = crtc[0x07];
        byte clocking = registers.Sequencer[VgaSequencer.ClockingMode];
        byte graphicsMode = registers.Graphics[VgaGraphicsController.GraphicsMode];
        byte control = attributes[VgaAttributeController.ModeControl];
        bool isText = (registers.Graphics[VgaGraphicsController.Miscellaneous] & 1) == 0;
        bool isHalfClock = (clocking & 8) != 0;
        int characterWidth = isText && (clocking & 1) == 0 ? 9 : 8;
        int dots = characterWidth << (isHalfClock ? 1 : 0);
        int scale = (mode >> 2) & 1;
        int height = (crtc[0x12] | ((overflow & 0x02) << 7) | ((overflow & 0x40) << 3)) + 1;
        int lineCompare = crtc[0x18] | ((overflow & 0x10) << 4) | ((crtc[0x09] & 0x40) << 3);
        VideoLayout size = new()
        {
            Kind = VideoKind.Dark,
            Characters = Math.Min(crtc[0x01] + 1, MaximumWidth / dots),
            Width = Math.Min(crtc[0x01] + 1, MaximumWidth / dots) * dots,
            Height = height << scale,
        };
        if (isDark) return size;
        int fonts = registers.Sequencer[VgaSequencer.CharacterMapSelect];
        return size with
        {
            Kind = isText ? VideoKind.Text : (graphicsMode >> 5) switch
            {
                0 => VideoKind.Planar,
                1 => VideoKind.PixelPairs,
                _ => VideoKind.PlaneBytes,
            },
            CharacterWidth = characterWidth,
            RowHeight = (crtc[0x09] & 0x1f) + 1,
            IsDoubleScan = (crtc[0x09] & 0x80) != 0,
            IsHalfClock = isHalfClock,
            Start = ((crtc[0x0c] << 8) | crtc[0x0d]) + ((crtc[0x08] >> 5) & 3),
            RowOffset = crtc[0x13] * 2,
            LineCompare = ((lineCompare + 1) << scale) - 1,
            PresetRowScan = (crtc[0x08] & 0x1f) % ((crtc[0x09] & 0x1f) + 1),
            Panning = attributes[0x13],
            PanningEnds = (control & 0x20) != 0,
            Addressing = (crtc[0x14] & 0x40) != 0 ? VideoAddressing.Doublewords
                : (mode & 0x40) != 0 ? VideoAddressing.Bytes
                : (mode & 0x20) != 0 ? VideoAddressing.Words
                : VideoAddressing.WordsBelow64K,
            CountShift = (crtc[0x14] & 0x20) != 0 ? 2 : (mode >> 3) & 1,
            RowScanBits = ~mode & 3,
            AddressMask = 0xffff,
            FontA = isText ? FontOffset(((fonts >> 2) & 3) | ((fonts >> 3) & 4)) : 0,
            FontB = isText ? FontOffset((fonts & 3) | ((fonts >> 2) & 4)) : 0,
            Blinks = isText && (control & 8) != 0,
            ExtendsBoxes = isText && (control & 4) != 0,
            UnderlineRow = isText && (control & 2) != 0 ? crtc[0x14] & 0x1f : -1,
        };
    }

    // Fonts 0 to 3 lie 16 KiB apart, 4 to 7 in the gaps between them (sequencer, character map select register).
    private static int FontOffset(int number) => ((number & 3) << 14) | ((number & 4) << 11);
}
