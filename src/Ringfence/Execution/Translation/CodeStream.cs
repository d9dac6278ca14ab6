using Iced.Intel;

namespace Ringfence.Execution.Translation;

/// <summary>A growing piece of emitted code, written through the writable view of the cache.</summary>
internal sealed unsafe class CodeStream : CodeWriter
{
    private readonly byte* _origin;
    private readonly int _limit;

    /// <summary>Makes the stream of [start, limit) of a cache that begins at <paramref name="origin"/>.</summary>
    public CodeStream(byte* origin, int start, int limit)
    {
        _origin = origin;
        Start = Offset = start;
        _limit = limit;
    }

    /// <summary>Where it begins, from the start of the cache.</summary>
    public int Start { get; }

    /// <summary>Where the next byte goes, from the start of the cache.</summary>
    public int Offset { get; private set; }

    /// <summary>Bytes left.</summary>
    public int Free => _limit - Offset;

    /// <summary>Bytes written.</summary>
    public int Used => Offset - Start;

    /// <summary>Forgets everything.</summary>
    public void Clear() => Offset = Start;

    /// <summary>Goes back to an earlier offset.</summary>
    public void Rewind(int offset) => Offset = offset;

    /// <inheritdoc/>
    public override void WriteByte(byte value) => _origin[Offset++] = value;

    /// <summary>Appends bytes.</summary>
    public void Write(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(new Span<byte>(_origin + Offset, bytes.Length));
        Offset += bytes.Length;
    }

    /// <summary>Appends a 32-bit value.</summary>
    public void Write32(int value)
    {
        *(int*)(_origin + Offset) = value;
        Offset += sizeof(int);
    }

    /// <summary>Appends a template whose last four bytes are <paramref name="hole"/>.</summary>
    public void Write(byte[] template, int hole)
    {
        Write(template);
        *(int*)(_origin + Offset - sizeof(int)) = hole;
    }

    /// <summary>Appends a template that ends in a 32-bit displacement to an offset of the cache; returns the displacement's place.</summary>
    public int WriteBranch(byte[] template, int target)
    {
        Write(template);
        int place = Offset - sizeof(int);
        Patch(place, target);
        return place;
    }

    /// <summary>Makes the displacement at an offset lead to another.</summary>
    public void Patch(int place, int target) => *(int*)(_origin + place) = target - (place + sizeof(int));

    /// <summary>Fills up to a multiple of 16 with INT3.</summary>
    public void Align()
    {
        while ((Offset & 15) != 0) WriteByte(0xcc);
    }
}
