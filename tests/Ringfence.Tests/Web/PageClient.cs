using System.Net;
using System.Net.WebSockets;
using Ringfence.Tests.Machines;
using Ringfence.Web;

namespace Ringfence.Tests.Web;

/// <summary>A browser as far as a page's server can tell: it follows the printed address, keeps the cookie, and says its origin.</summary>
internal sealed class PageClient : IDisposable
{
    private readonly HttpClient _http = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false }) { Timeout = TestPrograms.Patience };
    private readonly List<PageSocket> _sockets = [];

    public PageClient(Uri address) => Origin = address.GetLeftPart(UriPartial.Authority);

    /// <summary>The page's own origin, such as <c>http://127.0.0.1:8080</c>.</summary>
    public string Origin { get; }

    /// <summary>The cookie; null: not logged in.</summary>
    public string? Cookie { get; set; }

    /// <summary>Logs in with the printed address.</summary>
    public static Task<PageClient> OpenAsync(WebConsole console) => OpenAsync(console.Address);

    /// <summary>Logs in with the printed address.</summary>
    public static async Task<PageClient> OpenAsync(Uri address)
    {
        PageClient client = new(address);
        using HttpResponseMessage response = await client.SendAsync(HttpMethod.Get, address.PathAndQuery);
        response.StatusCode.ShouldBe(HttpStatusCode.SeeOther);
        client.Cookie = response.Headers.GetValues("Set-Cookie").ShouldHaveSingleItem().Split(';')[0];
        return client;
    }

    public Task<HttpResponseMessage> GetAsync(string path) => SendAsync(HttpMethod.Get, path);

    /// <summary>Presses a button.</summary>
    public Task<HttpResponseMessage> PostAsync(string path) => SendAsync(HttpMethod.Post, path, request => request.Headers.Add("Origin", Origin));

    public async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, Action<HttpRequestMessage>? change = null)
    {
        using HttpRequestMessage request = new(method, Origin + path);
        if (Cookie is not null) request.Headers.Add("Cookie", Cookie);
        change?.Invoke(request);
        return await _http.SendAsync(request);
    }

    /// <summary>Opens a WebSocket.</summary>
    /// <exception cref="WebSocketException">The server refuses it; the status is in its data.</exception>
    public async Task<PageSocket> ConnectAsync(string path, string? origin = null, string? protocol = null)
    {
        ClientWebSocket socket = new();
        if (Cookie is not null) socket.Options.SetRequestHeader("Cookie", Cookie);
        socket.Options.SetRequestHeader("Origin", origin ?? Origin);
        if (protocol is not null) socket.Options.AddSubProtocol(protocol);
        socket.Options.CollectHttpResponseDetails = true;
        using CancellationTokenSource patience = new(TestPrograms.Patience);
        try
        {
            await socket.ConnectAsync(new Uri(Origin.Replace("http:", "ws:", StringComparison.Ordinal) + path), patience.Token);
        }
        catch (WebSocketException error)
        {
            error.Data["status"] = socket.HttpStatusCode;
            socket.Dispose();
            throw;
        }

        PageSocket open = new(socket);
        _sockets.Add(open);
        return open;
    }

    /// <summary>The status with which the server refuses a WebSocket.</summary>
    public async Task<HttpStatusCode> RefusalAsync(string path, string? origin = null) =>
        (HttpStatusCode)(await Should.ThrowAsync<WebSocketException>(() => ConnectAsync(path, origin))).Data["status"]!;

    public void Dispose()
    {
        foreach (PageSocket socket in _sockets) socket.Dispose();
        _http.Dispose();
    }
}
