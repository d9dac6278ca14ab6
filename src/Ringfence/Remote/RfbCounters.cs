namespace Ringfence.Remote;

/// <summary>What <see cref="RfbStatistics"/> is taken from; changed with <see cref="Interlocked"/>.</summary>
internal sealed class RfbCounters
{
    public int Clients;
    public long Accepted;
    public long Refused;
    public long Dropped;
    public long BytesSent;
    public long Updates;

    /// <summary>The counters now.</summary>
    public RfbStatistics Read() => new(
        Volatile.Read(ref Clients), Volatile.Read(ref Accepted), Volatile.Read(ref Refused), Volatile.Read(ref Dropped), Volatile.Read(ref BytesSent), Volatile.Read(ref Updates));
}
