namespace Ringfence.Remote;

/// <summary>A client does not speak RFB as this server does: its connection ends.</summary>
internal sealed class RfbProtocolException(string message) : Exception(message);
