using System.Buffers.Binary;

namespace Ringfence.Devices.Virtio;

/// <summary>
/// A console (Virtual I/O Device 1.2, 5.3) with one port and a size. Output is taken as it comes. Input waits until the guest has printed something
/// (Linux throws away what comes between its first buffer and the end of its probing) and then goes into buffers as the driver provides them.
/// </summary>
/// <remarks>
/// Without VIRTIO_CONSOLE_F_MULTIPORT, whose VIRTIO_CONSOLE_RESIZE some versions of Linux read with rows and columns exchanged: the size in configuration
/// space is understood by all.
/// </remarks>
/// <param name="name">Name in the machine's state.</param>
/// <param name="output">Takes what the guest sends, in pieces.</param>
/// <param name="pending">Bytes that wait for the guest.</param>
/// <param name="take">Takes some of them.</param>
internal sealed class VirtioConsole(string name, Action<ReadOnlySpan<byte>> output, Func<int> pending, Func<Span<byte>, int> take) : VirtioDevice
{
    /// <summary>Most bytes of one chain that are sent; longer ones no driver makes.</summary>
    public const int MostChainBytes = 1 << 16;

    private const int PieceBytes = 4096;
    private const int ReceiveQueue = 0;
    private const int TransmitQueue = 1;
    private const int QueueEntries = 256;
    private const ulong HasSize = 1 << 0;

    private readonly byte[] _piece = new byte[PieceBytes];
    private ushort _columns;
    private ushort _rows;
    private bool _isInUse;

    /// <inheritdoc/>
    public override string Name => name;

    /// <inheritdoc/>
    public override ushort DeviceId => 3;

    /// <inheritdoc/>
    public override uint ClassCode => 0x07_8000;

    /// <inheritdoc/>
    public override ulong Features => HasSize;

    /// <inheritdoc/>
    public override IReadOnlyList<int> QueueSizes { get; } = [QueueEntries, QueueEntries];

    /// <summary>Buffers that no correct driver provides.</summary>
    public ulong MisuseCount { get; private set; }

    /// <summary>The terminal has another size.</summary>
    public void Resize(ushort columns, ushort rows)
    {
        if ((columns, rows) == (_columns, _rows)) return;
        (_columns, _rows) = (columns, rows);
        Transport.ConfigurationChanged();
    }

    /// <summary>Gives the driver what waits for it, as far as it has buffers.</summary>
    public void Offer()
    {
        if (!Transport.IsDriverReady || !_isInUse) return;
        while (pending() > 0 && Transport.Queue(ReceiveQueue).Take() is { } chain)
        {
            if (chain.ReadableLength > 0 || chain.WritableLength == 0) MisuseCount++;
            int count = take(_piece.AsSpan(0, (int)Math.Min(chain.WritableLength, PieceBytes)));
            chain.Write(0, _piece.AsSpan(0, count));
            Transport.Return(ReceiveQueue, chain, (uint)count);
        }
    }

    /// <inheritdoc/>
    public override void ReadConfiguration(int offset, Span<byte> data)
    {
        Span<byte> c = stackalloc byte[12];
        c.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(c, _columns);
        BinaryPrimitives.WriteUInt16LittleEndian(c[2..], _rows);
        data.Clear();
        if (offset < c.Length) c[offset..Math.Min(offset + data.Length, c.Length)].CopyTo(data);
    }

    /// <inheritdoc/>
    public override void Notify(int queue)
    {
        while (queue == TransmitQueue && Transport.Queue(TransmitQueue).Take() is { } chain)
        {
            Send(chain);
            Transport.Return(TransmitQueue, chain, 0);
            if (!_isInUse) Begin();
        }

        Offer();
    }

    /// <inheritdoc/>
    public override void Reset() => _isInUse = false;

    /// <inheritdoc/>
    public override void DescribeState(IStateVisitor visitor) => visitor.Field("in_use", ref _isInUse);

    private void Begin()
    {
        _isInUse = true;
        // Linux looks at the size when it is told of a new one only.
        if ((_columns, _rows) != (0, 0)) Transport.ConfigurationChanged();
    }

    private void Send(VirtChain chain)
    {
        if (chain.WritableLength > 0 || chain.ReadableLength > MostChainBytes) MisuseCount++;
        long length = Math.Min(chain.ReadableLength, MostChainBytes);
        for (long at = 0; at < length; at += PieceBytes)
        {
            Span<byte> piece = _piece.AsSpan(0, (int)Math.Min(length - at, PieceBytes));
            chain.Read(at, piece);
            output(piece);
        }
    }
}
