namespace Ringfence.Devices.Video;

/// <summary>The lines of a row of characters.</summary>
internal readonly struct TextBand
{
    /// <summary>Finds the row that begins at a line.</summary>
    /// <param name="layout">The layout.</param>
    /// <param name="y">The line: 0 or the end of the row before.</param>
    public TextBand(in VideoLayout layout, int y)
    {
        (Counter, RowScan, IsBelow) = layout.LineAt(y);
        First = y;
        int end = y + ((layout.RowHeight - RowScan) << (layout.IsDoubleScan ? 1 : 0));
        if (!IsBelow) end = Math.Min(end, layout.LineCompare + 1);
        End = Math.Min(end, layout.Height);
    }

    /// <summary>The address counter at the first character.</summary>
    public int Counter { get; }

    /// <summary>The row scan counter at the first line.</summary>
    public int RowScan { get; }

    /// <summary>Is the row below the line where the address counter returns to 0?</summary>
    public bool IsBelow { get; }

    /// <summary>First line.</summary>
    public int First { get; }

    /// <summary>Line after the last.</summary>
    public int End { get; }
}
