using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace Ringfence.Web;

/// <summary>
/// Who is let in. In this order: the Host header must name this host by an address, so that a foreign name that resolves to it (DNS rebinding)
/// gets nothing; then the request must carry the secret; then what changes something, or opens a WebSocket, must not come from another site's page.
/// </summary>
internal sealed class AccessControl
{
    private const string Bearer = "Bearer ";
    private const int TokenBytes = 16;

    private readonly IPAddress _listensAt;
    private readonly byte[] _digest;
    private readonly string _cookie;

    /// <summary>Makes the control of a server.</summary>
    /// <param name="listensAt">Where it listens.</param>
    /// <param name="token">The secret.</param>
    public AccessControl(IPEndPoint listensAt, string token)
    {
        _listensAt = listensAt.Address;
        _digest = SHA256.HashData(Encoding.UTF8.GetBytes(token));
        // Cookies know hosts, not ports: one name for each, so that two machines do not lock each other's pages out.
        CookieName = $"ringfence-{listensAt.Port}";
        _cookie = $"{CookieName}={token}; Path=/; HttpOnly; SameSite=Strict";
    }

    /// <summary>Name of the cookie.</summary>
    public string CookieName { get; }

    /// <summary>Makes a secret.</summary>
    public static string CreateToken() => Convert.ToBase64String(RandomNumberGenerator.GetBytes(TokenBytes)).TrimEnd('=').Replace('+', '-').Replace('/', '_');

    /// <summary>Whether the request is for this host, by an address or as <c>localhost</c>.</summary>
    public bool IsForThisHost(HttpRequest request)
    {
        if (request.Headers.Host.Count != 1) return false;
        string host = request.Host.Host;
        // Ports may differ: tunnels and containers have their own.
        if (host.Equals("localhost", StringComparison.OrdinalIgnoreCase)) return IsLocal || IsAny;
        if (!IPAddress.TryParse(host.Trim('[', ']'), out IPAddress? address)) return false;
        return IsAny || (IsLocal && IPAddress.IsLoopback(address)) || address.Equals(_listensAt);
    }

    /// <summary>Whether a token is the secret; takes as long for every wrong one.</summary>
    public bool IsRight(string? token) => token is not null && CryptographicOperations.FixedTimeEquals(SHA256.HashData(Encoding.UTF8.GetBytes(token)), _digest);

    /// <summary>Whether the request carries the secret, as a cookie or in the Authorization header.</summary>
    public bool CarriesSecret(HttpRequest request) => HasBearer(request) || IsRight(request.Cookies[CookieName]);

    /// <summary>
    /// Whether the request comes from our own page, or from a program. Browsers add cookies by themselves and always say which origin asks for
    /// a WebSocket or a POST; an Authorization header they add for nobody else's page.
    /// </summary>
    public bool IsOfOwnOrigin(HttpRequest request) => request.Headers.Origin.Count == 0
        ? HasBearer(request)
        : request.Headers.Origin == $"{request.Scheme}://{request.Host.Value}";

    /// <summary>Gives the browser the cookie.</summary>
    public void Admit(HttpResponse response) => response.Headers[HeaderNames.SetCookie] = _cookie;

    private bool IsLocal => IPAddress.IsLoopback(_listensAt);

    private bool IsAny => _listensAt.Equals(_listensAt.AddressFamily == AddressFamily.InterNetworkV6 ? IPAddress.IPv6Any : IPAddress.Any);

    private bool HasBearer(HttpRequest request)
    {
        string? value = request.Headers.Authorization.Count == 1 ? request.Headers.Authorization[0] : null;
        return value is not null && value.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase) && IsRight(value[Bearer.Length..]);
    }
}
