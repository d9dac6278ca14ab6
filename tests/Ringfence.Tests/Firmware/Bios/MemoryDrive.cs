using Ringfence.Devices.Storage;
using Ringfence.Storage;

namespace Ringfence.Tests.Firmware.Bios;

/// <summary>A drive whose requests end on a thread of the pool.</summary>
internal sealed class MemoryDrive(string name, BlockStore? medium) : BlockDrive
{
    private int _changes;
    private BlockStore? _medium = medium;

    public override string Name => name;

    public override BlockStore? Medium => _medium;

    public override int MediumChanges => _changes;

    public void Insert(BlockStore? other)
    {
        _medium = other;
        _changes++;
    }

    public override BlockStatus Read(long offset, Span<byte> data)
    {
        if (_medium is null) return BlockStatus.NoMedium;
        if (offset < 0 || offset > _medium.Length - data.Length) return BlockStatus.OutOfRange;
        _medium.Read(offset, data);
        return BlockStatus.Done;
    }

    public override void Submit(BlockRequest request) => ThreadPool.QueueUserWorkItem(_ =>
    {
        BlockStatus status = BlockStatus.Done;
        if (_medium is null) status = BlockStatus.NoMedium;
        else if (request.Operation == BlockOperation.Write && _medium.IsReadOnly) status = BlockStatus.ReadOnly;
        else if (request.Operation == BlockOperation.Write) _medium.Write(request.Offset, request.Buffer.Span);
        request.Completed(status);
    });

    public override void Cancel()
    {
    }

    protected override void Dispose(bool disposing)
    {
    }
}
