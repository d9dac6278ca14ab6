using System.Buffers.Binary;
using System.Text;

namespace Ringfence.Devices;

/// <summary>
/// QEMU's firmware configuration device (QEMU, docs/specs/fw_cfg): named items that firmware reads through a selector and a data port or by
/// DMA. Items cannot be written.
/// </summary>
internal sealed class FirmwareConfiguration : IBusDevice, IStateful, IResettable
{
    /// <summary>First port: selector (2), data (1 byte, at the second port), DMA address (8, from the fifth port on).</summary>
    public const ushort Port = 0x510;

    /// <summary>Number of ports.</summary>
    public const int PortLength = 12;

    private const ushort SignatureKey = 0x00;
    private const ushort FeaturesKey = 0x01;
    private const ushort DirectoryKey = 0x19;
    private const ushort FirstFile = 0x20;
    // Bit 14 once asked for writing; bit 15 is that of items of the architecture.
    private const ushort KeyMask = 0xbfff;
    private const uint Features = 3;
    private const int NameBytes = 56;
    private const int DataOffset = 1;
    private const int DmaOffset = 4;

    private const uint DmaError = 1;
    private const uint DmaRead = 2;
    private const uint DmaSkip = 4;
    private const uint DmaSelect = 8;
    private const uint DmaWrite = 16;

    private readonly Dictionary<ushort, byte[]> _items = [];
    private readonly List<(string Name, ushort Key, int Length)> _files = [];
    private readonly IGuestMemory _memory;
    private ushort _key;
    private uint _position;
    private uint _dmaHigh;

    /// <summary>Makes the device.</summary>
    /// <param name="memory">What DMA reaches.</param>
    public FirmwareConfiguration(IGuestMemory memory)
    {
        _memory = memory;
        _items[SignatureKey] = "QEMU"u8.ToArray();
        _items[FeaturesKey] = Bytes(Features);
        _items[DirectoryKey] = [0, 0, 0, 0];
    }

    /// <inheritdoc/>
    public string StateName => "fw-cfg";

    /// <inheritdoc/>
    public int StateVersion => 1;

    /// <summary>Accesses that no correct firmware makes.</summary>
    public ulong MisuseCount { get; private set; }

    /// <summary>Adds an item with a number.</summary>
    public void Add(ushort key, byte[] contents) => _items[key] = contents;

    /// <summary>Adds an item with a 32-bit number in it.</summary>
    public void Add(ushort key, uint value) => Add(key, Bytes(value));

    /// <summary>Adds an item with a name, or replaces its contents.</summary>
    public void AddFile(string name, byte[] contents)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(Encoding.ASCII.GetByteCount(name), NameBytes);
        int index = _files.FindIndex(f => f.Name == name);
        ushort key = index >= 0 ? _files[index].Key : (ushort)(FirstFile + _files.Count);
        if (index >= 0) _files.RemoveAt(index);
        _files.Add((name, key, contents.Length));
        _items[key] = contents;
        _items[DirectoryKey] = Directory();
    }

    /// <inheritdoc/>
    public void Reset()
    {
        _key = 0;
        _position = 0;
        _dmaHigh = 0;
    }

    /// <inheritdoc/>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Field("key", ref _key);
        visitor.Field("position", ref _position);
        visitor.Field("dma_high", ref _dmaHigh);
    }

    /// <inheritdoc/>
    public void Read(ulong offset, Span<byte> data)
    {
        data.Fill(0xff);
        if (offset == DataOffset && data.Length == 1)
        {
            data[0] = NextByte();
        }
        else if (offset >= DmaOffset && (int)offset + data.Length <= PortLength)
        {
            // The address register reads as a signature, so that firmware finds out that there is DMA.
            "QEMU CFG"u8.Slice((int)offset - DmaOffset, data.Length).CopyTo(data);
        }
        else
        {
            MisuseCount++;
        }
    }

    /// <inheritdoc/>
    public void Write(ulong offset, ReadOnlySpan<byte> data)
    {
        switch ((offset, data.Length))
        {
            case (0, 2):
                Select(BinaryPrimitives.ReadUInt16LittleEndian(data));
                break;
            case (DataOffset, 1):
                break;
            case (DmaOffset, 4):
                _dmaHigh = BinaryPrimitives.ReadUInt32BigEndian(data);
                break;
            case (DmaOffset + 4, 4):
                ulong address = ((ulong)_dmaHigh << 32) | BinaryPrimitives.ReadUInt32BigEndian(data);
                _dmaHigh = 0;
                Transfer(address);
                break;
            case (DmaOffset, 8):
                Transfer(BinaryPrimitives.ReadUInt64BigEndian(data));
                break;
            default:
                MisuseCount++;
                break;
        }
    }

    private static byte[] Bytes(uint value) => [(byte)value, (byte)(value >> 8), (byte)(value >> 16), (byte)(value >> 24)];

    private byte[] Directory()
    {
        byte[] directory = new byte[4 + (_files.Count * (8 + NameBytes))];
        BinaryPrimitives.WriteUInt32BigEndian(directory, (uint)_files.Count);
        int at = 4;
        foreach ((string name, ushort key, int length) in _files.OrderBy(f => f.Name, StringComparer.Ordinal))
        {
            BinaryPrimitives.WriteUInt32BigEndian(directory.AsSpan(at), (uint)length);
            BinaryPrimitives.WriteUInt16BigEndian(directory.AsSpan(at + 4), key);
            Encoding.ASCII.GetBytes(name, directory.AsSpan(at + 8));
            at += 8 + NameBytes;
        }

        return directory;
    }

    private void Select(ushort key)
    {
        _key = (ushort)(key & KeyMask);
        _position = 0;
    }

    private byte NextByte()
    {
        if (!_items.TryGetValue(_key, out byte[]? item) || _position >= item.Length) return 0;
        return item[_position++];
    }

    /// <summary>A DMA request: control and length, 4 bytes each, and address, 8 bytes, all big-endian; control becomes the result.</summary>
    private void Transfer(ulong request)
    {
        Span<byte> head = stackalloc byte[16];
        _memory.Read(request, head);
        uint control = BinaryPrimitives.ReadUInt32BigEndian(head);
        uint length = BinaryPrimitives.ReadUInt32BigEndian(head[4..]);
        ulong address = BinaryPrimitives.ReadUInt64BigEndian(head[8..]);
        if ((control & DmaSelect) != 0) Select((ushort)(control >> 16));
        uint result = 0;
        if ((control & DmaRead) != 0) CopyOut(address, length);
        else if ((control & DmaWrite) != 0) result = DmaError;
        else if ((control & DmaSkip) != 0) _position = (uint)Math.Min((ulong)_position + length, uint.MaxValue);
        if (result != 0) MisuseCount++;
        Span<byte> answer = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(answer, result);
        _memory.Write(request, answer);
    }

    private void CopyOut(ulong address, uint length)
    {
        byte[] item = _items.GetValueOrDefault(_key) ?? [];
        int available = (int)Math.Min((uint)item.Length > _position ? (uint)item.Length - _position : 0, length);
        if (available > 0) _memory.Write(address, item.AsSpan((int)_position, available));
        _position = (uint)Math.Min((ulong)_position + length, uint.MaxValue);

        // Behind the end of an item are zeroes: no more of them than the largest item firmware has any use for.
        const uint MostZeroes = 1 << 20;
        uint zeroes = Math.Min(length - (uint)available, MostZeroes);
        if (zeroes > 0) _memory.Write(address + (uint)available, new byte[zeroes]);
    }
}
