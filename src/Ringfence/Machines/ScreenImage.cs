using Ringfence.Devices.Video;

namespace Ringfence.Machines;

/// <summary>A picture of a screen, as it was at a moment.</summary>
public sealed class ScreenImage
{
    private readonly uint[] _pixels;

    internal ScreenImage(VideoPicture picture)
    {
        Width = picture.Width;
        Height = picture.Height;
        _pixels = [.. picture.Pixels];
    }

    /// <summary>Pixels in a row; 0 if the display adapter was off.</summary>
    public int Width { get; }

    /// <summary>Rows; 0 if the display adapter was off.</summary>
    public int Height { get; }

    /// <summary>The pixels, row by row from the top: blue in the low byte, then green and red; the high byte is 255.</summary>
    public ReadOnlySpan<uint> Pixels => _pixels;

    /// <summary>A pixel.</summary>
    public uint this[int x, int y] => _pixels[(y * Width) + x];

    /// <summary>Writes the picture as PNG. A screen that was off becomes a single black pixel.</summary>
    /// <exception cref="IOException">The stream refuses it.</exception>
    public void SavePng(Stream output)
    {
        ArgumentNullException.ThrowIfNull(output);
        PngEncoder.Write(output, Width, Height, _pixels);
    }
}
