using System.Diagnostics;
using Ringfence.Host;

namespace Ringfence.Machines;

/// <summary>
/// Guest time that follows the host's monotonic clock while the machine runs. One thread sleeps until the earliest timer is due and
/// runs it under the machine lock; due times are absolute, so a late wake-up delays one period and never the following ones.
/// </summary>
internal sealed class HostClock : MachineClock
{
    /// <summary>Shortest sleep between two passes: bounds what a guest that arms timers for the past can cost, in nanoseconds.</summary>
    private const long ShortestSleep = 2_000;

    private readonly Lock _machineLock;
    private readonly Action<Exception> _failed;
    private readonly WakeableSleep _sleep = new();
    private readonly Thread _thread;
    private long _origin;
    private long _frozenAt;
    private long _sleepingUntil = Never;
    private volatile bool _disposed;

    /// <summary>Makes a clock that stands at 0 until <see cref="Resume"/>.</summary>
    /// <param name="name">Of the timer thread.</param>
    /// <param name="machineLock">The lock timers run under.</param>
    /// <param name="failed">Told of an exception that a timer's action threw; timers stop then.</param>
    public HostClock(string name, Lock machineLock, Action<Exception> failed)
    {
        _machineLock = machineLock;
        _failed = failed;
        PowerOn = DateTimeOffset.UtcNow;
        _thread = new Thread(RunTimers) { Name = name, IsBackground = true };
        _thread.Start();
    }

    /// <inheritdoc/>
    public override long Now
    {
        get
        {
            long frozen = Volatile.Read(ref _frozenAt);
            return frozen >= 0 ? frozen : HostNow - Volatile.Read(ref _origin);
        }
    }

    /// <inheritdoc/>
    public override DateTimeOffset PowerOn { get; }

    /// <inheritdoc/>
    public override void Resume()
    {
        lock (_machineLock)
        {
            if (_frozenAt < 0) return;
            Volatile.Write(ref _origin, HostNow - _frozenAt);
            Volatile.Write(ref _frozenAt, -1);
        }

        _sleep.Wake();
    }

    /// <inheritdoc/>
    public override void Pause()
    {
        lock (_machineLock)
        {
            if (_frozenAt < 0) Volatile.Write(ref _frozenAt, Now);
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        _sleep.Wake();
        if (Thread.CurrentThread != _thread) _thread.Join();
        _sleep.Dispose();
    }

    /// <inheritdoc/>
    protected override void OnArmed(long due)
    {
        if (due < Volatile.Read(ref _sleepingUntil)) _sleep.Wake();
    }

    private static long HostNow => Stopwatch.Frequency == 1_000_000_000
        ? Stopwatch.GetTimestamp()
        : (long)((Int128)Stopwatch.GetTimestamp() * 1_000_000_000 / Stopwatch.Frequency);

    private void RunTimers()
    {
        try
        {
            while (!_disposed)
            {
                long sleep = -1;
                lock (_machineLock)
                {
                    _sleepingUntil = long.MinValue;
                    if (_frozenAt < 0)
                    {
                        RunDueTimers();
                        _sleepingUntil = EarliestDue;
                        if (_sleepingUntil != Never) sleep = Math.Max(_sleepingUntil - Now, ShortestSleep);
                    }
                }

                _sleep.Sleep(sleep);
            }
        }
        catch (Exception exception)
        {
            // Anything thrown here is a defect of a device's; it must end this machine and not the process.
            _failed(exception);
        }
    }
}
