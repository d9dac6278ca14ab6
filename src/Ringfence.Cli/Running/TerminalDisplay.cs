using System.Globalization;
using System.Text;
using Ringfence.Devices.Video;
using Ringfence.Machines;

namespace Ringfence.Cli.Running;

/// <summary>
/// Shows text modes in a terminal (ECMA-48 with bright colors): of each picture only the cells that differ from the one before are written. The
/// terminal's own contents come back at the end.
/// </summary>
/// <param name="output">The terminal, for UTF-8.</param>
internal sealed class TerminalDisplay(TextWriter output)
{
    private const int FramesPerSecond = 30;
    private const string Begin = "\e[?1049h\e[0m\e[2J";
    private const string End = "\e[0m\e[?25h\e[?1049l";
    private const string HideCursor = "\e[?25l";
    private const string ShowCursor = "\e[?25h";

    // Bits 0 to 2 of the PC are blue, green, red, those of the terminal red, green, blue.
    private static readonly int[] Colors = [0, 4, 2, 6, 1, 5, 3, 7];
    private static readonly TextCell Unknown = new(0, 255, 255, false);

    private readonly Lock _sync = new();
    private TextCell[] _shown = [];
    private int _columns = int.MaxValue;
    private int _rows = int.MaxValue;
    private int _shownColumns;
    private string? _message;
    private (int Column, int Row)? _cursor;
    private bool _cursorIsKnown;
    private bool _isOpen;
    private bool _isClosed;

    /// <summary>Tells the terminal's size; the screen is cut to it, so that the cursor can be seen.</summary>
    public void Resize(int columns, int rows)
    {
        lock (_sync)
        {
            if (columns == _columns && rows == _rows) return;
            _columns = Math.Max(1, columns);
            _rows = Math.Max(1, rows);
            Forget();
        }
    }

    /// <summary>Writes everything again at the next update: something else has written to the terminal.</summary>
    public void Redraw()
    {
        lock (_sync) Forget();
    }

    /// <summary>Shows a screen.</summary>
    /// <param name="screen">The screen; null: there is no text to show.</param>
    /// <param name="size">Its size in pixels, shown instead of text.</param>
    public void Update(TextScreen? screen, (int Width, int Height) size = default)
    {
        lock (_sync)
        {
            if (_isClosed) return;
            StringBuilder text = new();
            if (!_isOpen) text.Append(Begin).Append(HideCursor);
            _isOpen = true;
            if (screen is null) ShowMessage(text, size.Width == 0 ? "The screen is off." : $"The screen shows graphics of {size.Width}x{size.Height} pixels.");
            else Show(text, screen);
            if (text.Length == 0) return;
            output.Write(text);
            output.Flush();
        }
    }

    /// <summary>Shows a machine's screen until told to stop.</summary>
    /// <param name="screen">The screen.</param>
    /// <param name="terminalSize">Asks for the terminal's size.</param>
    /// <param name="cancellation">Ends it.</param>
    public async Task RunAsync(Screen screen, Func<(int Columns, int Rows)> terminalSize, CancellationToken cancellation)
    {
        using PeriodicTimer timer = new(TimeSpan.FromSeconds(1.0 / FramesPerSecond));
        try
        {
            do
            {
                (int columns, int rows) = terminalSize();
                Resize(columns, rows);
                TextScreen? text = screen.ReadText();
                Update(text, text is null ? screen.Size : default);
            }
            while (await timer.WaitForNextTickAsync(cancellation).ConfigureAwait(false));
        }
        catch (OperationCanceledException)
        {
            Update(screen.ReadText(), screen.Size);
        }
        finally
        {
            Close();
        }
    }

    /// <summary>Gives the terminal back. Does nothing the second time.</summary>
    public void Close()
    {
        lock (_sync)
        {
            if (_isOpen && !_isClosed)
            {
                output.Write(End);
                output.Flush();
            }

            _isClosed = true;
        }
    }

    private void Forget()
    {
        _shownColumns = 0;
        _shown = [];
        _message = null;
        _cursorIsKnown = false;
    }

    private void ShowMessage(StringBuilder text, string message)
    {
        if (message == _message) return;
        Forget();
        _message = message;
        text.Append("\e[0m\e[2J\e[1;1H").Append(HideCursor).Append(message.AsSpan(0, Math.Min(message.Length, _columns)));
    }

    private void Show(StringBuilder text, TextScreen screen)
    {
        int columns = Math.Min(screen.Columns, _columns);
        int rows = Math.Min(screen.Rows, _rows);
        if (_message is not null || columns != _shownColumns || _shown.Length != columns * rows)
        {
            Forget();
            text.Append("\e[0m\e[2J");
            _shownColumns = columns;
            _shown = new TextCell[columns * rows];
            Array.Fill(_shown, Unknown);
        }

        // Of a screen that is too high the part that ends with the cursor's row.
        int first = screen.Cursor is { } seen ? Math.Clamp(seen.Row - rows + 1, 0, screen.Rows - rows) : 0;
        TextCell? style = null;
        int before = text.Length;
        for (int row = 0; row < rows; row++)
        {
            int at = -1;
            for (int column = 0; column < columns; column++)
            {
                TextCell cell = screen[column, first + row];
                ref TextCell shown = ref _shown[(row * columns) + column];
                if (cell == shown) continue;
                shown = cell;
                if (at != column) Move(text, column, row);
                if (style is not { } last || last with { Code = cell.Code } != cell) Style(text, cell);
                style = cell;
                text.Append(cell.Character);
                at = column + 1;
            }
        }

        (int Column, int Row)? cursor = screen.Cursor is { } place && place.Column < columns ? (place.Column, place.Row - first) : null;
        if (cursor == _cursor && _cursorIsKnown && text.Length == before) return;
        if (style is not null) text.Append("\e[0m");
        if (cursor is { } now)
        {
            Move(text, now.Column, now.Row);
            if (_cursor is null || !_cursorIsKnown) text.Append(ShowCursor);
        }
        else if (_cursor is not null || !_cursorIsKnown)
        {
            text.Append(HideCursor);
        }

        _cursor = cursor;
        _cursorIsKnown = true;
    }

    private static void Move(StringBuilder text, int column, int row) => text.Append(CultureInfo.InvariantCulture, $"\e[{row + 1};{column + 1}H");

    private static void Style(StringBuilder text, TextCell cell)
    {
        int foreground = (cell.Foreground >= 8 ? 90 : 30) + Colors[cell.Foreground & 7];
        int background = (cell.Background >= 8 ? 100 : 40) + Colors[cell.Background & 7];
        text.Append(CultureInfo.InvariantCulture, $"\e[0;{(cell.IsBlinking ? "5;" : "")}{foreground};{background}m");
    }
}
