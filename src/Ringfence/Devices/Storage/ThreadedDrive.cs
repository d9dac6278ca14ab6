using Ringfence.Storage;

namespace Ringfence.Devices.Storage;

/// <summary>A drive whose requests are carried out by a thread of its own, one after the other, while the machine goes on.</summary>
internal sealed class ThreadedDrive : ImageDrive
{
    private readonly Lock _machineLock;
    private readonly Action<Exception> _failed;
    private readonly SemaphoreSlim _work = new(0);
    private readonly Thread _thread;
    private bool _ending;

    /// <summary>Makes a drive and starts its thread.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="medium">The medium, which the drive closes; null: none.</param>
    /// <param name="machineLock">The machine lock: requests end under it.</param>
    /// <param name="report">Takes a line about the first failure of the host, for the user.</param>
    /// <param name="failed">Takes what nobody expected: an error of the monitor. The request that met it never ends.</param>
    public ThreadedDrive(string name, BlockStore? medium, Lock machineLock, Action<string>? report = null, Action<Exception>? failed = null)
        : base(name, medium, report)
    {
        _machineLock = machineLock;
        _failed = failed ?? (static _ => { });
        _thread = new Thread(Work) { Name = $"drive {name}", IsBackground = true };
        _thread.Start();
    }

    /// <inheritdoc/>
    public override void Submit(BlockRequest request)
    {
        base.Submit(request);

        // While the thread has work it looks into the queue by itself.
        if (Waiting == 1) _work.Release();
    }

    /// <inheritdoc/>
    protected override void OnMediumRemoved() => _work.Release();

    /// <summary>Ends the thread. Not under the machine lock, which the thread may need for a last time.</summary>
    protected override void Dispose(bool disposing)
    {
        if (!disposing || _thread is null) return;
        lock (_machineLock)
        {
            if (_ending) return;
            _ending = true;
            Cancel();
        }

        _work.Release();
        _thread.Join();
        base.Dispose(disposing);
        _work.Dispose();
    }

    private void Work()
    {
        try
        {
            while (true)
            {
                _work.Wait();
                if (!WorkUntilIdle()) return;
            }
        }
        catch (Exception error)
        {
            _failed(error);
        }
    }

    private bool WorkUntilIdle()
    {
        BlockRequest? done = null;
        BlockStatus status = default;
        while (true)
        {
            BlockStore[] removed;
            BlockRequest request;
            BlockStore? medium;
            bool any;
            lock (_machineLock)
            {
                if (_ending) return false;
                if (done is not null) Complete(done, status);
                removed = TakeRemoved();
                any = TryTake(out request, out medium);
            }

            CloseRemoved(removed);
            if (!any) return true;
            status = Execute(request, medium);
            done = request;
        }
    }
}
