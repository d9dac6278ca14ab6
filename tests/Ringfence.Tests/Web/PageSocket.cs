using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using Ringfence.Tests.Machines;

namespace Ringfence.Tests.Web;

/// <summary>One of the page's WebSockets.</summary>
internal sealed class PageSocket(ClientWebSocket socket) : IDisposable
{
    private readonly byte[] _buffer = new byte[1 << 16];
    private readonly StringBuilder _text = new();

    public ClientWebSocket Socket { get; } = socket;

    /// <summary>What has arrived so far.</summary>
    public string Text => _text.ToString();

    /// <summary>The next message; null: the server has closed.</summary>
    public async Task<byte[]?> ReceiveAsync()
    {
        using CancellationTokenSource patience = new(TestPrograms.Patience);
        using MemoryStream message = new();
        while (true)
        {
            ValueWebSocketReceiveResult result = await Socket.ReceiveAsync(_buffer.AsMemory(), patience.Token);
            if (result.MessageType == WebSocketMessageType.Close) return null;
            message.Write(_buffer, 0, result.Count);
            if (result.EndOfMessage) return message.ToArray();
        }
    }

    /// <summary>Receives until a text has arrived.</summary>
    public async Task WaitForTextAsync(string text)
    {
        while (!Text.Contains(text, StringComparison.Ordinal))
            _text.Append(Encoding.UTF8.GetString(await ReceiveAsync() ?? throw new EndOfStreamException($"closed after: {Text}")));
    }

    /// <summary>Receives figures until they are as they should be.</summary>
    public async Task<JsonElement> WaitForFiguresAsync(Func<JsonElement, bool> condition)
    {
        long end = Environment.TickCount64 + (long)TestPrograms.Patience.TotalMilliseconds;
        while (true)
        {
            (Environment.TickCount64 < end).ShouldBeTrue("the figures do not become what they should be");
            using JsonDocument figures = JsonDocument.Parse(await ReceiveAsync() ?? throw new EndOfStreamException());
            if (condition(figures.RootElement)) return figures.RootElement.Clone();
        }
    }

    public Task<JsonElement> WaitForStateAsync(string state) => WaitForFiguresAsync(f => f.GetProperty("state").GetString() == state);

    /// <summary>Sends a message of bytes.</summary>
    public async Task SendAsync(ReadOnlyMemory<byte> data)
    {
        using CancellationTokenSource patience = new(TestPrograms.Patience);
        await Socket.SendAsync(data, WebSocketMessageType.Binary, endOfMessage: true, patience.Token);
    }

    public Task SendAsync(string text) => SendAsync(Encoding.UTF8.GetBytes(text));

    /// <summary>Receives until the server closes.</summary>
    /// <returns>With which status.</returns>
    public async Task<WebSocketCloseStatus?> WaitForCloseAsync()
    {
        while (await ReceiveAsync() is not null)
        {
        }

        return Socket.CloseStatus;
    }

    public void Dispose() => Socket.Dispose();
}
