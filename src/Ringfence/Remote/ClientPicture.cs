using Ringfence.Devices.Video;

namespace Ringfence.Remote;

/// <summary>
/// What one client shows. The screen is compared with it tile by tile, where the screen says that it has changed or the client that it has not
/// what it should. A pixel that the client has not got is 0, which no screen has (its high byte is 255).
/// </summary>
internal sealed class ClientPicture
{
    private const int TileWidth = 64;
    private const int TileHeight = 16;
    private const uint Black = 0xff00_0000;

    private uint[] _shown = [];
    private uint[] _now = [];
    private bool[] _isOpen = [];
    private int _columns;
    private int _rows;

    /// <summary>Pixels in a row.</summary>
    public int Width { get; private set; }

    /// <summary>Rows.</summary>
    public int Height { get; private set; }

    /// <summary>All of it.</summary>
    public RfbRectangle Area => new(0, 0, Width, Height);

    /// <summary>Pixels of a row of what the client shows when it has the rectangles of <see cref="Take"/>.</summary>
    public ReadOnlySpan<uint> Row(int x, int y, int width) => _shown.AsSpan((y * Width) + x, width);

    /// <summary>The client's picture gets another size; nothing of it is known.</summary>
    public void Resize(int width, int height)
    {
        (Width, Height) = (width, height);
        _columns = (width + TileWidth - 1) / TileWidth;
        _rows = (height + TileHeight - 1) / TileHeight;
        _shown = new uint[width * height];
        _isOpen = new bool[_columns * _rows];
        Array.Fill(_isOpen, true);
    }

    /// <summary>The client has not got a part.</summary>
    public void Forget(RfbRectangle area)
    {
        area = area.Intersect(Area);
        if (area.IsEmpty) return;
        for (int y = area.Y; y < area.Y + area.Height; y++) _shown.AsSpan((y * Width) + area.X, area.Width).Clear();
        for (int row = area.Y / TileHeight; row <= (area.Y + area.Height - 1) / TileHeight; row++)
            for (int column = area.X / TileWidth; column <= (area.X + area.Width - 1) / TileWidth; column++) _isOpen[(row * _columns) + column] = true;
    }

    /// <summary>The screen has changed in rows [first, end). A screen of another size is cut, with black around it.</summary>
    public void Update(in VideoPicture screen, int first, int end)
    {
        if (screen.Width == Width && screen.Height == Height)
        {
            _now = screen.Pixels;
        }
        else
        {
            if (_now.Length != Width * Height || ReferenceEquals(_now, screen.Pixels)) _now = new uint[Width * Height];
            Array.Fill(_now, Black);
            int width = Math.Min(Width, screen.Width);
            for (int y = 0; y < Math.Min(Height, screen.Height); y++) screen.Pixels.AsSpan(y * screen.Width, width).CopyTo(_now.AsSpan(y * Width));
            (first, end) = (0, Height);
        }

        end = Math.Min(end, Height);
        if (first >= end) return;
        int from = first / TileHeight * _columns;
        int to = ((end - 1) / TileHeight * _columns) + _columns;
        _isOpen.AsSpan(from..to).Fill(true);
    }

    /// <summary>Finds what the client must get of an area; from here on it counts as shown.</summary>
    public void Take(RfbRectangle area, List<RfbRectangle> found)
    {
        area = area.Intersect(Area);
        if (area.IsEmpty || _now.Length != _shown.Length) return;
        int above = 0;
        for (int row = area.Y / TileHeight; row <= (area.Y + area.Height - 1) / TileHeight; row++)
        {
            int start = found.Count;
            for (int column = area.X / TileWidth; column <= (area.X + area.Width - 1) / TileWidth; column++)
            {
                ref bool isOpen = ref _isOpen[(row * _columns) + column];
                if (!isOpen) continue;
                RfbRectangle tile = new RfbRectangle(column * TileWidth, row * TileHeight, TileWidth, TileHeight).Intersect(Area);
                RfbRectangle part = tile.Intersect(area);
                isOpen = part != tile;
                if (!Copy(part)) continue;
                if (found.Count > start && found[^1].X + found[^1].Width == part.X) found[^1] = found[^1] with { Width = found[^1].Width + part.Width };
                else found.Add(part);
            }

            // Rectangles as wide as those above them are joined with them.
            if (start > above && Joins(found, above, start))
            {
                for (int i = above; i < start; i++) found[i] = found[i] with { Height = found[i].Height + found[start + i - above].Height };
                found.RemoveRange(start, found.Count - start);
            }
            else
            {
                above = start;
            }
        }
    }

    private static bool Joins(List<RfbRectangle> found, int above, int start)
    {
        if (found.Count - start != start - above) return false;
        for (int i = above; i < start; i++)
        {
            RfbRectangle below = found[start + i - above];
            if (below.X != found[i].X || below.Width != found[i].Width || below.Y != found[i].Y + found[i].Height) return false;
        }

        return true;
    }

    private bool Copy(in RfbRectangle part)
    {
        bool isDifferent = false;
        for (int y = part.Y; y < part.Y + part.Height; y++)
        {
            Span<uint> shown = _shown.AsSpan((y * Width) + part.X, part.Width);
            Span<uint> now = _now.AsSpan((y * Width) + part.X, part.Width);
            if (!isDifferent && shown.SequenceEqual(now)) continue;
            isDifferent = true;
            now.CopyTo(shown);
        }

        return isDifferent;
    }
}
