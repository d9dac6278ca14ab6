using System.Runtime.InteropServices;

namespace Ringfence.Devices;

/// <summary>A first-in first-out queue of fixed capacity for a device's bytes with a few bits beside each.</summary>
/// <param name="capacity">The most entries it holds.</param>
internal sealed class ByteQueue(int capacity)
{
    private readonly ushort[] _entries = new ushort[capacity];
    private int _first;
    private int _count;

    /// <summary>Number of entries.</summary>
    public int Count => _count;

    /// <summary>Number of entries that still fit.</summary>
    public int Space => _entries.Length - _count;

    /// <summary>Appends an entry; drops it and returns false if the queue is full.</summary>
    public bool Add(ushort entry)
    {
        if (_count == _entries.Length) return false;
        _entries[(_first + _count++) % _entries.Length] = entry;
        return true;
    }

    /// <summary>Removes and returns the oldest entry; 0 if there is none.</summary>
    public ushort Take()
    {
        if (_count == 0) return 0;
        ushort entry = _entries[_first];
        _first = (_first + 1) % _entries.Length;
        _count--;
        return entry;
    }

    /// <summary>The oldest entry; 0 if there is none.</summary>
    public ushort Peek() => _count == 0 ? (ushort)0 : _entries[_first];

    /// <summary>Replaces the oldest entry.</summary>
    public void ReplaceHead(ushort entry)
    {
        if (_count > 0) _entries[_first] = entry;
    }

    /// <summary>Removes all entries.</summary>
    public void Clear() => _first = _count = 0;

    /// <summary>Visits the entries.</summary>
    public void DescribeState(IStateVisitor visitor, string name)
    {
        visitor.Bytes(name, MemoryMarshal.AsBytes(_entries.AsSpan()));
        visitor.Field(name + "_first", ref _first);
        visitor.Field(name + "_count", ref _count);
        _first = Math.Clamp(_first, 0, _entries.Length - 1);
        _count = Math.Clamp(_count, 0, _entries.Length);
    }
}
