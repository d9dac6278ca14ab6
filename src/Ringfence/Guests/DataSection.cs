using System.Buffers.Binary;
using System.Text;

namespace Ringfence.Guests;

/// <summary>Constants or variables of the guest, given addresses one after the other.</summary>
/// <param name="address">Linear address of the section's first byte.</param>
internal sealed class DataSection(ulong address)
{
    private readonly Dictionary<string, ulong> _texts = [];
    private byte[] _bytes = new byte[0x1000];
    private int _length;

    /// <summary>Linear address of the first byte.</summary>
    public ulong Address { get; } = address;

    /// <summary>Bytes up to the end of the last thing reserved.</summary>
    public int Length => _length;

    /// <summary>Everything, without the zeros at the end.</summary>
    public byte[] ToArray() => _bytes.AsSpan(0, _length).TrimEnd((byte)0).ToArray();

    /// <summary>Room for something, zeroed.</summary>
    /// <param name="bytes">Size in bytes.</param>
    /// <param name="alignment">A power of two.</param>
    /// <returns>The linear address.</returns>
    public ulong Reserve(int bytes, int alignment = 8)
    {
        int start = (_length + alignment - 1) & -alignment;
        _length = start + bytes;
        if (_length > _bytes.Length) Array.Resize(ref _bytes, Math.Max(_length, _bytes.Length * 2));
        return Address + (uint)start;
    }

    /// <summary>A text in ASCII; the same text is stored once.</summary>
    public ulong Text(string text)
    {
        if (_texts.TryGetValue(text, out ulong known)) return known;
        ulong place = Reserve(text.Length + 1, 1);
        Encoding.ASCII.GetBytes(text, _bytes.AsSpan((int)(place - Address)));
        _texts.Add(text, place);
        return place;
    }

    public void WriteUInt64(ulong place, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(At(place, 8), value);

    public void WriteUInt32(ulong place, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(At(place, 4), value);

    public void WriteUInt16(ulong place, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(At(place, 2), value);

    /// <summary>A new 64-bit constant.</summary>
    public ulong UInt64(ulong value)
    {
        ulong place = Reserve(8);
        WriteUInt64(place, value);
        return place;
    }

    private Span<byte> At(ulong place, int bytes) => _bytes.AsSpan((int)(place - Address), bytes);
}
