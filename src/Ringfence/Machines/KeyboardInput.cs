using Ringfence.Devices;

namespace Ringfence.Machines;

/// <summary>
/// Keys on their way to the guest. A keyboard holds few; what it does not take yet waits here, in order, and is offered again until it does.
/// </summary>
/// <param name="press">Presses or releases a key; false if the keyboard cannot take it now.</param>
internal sealed class KeyboardInput(Func<Key, bool, bool> press)
{
    /// <summary>Most keys that wait; more are dropped, as a keyboard that nobody reads drops them.</summary>
    public const int Capacity = 1 << 16;

    private static readonly TimeSpan ShortestRetry = TimeSpan.FromMilliseconds(2);
    private static readonly TimeSpan LongestRetry = TimeSpan.FromMilliseconds(100);

    private readonly Lock _sync = new();
    private readonly Queue<(Key Key, bool Down, TimeSpan Before)> _waiting = new();
    private Task _pump = Task.CompletedTask;

    /// <summary>Adds a key.</summary>
    /// <param name="key">The key.</param>
    /// <param name="down">Pressed or released.</param>
    /// <param name="before">Time to let pass since the key before it.</param>
    public void Add(Key key, bool down, TimeSpan before = default)
    {
        lock (_sync)
        {
            if (_waiting.Count >= Capacity) return;
            _waiting.Enqueue((key, down, before));
            if (_waiting.Count == 1) _pump = Task.Run(PumpAsync);
        }
    }

    /// <summary>Ends when the keyboard has taken every key that waits now.</summary>
    public Task Drained()
    {
        lock (_sync) return _pump;
    }

    private async Task PumpAsync()
    {
        while (true)
        {
            (Key key, bool down, TimeSpan before) next;
            lock (_sync) next = _waiting.Peek();
            if (next.before > TimeSpan.Zero) await Task.Delay(next.before).ConfigureAwait(false);
            for (TimeSpan retry = ShortestRetry; !press(next.key, next.down); retry = retry < LongestRetry ? retry * 2 : LongestRetry)
                await Task.Delay(retry).ConfigureAwait(false);
            lock (_sync)
            {
                _waiting.Dequeue();
                if (_waiting.Count == 0) return;
            }
        }
    }
}
