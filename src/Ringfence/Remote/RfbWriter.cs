using System.Buffers.Binary;

namespace Ringfence.Remote;

/// <summary>Bytes for a client, kept until they are sent; numbers are big-endian.</summary>
internal sealed class RfbWriter
{
    private byte[] _bytes = new byte[4096];

    /// <summary>Bytes so far.</summary>
    public int Length { get; private set; }

    /// <summary>What there is to send.</summary>
    public ReadOnlyMemory<byte> Written => _bytes.AsMemory(0, Length);

    /// <summary>Begins again.</summary>
    public void Clear() => Length = 0;

    /// <summary>Room for bytes, which count as written.</summary>
    public Span<byte> Take(int count)
    {
        if (Length + count > _bytes.Length) Array.Resize(ref _bytes, Math.Max(Length + count, _bytes.Length * 2));
        Length += count;
        return _bytes.AsSpan(Length - count, count);
    }

    /// <summary>Appends a byte.</summary>
    public void U8(int value) => Take(1)[0] = (byte)value;

    /// <summary>Appends two bytes.</summary>
    public void U16(int value) => BinaryPrimitives.WriteUInt16BigEndian(Take(2), (ushort)value);

    /// <summary>Appends four bytes.</summary>
    public void U32(uint value) => BinaryPrimitives.WriteUInt32BigEndian(Take(4), value);

    /// <summary>Appends bytes.</summary>
    public void Add(ReadOnlySpan<byte> bytes) => bytes.CopyTo(Take(bytes.Length));

    /// <summary>Puts a number where room was left for it.</summary>
    public void PutU16(int at, int value) => BinaryPrimitives.WriteUInt16BigEndian(_bytes.AsSpan(at), (ushort)value);

    /// <summary>Appends the head of a rectangle (RFC 6143 7.6.1).</summary>
    public void Rectangle(in RfbRectangle area, int encoding)
    {
        U16(area.X);
        U16(area.Y);
        U16(area.Width);
        U16(area.Height);
        U32((uint)encoding);
    }
}
