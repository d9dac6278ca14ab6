using Ringfence.Devices.Video;

namespace Ringfence.Tests.Remote;

/// <summary>A screen whose picture the test sets.</summary>
internal sealed class FakeVideo : IVideoOutput
{
    private readonly Lock _sync = new();
    private VideoPicture _shown = new(0, 0, []);
    private long _generation = 1;

    /// <summary>How often someone has looked.</summary>
    public int Draws { get; private set; }

    public (int Width, int Height) Size => (_shown.Width, _shown.Height);

    public (int Column, int Row)? Cursor => null;

    public void Show(int width, int height, Func<int, int, uint> pixel)
    {
        uint[] pixels = new uint[width * height];
        for (int i = 0; i < pixels.Length; i++) pixels[i] = 0xff00_0000 | pixel(i % width, i / width);
        Show(new VideoPicture(width, height, pixels));
    }

    public void Show(VideoPicture picture)
    {
        lock (_sync) (_shown, _generation) = (picture, _generation + 1);
    }

    public (int First, int End) Draw(ref VideoPicture picture, ref long generation)
    {
        lock (_sync)
        {
            Draws++;
            if (generation == _generation) return (0, 0);
            generation = _generation;
            picture = _shown with { Pixels = [.. _shown.Pixels] };
            return (0, _shown.Height);
        }
    }

    public IReadOnlyList<string>? ReadText() => null;
}
