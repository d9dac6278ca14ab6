namespace Ringfence.Web;

/// <summary>What <see cref="WebConsoleStatistics"/> is taken from; changed with <see cref="Interlocked"/>.</summary>
internal sealed class WebCounters
{
    public int Clients;
    public int WebSockets;
    public long Accepted;
    public long Refused;
    public long Foreign;
    public long Dropped;

    /// <summary>The counters now.</summary>
    /// <param name="alsoDropped">Clients dropped that are counted elsewhere.</param>
    public WebConsoleStatistics Read(long alsoDropped) => new(
        Volatile.Read(ref Clients), Volatile.Read(ref WebSockets), Volatile.Read(ref Accepted), Volatile.Read(ref Refused), Volatile.Read(ref Foreign), Volatile.Read(ref Dropped) + alsoDropped);
}
