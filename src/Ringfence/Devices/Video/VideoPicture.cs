namespace Ringfence.Devices.Video;

/// <summary>A picture of a screen.</summary>
/// <param name="Width">Pixels in a row.</param>
/// <param name="Height">Rows.</param>
/// <param name="Pixels">Width x Height, blue in the low byte, then green, red, 255.</param>
internal readonly record struct VideoPicture(int Width, int Height, uint[] Pixels)
{
    /// <summary>Writes the picture as PNG, 24 bits a pixel.</summary>
    /// <exception cref="IOException">The stream refuses it.</exception>
    public void ToPng(Stream output) => PngEncoder.Write(output, Width, Height, Pixels ?? []);

    /// <summary>The picture as PNG.</summary>
    public byte[] ToPng()
    {
        using MemoryStream stream = new();
        ToPng(stream);
        return stream.ToArray();
    }
}
