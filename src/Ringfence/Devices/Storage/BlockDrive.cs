using Ringfence.Storage;

namespace Ringfence.Devices.Storage;

/// <summary>
/// A drive as its controller sees it: a medium that may be changed, and requests that end later. Requests are carried out in their order on
/// a thread of their own (in a deterministic machine at a moment of guest time), and end under the machine lock. Used under that lock.
/// </summary>
internal abstract class BlockDrive : IDisposable
{
    /// <summary>Name in messages and statistics, such as <c>disk0</c>.</summary>
    public abstract string Name { get; }

    /// <summary>The medium; null: none is in.</summary>
    public abstract BlockStore? Medium { get; }

    /// <summary>Counts changes of the medium, so that a controller can tell its guest.</summary>
    public abstract int MediumChanges { get; }

    /// <summary>Reads at once, beside the requests: for firmware, which reaches a medium without its controller.</summary>
    /// <param name="offset">First byte on the medium.</param>
    /// <param name="data">Receives the bytes; undefined unless the read ended well.</param>
    /// <returns>How it ended.</returns>
    public abstract BlockStatus Read(long offset, Span<byte> data);

    /// <summary>Begins a request.</summary>
    public abstract void Submit(BlockRequest request);

    /// <summary>Forgets requests that have not begun, without telling; waits for none. A reset.</summary>
    public abstract void Cancel();

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Ends the thread when the requests that have begun are done.</summary>
    protected abstract void Dispose(bool disposing);
}
