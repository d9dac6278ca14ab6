using Ringfence.Devices.Storage;
using Ringfence.Storage;

namespace Ringfence.Tests.Support;

/// <summary>A drive whose requests end when the test says so. It refuses what no controller may ask for.</summary>
internal sealed class FakeDrive(BlockStore? medium) : BlockDrive
{
    private readonly Queue<BlockRequest> _requests = [];
    private BlockStore? _medium = medium;
    private int _changes;

    public override string Name => "fake";

    public override BlockStore? Medium => _medium;

    public override int MediumChanges => _changes;

    /// <summary>Requests that have not ended.</summary>
    public int Waiting => _requests.Count;

    /// <summary>How requests end; null: they are carried out.</summary>
    public BlockStatus? Outcome { get; set; }

    public void Change(BlockStore? medium)
    {
        _medium = medium;
        _changes++;
    }

    /// <summary>Carries out everything, also what follows from it.</summary>
    public void Run()
    {
        for (int i = 0; _requests.Count > 0; i++)
        {
            if (i > 100_000) throw new InvalidOperationException("The controller does not come to an end.");
            RunOne();
        }
    }

    /// <summary>Carries out one request.</summary>
    public void RunOne()
    {
        BlockRequest request = _requests.Dequeue();
        request.Completed(Outcome ?? CarryOut(request));
    }

    public override BlockStatus Read(long offset, Span<byte> data)
    {
        if (_medium is null) return BlockStatus.NoMedium;
        if (offset < 0 || offset + data.Length > _medium.Length) return BlockStatus.OutOfRange;
        _medium.Read(offset, data);
        return BlockStatus.Done;
    }

    public override void Submit(BlockRequest request)
    {
        if (request.Operation is BlockOperation.Read or BlockOperation.Write && request.Length != request.Buffer.Length)
            throw new InvalidOperationException("The request's buffer has another length.");
        _requests.Enqueue(request);
    }

    public override void Cancel() => _requests.Clear();

    protected override void Dispose(bool disposing)
    {
    }

    private BlockStatus CarryOut(BlockRequest request)
    {
        if (request.Operation == BlockOperation.Flush)
        {
            _medium?.Flush();
            return BlockStatus.Done;
        }

        if (_medium is null) return BlockStatus.NoMedium;
        if (request.Offset < 0 || request.Length < 0 || request.Offset + request.Length > _medium.Length)
            throw new InvalidOperationException("The controller asks for what lies beyond the medium.");
        switch (request.Operation)
        {
            case BlockOperation.Read:
                _medium.Read(request.Offset, request.Buffer.Span);
                break;
            case BlockOperation.Write when !_medium.IsReadOnly:
                _medium.Write(request.Offset, request.Buffer.Span);
                break;
            case BlockOperation.WriteZeroes when !_medium.IsReadOnly:
                _medium.WriteZeroes(request.Offset, request.Length);
                break;
            default:
                return BlockStatus.ReadOnly;
        }

        return BlockStatus.Done;
    }
}
