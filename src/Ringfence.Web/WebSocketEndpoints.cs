using System.Globalization;
using System.Net.WebSockets;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Ringfence.Machines;
using Ringfence.Remote;

namespace Ringfence.Web;

/// <summary>The WebSockets of the page: <c>/screen</c>, <c>/serial/N</c> and <c>/figures</c>, each with room for so many clients.</summary>
internal sealed class WebSocketEndpoints : IAsyncDisposable
{
    /// <summary>Typed bytes that may wait for the guest to read its port; the client's own connection holds the rest.</summary>
    internal const int MostPendingInput = 1 << 20;

    private const string SerialPrefix = "/serial/";
    private const string Binary = "binary";
    private const int OutputPieceBytes = 64 << 10;

    // Guests print byte by byte: what comes within that time goes in one message.
    private static readonly TimeSpan OutputInterval = TimeSpan.FromMilliseconds(5);
    private static readonly TimeSpan InputPollInterval = TimeSpan.FromMilliseconds(20);

    private readonly WebConsoleOptions _options;
    private readonly WebCounters _counters;
    private readonly CancellationTokenSource _ends = new();
    private readonly RfbServer? _rfb;
    private readonly List<SerialFeed> _serial = [];
    private readonly FiguresFeed _figures;
    private readonly SemaphoreSlim _screenSeats;
    private readonly SemaphoreSlim[] _serialSeats;
    private readonly SemaphoreSlim _figuresSeats;

    /// <summary>Connects to a machine's consoles.</summary>
    public WebSocketEndpoints(VirtualMachine machine, WebConsoleOptions options, WebCounters counters)
    {
        _options = options;
        _counters = counters;
        if (machine.Screen is { } screen)
        {
            _rfb = new RfbServer(screen, new RfbServerOptions
            {
                AllowsNoPassword = true,
                Name = machine.Options.Name,
                MaximumClients = options.MaximumClients,
                HandshakeTimeout = options.HandshakeTimeout,
                SendTimeout = options.SendTimeout,
            });
        }

        // The virtio console comes last, so that COM1 is 0 with and without it.
        InteractiveConsole[] consoles = machine.VirtioConsole is { } terminal ? [.. machine.Serial, terminal] : [.. machine.Serial];
        foreach (InteractiveConsole console in consoles) _serial.Add(new SerialFeed(console));
        _figures = new FiguresFeed(machine, consoles, options.FiguresInterval, counters);
        _screenSeats = new SemaphoreSlim(options.MaximumClients);
        _figuresSeats = new SemaphoreSlim(options.MaximumClients);
        _serialSeats = [.. _serial.Select(_ => new SemaphoreSlim(options.MaximumClients))];
    }

    /// <summary>The figures.</summary>
    public FiguresFeed Figures => _figures;

    /// <summary>Clients of the screen that its server has dropped.</summary>
    public long DroppedFromScreen => _rfb?.Statistics.Dropped ?? 0;

    /// <summary>Serves a client that may be let in, until it leaves.</summary>
    public Task ServeAsync(HttpContext context)
    {
        string path = context.Request.Path.Value ?? "";
        if (path == "/screen" && _rfb is not null) return ServeAsync(context, _screenSeats, RunScreenAsync);
        if (path == "/figures") return ServeAsync(context, _figuresSeats, RunFiguresAsync);
        if (path.StartsWith(SerialPrefix, StringComparison.Ordinal)
            && int.TryParse(path.AsSpan(SerialPrefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int port)
            && port < _serial.Count)
        {
            return ServeAsync(context, _serialSeats[port], (socket, ends) => RunSerialAsync(socket, _serial[port], ends));
        }

        context.Response.StatusCode = StatusCodes.Status404NotFound;
        return Task.CompletedTask;
    }

    /// <summary>Lets clients have what there still is, and says goodbye. Whoever is not done when that time is over is cut off.</summary>
    public void End(TimeSpan grace)
    {
        _ends.CancelAfter(grace);
        _figures.Complete();
        foreach (SerialFeed feed in _serial) feed.Complete();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _ends.CancelAsync().ConfigureAwait(false);
        foreach (SerialFeed feed in _serial) feed.Dispose();
        if (_rfb is not null) await _rfb.DisposeAsync().ConfigureAwait(false);
    }

    private async Task ServeAsync(HttpContext context, SemaphoreSlim seats, Func<WebSocket, CancellationToken, Task<bool>> serve)
    {
        if (!seats.Wait(0, CancellationToken.None))
        {
            Interlocked.Increment(ref _counters.Dropped);
            await Answers.WriteAsync(context.Response, StatusCodes.Status503ServiceUnavailable, "Too many clients.").ConfigureAwait(false);
            return;
        }

        // Who does not take what it is sent has SendTimeout: the server's own limit would come before it, and cut off without counting.
        if (context.Features.Get<IHttpMinResponseDataRateFeature>() is { } rate) rate.MinDataRate = null;
        Interlocked.Increment(ref _counters.WebSockets);
        try
        {
            WebSocketAcceptContext accept = new() { SubProtocol = context.WebSockets.WebSocketRequestedProtocols.Contains(Binary) ? Binary : null };
            using WebSocket socket = await context.WebSockets.AcceptWebSocketAsync(accept).ConfigureAwait(false);
            using CancellationTokenSource ends = CancellationTokenSource.CreateLinkedTokenSource(_ends.Token, context.RequestAborted);
            if (!await serve(socket, ends.Token).ConfigureAwait(false)) Interlocked.Increment(ref _counters.Dropped);
        }
        finally
        {
            Interlocked.Decrement(ref _counters.WebSockets);
            seats.Release();
        }
    }

    private async Task<bool> RunScreenAsync(WebSocket socket, CancellationToken ends)
    {
        try
        {
            await using WebSocketStream stream = WebSocketStream.Create(socket, WebSocketMessageType.Binary);
            await _rfb!.ServeAsync(stream, isTrusted: true, ends).ConfigureAwait(false);
            if (socket.State == WebSocketState.CloseReceived) await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, ends).ConfigureAwait(false);
        }
        catch (Exception error) when (error is WebSocketException or OperationCanceledException)
        {
            // The client has gone.
        }

        // Who was dropped, RFB's server has counted.
        return true;
    }

