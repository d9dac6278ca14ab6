namespace Ringfence.Firmware.Bios;

/// <summary>The colors modes start with, six bits a part (IBM PS/2 Hardware Interface Technical Reference, Video Subsystem, "video DAC").</summary>
internal static class BiosPalette
{
    private const byte TwoThirds = 0x2a;
    private const byte OneThird = 0x15;

    /// <summary>The colors as red, green, blue.</summary>
    public static byte[] Build(VideoPalette kind)
    {
        List<byte> colors = [];
        switch (kind)
        {
            case VideoPalette.Full:
                for (int i = 0; i < 16; i++) AddCga(colors, i, (i & 8) != 0);
                foreach (byte gray in (byte[])[0, 5, 8, 11, 14, 17, 20, 24, 28, 32, 36, 40, 45, 50, 56, 63]) colors.AddRange([gray, gray, gray]);
                foreach (byte[] ramp in Ramps) AddCircle(colors, ramp);
                while (colors.Count < 768) colors.Add(0);
                break;
            case VideoPalette.Ega:
                for (int i = 0; i < 64; i++) colors.AddRange([Part(i, 2, 5), Part(i, 1, 4), Part(i, 0, 3)]);
                break;
            case VideoPalette.Cga:
                for (int i = 0; i < 64; i++) AddCga(colors, i, (i & 0x10) != 0);
                break;
            default:
                for (int i = 0; i < 64; i++)
                {
                    byte shade = (i & 0x18) switch { 0 => 0, 0x18 => 0x3f, _ => TwoThirds };
                    colors.AddRange([shade, shade, shade]);
                }

                break;
        }

        return [.. colors];
    }

    /// <summary>Between a ramp's first and last value lie the 24 hues of one brightness and saturation; each brightness has three saturations.</summary>
    private static byte[][] Ramps =>
    [
        [0x00, 0x10, 0x1f, 0x2f, 0x3f], [0x1f, 0x27, 0x2f, 0x37, 0x3f], [0x2d, 0x31, 0x36, 0x3a, 0x3f],
        [0x00, 0x07, 0x0e, 0x15, 0x1c], [0x0e, 0x11, 0x15, 0x18, 0x1c], [0x14, 0x16, 0x18, 0x1a, 0x1c],
        [0x00, 0x04, 0x08, 0x0c, 0x10], [0x08, 0x0a, 0x0c, 0x0e, 0x10], [0x0b, 0x0c, 0x0d, 0x0f, 0x10],
    ];

    private static byte Part(int color, int strong, int weak) =>
        (byte)((((color >> strong) & 1) * TwoThirds) + (((color >> weak) & 1) * OneThird));

    private static void AddCga(List<byte> colors, int color, bool bright)
    {
        byte extra = bright ? OneThird : (byte)0;
        byte red = (byte)((((color >> 2) & 1) * TwoThirds) + extra);
        byte green = (byte)((((color >> 1) & 1) * TwoThirds) + extra);
        byte blue = (byte)(((color & 1) * TwoThirds) + extra);
        // Dark yellow is brown.
        if ((color & 7) == 6 && !bright) green = OneThird;
        colors.AddRange([red, green, blue]);
    }

    private static void AddCircle(List<byte> colors, byte[] ramp)
    {
        byte low = ramp[0], high = ramp[4];
        for (int i = 0; i < 4; i++) colors.AddRange([ramp[i], low, high]);
        for (int i = 4; i > 0; i--) colors.AddRange([high, low, ramp[i]]);
        for (int i = 0; i < 4; i++) colors.AddRange([high, ramp[i], low]);
        for (int i = 4; i > 0; i--) colors.AddRange([ramp[i], high, low]);
        for (int i = 0; i < 4; i++) colors.AddRange([low, high, ramp[i]]);
        for (int i = 4; i > 0; i--) colors.AddRange([low, ramp[i], high]);
    }
}
