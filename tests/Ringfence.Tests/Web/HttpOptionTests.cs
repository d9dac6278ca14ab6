using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Ringfence.Cli.Commands;
using Ringfence.Machines;
using Ringfence.Tests.CommandLine;
using Ringfence.Tests.Machines;
using Ringfence.Tests.Support;
using Ringfence.Web;

namespace Ringfence.Tests.Web;

/// <summary><c>ringfence run --http</c> as a process of its own.</summary>
public sealed class HttpOptionTests
{
    private const string PageAt = "ringfence: page at ";

    [Theory]
    [InlineData("8080", "127.0.0.1", 8080)]
    [InlineData(":0", "127.0.0.1", 0)]
    [InlineData("localhost:80", "127.0.0.1", 80)]
    [InlineData("0.0.0.0:80", "0.0.0.0", 80)]
    [InlineData("[::1]:65535", "::1", 65535)]
    public void A_place_is_a_port_of_this_host_unless_it_names_an_address(string text, string address, int port) =>
        HttpOptions.Parse(text).ShouldBe(new HttpOptions(IPAddress.Parse(address), port));

    [Fact]
    public void A_busy_port_is_one_line_and_exit_code_1()
    {
        using Socket other = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        other.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        other.Listen();
        int port = ((IPEndPoint)other.LocalEndPoint!).Port;
        ShouldBeRefused(RingfenceProcess.Run("run", "--http", $"{port}"), $"port {port} of 127.0.0.1: Address already in use");
    }

    [Fact]
    public void An_address_that_is_not_this_hosts_is_one_line_and_exit_code_1() =>
        ShouldBeRefused(RingfenceProcess.Run("run", "--http", "192.0.2.1:8080"), "port 8080 of 192.0.2.1: Cannot assign requested address");

    [EngineFact]
    public async Task The_run_stays_in_the_terminal_and_the_page_hears_of_its_end()
    {
        Skip.IfNot(PageFiles.AreEmbedded, "this build has no page");
        using Process process = RingfenceProcess.StartGuest("--http", "0");
        try
        {
            string line = await process.StandardError.ReadLineAsync().WaitAsync(TestPrograms.Patience) ?? "";
            line.ShouldStartWith(PageAt + "http://127.0.0.1:");
            using PageClient client = await PageClient.OpenAsync(new Uri(line[PageAt.Length..]));
            PageSocket figures = await client.ConnectAsync("/figures");
            (await figures.WaitForStateAsync("running")).GetProperty("screen").GetBoolean().ShouldBeTrue();
            PageSocket serial = await client.ConnectAsync("/serial/0");
            await serial.WaitForTextAsync("ringfence> ");
            await serial.SendAsync("poweroff\r");
            JsonElement ended = (await figures.WaitForStateAsync("ended")).GetProperty("ended");
            ended.GetProperty("reason").GetString().ShouldBe(nameof(MachineExitReason.PowerOff));
            CommandResult result = RingfenceProcess.Finish(process, []);
            result.ExitCode.ShouldBe(0);
            // Nothing but the guest's own words.
            result.Errors.ShouldBeEmpty();
            result.Output.ShouldBe(serial.Text + result.Output[serial.Text.Length..]);
        }
        finally
        {
            process.Kill(entireProcessTree: true);
        }
    }

    // What a build without Node.js says comes first: there is nothing to serve.
    private static void ShouldBeRefused(CommandResult result, string reason)
    {
        result.ExitCode.ShouldBe(1);
        result.OutputBytes.ShouldBeEmpty();
        result.ErrorLines.ShouldHaveSingleItem().ShouldBe($"ringfence: --http: {(PageFiles.AreEmbedded ? reason : PageFiles.Missing)}");
    }
}
