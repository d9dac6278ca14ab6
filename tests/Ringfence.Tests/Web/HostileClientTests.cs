using System.Net;
using System.Net.WebSockets;
using Iced.Intel;
using Ringfence.Machines;
using Ringfence.Tests.Machines;
using Ringfence.Tests.Support;
using Ringfence.Web;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Web;

public sealed class HostileClientTests : IAsyncLifetime
{
    // Masked with zeroes.
    private static readonly byte[] EndlessFrame = [0x82, 0xff, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

    private readonly List<IDisposable> _clients = [];
    private VirtualMachine _machine = null!;
    private WebConsole _console = null!;

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        foreach (IDisposable client in _clients) client.Dispose();
        await _console.DisposeAsync().AsTask().WaitAsync(TestPrograms.Patience);
        await _machine.DisposeAsync();
    }

    [Fact]
    public async Task There_is_room_for_so_many_clients_and_for_others_when_they_leave()
    {
        await ServeAsync(new WebConsoleOptions { MaximumClients = 2 });
        PageClient client = await OpenAsync();
        foreach (string path in (string[])["/figures", "/serial/0", "/serial/1", "/screen"])
        {
            PageSocket first = await client.ConnectAsync(path);
            await client.ConnectAsync(path);
            (await client.RefusalAsync(path)).ShouldBe(HttpStatusCode.ServiceUnavailable);
            await first.Socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, default);
            await first.WaitForCloseAsync();
            await WaitAsync(() => CanConnectAsync(client, path));
        }

