using System.Buffers.Binary;

namespace Ringfence.Devices.Virtio;

/// <summary>
/// The device's side of a split virtqueue (Virtual I/O Device 1.2, 2.7), with indirect descriptors and event indices. Everything in it is the
/// guest's: addresses and lengths reach memory through <see cref="IGuestMemory"/>, loops are bounded by the queue's size, and a queue that makes no
/// sense is counted and stands still until it is reset.
/// </summary>
internal sealed class VirtQueue
{
    private const ushort NextFlag = 1;
    private const ushort WriteFlag = 2;
    private const ushort IndirectFlag = 4;
    private const ushort NoInterrupt = 1;
    private const int DescriptorBytes = 16;
    private const int RingHead = 4;
    private const int UsedElementBytes = 8;
    private const int MostIndirect = 1024;

    private readonly IGuestMemory _memory;
    private readonly int _largest;
    private ushort _size;
    private bool _isEnabled;
    private ulong _descriptors;
    private ulong _available;
    private ulong _used;
    private ushort _nextAvailable;
    private ushort _nextUsed;
    private ushort _announced;
    private ushort _vector = MsixTable.NoVector;
    private bool _isBroken;

    /// <summary>Makes a queue.</summary>
    /// <param name="memory">Guest memory.</param>
    /// <param name="largest">Most entries: a power of two.</param>
    public VirtQueue(IGuestMemory memory, int largest)
    {
        _memory = memory;
        _largest = largest;
        _size = (ushort)largest;
    }

    /// <summary>Entries, as the driver has set them.</summary>
    public ushort Size
    {
        get => _size;
        set
        {
            if (!_isEnabled && value != 0 && value <= _largest && (value & (value - 1)) == 0) _size = value;
            else MisuseCount++;
        }
    }

    /// <summary>The driver has set it up.</summary>
    public bool IsEnabled => _isEnabled;

    /// <summary>MSI-X vector, or <see cref="MsixTable.NoVector"/>.</summary>
    public ushort Vector
    {
        get => _vector;
        set => _vector = value;
    }

    /// <summary>Address of the descriptor table.</summary>
    public ref ulong Descriptors => ref _descriptors;

    /// <summary>Address of the available ring.</summary>
    public ref ulong Available => ref _available;

    /// <summary>Address of the used ring.</summary>
    public ref ulong Used => ref _used;

    /// <summary>The driver uses event indices instead of flags.</summary>
    public bool UsesEventIndex { get; set; }

    /// <summary>What no correct driver does.</summary>
    public ulong MisuseCount { get; private set; }

    /// <summary>The driver has finished setting it up.</summary>
    public void Enable() => _isEnabled = true;

    /// <summary>Back to the state after a reset.</summary>
    public void Reset()
    {
        _size = (ushort)_largest;
        _isEnabled = false;
        _descriptors = _available = _used = 0;
        _nextAvailable = _nextUsed = _announced = 0;
        _vector = MsixTable.NoVector;
        _isBroken = false;
        UsesEventIndex = false;
    }

    /// <summary>Describes the queue.</summary>
    public void DescribeState(IStateVisitor visitor, string prefix)
    {
        visitor.Field(prefix + "size", ref _size);
        visitor.Field(prefix + "enabled", ref _isEnabled);
        visitor.Field(prefix + "descriptors", ref _descriptors);
        visitor.Field(prefix + "available", ref _available);
        visitor.Field(prefix + "used", ref _used);
        visitor.Field(prefix + "next_available", ref _nextAvailable);
        visitor.Field(prefix + "next_used", ref _nextUsed);
        visitor.Field(prefix + "announced", ref _announced);
        visitor.Field(prefix + "vector", ref _vector);
        visitor.Field(prefix + "broken", ref _isBroken);
        bool usesEventIndex = UsesEventIndex;
        visitor.Field(prefix + "event_index", ref usesEventIndex);
        UsesEventIndex = usesEventIndex;
    }

