using System.Text;

namespace Ringfence.Machines;

/// <summary>The last characters of a stream of UTF-8 bytes, at positions that count from the stream's beginning. Not thread-safe.</summary>
internal sealed class ConsoleTranscript(int limit)
{
    private readonly Decoder _decoder = new UTF8Encoding(false).GetDecoder();
    private readonly char[] _decoded = new char[4];
    private char[] _text = new char[256];
    private int _length;

    /// <summary>Position of the first character kept.</summary>
    public long Start { get; private set; }

    /// <summary>Position behind the last character.</summary>
    public long End => Start + _length;

    /// <summary>Takes one byte of the stream.</summary>
    public void Append(byte value)
    {
        int count = _decoder.GetChars([value], _decoded, flush: false);
        for (int i = 0; i < count; i++) Append(_decoded[i]);
    }

    /// <summary>The characters from a position on, as far as they are kept.</summary>
    public ReadOnlySpan<char> From(long position)
    {
        int start = (int)Math.Clamp(position - Start, 0, _length);
        return _text.AsSpan(start, _length - start);
    }

    /// <summary>The last <paramref name="count"/> lines.</summary>
    public string LastLines(int count)
    {
        ReadOnlySpan<char> text = _text.AsSpan(0, _length).TrimEnd();
        int start = text.Length;
        while (start > 0)
        {
            if (text[start - 1] == '\n' && --count == 0) break;
            start--;
        }

        return text[start..].ToString();
    }

    private void Append(char value)
    {
        if (_length == _text.Length) MakeRoom();
        _text[_length++] = value;
    }

    // Up to twice the limit is kept, so that forgetting costs one copy for each limit's worth of characters.
    private void MakeRoom()
    {
        if (_length < limit * 2)
        {
            Array.Resize(ref _text, Math.Min(_text.Length * 2, limit * 2));
            return;
        }

        int forget = _length - limit;
        _text.AsSpan(forget, limit).CopyTo(_text);
        _length = limit;
        Start += forget;
    }
}
