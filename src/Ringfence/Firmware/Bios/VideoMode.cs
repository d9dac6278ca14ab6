namespace Ringfence.Firmware.Bios;

/// <summary>How a mode's memory is laid out.</summary>
internal enum VideoMemory
{
    /// <summary>Characters and attributes.</summary>
    Text,

    /// <summary>The CGA's interleaved rows, 1 or 2 bits a point.</summary>
    Cga,

    /// <summary>A bit of each point in each of four planes.</summary>
    Planar,

    /// <summary>A byte a point.</summary>
    Packed,
}

/// <summary>The colors a mode starts with.</summary>
internal enum VideoPalette
{
    /// <summary>The EGA's 64 colors.</summary>
    Ega,

    /// <summary>The CGA's 16 colors.</summary>
    Cga,

    /// <summary>The MDA's three shades.</summary>
    Mono,

    /// <summary>Mode 13h's 256 colors.</summary>
    Full,
}

/// <summary>
/// A VGA mode and what its registers hold (IBM PS/2 Hardware Interface Technical Reference, Video Subsystem, "BIOS modes" and the registers' descriptions).
/// </summary>
/// <param name="Number">The mode's number.</param>
/// <param name="Memory">How its memory is laid out.</param>
/// <param name="Columns">Characters in a row.</param>
/// <param name="CharacterHeight">Points in a character's height.</param>
/// <param name="Rows">Rows of characters.</param>
/// <param name="Window">Where its memory lies.</param>
/// <param name="PageBytes">Bytes of a page.</param>
/// <param name="BitsPerPoint">Bits of a point in graphics.</param>
/// <param name="Palette">Its colors.</param>
/// <param name="Miscellaneous">Miscellaneous output register.</param>
/// <param name="Sequencer">Sequencer registers 1 to 4.</param>
/// <param name="Crtc">CRT controller registers 0 to 18h.</param>
/// <param name="Graphics">Graphics controller registers 0 to 8.</param>
/// <param name="Attributes">Attribute controller registers 0 to 14h.</param>
internal sealed record VideoMode(
    byte Number,
    VideoMemory Memory,
    int Columns,
    int CharacterHeight,
    int Rows,
    ulong Window,
    int PageBytes,
    int BitsPerPoint,
    VideoPalette Palette,
    byte Miscellaneous,
    byte[] Sequencer,
    byte[] Crtc,
    byte[] Graphics,
    byte[] Attributes)
{
    private const ulong Color = 0xb_8000;
    private const ulong MonoWindow = 0xb_0000;
    private const ulong GraphicsWindow = 0xa_0000;

    private static readonly byte[] EgaColors = [0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f];
    private static readonly byte[] CgaColors = [0, 1, 2, 3, 4, 5, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17];
    private static readonly byte[] PlainColors = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    private static readonly byte[] MonoColors = [0, 8, 8, 8, 8, 8, 8, 8, 0x10, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18];
    private static readonly byte[] FourColors = [0, 0x13, 0x15, 0x17, 2, 4, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17];
    private static readonly byte[] TwoColors = [0, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17];
    private static readonly byte[] BlackWhite = [0, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f];
    private static readonly byte[] MonoGraphics = [0, 8, 0, 0, 0x18, 0x18, 0, 0, 0, 8, 0, 0, 0, 0x18, 0, 0];

    private static readonly byte[] TextGraphics = [0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff];
    private static readonly byte[] PlanarGraphics = [0, 0, 0, 0, 0, 0, 5, 0x0f, 0xff];

    /// <summary>All modes.</summary>
    public static IReadOnlyList<VideoMode> All { get; } =
    [
        Text(0, 40), Text(1, 40), Text(2, 80), Text(3, 80),
        new(4, VideoMemory.Cga, 40, 8, 25, Color, 0x4000, 2, VideoPalette.Cga, 0x63, [9, 3, 0, 2], Narrow(0x80, 0xc1, 0xa2), [0, 0, 0, 0, 0, 0x30, 0x0f, 0, 0xff], [.. FourColors, 1, 0, 3, 0, 0]),
        new(5, VideoMemory.Cga, 40, 8, 25, Color, 0x4000, 2, VideoPalette.Cga, 0x63, [9, 3, 0, 2], Narrow(0x80, 0xc1, 0xa2), [0, 0, 0, 0, 0, 0x30, 0x0f, 0, 0xff], [.. FourColors, 1, 0, 3, 0, 0]),
        new(6, VideoMemory.Cga, 80, 8, 25, Color, 0x4000, 1, VideoPalette.Cga, 0x63, [1, 1, 0, 6], Wide(0xc1, 0xc2, 0), [0, 0, 0, 0, 0, 0, 0x0d, 0, 0xff], [.. TwoColors, 1, 0, 1, 0, 0]),
        new(7, VideoMemory.Text, 80, 16, 25, MonoWindow, 0x1000, 0, VideoPalette.Mono, 0x66, [0, 3, 0, 2], TextTiming(80, 0x0f), [0, 0, 0, 0, 0, 0x10, 0x0a, 0, 0xff], [.. MonoColors, 0x0e, 0, 0x0f, 8, 0]),
        new(0x0d, VideoMemory.Planar, 40, 8, 25, GraphicsWindow, 0x2000, 4, VideoPalette.Cga, 0x63, [9, 0x0f, 0, 6], Narrow(0x80, 0xc0, 0xe3), PlanarGraphics, [.. CgaColors, 1, 0, 0x0f, 0, 0]),
        new(0x0e, VideoMemory.Planar, 80, 8, 25, GraphicsWindow, 0x4000, 4, VideoPalette.Cga, 0x63, [1, 0x0f, 0, 6], Wide(0xc0, 0xe3, 0), PlanarGraphics, [.. CgaColors, 1, 0, 0x0f, 0, 0]),
        new(0x0f, VideoMemory.Planar, 80, 14, 25, GraphicsWindow, 0x8000, 4, VideoPalette.Mono, 0xa2, [1, 0x0f, 0, 6], Lines350, PlanarGraphics, [.. MonoGraphics, 0x0b, 0, 5, 0, 0]),
        new(0x10, VideoMemory.Planar, 80, 14, 25, GraphicsWindow, 0x8000, 4, VideoPalette.Ega, 0xa3, [1, 0x0f, 0, 6], Lines350, PlanarGraphics, [.. EgaColors, 1, 0, 0x0f, 0, 0]),
        new(0x11, VideoMemory.Planar, 80, 16, 30, GraphicsWindow, 0xa000, 1, VideoPalette.Ega, 0xe3, [1, 0x0f, 0, 6], Lines480(0xc3), [0, 0, 0, 0, 0, 0, 5, 1, 0xff], [.. BlackWhite, 1, 0, 0x0f, 0, 0]),
        new(0x12, VideoMemory.Planar, 80, 16, 30, GraphicsWindow, 0xa000, 4, VideoPalette.Ega, 0xe3, [1, 0x0f, 0, 6], Lines480(0xe3), PlanarGraphics, [.. EgaColors, 1, 0, 0x0f, 0, 0]),
        new(0x13, VideoMemory.Packed, 40, 8, 25, GraphicsWindow, 0x1_0000, 8, VideoPalette.Full, 0x63, [1, 0x0f, 0, 0x0e], Wide(0x41, 0xa3, 0x40), [0, 0, 0, 0, 0, 0x40, 5, 0x0f, 0xff], [.. PlainColors, 0x41, 0, 0x0f, 0, 0]),
    ];

    /// <summary>Points in a row.</summary>
    public int Width => Columns * 8;

    /// <summary>Rows of points in graphics.</summary>
    public int Height => Rows * CharacterHeight;

    /// <summary>A mode; null if there is none with that number.</summary>
    public static VideoMode? Find(int number)
    {
        foreach (VideoMode mode in All)
            if (mode.Number == number) return mode;
        return null;
    }

    private static VideoMode Text(byte number, int columns) =>
        new(
            number, VideoMemory.Text, columns, 16, 25, Color, columns == 40 ? 0x800 : 0x1000, 0, VideoPalette.Ega, 0x67,
            [(byte)(columns == 40 ? 8 : 0), 3, 0, 2], TextTiming(columns, 0x1f), TextGraphics, [.. EgaColors, 0x0c, 0, 0x0f, 8, 0]);

    private static byte[] TextTiming(int columns, byte underline) => columns == 40
        ? [0x2d, 0x27, 0x28, 0x90, 0x2b, 0xa0, 0xbf, 0x1f, 0, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x14, underline, 0x96, 0xb9, 0xa3, 0xff]
        : [0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, underline, 0x96, 0xb9, 0xa3, 0xff];

    private static byte[] Narrow(byte retrace, byte rows, byte mode) =>
        [0x2d, 0x27, 0x28, 0x90, 0x2b, retrace, 0xbf, 0x1f, 0, rows, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x14, 0, 0x96, 0xb9, mode, 0xff];

    private static byte[] Wide(byte rows, byte mode, byte underline) =>
        [0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, rows, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, underline, 0x96, 0xb9, mode, 0xff];

    private static byte[] Lines350 =>
        [0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0x40, 0, 0, 0, 0, 0, 0, 0x83, 0x85, 0x5d, 0x28, 0x0f, 0x63, 0xba, 0xe3, 0xff];

    private static byte[] Lines480(byte mode) =>
        [0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0, 0x40, 0, 0, 0, 0, 0, 0, 0xea, 0x8c, 0xdf, 0x28, 0, 0xe7, 0x04, mode, 0xff];
}