    /// <summary>Takes the next chain of buffers the driver has made available; null: there is none.</summary>
    public VirtChain? Take()
    {
        if (!_isEnabled || _isBroken) return null;
        ushort available = Read16(_available + 2);
        if ((ushort)(available - _nextAvailable) > _size) return Break();
        if (available == _nextAvailable)
        {
            if (!UsesEventIndex) return null;
            // Asks to be told of the next one, and looks again: it may have come in between.
            Write16(_used + RingHead + ((ulong)_size * UsedElementBytes), _nextAvailable);
            Interlocked.MemoryBarrier();
            if (Read16(_available + 2) == _nextAvailable) return null;
        }

        ushort head = Read16(_available + RingHead + (2UL * (uint)(_nextAvailable & (_size - 1))));
        _nextAvailable++;
        return head < _size ? ReadChain(head) : Break();
    }

    /// <summary>Gives a chain back.</summary>
    /// <param name="chain">The chain.</param>
    /// <param name="written">Bytes written into its writable buffers.</param>
    public void Return(VirtChain chain, uint written)
    {
        if (!_isEnabled || _isBroken) return;
        Span<byte> element = stackalloc byte[UsedElementBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(element, chain.Head);
        BinaryPrimitives.WriteUInt32LittleEndian(element[4..], written);
        _memory.Write(_used + RingHead + ((ulong)(uint)(_nextUsed & (_size - 1)) * UsedElementBytes), element);
        Interlocked.MemoryBarrier();
        _nextUsed++;
        Write16(_used + 2, _nextUsed);
    }

    /// <summary>Does the driver want an interrupt for what was given back since the last call (2.7.7)?</summary>
    public bool Announce()
    {
        if (!_isEnabled || _isBroken || _announced == _nextUsed) return false;
        Interlocked.MemoryBarrier();
        ushort old = _announced;
        _announced = _nextUsed;
        if (!UsesEventIndex) return (Read16(_available) & NoInterrupt) == 0;
        ushort wanted = Read16(_available + RingHead + (2UL * _size));
        return (ushort)(_nextUsed - wanted - 1) < (ushort)(_nextUsed - old);
    }

    private VirtChain? Break()
    {
        MisuseCount++;
        _isBroken = true;
        return null;
    }

    private VirtChain? ReadChain(ushort head)
    {
        var chain = new VirtChain(_memory, head);
        ulong table = _descriptors;
        int entries = _size;
        int index = head;
        bool isIndirect = false;
        Span<byte> descriptor = stackalloc byte[DescriptorBytes];
        for (int steps = 0; ; steps++)
        {
            if (steps >= entries || index >= entries) return Break();
            _memory.Read(table + ((ulong)index * DescriptorBytes), descriptor);
            ulong address = BinaryPrimitives.ReadUInt64LittleEndian(descriptor);
            uint length = BinaryPrimitives.ReadUInt32LittleEndian(descriptor[8..]);
            ushort flags = BinaryPrimitives.ReadUInt16LittleEndian(descriptor[12..]);
            ushort next = BinaryPrimitives.ReadUInt16LittleEndian(descriptor[14..]);
            if ((flags & IndirectFlag) != 0)
            {
                entries = (int)Math.Min(length / DescriptorBytes, MostIndirect + 1);
                if (isIndirect || (flags & NextFlag) != 0 || entries is 0 or > MostIndirect) return Break();
                isIndirect = true;
                table = address;
                index = 0;
                steps = -1;
                continue;
            }

            if (!chain.TryAdd(address, length, (flags & WriteFlag) != 0)) return Break();
            if ((flags & NextFlag) == 0) return chain;
            index = next;
        }
    }

    private ushort Read16(ulong address)
    {
        Span<byte> value = stackalloc byte[2];
        _memory.Read(address, value);
        return BinaryPrimitives.ReadUInt16LittleEndian(value);
    }

    private void Write16(ulong address, ushort value)
    {
        Span<byte> bytes = stackalloc byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, value);
        _memory.Write(address, bytes);
    }
}
