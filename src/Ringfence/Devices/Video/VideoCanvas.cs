namespace Ringfence.Devices.Video;

/// <summary>
/// The picture an adapter shows, drawn once however many look at it, with the generation in which each line last changed. A generation is what one
/// update changed.
/// </summary>
internal sealed class VideoCanvas
{
    private uint[] _pixels = [];
    private long[] _lines = [];
    private long _generation = 1;
    private long _madeIn = 1;
    private bool _isRaised;

    /// <summary>Pixels in a line.</summary>
    public int Width { get; private set; }

    /// <summary>Lines.</summary>
    public int Height { get; private set; }

    /// <summary>Black, and the bits every pixel has.</summary>
    public static uint Black => 0xff00_0000;

    /// <summary>Begins an update.</summary>
    public void Begin() => _isRaised = false;

    /// <summary>Makes the canvas another size, and black.</summary>
    public void Resize(int width, int height)
    {
        Width = width;
        Height = height;
        _pixels = new uint[width * height];
        _lines = new long[height];
        _pixels.AsSpan().Fill(Black);
        Raise();
        _madeIn = _generation;
        _lines.AsSpan().Fill(_generation);
    }

    /// <summary>The pixels of a line; whoever changes them calls <see cref="Mark"/>.</summary>
    public Span<uint> Line(int y) => _pixels.AsSpan(y * Width, Width);

    /// <summary>Notes that lines were changed.</summary>
    public void Mark(int first, int end)
    {
        Raise();
        _lines.AsSpan(first, end - first).Fill(_generation);
    }

    /// <summary>Draws a line unless it looks like this already.</summary>
    public void Put(int y, ReadOnlySpan<uint> line)
    {
        Span<uint> old = Line(y);
        if (line.SequenceEqual(old)) return;
        line.CopyTo(old);
        Mark(y, y + 1);
    }

    /// <summary>Draws a line in one color.</summary>
    public void Fill(int y, uint color)
    {
        Span<uint> old = Line(y);
        if (old.IndexOfAnyExcept(color) < 0) return;
        old.Fill(color);
        Mark(y, y + 1);
    }

    /// <summary>Brings a picture up to date (<see cref="IVideoOutput.Draw"/>).</summary>
    public (int First, int End) CopyTo(ref VideoPicture picture, ref long generation)
    {
        bool isWhole = generation < _madeIn || generation > _generation;
        if (picture.Pixels is null || picture.Width != Width || picture.Height != Height || picture.Pixels.Length != _pixels.Length)
        {
            picture = new VideoPicture(Width, Height, new uint[_pixels.Length]);
            isWhole = true;
        }

        if (isWhole)
        {
            generation = _generation;
            _pixels.CopyTo(picture.Pixels, 0);
            return (0, Height);
        }

        if (generation == _generation) return (0, 0);
        int first = 0;
        int end = 0;
        for (int y = 0; y < Height; y++)
        {
            if (_lines[y] <= generation) continue;
            if (end == 0) first = y;
            end = y + 1;
            Line(y).CopyTo(picture.Pixels.AsSpan(y * Width, Width));
        }

        generation = _generation;
        return (first, end);
    }

    private void Raise()
    {
        if (_isRaised) return;
        _isRaised = true;
        _generation++;
    }
}
