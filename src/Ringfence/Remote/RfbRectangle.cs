namespace Ringfence.Remote;

/// <summary>A part of the screen, in pixels.</summary>
internal readonly record struct RfbRectangle(int X, int Y, int Width, int Height)
{
    /// <summary>Is nothing in it?</summary>
    public bool IsEmpty => Width <= 0 || Height <= 0;

    /// <summary>What both have.</summary>
    public RfbRectangle Intersect(in RfbRectangle other)
    {
        int x = Math.Max(X, other.X);
        int y = Math.Max(Y, other.Y);
        return new(x, y, Math.Min(X + Width, other.X + other.Width) - x, Math.Min(Y + Height, other.Y + other.Height) - y);
    }

    /// <summary>The smallest that has both.</summary>
    public RfbRectangle Union(in RfbRectangle other)
    {
        if (IsEmpty) return other;
        if (other.IsEmpty) return this;
        int x = Math.Min(X, other.X);
        int y = Math.Min(Y, other.Y);
        return new(x, y, Math.Max(X + Width, other.X + other.Width) - x, Math.Max(Y + Height, other.Y + other.Height) - y);
    }
}