    private async Task<bool> RunFiguresAsync(WebSocket socket, CancellationToken ends)
    {
        WebSocketSession session = new(socket, _options.SendTimeout, ends);
        Interlocked.Increment(ref _counters.Clients);
        try
        {
            return await session.RunAsync(SendFiguresAsync, static (_, _) => new ValueTask<bool>(false)).ConfigureAwait(false);
        }
        finally
        {
            Interlocked.Decrement(ref _counters.Clients);
        }

        async Task SendFiguresAsync(CancellationToken cancellation)
        {
            bool isLast;
            do
            {
                isLast = _figures.IsComplete;
                (byte[] json, MachineState state) = _figures.Take();
                await session.SendAsync(json, WebSocketMessageType.Text, cancellation).ConfigureAwait(false);
                if (!isLast) await _figures.WaitAsync(state, cancellation).ConfigureAwait(false);
            }
            while (!isLast);
        }
    }

    private async Task<bool> RunSerialAsync(WebSocket socket, SerialFeed feed, CancellationToken ends)
    {
        WebSocketSession session = new(socket, _options.SendTimeout, ends);
        return await session.RunAsync(SendOutputAsync, TypeAsync).ConfigureAwait(false);

        async Task SendOutputAsync(CancellationToken cancellation)
        {
            byte[] piece = new byte[OutputPieceBytes];
            (long position, long before) = feed.History;
            while (position < before) await SendPieceAsync(before).ConfigureAwait(false);
            // An empty message says that this was all there had been: whoever shows it need not answer what the guest asked then.
            await session.SendAsync(ReadOnlyMemory<byte>.Empty, WebSocketMessageType.Binary, cancellation).ConfigureAwait(false);
            while (true)
            {
                Task changed = feed.Changed;
                bool isLast = feed.IsComplete;
                int count = await SendPieceAsync(long.MaxValue).ConfigureAwait(false);
                if (count > 0 && count < piece.Length) await Task.Delay(OutputInterval, cancellation).ConfigureAwait(false);
                if (count > 0) continue;
                if (isLast) return;
                await changed.WaitAsync(cancellation).ConfigureAwait(false);
            }

            async Task<int> SendPieceAsync(long end)
            {
                // Who has fallen behind what is kept is too slow.
                if (!feed.TryRead(ref position, piece.AsSpan(0, (int)Math.Min(piece.Length, end - position)), out int count)) throw new TimeoutException();
                if (count > 0) await session.SendAsync(piece.AsMemory(0, count), WebSocketMessageType.Binary, cancellation).ConfigureAwait(false);
                // A guest that prints without end does not keep this thread from others.
                await Task.Yield();
                return count;
            }
        }

        async ValueTask<bool> TypeAsync(ReadOnlyMemory<byte> piece, CancellationToken cancellation)
        {
            while (feed.Console.PendingInput >= MostPendingInput) await Task.Delay(InputPollInterval, cancellation).ConfigureAwait(false);
            feed.Console.Write(piece.Span);
            return true;
        }
    }
}
