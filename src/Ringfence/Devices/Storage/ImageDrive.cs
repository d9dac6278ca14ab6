using Ringfence.Storage;

namespace Ringfence.Devices.Storage;

/// <summary>
/// What drives of images have in common: the medium, the queue of requests, what carrying one out means, and the account of it. Who takes
/// requests from the queue, and when, is the derived class' business.
/// </summary>
internal abstract class ImageDrive : BlockDrive
{
    private readonly Queue<BlockRequest> _queue = [];
    private readonly Action<string> _report;
    private readonly List<BlockStore> _removed = [];
    private BlockStore? _medium;
    private int _mediumChanges;
    private bool _hasReported;

    /// <summary>Makes a drive.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="medium">The medium, which the drive closes; null: none.</param>
    /// <param name="report">Takes a line about the first failure of the host, for the user; null: nobody is told.</param>
    protected ImageDrive(string name, BlockStore? medium, Action<string>? report)
    {
        Name = name;
        _medium = medium;
        _report = report ?? (static _ => { });
    }

    /// <inheritdoc/>
    public override string Name { get; }

    /// <inheritdoc/>
    public override BlockStore? Medium => _medium;

    /// <inheritdoc/>
    public override int MediumChanges => _mediumChanges;

    /// <summary>What it has done. Read under the machine lock.</summary>
    public BlockDriveStatistics Statistics { get; private set; }

    /// <summary>Requests that have not begun.</summary>
    protected int Waiting => _queue.Count;

    /// <summary>Puts another medium in. Requests that have not begun will see it. Under the machine lock.</summary>
    /// <param name="medium">The medium, which the drive closes; null: takes the medium out.</param>
    public void ChangeMedium(BlockStore? medium)
    {
        if (_medium is not null) _removed.Add(_medium);
        _medium = medium;
        _mediumChanges++;
        OnMediumRemoved();
    }

    /// <inheritdoc/>
    public override BlockStatus Read(long offset, Span<byte> data)
    {
        BlockStatus status = Execute(BlockOperation.Read, offset, data.Length, data, _medium);
        Account(BlockOperation.Read, data.Length, status);
        return status;
    }

    /// <inheritdoc/>
    public override void Submit(BlockRequest request) => _queue.Enqueue(request);

    /// <inheritdoc/>
    public override void Cancel() => _queue.Clear();

    /// <summary>Media wait to be closed (<see cref="CloseRemoved"/>).</summary>
    protected abstract void OnMediumRemoved();

    /// <summary>Takes the next request and the medium it is for. Under the machine lock.</summary>
    protected bool TryTake(out BlockRequest request, out BlockStore? medium)
    {
        medium = _medium;
        return _queue.TryDequeue(out request!);
    }

    /// <summary>The media that were taken out and that no request uses any more. Under the machine lock.</summary>
    protected BlockStore[] TakeRemoved()
    {
        BlockStore[] removed = [.. _removed];
        _removed.Clear();
        return removed;
    }

    /// <summary>Closes media.</summary>
    protected static void CloseRemoved(BlockStore[] media)
    {
        foreach (BlockStore medium in media) medium.Dispose();
    }

    /// <summary>Carries a request out. Needs no lock.</summary>
    protected BlockStatus Execute(BlockRequest request, BlockStore? medium) =>
        Execute(request.Operation, request.Offset, request.Length, request.Buffer.Span, medium);

    /// <summary>Accounts for a request and tells its controller. Under the machine lock.</summary>
    protected void Complete(BlockRequest request, BlockStatus status)
    {
        Account(request.Operation, request.Length, status);
        request.Completed(status);
    }

    /// <summary>Closes the media. No request is under way.</summary>
    protected override void Dispose(bool disposing)
    {
        if (!disposing) return;
        _queue.Clear();
        CloseRemoved(TakeRemoved());
        _medium?.Dispose();
        _medium = null;
    }

    private BlockStatus Execute(BlockOperation operation, long offset, long length, Span<byte> buffer, BlockStore? medium)
    {
        if (medium is null) return BlockStatus.NoMedium;
        if (operation != BlockOperation.Flush && (offset < 0 || length < 0 || offset > medium.Length - length)) return BlockStatus.OutOfRange;
        if (operation is BlockOperation.Write or BlockOperation.WriteZeroes && medium.IsReadOnly) return BlockStatus.ReadOnly;
        try
        {
            switch (operation)
            {
                case BlockOperation.Read:
                    medium.Read(offset, buffer[..(int)length]);
                    break;
                case BlockOperation.Write:
                    medium.Write(offset, buffer[..(int)length]);
                    break;
                case BlockOperation.WriteZeroes:
                    medium.WriteZeroes(offset, length);
                    break;
                default:
                    medium.Flush();
                    break;
            }

            return BlockStatus.Done;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            Report(error);
            return BlockStatus.Failed;
        }
    }

    private void Account(BlockOperation operation, long length, BlockStatus status)
    {
        BlockDriveStatistics s = Statistics;
        Statistics = (status, operation) switch
        {
            (not BlockStatus.Done, _) => s with { Failures = s.Failures + 1 },
            (_, BlockOperation.Read) => s with { Reads = s.Reads + 1, BytesRead = s.BytesRead + length },
            (_, BlockOperation.Flush) => s with { Flushes = s.Flushes + 1 },
            _ => s with { Writes = s.Writes + 1, BytesWritten = s.BytesWritten + length },
        };
    }

    // A disk that is full fails thousands of requests; one line says so.
    private void Report(Exception error)
    {
        if (_hasReported) return;
        _hasReported = true;
        _report($"{Name}: {error.Message.ReplaceLineEndings(" ")}");
    }
}
