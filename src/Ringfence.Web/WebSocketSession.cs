using System.Net.WebSockets;

namespace Ringfence.Web;

/// <summary>
/// One WebSocket with a loop for each direction, until the client leaves, does not take what it is sent, or the sender has nothing more to say.
/// Messages are handled in pieces of a fixed size however long they are.
/// </summary>
internal sealed class WebSocketSession(WebSocket socket, TimeSpan sendTimeout, CancellationToken ends)
{
    private const int PieceBytes = 4096;

    private static readonly TimeSpan CloseTimeout = TimeSpan.FromSeconds(1);

    /// <summary>Takes a piece of what the client sends; false: the client must not send that.</summary>
    public delegate ValueTask<bool> Receiver(ReadOnlyMemory<byte> piece, CancellationToken cancellation);

    /// <summary>Serves the client.</summary>
    /// <param name="send">Sends with <see cref="SendAsync"/> until there is nothing more to say.</param>
    /// <param name="receive">Takes what comes.</param>
    /// <returns>False: the client was too slow or sent what it must not.</returns>
    public async Task<bool> RunAsync(Func<CancellationToken, Task> send, Receiver receive)
    {
        // A receive that is canceled takes the connection with it: only what ends badly ends so.
        using CancellationTokenRegistration abort = ends.UnsafeRegister(static s => ((WebSocket)s!).Abort(), socket);
        using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(ends);
        Task<WebSocketCloseStatus> receiving = ReceiveAsync(receive, over.Token);
        Task<bool> sending = RunSenderAsync(send, over.Token);
        await Task.WhenAny(receiving, sending).ConfigureAwait(false);
        bool isSlow = sending.IsCompleted && !await sending.ConfigureAwait(false);
        if (isSlow) socket.Abort();
        else if (!receiving.IsCompleted) await CloseAsync(WebSocketCloseStatus.NormalClosure).ConfigureAwait(false);
        await Task.WhenAny(receiving, Task.Delay(CloseTimeout, CancellationToken.None)).ConfigureAwait(false);
        await over.CancelAsync().ConfigureAwait(false);
        // A send that was given up takes the connection with it, which the receiver may notice first.
        isSlow |= !await sending.ConfigureAwait(false);
        WebSocketCloseStatus status = receiving.IsCompleted ? await receiving.ConfigureAwait(false) : WebSocketCloseStatus.NormalClosure;
        if (!isSlow) await CloseAsync(status).ConfigureAwait(false);
        socket.Abort();
        await receiving.ConfigureAwait(false);
        return !isSlow && status == WebSocketCloseStatus.NormalClosure;
    }

    /// <summary>Sends a message.</summary>
    /// <exception cref="TimeoutException">The client does not take it.</exception>
    public async ValueTask SendAsync(ReadOnlyMemory<byte> message, WebSocketMessageType type, CancellationToken cancellation)
    {
        using CancellationTokenSource late = new(sendTimeout);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellation);
        try
        {
            await socket.SendAsync(message, type, endOfMessage: true, either.Token).ConfigureAwait(false);
        }
        catch (Exception error) when (IsEnd(error) && late.IsCancellationRequested)
        {
            throw new TimeoutException();
        }
    }

    private static async Task<bool> RunSenderAsync(Func<CancellationToken, Task> send, CancellationToken cancellation)
    {
        try
        {
            await send(cancellation).ConfigureAwait(false);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
        catch (Exception error) when (IsEnd(error))
        {
            return true;
        }
    }

    private async Task<WebSocketCloseStatus> ReceiveAsync(Receiver receive, CancellationToken cancellation)
    {
        byte[] piece = new byte[PieceBytes];
        try
        {
            while (true)
            {
                ValueWebSocketReceiveResult result = await socket.ReceiveAsync(piece.AsMemory(), CancellationToken.None).ConfigureAwait(false);
                if (result.MessageType == WebSocketMessageType.Close) return WebSocketCloseStatus.NormalClosure;
                if (result.Count > 0 && !await receive(piece.AsMemory(0, result.Count), cancellation).ConfigureAwait(false)) return WebSocketCloseStatus.PolicyViolation;
            }
        }
        catch (WebSocketException error) when (error.WebSocketErrorCode is WebSocketError.Faulted or WebSocketError.HeaderError or WebSocketError.InvalidMessageType)
        {
            return WebSocketCloseStatus.ProtocolError;
        }
        catch (Exception error) when (IsEnd(error))
        {
            return WebSocketCloseStatus.NormalClosure;
        }
    }

    // The client has gone, or the session is over.
    private static bool IsEnd(Exception error) => error is WebSocketException or IOException or OperationCanceledException or ObjectDisposedException;

    private async Task CloseAsync(WebSocketCloseStatus status)
    {
        if (socket.State is not (WebSocketState.Open or WebSocketState.CloseReceived)) return;
        using CancellationTokenSource late = CancellationTokenSource.CreateLinkedTokenSource(ends);
        late.CancelAfter(CloseTimeout);
        try
        {
            // Who did wrong hears why before the connection goes: its answer is waited for.
            if (status == WebSocketCloseStatus.NormalClosure) await socket.CloseOutputAsync(status, null, late.Token).ConfigureAwait(false);
            else await socket.CloseAsync(status, null, late.Token).ConfigureAwait(false);
        }
        catch (Exception error) when (IsEnd(error))
        {
            socket.Abort();
        }
    }
}
