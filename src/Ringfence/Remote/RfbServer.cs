using System.Net;
using System.Net.Sockets;
using Ringfence.Machines;

namespace Ringfence.Remote;

/// <summary>
/// Shows a machine's screen to VNC clients and takes their keys and mice: RFB 3.8 (RFC 6143), also 3.3 and 3.7; encodings Raw and ZRLE, and
/// DesktopSize. Clients are not trusted, and none can hold up the guest or another client.
/// </summary>
public sealed class RfbServer : IAsyncDisposable
{
    private readonly Screen _screen;
    private readonly RfbServerOptions _options;
    private readonly RfbCounters _counters = new();
    private readonly CancellationTokenSource _ends = new();
    private readonly Lock _sync = new();
    private readonly HashSet<Task> _sessions = [];
    private Socket? _listener;
    private Task _accepting = Task.CompletedTask;

    /// <summary>Makes a server, which does not listen yet.</summary>
    /// <param name="screen">The screen; it may outlive its machine.</param>
    /// <param name="options">How it is shown.</param>
    /// <exception cref="ArgumentException">The options would let anyone in, or the password cannot be one.</exception>
    public RfbServer(Screen screen, RfbServerOptions options)
    {
        ArgumentNullException.ThrowIfNull(screen);
        ArgumentNullException.ThrowIfNull(options);
        if (options.Password is null && !(options.AllowsNoPassword && IPAddress.IsLoopback(options.Address)))
            throw new ArgumentException("Without a password only clients of this host are let in, and only where that is allowed.", nameof(options));
        if (options.Password is { } password && !VncAuthentication.IsPassword(password))
            throw new ArgumentException("A VNC password has 1 to 8 characters and makes no weak key.", nameof(options));
        _screen = screen;
        _options = options;
    }

    /// <summary>Where the server listens; null: it does not.</summary>
    public IPEndPoint? EndPoint => (IPEndPoint?)_listener?.LocalEndPoint;

    /// <summary>Counters now.</summary>
    public RfbStatistics Statistics => _counters.Read();

    /// <summary>Begins to listen.</summary>
    /// <exception cref="SocketException">The address is none of this host's, or the port is in use.</exception>
    public void Start()
    {
        if (_listener is not null) throw new InvalidOperationException("The server listens already.");
        Socket listener = new(_options.Address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            listener.Bind(new IPEndPoint(_options.Address, _options.Port));
            listener.Listen();
        }
        catch
        {
            listener.Dispose();
            throw;
        }

        _listener = listener;
        _accepting = AcceptAsync(listener);
    }

    /// <summary>Serves a client that has come another way, such as a WebSocket, until it leaves.</summary>
    /// <param name="stream">The connection; not disposed.</param>
    /// <param name="isTrusted">Someone else has checked who it is: no password is asked for.</param>
    /// <param name="cancellation">Ends it.</param>
    public async Task ServeAsync(Stream stream, bool isTrusted, CancellationToken cancellation = default)
    {
        if (Interlocked.Increment(ref _counters.Clients) > _options.MaximumClients)
        {
            Interlocked.Decrement(ref _counters.Clients);
            Interlocked.Increment(ref _counters.Dropped);
            return;
        }

        try
        {
            using CancellationTokenSource ends = CancellationTokenSource.CreateLinkedTokenSource(_ends.Token, cancellation);
            using RfbSession session = new(stream, _screen, _options, _counters);
            await session.RunAsync(isTrusted, ends.Token).ConfigureAwait(false);
        }
        finally
        {
            Interlocked.Decrement(ref _counters.Clients);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _ends.CancelAsync().ConfigureAwait(false);
        _listener?.Dispose();
        await _accepting.ConfigureAwait(false);
        Task[] sessions;
        lock (_sync) sessions = [.. _sessions];
        await Task.WhenAll(sessions).ConfigureAwait(false);
    }

    private async Task AcceptAsync(Socket listener)
    {
        while (!_ends.IsCancellationRequested)
        {
            try
            {
                Socket client = await listener.AcceptAsync(_ends.Token).ConfigureAwait(false);
                Task session = Task.Run(() => ServeAsync(client));
                lock (_sync)
                {
                    _sessions.RemoveWhere(s => s.IsCompleted);
                    _sessions.Add(session);
                }
            }
            catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException)
            {
                // A client that has gone before it was accepted, or no more file descriptors: not in a hurry.
                await Task.Delay(100).ConfigureAwait(false);
            }
        }
    }

    private async Task ServeAsync(Socket client)
    {
        try
        {
            client.NoDelay = true;
            await using NetworkStream stream = new(client, true);
            await ServeAsync(stream, false).ConfigureAwait(false);
        }
        catch (SocketException)
        {
            client.Dispose();
        }
    }
}
