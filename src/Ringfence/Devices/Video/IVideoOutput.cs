namespace Ringfence.Devices.Video;

/// <summary>
/// What a display adapter shows, for whoever shows it on: a window, a VNC client, a picture file. Any thread, not under the machine lock.
/// </summary>
internal interface IVideoOutput
{
    /// <summary>Size in pixels as the guest has set it up now; 0 by 0 while the adapter is off.</summary>
    (int Width, int Height) Size { get; }

    /// <summary>
    /// Brings a picture up to date: 32 bits a pixel (blue in the low byte, then green, red, and 255), rows from the top without gaps. Of a picture of the right
    /// size only what has changed since <paramref name="generation"/> is drawn; an idle screen costs nothing.
    /// </summary>
    /// <param name="picture">The picture; made anew if its size is not right.</param>
    /// <param name="generation">What the picture shows; 0: nothing yet. Raised if something has changed.</param>
    /// <returns>The rows that were drawn, [first, end); empty if nothing has changed.</returns>
    (int First, int End) Draw(ref VideoPicture picture, ref long generation);

    /// <summary>The characters of a text mode, a line each without trailing blanks; null in a graphics mode.</summary>
    IReadOnlyList<string>? ReadText();

    /// <summary>The characters of a text mode with their colors, and the cursor; null in a graphics mode.</summary>
    TextScreen? ReadCells() => null;

    /// <summary>Where the cursor is in a text mode (column, row); null if there is none or it is off.</summary>
    (int Column, int Row)? Cursor { get; }
}
