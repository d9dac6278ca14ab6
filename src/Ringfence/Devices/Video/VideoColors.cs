namespace Ringfence.Devices.Video;

/// <summary>The colors of pixels, as the attribute controller and the converter make them.</summary>
internal sealed class VideoColors
{
    private readonly uint[] _all = new uint[256];
    private readonly uint[] _attributes = new uint[16];

    /// <summary>Colors of pixels of 8 bits.</summary>
    public ReadOnlySpan<uint> All => _all;

    /// <summary>Colors of pixels of 4 bits.</summary>
    public ReadOnlySpan<uint> Attributes => _attributes;

    /// <summary>Computes the colors.</summary>
    /// <returns>Whether those of 8 bits and those of 4 bits have changed.</returns>
    public (bool All, bool Attributes) Update(VideoRegisters registers)
    {
        bool allChanged = false;
        for (int i = 0; i < _all.Length; i++) allChanged |= Set(ref _all[i], Converted(registers, i));
        bool attributesChanged = false;
        for (int i = 0; i < _attributes.Length; i++) attributesChanged |= Set(ref _attributes[i], Converted(registers, ColorNumber(registers.Attributes, i)));
        return (allChanged, attributesChanged);
    }

    // Attribute controller: color plane enable (12h), palette (0 to Fh), color select (14h) above it.
    private static int ColorNumber(byte[] attributes, int pixel)
    {
        int palette = attributes[pixel & attributes[0x12] & 15];
        int select = attributes[0x14];
        if ((attributes[VgaAttributeController.ModeControl] & 0x80) != 0) palette = (palette & 0x0f) | ((select & 3) << 4);
        return palette | ((select & 0x0c) << 4);
    }

    private static uint Converted(VideoRegisters registers, int number)
    {
        ReadOnlySpan<byte> color = registers.Colors.AsSpan((number & registers.ColorMask) * 3, 3);
        uint value = VideoCanvas.Black;
        for (int i = 0; i < 3; i++)
        {
            uint component = registers.HasWideColors ? color[i] : (uint)(((color[i] & 0x3f) << 2) | ((color[i] & 0x3f) >> 4));
            value |= component << (16 - (8 * i));
        }

        return value;
    }

    private static bool Set(ref uint old, uint value)
    {
        bool isChanged = old != value;
        old = value;
        return isChanged;
    }
}
