namespace Ringfence.Tests.Support;

/// <summary>A timer whose action does not run any more when it has been disposed of: what the action uses may go then.</summary>
internal sealed class StoppingTimer : IDisposable
{
    private readonly Timer _timer;

    /// <param name="action">What is done.</param>
    /// <param name="due">Milliseconds until it is done first.</param>
    /// <param name="period">Milliseconds from then on; else it is done once.</param>
    public StoppingTimer(Action action, int due, int period = Timeout.Infinite) => _timer = new Timer(_ => action(), null, due, period);

    public void Dispose()
    {
        using ManualResetEvent stopped = new(false);
        if (_timer.Dispose(stopped)) stopped.WaitOne();
    }
}
