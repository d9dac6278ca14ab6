namespace Ringfence.Remote;

/// <summary>Counters of an RFB server at one moment.</summary>
/// <param name="Clients">Connections now.</param>
/// <param name="Accepted">Clients that were let in.</param>
/// <param name="Refused">Clients with a wrong password.</param>
/// <param name="Dropped">Connections ended by the server: too many, too slow, or not RFB.</param>
/// <param name="BytesSent">Bytes of updates sent.</param>
/// <param name="Updates">Updates sent.</param>
public sealed record RfbStatistics(int Clients, long Accepted, long Refused, long Dropped, long BytesSent, long Updates);
