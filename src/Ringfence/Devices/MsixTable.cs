using System.Buffers.Binary;

namespace Ringfence.Devices;

/// <summary>
/// Message-signaled interrupts of a function (PCI Local Bus Specification 3.0, 6.8.2: MSI-X): a table of messages and the bits of those that
/// wait while they are masked, in one page of memory.
/// </summary>
internal sealed class MsixTable : IBusDevice
{
    /// <summary>The vector that means none.</summary>
    public const ushort NoVector = 0xffff;

    /// <summary>Bytes of memory.</summary>
    public const uint Length = 0x1000;

    private const int EntryBytes = 16;
    private const int PendingOffset = 0x800;
    private const byte CapabilityId = 0x11;
    private const int EnableBit = 0x8000;
    private const int MaskBit = 0x4000;

    private readonly byte[] _table;
    private readonly byte[] _pending;
    private readonly int _vectors;
    private readonly PciFunction _function;
    private readonly int _capability;
    private readonly Action<ulong, uint> _send;

    /// <summary>Makes the table and its capability.</summary>
    /// <param name="function">The function.</param>
    /// <param name="capability">Where the capability stands in configuration space.</param>
    /// <param name="bar">The base address register that decodes the table.</param>
    /// <param name="vectors">Messages, at most 128.</param>
    /// <param name="send">Sends a message: address, data.</param>
    public MsixTable(PciFunction function, int capability, int bar, int vectors, Action<ulong, uint> send)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(vectors, PendingOffset / EntryBytes);
        _function = function;
        _capability = capability;
        _vectors = vectors;
        _send = send;
        _table = new byte[vectors * EntryBytes];
        _pending = new byte[(vectors + 7) / 8];
        function.DefineCapability(capability, CapabilityId);
        function.Define(capability + 2, 2, (uint)(vectors - 1), EnableBit | MaskBit);
        function.Define(capability + 4, 4, (uint)bar, 0);
        function.Define(capability + 8, 4, (uint)(PendingOffset | bar), 0);
        Reset();
    }

    /// <summary>The function interrupts by messages instead of its pin.</summary>
    public bool IsEnabled => (Control & EnableBit) != 0;

    private uint Control => _function.Read(_capability + 2, 2);

    /// <summary>Interrupts with a message.</summary>
    public void Signal(ushort vector)
    {
        if (vector >= _vectors || !IsEnabled) return;
        Span<byte> entry = _table.AsSpan(vector * EntryBytes, EntryBytes);
        if ((Control & MaskBit) != 0 || (entry[12] & 1) != 0)
        {
            _pending[vector >> 3] |= (byte)(1 << (vector & 7));
            return;
        }

        _pending[vector >> 3] &= (byte)~(1 << (vector & 7));
        _send(BinaryPrimitives.ReadUInt64LittleEndian(entry), BinaryPrimitives.ReadUInt32LittleEndian(entry[8..]));
    }

    /// <summary>Sends what waited: masks have changed.</summary>
    public void SendPending()
    {
        for (ushort i = 0; i < _vectors; i++)
            if ((_pending[i >> 3] & (1 << (i & 7))) != 0) Signal(i);
    }

    /// <summary>All messages masked, none waiting.</summary>
    public void Reset()
    {
        Array.Clear(_table);
        Array.Clear(_pending);
        for (int i = 0; i < _vectors; i++) _table[(i * EntryBytes) + 12] = 1;
    }

    /// <summary>Describes the table.</summary>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Bytes("msix_table", _table);
        visitor.Bytes("msix_pending", _pending);
    }

    /// <inheritdoc/>
    public void Read(ulong offset, Span<byte> data)
    {
        data.Clear();
        for (int i = 0; i < data.Length; i++)
        {
            ulong at = offset + (ulong)i;
            if (at < (ulong)_table.Length) data[i] = _table[at];
            else if (at >= PendingOffset && at - PendingOffset < (ulong)_pending.Length) data[i] = _pending[at - PendingOffset];
        }
    }

    /// <inheritdoc/>
    public void Write(ulong offset, ReadOnlySpan<byte> data)
    {
        for (int i = 0; i < data.Length; i++)
            if (offset + (ulong)i < (ulong)_table.Length) _table[offset + (ulong)i] = data[i];
        SendPending();
    }
}
