using Ringfence.Devices.Storage;
using Ringfence.Storage;

namespace Ringfence.Tests.Devices.Virtio;

/// <summary>A drive over an array; requests end when the test says so.</summary>
internal sealed class MemoryDrive : BlockDrive
{
    private readonly Queue<BlockRequest> _waiting = new();

    public MemoryDrive(int length, bool readOnly = false) => Store = new ArrayStore(new byte[length], readOnly);

    public ArrayStore Store { get; }

    public int Flushes { get; private set; }

    public override string Name => "disk0";

    public override BlockStore? Medium => Store;

    public override int MediumChanges => 0;

    public override void Submit(BlockRequest request) => _waiting.Enqueue(request);

    public override void Cancel() => _waiting.Clear();

    /// <summary>Carries out everything that was submitted.</summary>
    public void Complete()
    {
        while (_waiting.TryDequeue(out BlockRequest? request)) request.Completed(Run(request));
    }

    protected override void Dispose(bool disposing)
    {
    }

    private BlockStatus Run(BlockRequest request)
    {
        if (request.Offset > Store.Length || request.Length > Store.Length - request.Offset) return BlockStatus.OutOfRange;
        switch (request.Operation)
        {
            case BlockOperation.Read:
                Store.Read(request.Offset, request.Buffer.Span);
                return BlockStatus.Done;
            case BlockOperation.Flush:
                Flushes++;
                return BlockStatus.Done;
            case var _ when Store.IsReadOnly:
                return BlockStatus.ReadOnly;
            case BlockOperation.Write:
                Store.Write(request.Offset, request.Buffer.Span);
                return BlockStatus.Done;
            default:
                Store.WriteZeroes(request.Offset, request.Length);
                return BlockStatus.Done;
        }
    }
}

/// <summary>A store that is an array.</summary>
internal sealed class ArrayStore(byte[] bytes, bool readOnly) : BlockStore
{
    public byte[] Bytes => bytes;

    public override long Length => bytes.Length;

    public override bool IsReadOnly => readOnly;

    public override void Read(long offset, Span<byte> data) => bytes.AsSpan((int)offset, data.Length).CopyTo(data);

    public override void Write(long offset, ReadOnlySpan<byte> data) => data.CopyTo(bytes.AsSpan((int)offset));

    public override void WriteZeroes(long offset, long length) => bytes.AsSpan((int)offset, (int)length).Clear();

    public override void Flush()
    {
    }

    protected override void Dispose(bool disposing)
    {
    }
}
