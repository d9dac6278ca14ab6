using System.Buffers.Binary;

namespace Ringfence.Devices.Virtio;

/// <summary>
/// A console (Virtual I/O Device 1.2, 5.3) with one port and a size. Output is taken as it comes. Input waits until the guest has printed something
/// (Linux throws away what comes between its first buffer and the end of its probing) and then goes into buffers as the driver provides them.
/// Interrupts for output come late: Linux waits for the end of its output without them, and what has no work is to Linux, in such numbers, a
/// broken interrupt.
/// </summary>
/// <remarks>
/// Without VIRTIO_CONSOLE_F_MULTIPORT, whose VIRTIO_CONSOLE_RESIZE some versions of Linux read with rows and columns exchanged: the size in configuration
/// space is understood by all.
/// </remarks>
internal sealed class VirtioConsole : VirtioDevice
{
    /// <summary>Guest time between output and its interrupt, in nanoseconds.</summary>
    public const long InterruptDelay = 1_000_000;

    /// <summary>Most bytes of one chain that are sent; longer ones no driver makes.</summary>
    public const int MostChainBytes = 1 << 16;

    private const int PieceBytes = 4096;
    private const int ReceiveQueue = 0;
    private const int TransmitQueue = 1;
    private const int QueueEntries = 256;
    private const ulong HasSize = 1 << 0;

    private readonly string _name;
    private readonly IMachineClock _clock;
    private readonly IMachineTimer _interrupt;
    private readonly Action<ReadOnlySpan<byte>> _output;
    private readonly Func<int> _pending;
    private readonly Func<Span<byte>, int> _take;
    private readonly byte[] _piece = new byte[PieceBytes];
    private bool _isInterruptDue;
    private ushort _columns;
    private ushort _rows;
    private bool _isInUse;

    /// <summary>Makes the device.</summary>
    /// <param name="name">Name in the machine's state.</param>
    /// <param name="clock">Guest time.</param>
    /// <param name="output">Takes what the guest sends, in pieces.</param>
    /// <param name="pending">Bytes that wait for the guest.</param>
    /// <param name="take">Takes some of them.</param>
    public VirtioConsole(string name, IMachineClock clock, Action<ReadOnlySpan<byte>> output, Func<int> pending, Func<Span<byte>, int> take)
    {
        (_name, _clock, _output, _pending, _take) = (name, clock, output, pending, take);
        _interrupt = clock.CreateTimer(Interrupt);
    }

    /// <inheritdoc/>
    public override string Name => _name;

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
        while (_pending() > 0 && Transport.Queue(ReceiveQueue).Take() is { } chain)
        {
            if (chain.ReadableLength > 0 || chain.WritableLength == 0) MisuseCount++;
            int count = _take(_piece.AsSpan(0, (int)Math.Min(chain.WritableLength, PieceBytes)));
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
            Transport.Queue(TransmitQueue).Return(chain, 0);
            if (!_isInUse) Begin();
            if (!_isInterruptDue) _interrupt.Arm(_clock.Now + InterruptDelay);
            _isInterruptDue = true;
        }

        Offer();
    }

    /// <inheritdoc/>
    public override void Reset()
    {
        _isInUse = _isInterruptDue = false;
        _interrupt.Cancel();
    }

    /// <inheritdoc/>
    public override void DescribeState(IStateVisitor visitor)
    {
        visitor.Field("in_use", ref _isInUse);
        visitor.Field("interrupt_due", ref _isInterruptDue);
        if (_isInterruptDue) _interrupt.Arm(_clock.Now + InterruptDelay);
    }

    private void Interrupt()
    {
        _isInterruptDue = false;
        Transport.Announce(TransmitQueue);
    }

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
            _output(piece);
        }
    }
}
