namespace Ringfence.Web;

/// <summary>
/// Wakes everyone who waits for a change. Take <see cref="Next"/> first, look at what may have changed, and then wait: nothing is missed.
/// </summary>
internal sealed class Signal
{
    private TaskCompletionSource _next = Create();

    /// <summary>Ends at the next change.</summary>
    public Task Next => Volatile.Read(ref _next).Task;

    /// <summary>Something has changed.</summary>
    public void Pulse() => Interlocked.Exchange(ref _next, Create()).TrySetResult();

    private static TaskCompletionSource Create() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
