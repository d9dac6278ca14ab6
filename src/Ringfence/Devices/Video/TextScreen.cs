namespace Ringfence.Devices.Video;

/// <summary>What a text mode shows at a moment.</summary>
public sealed class TextScreen
{
    private readonly TextCell[] _cells;

    internal TextScreen(int columns, int rows, TextCell[] cells, (int Column, int Row)? cursor)
    {
        Columns = columns;
        Rows = rows;
        _cells = cells;
        Cursor = cursor;
    }

    /// <summary>Characters in a row.</summary>
    public int Columns { get; }

    /// <summary>Rows.</summary>
    public int Rows { get; }

    /// <summary>Where the cursor is; null if there is none.</summary>
    public (int Column, int Row)? Cursor { get; }

    /// <summary>The cells, row by row.</summary>
    public ReadOnlySpan<TextCell> Cells => _cells;

    /// <summary>A cell.</summary>
    public TextCell this[int column, int row] => _cells[(row * Columns) + column];

    /// <summary>The rows without trailing blanks.</summary>
    public IReadOnlyList<string> Lines =>
        [.. Enumerable.Range(0, Rows).Select(row => string.Create(Columns, (_cells, row), Fill).TrimEnd(' '))];

    /// <summary>All rows, with line ends between them.</summary>
    public override string ToString() => string.Join('\n', Lines);

    private static void Fill(Span<char> characters, (TextCell[] Cells, int Row) from)
    {
        int first = from.Row * characters.Length;
        for (int i = 0; i < characters.Length; i++) characters[i] = from.Cells[first + i].Character;
    }
}
