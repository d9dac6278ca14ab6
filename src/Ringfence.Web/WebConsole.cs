using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.AspNetCore.WebSockets;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Ringfence.Machines;

namespace Ringfence.Web;

/// <summary>
/// Serves a machine's page: its screen, keyboard and mouse, its serial consoles, buttons, and figures. Only browsers that have been given the
/// token are let in; none of them can hold up the guest. Dispose of it before the machine.
/// </summary>
/// <example>
/// <code>
/// await using WebConsole page = await WebConsole.StartAsync(machine, new WebConsoleOptions { Port = 8080 });
/// Console.WriteLine(page.Address);
/// </code>
/// </example>
public sealed class WebConsole : IAsyncDisposable
{
    private const int ConnectionsForEachClient = 16;
    private const int SocketSendBytes = 256 << 10;
    private const int MostHeaderBytes = 16 << 10;
    private const int MostHeaders = 64;
    private const int MostRequestLineBytes = 2 << 10;

    private static readonly TimeSpan EndGrace = TimeSpan.FromSeconds(2);

    private readonly WebCounters _counters = new();
    private readonly Socket _listener;
    private readonly KestrelServer _server;
    private readonly WebSocketEndpoints _sockets;
    private readonly MachineCommands _commands;
    private readonly KestrelApplication _application;
    private int _disposed;

    private WebConsole(VirtualMachine machine, WebConsoleOptions options, Socket listener)
    {
        _listener = listener;
        IPEndPoint endPoint = (IPEndPoint)listener.LocalEndPoint!;
        string token = options.Token ?? AccessControl.CreateToken();
        IPAddress host = endPoint.Address.Equals(IPAddress.Any) ? IPAddress.Loopback : endPoint.Address.Equals(IPAddress.IPv6Any) ? IPAddress.IPv6Loopback : endPoint.Address;
        Address = new Uri($"http://{new IPEndPoint(host, endPoint.Port)}/?token={token}");
        _sockets = new WebSocketEndpoints(machine, options, _counters);
        _commands = new MachineCommands(machine);
        RequestHandler handler = new(machine, new AccessControl(endPoint, token), _sockets, _commands, _counters);
        WebSocketOptions sockets = new() { KeepAliveInterval = options.HandshakeTimeout, KeepAliveTimeout = options.HandshakeTimeout };
        _application = new KestrelApplication(new WebSocketMiddleware(handler.HandleAsync, Options.Create(sockets), NullLoggerFactory.Instance).Invoke);
        _server = CreateServer(options, listener, endPoint);
    }

    /// <summary>The page's address, with the token.</summary>
    public Uri Address { get; }

    /// <summary>Counters now.</summary>
    public WebConsoleStatistics Statistics => _counters.Read(_sockets.DroppedFromScreen);

    /// <summary>Begins to serve a machine's page.</summary>
    /// <param name="machine">The machine, started or not.</param>
    /// <param name="options">How it is served; null: to this host, at any port.</param>
    /// <param name="cancellation">Ends the start.</param>
    /// <exception cref="ArgumentException">An option is out of range; the message is one line.</exception>
    /// <exception cref="SocketException">The address is none of this host's, or the port is in use.</exception>
    public static async Task<WebConsole> StartAsync(VirtualMachine machine, WebConsoleOptions? options = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(machine);
        options ??= new WebConsoleOptions();
        options.Validate();
        // Bound before the server is made: it has to know its port, and who is in the way must be said plainly.
        Socket listener = SocketTransportOptions.CreateDefaultBoundListenSocket(new IPEndPoint(options.Address, options.Port));
        // Connections inherit it: what the host keeps for a client that takes nothing.
        listener.SendBufferSize = SocketSendBytes;
        WebConsole console = new(machine, options, listener);
        try
        {
            await console._server.StartAsync(console._application, cancellation).ConfigureAwait(false);
            return console;
        }
        catch
        {
            await console.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Tells the pages the last of the machine, closes them, and stops to listen.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        _sockets.End(EndGrace);
        using (CancellationTokenSource grace = new(EndGrace + TimeSpan.FromSeconds(1))) await _server.StopAsync(grace.Token).ConfigureAwait(false);
        _server.Dispose();
        _listener.Dispose();
        await _sockets.DisposeAsync().ConfigureAwait(false);
        _commands.Dispose();
    }

    private static KestrelServer CreateServer(WebConsoleOptions options, Socket listener, IPEndPoint endPoint)
    {
        KestrelServerOptions server = new() { AddServerHeader = false, AllowSynchronousIO = false };
        int connections = options.MaximumClients * ConnectionsForEachClient;
        server.Limits.MaxConcurrentConnections = connections;
        server.Limits.MaxConcurrentUpgradedConnections = connections;
        server.Limits.MaxRequestBodySize = 0;
        server.Limits.MaxRequestHeaderCount = MostHeaders;
        server.Limits.MaxRequestHeadersTotalSize = MostHeaderBytes;
        server.Limits.MaxRequestLineSize = MostRequestLineBytes;
        server.Limits.MaxRequestBufferSize = MostHeaderBytes + MostRequestLineBytes;
        server.Limits.RequestHeadersTimeout = options.HandshakeTimeout;
        server.Limits.KeepAliveTimeout = options.HandshakeTimeout;
        server.Listen(endPoint, listen => listen.Protocols = HttpProtocols.Http1);
        SocketTransportOptions transport = new() { CreateBoundListenSocket = _ => listener };
        return new KestrelServer(Options.Create(server), new SocketTransportFactory(Options.Create(transport), NullLoggerFactory.Instance), NullLoggerFactory.Instance);
    }
}
