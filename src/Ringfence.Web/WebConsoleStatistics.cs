namespace Ringfence.Web;

/// <summary>Counters of a machine's page at one moment.</summary>
/// <param name="Clients">Pages open now.</param>
/// <param name="WebSockets">WebSockets open now.</param>
/// <param name="Accepted">Times the token was right and a browser was let in.</param>
/// <param name="Refused">Requests without the token or its cookie, or with a wrong one.</param>
/// <param name="Foreign">Requests for a foreign host, and WebSockets and commands that another site's page asked for.</param>
/// <param name="Dropped">WebSockets ended by the server: too many, too slow, or breaking the protocol.</param>
public sealed record WebConsoleStatistics(int Clients, int WebSockets, long Accepted, long Refused, long Foreign, long Dropped);
