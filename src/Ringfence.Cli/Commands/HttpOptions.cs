using System.Globalization;
using System.Net;

namespace Ringfence.Cli.Commands;

/// <summary>Where the machine's page is served.</summary>
/// <param name="Address">Address to listen at.</param>
/// <param name="Port">TCP port; 0: any that is free.</param>
internal sealed record HttpOptions(IPAddress Address, int Port)
{
    /// <summary>Reads <c>[HOST:]PORT</c>.</summary>
    public static HttpOptions Parse(string text)
    {
        int colon = text.LastIndexOf(':');
        if (!int.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int port) || port > IPEndPoint.MaxPort)
            throw new UserErrorException($"--http: '{text}' is not [HOST:]PORT (such as 8080 of this host, or 0 for any free port)");
        return new HttpOptions(Values.HostAddress("--http", text[..Math.Max(colon, 0)]), port);
    }
}
