using System.Net;
using System.Net.Http.Headers;
using Ringfence.Machines;
using Ringfence.Tests.Machines;
using Ringfence.Web;

namespace Ringfence.Tests.Web;

public sealed class AccessTests : IAsyncLifetime
{
    private const string Token = "0123456789-Az_token";

    private readonly VirtualMachine _machine = TestPrograms.Create(TestPrograms.RealMode(c => c.Forever()), o => o with { Display = new DisplayOptions() });
    private WebConsole _console = null!;
    private PageClient _client = null!;

    public async Task InitializeAsync()
    {
        _console = await WebConsole.StartAsync(_machine, new WebConsoleOptions { Token = Token });
        _client = new PageClient(_console.Address);
    }

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await _console.DisposeAsync();
        await _machine.DisposeAsync();
    }

    [Fact]
    public async Task The_token_is_changed_for_a_cookie()
    {
        int port = _console.Address.Port;
        _console.Address.ToString().ShouldBe($"http://127.0.0.1:{port}/?token={Token}");
        using HttpResponseMessage response = await _client.SendAsync(HttpMethod.Get, $"/?token={Token}");
        response.StatusCode.ShouldBe(HttpStatusCode.SeeOther);
        response.Headers.Location!.OriginalString.ShouldBe("/");
        response.Headers.GetValues("Set-Cookie").ShouldHaveSingleItem().ShouldBe($"ringfence-{port}={Token}; Path=/; HttpOnly; SameSite=Strict");
        _console.Statistics.ShouldBe(new WebConsoleStatistics(0, 0, 1, 0, 0, 0));
    }

    [Theory]
    [InlineData("/?token=wrong")]
    [InlineData("/?token=")]
    [InlineData($"/?token={Token}&token={Token}")]
    [InlineData($"/?token={Token}x")]
    [InlineData($"/?Xtoken={Token}")]
    [InlineData($"/screen.png?token={Token}")]
    [InlineData("/")]
    [InlineData("/assets/none.js")]
    [InlineData("/none")]
    public async Task Nothing_is_there_without_the_token_and_the_attempt_is_counted(string path)
    {
        using HttpResponseMessage response = await _client.GetAsync(path);
        response.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
        response.Headers.Contains("Set-Cookie").ShouldBeFalse();
        response.Headers.ConnectionClose.ShouldBe(true);
        _console.Statistics.Refused.ShouldBe(1);
        _console.Statistics.Accepted.ShouldBe(0);
    }

    [Theory]
    [InlineData("/screen")]
    [InlineData("/serial/0")]
    [InlineData("/figures")]
    [InlineData("/none")]
    public async Task WebSockets_need_the_cookie(string path)
    {
        (await _client.RefusalAsync(path)).ShouldBe(HttpStatusCode.Forbidden);
        _client.Cookie = $"ringfence-{_console.Address.Port}=wrong";
        (await _client.RefusalAsync(path)).ShouldBe(HttpStatusCode.Forbidden);
        _client.Cookie = $"ringfence-1={Token}";
        (await _client.RefusalAsync(path)).ShouldBe(HttpStatusCode.Forbidden);
        _console.Statistics.Refused.ShouldBe(3);
    }

    [Fact]
    public async Task Commands_need_the_cookie()
    {
        using HttpResponseMessage response = await _client.PostAsync("/machine/stop");
        response.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
        _machine.State.ShouldBe(MachineState.NotStarted);
        _console.Statistics.Refused.ShouldBe(1);
    }

    [Theory]
    [InlineData("evil.example")]
    [InlineData("evil.example:80")]
    [InlineData("127.0.0.1.evil.example")]
    [InlineData("localhost.evil.example")]
    [InlineData("192.0.2.1")]
    [InlineData("[2001:db8::1]:80")]
    public async Task A_foreign_name_of_this_host_gets_nothing_even_with_the_token(string host)
    {
        foreach (string path in (string[])["/screen.png", $"/?token={Token}"])
        {
            using HttpResponseMessage response = await _client.SendAsync(HttpMethod.Get, path, request =>
            {
                request.Headers.Host = host;
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", Token);
            });
            response.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
            response.Headers.Contains("Set-Cookie").ShouldBeFalse();
        }

        _console.Statistics.Foreign.ShouldBe(2);
        _console.Statistics.Accepted.ShouldBe(0);
    }

    [Theory]
    [InlineData("localhost")]
    [InlineData("localhost:9000")]
    [InlineData("127.0.0.1:1")]
    [InlineData("[::1]:8080")]
    public async Task A_loopback_address_is_this_host_at_any_port_since_tunnels_have_their_own(string host)
    {
        using HttpResponseMessage response = await _client.SendAsync(HttpMethod.Get, $"/?token={Token}", request => request.Headers.Host = host);
        response.StatusCode.ShouldBe(HttpStatusCode.SeeOther);
    }

    [Theory]
    [InlineData("http://evil.example")]
    [InlineData("http://localhost:1")]
    [InlineData("https://127.0.0.1")]
    [InlineData("null")]
    [InlineData("")]
    public async Task Another_origin_may_neither_command_nor_listen(string origin)
    {
        _client.Cookie = $"ringfence-{_console.Address.Port}={Token}";
        using HttpResponseMessage response = await _client.SendAsync(HttpMethod.Post, "/machine/stop", request => request.Headers.Add("Origin", origin));
        response.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
        foreach (string path in (string[])["/screen", "/serial/0", "/figures"])
            (await _client.RefusalAsync(path, origin)).ShouldBe(HttpStatusCode.Forbidden);
        _console.Statistics.Foreign.ShouldBe(4);
        _machine.State.ShouldBe(MachineState.NotStarted);
    }

    [Fact]
    public async Task A_cookie_alone_does_not_command()
    {
        _client.Cookie = $"ringfence-{_console.Address.Port}={Token}";
        using HttpResponseMessage response = await _client.SendAsync(HttpMethod.Post, "/machine/stop");
        response.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
        _console.Statistics.Foreign.ShouldBe(1);
    }

    [Fact]
    public async Task A_program_sends_the_token_as_a_bearer_and_no_origin()
    {
        using HttpResponseMessage right = await _client.SendAsync(HttpMethod.Post, "/machine/pause", r => r.Headers.Authorization = new AuthenticationHeaderValue("Bearer", Token));
        right.StatusCode.ShouldBe(HttpStatusCode.NoContent);
        using HttpResponseMessage wrong = await _client.SendAsync(HttpMethod.Post, "/machine/pause", r => r.Headers.Authorization = new AuthenticationHeaderValue("Bearer", "wrong"));
        wrong.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
        using HttpResponseMessage basic = await _client.SendAsync(HttpMethod.Post, "/machine/pause", r => r.Headers.Authorization = new AuthenticationHeaderValue("Basic", Token));
        basic.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
        _console.Statistics.Refused.ShouldBe(2);
    }

    [Fact]
    public async Task Every_answer_tells_browsers_to_be_strict()
    {
        using PageClient inside = await PageClient.OpenAsync(_console);
        foreach ((PageClient client, string path) in ((PageClient, string)[])[(_client, "/"), (inside, "/"), (inside, "/none"), (inside, "/screen.png")])
        {
            using HttpResponseMessage response = await client.GetAsync(path);
            string Header(string name) => response.Headers.GetValues(name).ShouldHaveSingleItem();
            Header("Content-Security-Policy").ShouldStartWith("default-src 'none'; script-src 'self';");
            Header("Content-Security-Policy").ShouldContain("frame-ancestors 'none'");
            Header("X-Content-Type-Options").ShouldBe("nosniff");
            Header("Referrer-Policy").ShouldBe("no-referrer");
            Header("Cross-Origin-Resource-Policy").ShouldBe("same-origin");
            response.Headers.Contains("Server").ShouldBeFalse();
        }
    }

    [Fact]
    public async Task Made_up_tokens_differ_and_have_128_bits()
    {
        await using WebConsole other = await WebConsole.StartAsync(_machine);
        await using WebConsole third = await WebConsole.StartAsync(_machine);
        other.Address.Query.ShouldMatch("^[?]token=[A-Za-z0-9_-]{22}$");
        other.Address.Query.ShouldNotBe(third.Address.Query);
        // One machine's cookie opens no other machine's page.
        using PageClient client = await PageClient.OpenAsync(other);
        using PageClient stranger = new(third.Address) { Cookie = client.Cookie };
        using HttpResponseMessage response = await stranger.GetAsync("/screen.png");
        response.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
    }

    [Theory]
    [InlineData("short", 0, 1, "A token has 16 or more letters, digits, hyphens and underscores.")]
    [InlineData("0123456789012345;", 0, 1, "A token has 16 or more letters, digits, hyphens and underscores.")]
    [InlineData(null, 70000, 1, "There is no TCP port 70000.")]
    [InlineData(null, 0, 0, "A page that nobody may open is none.")]
    public async Task Options_out_of_range_are_one_line(string? token, int port, int clients, string message)
    {
        WebConsoleOptions options = new() { Token = token, Port = port, MaximumClients = clients };
        (await Should.ThrowAsync<ArgumentException>(() => WebConsole.StartAsync(_machine, options))).Message.ShouldBe(message);
    }
}
