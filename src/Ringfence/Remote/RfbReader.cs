using System.Buffers.Binary;

namespace Ringfence.Remote;

/// <summary>What a client sends, in bounded pieces; numbers are big-endian (RFC 6143 7).</summary>
internal sealed class RfbReader(Stream stream)
{
    private readonly byte[] _buffer = new byte[4096];
    private int _start;
    private int _end;

    /// <summary>Is nothing left of what has arrived?</summary>
    public bool IsEmpty => _start == _end;

    /// <summary>The next bytes; they stay until the next call.</summary>
    /// <exception cref="EndOfStreamException">The client has gone.</exception>
    public async ValueTask<ReadOnlyMemory<byte>> ReadAsync(int count, CancellationToken cancellation)
    {
        if (_start + count > _buffer.Length)
        {
            _buffer.AsSpan(_start.._end).CopyTo(_buffer);
            _end -= _start;
            _start = 0;
        }

        while (_end - _start < count)
        {
            int read = await stream.ReadAsync(_buffer.AsMemory(_end), cancellation).ConfigureAwait(false);
            if (read == 0) throw new EndOfStreamException();
            _end += read;
        }

        _start += count;
        return _buffer.AsMemory(_start - count, count);
    }

    /// <summary>The next byte.</summary>
    public async ValueTask<byte> ReadByteAsync(CancellationToken cancellation) => (await ReadAsync(1, cancellation).ConfigureAwait(false)).Span[0];

    /// <summary>Leaves bytes out.</summary>
    public async ValueTask SkipAsync(long count, CancellationToken cancellation)
    {
        for (; count > 0; count -= Math.Min(count, 1024)) await ReadAsync((int)Math.Min(count, 1024), cancellation).ConfigureAwait(false);
    }

    /// <summary>A number at a place of a piece.</summary>
    public static ushort U16(ReadOnlyMemory<byte> piece, int at) => BinaryPrimitives.ReadUInt16BigEndian(piece.Span[at..]);

    /// <inheritdoc cref="U16"/>
    public static uint U32(ReadOnlyMemory<byte> piece, int at) => BinaryPrimitives.ReadUInt32BigEndian(piece.Span[at..]);
}
