using System.Net;
using System.Net.Sockets;
using System.Text;
using Ringfence.Tests.Machines;
using Ringfence.Web;

namespace Ringfence.Tests.Web;

/// <summary>A connection to a page's server on which anything can be said.</summary>
internal sealed class RawClient : IDisposable
{
    private readonly Socket _socket;
    private readonly WebConsole _console;

    /// <param name="console">The server.</param>
    /// <param name="receiveBytes">Room for what the server sends; 0: the host's default.</param>
    public RawClient(WebConsole console, int receiveBytes = 0)
    {
        _console = console;
        _socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = (int)TestPrograms.Patience.TotalMilliseconds };
        if (receiveBytes > 0) _socket.ReceiveBufferSize = receiveBytes;
        _socket.Connect(IPAddress.Loopback, console.Address.Port);
    }

    public void Send(string text) => Send(Encoding.Latin1.GetBytes(text));

    /// <summary>Sends as much as the server takes before it hangs up.</summary>
    public void Send(ReadOnlySpan<byte> bytes)
    {
        try
        {
            _socket.Send(bytes);
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            // One of them has hung up.
        }
    }

    /// <summary>Opens a WebSocket as the page does.</summary>
    public RawClient Upgrade(string path)
    {
        string token = _console.Address.Query["?token=".Length..];
        Send($"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n");
        StringBuilder head = new();
        byte[] one = new byte[1];
        while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal) && _socket.Receive(one) == 1) head.Append((char)one[0]);
        head.ToString().ShouldStartWith("HTTP/1.1 101");
        return this;
    }

    /// <summary>Receives until the server hangs up.</summary>
    /// <returns>What it has said, at most its first KiB.</returns>
    public string ReadToEnd()
    {
        StringBuilder answer = new();
        byte[] buffer = new byte[4096];
        try
        {
            for (int count; (count = _socket.Receive(buffer)) > 0;)
                if (answer.Length < 1024) answer.Append(Encoding.Latin1.GetString(buffer, 0, count));
        }
        catch (SocketException error) when (error.SocketErrorCode == SocketError.ConnectionReset)
        {
            // That is hanging up, too.
        }

        return answer.ToString();
    }

    public void Dispose() => _socket.Dispose();
}
