using System.Text;
using Ringfence.Machines;

namespace Ringfence.Web;

/// <summary>
/// The output of a serial port or a virtio console, byte for byte, for any number of readers, each at a position of its own. It is kept once; readers take it when they can, and
/// one that has fallen behind what is kept has lost its place. The guest waits for none.
/// </summary>
internal sealed class SerialFeed : IDisposable
{
    /// <summary>Bytes of output that a new reader finds.</summary>
    public const int HistoryBytes = 1 << 20;

    private readonly Lock _sync = new();
    private readonly Signal _changed = new();
    private readonly IDisposable _subscription;
    private byte[] _bytes = new byte[4096];
    private int _length;
    private long _start;
    private volatile bool _isComplete;

    /// <summary>Begins to take a port's output, with what it has printed before.</summary>
    public SerialFeed(InteractiveConsole console)
    {
        Console = console;
        lock (_sync)
        {
            _subscription = console.Follow(data => Append(data.Span), out string before);
            Append(Encoding.UTF8.GetBytes(before));
        }
    }

    /// <summary>The port.</summary>
    public InteractiveConsole Console { get; }

    /// <summary>Ends when there is more output than at the last <see cref="TryRead"/>, or when there will be no more.</summary>
    public Task Changed => _changed.Next;

    /// <summary>Whether there will be no more output.</summary>
    public bool IsComplete => _isComplete;

    /// <summary>Where a new reader begins, and where the output ends now.</summary>
    public (long Beginning, long End) History
    {
        get
        {
            lock (_sync) return (Math.Max(_start, _start + _length - HistoryBytes), _start + _length);
        }
    }

    /// <summary>Takes output from a position on.</summary>
    /// <param name="position">The position; afterwards the one behind what was taken.</param>
    /// <param name="data">Room for it.</param>
    /// <param name="count">Bytes taken; 0: there is none yet.</param>
    /// <returns>False: what was there is no longer kept.</returns>
    public bool TryRead(ref long position, Span<byte> data, out int count)
    {
        lock (_sync)
        {
            count = 0;
            if (position < _start) return false;
            count = (int)Math.Min(data.Length, _start + _length - position);
            _bytes.AsSpan((int)(position - _start), count).CopyTo(data);
            position += count;
            return true;
        }
    }

    /// <summary>There will be no more output: readers that have taken everything may go.</summary>
    public void Complete()
    {
        _isComplete = true;
        _changed.Pulse();
    }

    /// <inheritdoc/>
    public void Dispose() => _subscription.Dispose();

    private void Append(ReadOnlySpan<byte> data)
    {
        lock (_sync)
        {
            while (!data.IsEmpty)
            {
                if (_length == _bytes.Length) MakeRoom();
                int count = Math.Min(data.Length, _bytes.Length - _length);
                data[..count].CopyTo(_bytes.AsSpan(_length));
                _length += count;
                data = data[count..];
            }
        }

        _changed.Pulse();
    }

    // Up to twice the history is kept, so that a reader that begins at its oldest byte has time to take it.
    private void MakeRoom()
    {
        if (_length < HistoryBytes * 2)
        {
            Array.Resize(ref _bytes, _bytes.Length * 2);
            return;
        }

        _bytes.AsSpan(_length - HistoryBytes).CopyTo(_bytes);
        _start += _length - HistoryBytes;
        _length = HistoryBytes;
    }
}
