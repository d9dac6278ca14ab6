using System.Buffers.Binary;

namespace Ringfence.Devices;

/// <summary>
/// The 65,536 I/O ports. Called under the machine lock. An access that leaves the device it begins in is split into bytes;
/// ports nobody claims read as all ones.
/// </summary>
public sealed class PortBus
{
    private const int Ports = 0x1_0000;

    private readonly ushort[] _owners = new ushort[Ports];
    private readonly List<Mapping?> _mappings = [null];

    /// <summary>Reads of bytes at unclaimed ports.</summary>
    public ulong UnclaimedReads { get; private set; }

    /// <summary>Writes of bytes at unclaimed ports.</summary>
    public ulong UnclaimedWrites { get; private set; }

    /// <summary>Gives a device <paramref name="length"/> ports from <paramref name="start"/>.</summary>
    /// <param name="name">For messages and dumps.</param>
    /// <param name="start">First port; the device sees it as offset 0.</param>
    /// <param name="length">Number of ports.</param>
    /// <param name="device">The device.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range is empty or passes port FFFFh.</exception>
    /// <exception cref="InvalidOperationException">A port of the range is claimed already.</exception>
    public void Map(string name, ushort start, int length, IBusDevice device)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Ports - start);
        for (int port = start; port < start + length; port++)
        {
            if (_mappings[_owners[port]] is { } other)
                throw new InvalidOperationException($"{name} at port 0x{start:x} overlaps {other.Name} at 0x{other.Start:x}.");
        }

        int index = _mappings.IndexOf(null, 1);
        Mapping mapping = new(name, start, start + length, device);
        if (index < 0)
        {
            index = _mappings.Count;
            _mappings.Add(mapping);
        }
        else
        {
            _mappings[index] = mapping;
        }

        _owners.AsSpan(start, length).Fill((ushort)index);
    }

    /// <summary>Is none of <paramref name="length"/> ports from <paramref name="start"/> claimed?</summary>
    public bool IsFree(ushort start, int length) => start + length <= Ports && !_owners.AsSpan(start, length).ContainsAnyExcept((ushort)0);

    /// <summary>Takes back the ports of the device mapped at <paramref name="start"/>; nothing if there is none.</summary>
    public void Unmap(ushort start)
    {
        int index = _owners[start];
        if (_mappings[index] is not { } mapping || mapping.Start != start) return;
        _owners.AsSpan(mapping.Start, mapping.End - mapping.Start).Clear();
        _mappings[index] = null;
    }

    /// <summary>The mapped ranges in the order of their ports: name, first port, number of ports.</summary>
    public IEnumerable<(string Name, ushort Start, int Length)> Ranges =>
        from mapping in _mappings
        where mapping is not null
        orderby mapping.Start
        select (mapping.Name, (ushort)mapping.Start, mapping.End - mapping.Start);

    /// <summary>Reads <paramref name="size"/> (1, 2 or 4) bytes.</summary>
    public uint Read(ushort port, int size)
    {
        Span<byte> data = stackalloc byte[4];
        data.Clear();
        if (_mappings[_owners[port]] is { } mapping && port + size <= mapping.End)
        {
            mapping.Device.Read((ulong)(port - mapping.Start), data[..size]);
        }
        else
        {
            for (int i = 0; i < size; i++) ReadByte(port + i, data.Slice(i, 1));
        }

        return BinaryPrimitives.ReadUInt32LittleEndian(data);
    }

    /// <summary>Writes the low <paramref name="size"/> (1, 2 or 4) bytes of <paramref name="value"/>.</summary>
    public void Write(ushort port, int size, uint value)
    {
        Span<byte> data = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(data, value);
        if (_mappings[_owners[port]] is { } mapping && port + size <= mapping.End)
        {
            mapping.Device.Write((ulong)(port - mapping.Start), data[..size]);
            return;
        }

        for (int i = 0; i < size; i++)
        {
            if (port + i < Ports && _mappings[_owners[port + i]] is { } owner) owner.Device.Write((ulong)(port + i - owner.Start), data.Slice(i, 1));
            else UnclaimedWrites++;
        }
    }

    private void ReadByte(int port, Span<byte> data)
    {
        if (port < Ports && _mappings[_owners[port]] is { } mapping)
        {
            mapping.Device.Read((ulong)(port - mapping.Start), data);
            return;
        }

        UnclaimedReads++;
        data[0] = 0xff;
    }

    private sealed record Mapping(string Name, int Start, int End, IBusDevice Device);
}
