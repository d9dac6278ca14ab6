using System.Text;

namespace Ringfence.Cli.Comparing;

/// <summary>
/// Takes what a guest prints apart into lines that may be shown on any terminal: guests are not trusted, so control characters, with which a
/// terminal can be told things, are left out. Not thread-safe.
/// </summary>
/// <param name="show">Takes a line.</param>
internal sealed class GuestLines(Action<string> show)
{
    /// <summary>A line that is longer is shown in pieces.</summary>
    private const int MaximumCharacters = 400;

    private readonly Decoder _decoder = new UTF8Encoding(false).GetDecoder();
    private readonly StringBuilder _line = new();

    /// <summary>Takes output.</summary>
    public void Take(ReadOnlySpan<byte> output)
    {
        char[] characters = new char[Encoding.UTF8.GetMaxCharCount(output.Length)];
        int count = _decoder.GetChars(output, characters, flush: false);
        foreach (char c in characters.AsSpan(0, count))
        {
            if (c == '\n') Show();
            else if (IsShown(c)) _line.Append(c);
            if (_line.Length >= MaximumCharacters) Show();
        }
    }

    /// <summary>Shows a line that has not been ended.</summary>
    public void End()
    {
        if (_line.Length > 0) Show();
    }

    /// <summary>The lines of a text.</summary>
    public static IReadOnlyList<string> Split(string text)
    {
        List<string> lines = [];
        GuestLines splitter = new(lines.Add);
        splitter.Take(Encoding.UTF8.GetBytes(text));
        splitter.End();
        return lines;
    }

    private static bool IsShown(char c) => c == '\t' || !char.IsControl(c);

    private void Show()
    {
        show(_line.ToString());
        _line.Clear();
    }
}
