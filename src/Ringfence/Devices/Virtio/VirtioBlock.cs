using System.Buffers.Binary;
using Ringfence.Devices.Storage;

namespace Ringfence.Devices.Virtio;

/// <summary>A disk (Virtual I/O Device 1.2, 5.2), with several queues.</summary>
internal sealed class VirtioBlock : VirtioDevice
{
    /// <summary>Most queues.</summary>
    public const int MostQueues = 8;

    private const int SectorBytes = 512;
    private const int QueueEntries = 256;
    private const int MostSegments = QueueEntries - 2;
    private const int HeaderBytes = 16;
    private const long MostTransferBytes = 32 << 20;
    private const uint MostZeroSectors = 1 << 22;

    private const ulong SegmentMaximum = 1 << 2, ReadOnly = 1 << 5, BlockSize = 1 << 6, Flush = 1 << 9, MultipleQueues = 1 << 12, Discard = 1 << 13, WriteZeroes = 1 << 14;
    private const uint In = 0, Out = 1, FlushRequest = 4, GetId = 8, DiscardRequest = 11, WriteZeroesRequest = 13;
    private const byte Ok = 0, Error = 1, Unsupported = 2;

    private readonly BlockDrive _drive;
    private readonly string _name;
    private readonly int _queues;

    /// <summary>Makes the device.</summary>
    /// <param name="name">Name in the machine's state, and the disk's serial number.</param>
    /// <param name="drive">The drive.</param>
    /// <param name="queues">Queues, one a processor.</param>
    public VirtioBlock(string name, BlockDrive drive, int queues)
    {
        _name = name;
        _drive = drive;
        _queues = Math.Clamp(queues, 1, MostQueues);
        QueueSizes = [.. Enumerable.Repeat(QueueEntries, _queues)];
    }

    /// <inheritdoc/>
    public override string Name => _name;

    /// <inheritdoc/>
    public override ushort DeviceId => 2;

    /// <inheritdoc/>
    public override uint ClassCode => 0x01_0000;

    /// <inheritdoc/>
    public override ulong Features => SegmentMaximum | BlockSize | Flush | MultipleQueues
        | (_drive.Medium?.IsReadOnly == true ? ReadOnly : Discard | WriteZeroes);

    /// <inheritdoc/>
    public override IReadOnlyList<int> QueueSizes { get; }

    /// <summary>Requests that no correct driver makes.</summary>
    public ulong MisuseCount { get; private set; }

    /// <inheritdoc/>
    public override void ReadConfiguration(int offset, Span<byte> data)
    {
        Span<byte> c = stackalloc byte[60];
        c.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(c, (ulong)((_drive.Medium?.Length ?? 0) / SectorBytes));
        BinaryPrimitives.WriteUInt32LittleEndian(c[12..], MostSegments);
        BinaryPrimitives.WriteUInt32LittleEndian(c[20..], SectorBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(c[34..], (ushort)_queues);
        foreach (int at in (ReadOnlySpan<int>)[36, 48])
        {
            BinaryPrimitives.WriteUInt32LittleEndian(c[at..], MostZeroSectors);
            BinaryPrimitives.WriteUInt32LittleEndian(c[(at + 4)..], 1);
        }

        BinaryPrimitives.WriteUInt32LittleEndian(c[44..], 1);
        data.Clear();
        if (offset < c.Length) c[offset..Math.Min(offset + data.Length, c.Length)].CopyTo(data);
    }

    /// <inheritdoc/>
    public override void Notify(int queue)
    {
        while (Transport.Queue(queue).Take() is { } chain) Begin(queue, chain);
    }

    /// <inheritdoc/>
    public override void Reset() => _drive.Cancel();

    private void Begin(int queue, VirtChain chain)
    {
        Span<byte> header = stackalloc byte[HeaderBytes];
        header.Clear();
        chain.Read(0, header);
        uint type = BinaryPrimitives.ReadUInt32LittleEndian(header);
        ulong sector = BinaryPrimitives.ReadUInt64LittleEndian(header[8..]);
        long readable = chain.ReadableLength - HeaderBytes;
        long writable = chain.WritableLength - 1;
        if (readable < 0 || writable < 0 || readable > MostTransferBytes || writable > MostTransferBytes || sector > long.MaxValue / SectorBytes)
        {
            MisuseCount++;
            End(queue, chain, Error, 0);
            return;
        }

        long offset = (long)sector * SectorBytes;
        switch (type)
        {
            case In:
                byte[] read = new byte[writable];
                Submit(queue, chain, BlockOperation.Read, offset, writable, read);
                break;
            case Out:
                byte[] written = new byte[readable];
                chain.Read(HeaderBytes, written);
                Submit(queue, chain, BlockOperation.Write, offset, readable, written);
                break;
            case FlushRequest:
                Submit(queue, chain, BlockOperation.Flush, 0, 0, []);
                break;
            case GetId:
                byte[] id = new byte[20];
                System.Text.Encoding.ASCII.GetBytes(_name.AsSpan(0, Math.Min(_name.Length, id.Length)), id);
                chain.Write(0, id.AsSpan(0, (int)Math.Min(writable, id.Length)));
                End(queue, chain, Ok, (uint)Math.Min(writable, id.Length));
                break;
            case DiscardRequest or WriteZeroesRequest when readable == 16:
                Span<byte> range = stackalloc byte[16];
                chain.Read(HeaderBytes, range);
                ulong first = BinaryPrimitives.ReadUInt64LittleEndian(range);
                uint count = BinaryPrimitives.ReadUInt32LittleEndian(range[8..]);
                if (first > long.MaxValue / SectorBytes || count > MostZeroSectors) End(queue, chain, Error, 0);
                else Submit(queue, chain, BlockOperation.WriteZeroes, (long)first * SectorBytes, (long)count * SectorBytes, []);
                break;
            default:
                MisuseCount++;
                End(queue, chain, Unsupported, 0);
                break;
        }
    }

    private void Submit(int queue, VirtChain chain, BlockOperation operation, long offset, long length, byte[] buffer)
    {
        long capacity = _drive.Medium?.Length ?? 0;
        if (offset > capacity || length > capacity - offset)
        {
            End(queue, chain, Error, 0);
            return;
        }

        int generation = Transport.Generation;
        _drive.Submit(new BlockRequest(operation, offset, length, buffer, status =>
        {
            if (Transport.Generation != generation) return;
            bool isRead = operation == BlockOperation.Read && status == BlockStatus.Done;
            if (isRead) chain.Write(0, buffer);
            End(queue, chain, status == BlockStatus.Done ? Ok : Error, isRead ? (uint)buffer.Length : 0);
        }));
    }

    private void End(int queue, VirtChain chain, byte status, uint written)
    {
        if (chain.WritableLength > 0) chain.Write(chain.WritableLength - 1, [status]);
        Transport.Return(queue, chain, written + 1);
    }
}
