using System.Net;

namespace Ringfence.Web;

/// <summary>Where and for whom a machine's page is served.</summary>
public sealed record WebConsoleOptions
{
    /// <summary>Fewest characters of a <see cref="Token"/>.</summary>
    public const int MinTokenCharacters = 16;

    /// <summary>Address to listen at.</summary>
    public IPAddress Address { get; init; } = IPAddress.Loopback;

    /// <summary>TCP port; 0: any that is free.</summary>
    public int Port { get; init; }

    /// <summary>
    /// What lets a browser in: <see cref="MinTokenCharacters"/> or more letters, digits, hyphens and underscores. Null: 128 random bits.
    /// </summary>
    public string? Token { get; init; }

    /// <summary>Most WebSockets at once for each of the screen, a serial port and the figures.</summary>
    public int MaximumClients { get; init; } = 16;

    /// <summary>Time for a request to arrive when it has begun, and for a WebSocket to answer when it is asked for a sign of life.</summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Time for a WebSocket to take what it is sent.</summary>
    public TimeSpan SendTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Time between two figures.</summary>
    public TimeSpan FiguresInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <exception cref="ArgumentException">Something is out of range; the message is one line.</exception>
    internal void Validate()
    {
        if (Port is < 0 or > IPEndPoint.MaxPort) throw new ArgumentException($"There is no TCP port {Port}.");
        if (MaximumClients < 1) throw new ArgumentException("A page that nobody may open is none.");
        if (Token is { } token && (token.Length < MinTokenCharacters || !token.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_')))
            throw new ArgumentException($"A token has {MinTokenCharacters} or more letters, digits, hyphens and underscores.");
    }
}