        _console.Statistics.Dropped.ShouldBeGreaterThanOrEqualTo(4);
        _console.Statistics.Clients.ShouldBe(2);
    }

    [Fact]
    public async Task Requests_that_do_not_come_are_not_waited_for()
    {
        await ServeAsync(new WebConsoleOptions { HandshakeTimeout = TimeSpan.FromSeconds(1) });
        RawClient[] clients = [Connect(), Connect(), Connect(), Connect()];
        clients[1].Send("GET / HTTP/1.1\r\nHost: ");
        clients[2].Send("GET /figures HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n");
        clients[3].Send("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        await Task.WhenAll(clients.Select(c => Task.Run(c.ReadToEnd)));
    }

    [Fact]
    public async Task Requests_that_are_too_large_are_refused()
    {
        await ServeAsync();
        Answer($"GET /{new string('x', 4 << 10)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").ShouldStartWith("HTTP/1.1 414");
        Answer($"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {new string('x', 32 << 10)}\r\n\r\n").ShouldStartWith("HTTP/1.1 431");
        Answer($"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n{string.Concat(Enumerable.Range(0, 100).Select(i => $"x{i}: y\r\n"))}\r\n").ShouldStartWith("HTTP/1.1 431");
        Answer("GET / HTTP/1.1\r\n\r\n").ShouldStartWith("HTTP/1.1 400");
        Answer("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n").ShouldStartWith("HTTP/1.1 400");
        Answer("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000000000\r\n\r\nx").ShouldStartWith("HTTP/1.1 4");
        Answer("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").ShouldNotContain("200");
        await IsServedAsync();
    }

    [Fact]
    public async Task Noise_is_survived()
    {
        await ServeAsync(new WebConsoleOptions { HandshakeTimeout = TimeSpan.FromSeconds(1) });
        Random random = new(1);
        byte[] noise = new byte[2000];
        foreach (string? path in (string?[])[null, "/screen", "/serial/0", "/serial/1", "/figures"])
        {
            for (int i = 0; i < 20; i++)
            {
                using RawClient client = new(_console);
                if (path is not null) client.Upgrade(path);
                random.NextBytes(noise);
                // Some of it is a frame that is well-formed, with noise in it.
                if (i % 2 == 0) EndlessFrame.CopyTo(noise, 0);
                client.Send(noise.AsSpan(0, random.Next(noise.Length)));
            }
        }

        await IsServedAsync();
        await WaitAsync(() => Task.FromResult(_console.Statistics is { WebSockets: 0, Clients: 0 }));
    }

    [Fact]
    public async Task Clients_that_break_the_protocol_are_dropped_and_counted()
    {
        await ServeAsync();
        // Not masked (RFC 6455 5.1), an unknown opcode (5.2), words for a channel that takes none, and RFB that is not.
        foreach ((string path, byte[] bytes) in ((string, byte[])[])[("/serial/0", [0x82, 1, .. "x and more"u8]), ("/serial/0", [0x8b, 0x80, 0, 0, 0, 0]), ("/figures", [0x81, 0x81, 0, 0, 0, 0, (byte)'x']), ("/screen", [0x82, 0x8c, 0, 0, 0, 0, .. "RFB 999.999\n"u8])])
        {
            long dropped = _console.Statistics.Dropped;
            RawClient client = Connect().Upgrade(path);
            client.Send(bytes);
            if (path == "/screen") client.Send([0x82, 0x81, 0, 0, 0, 0, 99]);
            client.ReadToEnd();
            await WaitAsync(() => Task.FromResult(_console.Statistics.Dropped == dropped + 1), $"{path} {Convert.ToHexString(bytes)}");
        }
    }

    [Fact]
    public async Task Clients_without_a_sign_of_life_are_dropped()
    {
        await ServeAsync(new WebConsoleOptions { HandshakeTimeout = TimeSpan.FromSeconds(1) });
        RawClient[] clients = [Connect().Upgrade("/figures"), Connect().Upgrade("/serial/0"), Connect().Upgrade("/screen")];
        await Task.WhenAll(clients.Select(c => Task.Run(c.ReadToEnd)));
        await WaitAsync(() => Task.FromResult(_console.Statistics.WebSockets == 0));
    }

    [Fact]
    public async Task What_a_guest_does_not_read_is_not_piled_up()
    {
        await ServeAsync(new WebConsoleOptions { HandshakeTimeout = TimeSpan.FromSeconds(1) });
        RawClient client = Connect().Upgrade("/serial/0");
        client.Send(EndlessFrame);
        Task typing = Task.Run(() =>
        {
            byte[] block = new byte[64 << 10];
            for (int i = 0; i < 1024; i++) client.Send(block);
        });
        await WaitAsync(() => Task.FromResult(_machine.Serial[0].PendingInput >= WebSocketEndpoints.MostPendingInput));
        // Everything else goes on; and hanging up frees the client's place.
        await IsServedAsync();
        _machine.Serial[0].PendingInput.ShouldBeLessThan(WebSocketEndpoints.MostPendingInput + (8 << 10));
        client.Dispose();
        await typing.WaitAsync(TestPrograms.Patience);
        await WaitAsync(() => Task.FromResult(_console.Statistics.WebSockets == 0));
    }

    [EngineFact]
    public async Task A_long_paste_arrives_as_fast_as_the_guest_reads_it()
    {
        const int Length = WebSocketEndpoints.MostPendingInput + (64 << 10);
        // Counts bytes, and says when it has them all.
        await ServeAsync(boot: TestPrograms.ProtectedMode(c =>
        {
            c.mov(ecx, Length);
            c.AnonymousLabel();
            c.Receive();
            c.dec(ecx);
            c.jne(c.@B);
            c.Print("all");
            c.Forever();
        }));
        _machine.Start();
        PageSocket socket = await (await OpenAsync()).ConnectAsync("/serial/0");
        await socket.SendAsync(new byte[Length]);
        await socket.WaitForTextAsync("all");
    }

    [EngineFact]
    public async Task A_client_that_does_not_read_holds_up_neither_the_guest_nor_another_client()
    {
        const int Burst = 64 << 10;
        await ServeAsync(new WebConsoleOptions { SendTimeout = TimeSpan.FromSeconds(5) }, TestPrograms.ProtectedMode(c =>
        {
            // A burst for each byte typed: the client that reads can follow on the busiest host.
            Label next = c.CreateLabel();
            c.Label(ref next);
            c.Receive();
            c.mov(ecx, Burst);
            c.AnonymousLabel();
            c.@out(dx, al);
            c.dec(ecx);
            c.jne(c.@B);
            c.jmp(next);
        }));
        Connect(4096).Upgrade("/serial/0");
        PageSocket reader = await (await OpenAsync()).ConnectAsync("/serial/0");
        _machine.Start();
        long end = Environment.TickCount64 + (long)TestPrograms.Patience.TotalMilliseconds;
        while (_console.Statistics.Dropped == 0)
        {
            (Environment.TickCount64 < end).ShouldBeTrue("the client is not dropped");
            await TakeBurstAsync();
        }

        await TakeBurstAsync();
        _console.Statistics.WebSockets.ShouldBe(1);

        async Task TakeBurstAsync()
        {
            await reader.SendAsync("x");
            for (int taken = 0; taken < Burst;) taken += (await reader.ReceiveAsync()).ShouldNotBeNull().Length;
        }
    }

    [EngineFact]
    public async Task A_client_that_hangs_up_in_the_middle_disturbs_nobody()
    {
        await ServeAsync(boot: TestPrograms.RealMode(c => c.KnockForever()));
        _machine.Start();
        string[] paths = ["/figures", "/serial/0", "/screen"];
        for (int i = 0; i < 20; i++)
        {
            using RawClient client = new(_console);
            client.Upgrade(paths[i % paths.Length]);
            client.Send([0x82, 0xff]);
        }

        _machine.WaitForKnocks();
        await IsServedAsync();
        await WaitAsync(() => Task.FromResult(_console.Statistics.WebSockets == 0));
    }

    private static async Task WaitAsync(Func<Task<bool>> condition, string what = "the condition")
    {
        long end = Environment.TickCount64 + (long)TestPrograms.Patience.TotalMilliseconds;
        while (!await condition())
        {
            (Environment.TickCount64 < end).ShouldBeTrue(what);
            await Task.Delay(10);
        }
    }

    private static async Task<bool> CanConnectAsync(PageClient client, string path)
    {
        try
        {
            await client.ConnectAsync(path);
            return true;
        }
        catch (WebSocketException)
        {
            return false;
        }
    }

    private async Task ServeAsync(WebConsoleOptions? options = null, BootSource? boot = null)
    {
        _machine = TestPrograms.Create(boot ?? TestPrograms.RealMode(c => c.Forever()), o => o with { Display = new DisplayOptions() });
        _console = await WebConsole.StartAsync(_machine, options);
    }

    private async Task<PageClient> OpenAsync()
    {
        PageClient client = await PageClient.OpenAsync(_console);
        _clients.Add(client);
        return client;
    }

    private RawClient Connect(int receiveBytes = 0)
    {
        RawClient client = new(_console, receiveBytes);
        _clients.Add(client);
        return client;
    }

    private string Answer(string request)
    {
        using RawClient client = new(_console);
        client.Send(request);
        return client.ReadToEnd();
    }

    private async Task IsServedAsync()
    {
        PageSocket figures = await (await OpenAsync()).ConnectAsync("/figures");
        await figures.WaitForFiguresAsync(_ => true);
        await figures.Socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, default);
        await figures.WaitForCloseAsync();
    }
}
