using System.Net;

namespace Ringfence.Remote;

/// <summary>How a screen is shown to VNC clients.</summary>
public sealed record RfbServerOptions
{
    /// <summary>Address to listen at.</summary>
    public IPAddress Address { get; init; } = IPAddress.Loopback;

    /// <summary>TCP port; 0: any that is free.</summary>
    public int Port { get; init; } = 5900;

    /// <summary>The password, 1 to 8 characters of Latin-1; null: none, which needs <see cref="AllowsNoPassword"/>.</summary>
    public string? Password { get; init; }

    /// <summary>Lets clients of this host in without a password. Only at a loopback address.</summary>
    public bool AllowsNoPassword { get; init; }

    /// <summary>Name of the desktop.</summary>
    public string Name { get; init; } = "Ringfence";

    /// <summary>Most connections at once, those that are not let in yet among them.</summary>
    public int MaximumClients { get; init; } = 16;

    /// <summary>Time for a client to be let in, and for a message to arrive when it has begun.</summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Time for a client to take an update.</summary>
    public TimeSpan SendTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long the answer to a wrong password takes.</summary>
    public TimeSpan RefusalDelay { get; init; } = TimeSpan.FromSeconds(1);
}
