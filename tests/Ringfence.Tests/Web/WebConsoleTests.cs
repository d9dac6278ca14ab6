using System.Net;
using System.Net.WebSockets;
using System.Text.Json;
using System.Text.RegularExpressions;
using Ringfence.Machines;
using Ringfence.Processors.Exits;
using Ringfence.Tests.Machines;
using Ringfence.Tests.Remote;
using Ringfence.Tests.Support;
using Ringfence.Web;
using static Iced.Intel.AssemblerRegisters;
using MachineState = Ringfence.Machines.MachineState;

namespace Ringfence.Tests.Web;

public sealed class WebConsoleTests : IAsyncLifetime
{
    private const string Prompt = "ringfence> ";

    private readonly List<IAsyncDisposable> _open = [];
    private readonly List<PageClient> _clients = [];

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        foreach (PageClient client in _clients) client.Dispose();
        // Pages before their machines.
        foreach (IAsyncDisposable open in Enumerable.Reverse(_open)) await open.DisposeAsync().AsTask().WaitAsync(TestPrograms.Patience);
    }

    [EngineFact]
    public async Task The_serial_console_of_the_page_is_the_guests()
    {
        (VirtualMachine machine, PageClient client) = await StartAsync(new BuiltInGuestBoot());
        PageSocket first = await client.ConnectAsync("/serial/0");
        await first.WaitForTextAsync(Prompt);
        await first.SendAsync("echo one two\r");
        await first.WaitForTextAsync("\r\none two\r\n");
        // Who comes later finds what was printed before, and both see what follows, byte for byte.
        PageSocket second = await client.ConnectAsync("/serial/0", protocol: "binary");
        second.Socket.SubProtocol.ShouldBe("binary");
        await second.WaitForTextAsync("\r\none two\r\n" + Prompt);
        await second.SendAsync("echo three\r");
        foreach (PageSocket each in (PageSocket[])[first, second]) await each.WaitForTextAsync("\r\nthree\r\n" + Prompt);
        second.Text.ShouldBe(first.Text);
        machine.Serial[0].Output.ShouldBe(first.Text);
    }

    [EngineFact]
    public async Task Bytes_pass_unchanged_in_both_directions()
    {
        // Sends back what it gets.
        (_, PageClient client) = await StartAsync(TestPrograms.RealMode(c =>
        {
            c.AnonymousLabel();
            c.Receive();
            c.@out(dx, al);
            c.jmp(c.@B);
        }));
        PageSocket socket = await client.ConnectAsync("/serial/0");
        byte[] all = [.. Enumerable.Range(0, 256).Select(i => (byte)i)];
        await socket.SendAsync(all);
        List<byte> back = [];
        while (back.Count < all.Length) back.AddRange((await socket.ReceiveAsync()).ShouldNotBeNull());
        back.ShouldBe(all);
    }

    [EngineFact]
    public async Task Figures_come_at_once_and_grow()
    {
        (VirtualMachine machine, PageClient client) = await StartAsync(TestPrograms.RealMode(c => c.KnockForever()), o => o with { Name = "knocker", Display = new DisplayOptions() });
        PageSocket socket = await client.ConnectAsync("/figures");
        JsonElement first = await socket.WaitForFiguresAsync(_ => true);
        first.GetProperty("name").GetString().ShouldBe("knocker");
        first.GetProperty("engine").GetString().ShouldBe(machine.Statistics.Engine);
        first.GetProperty("state").GetString().ShouldBe("running");
        first.GetProperty("ended").ValueKind.ShouldBe(JsonValueKind.Null);
        first.GetProperty("screen").GetBoolean().ShouldBeTrue();
        first.GetProperty("serial").EnumerateArray().Select(p => p.GetString()).ShouldBe(["COM1", "COM2"]);
        first.GetProperty("memoryBytes").GetUInt64().ShouldBe(2UL << 20);
        first.GetProperty("processors").GetInt32().ShouldBe(1);
        first.GetProperty("resets").GetInt32().ShouldBe(0);
        first.GetProperty("drives").GetArrayLength().ShouldBe(0);
        first.GetProperty("clients").GetInt32().ShouldBe(1);
        first.GetProperty("instructions").ValueKind.ShouldBe(machine.Statistics.CountsInstructions ? JsonValueKind.Number : JsonValueKind.Null);
        JsonElement next = await socket.WaitForFiguresAsync(f => Exits(f) > Exits(first));
        next.GetProperty("time").GetDouble().ShouldBeGreaterThan(first.GetProperty("time").GetDouble());
        next.GetProperty("guestTime").GetDouble().ShouldBeGreaterThan(first.GetProperty("guestTime").GetDouble());
        next.GetProperty("touchedBytes").GetInt64().ShouldBeGreaterThan(0);

        static long Exits(JsonElement figures) => figures.GetProperty("exits").TryGetProperty(nameof(ExitReason.PortIo), out JsonElement count) ? count.GetInt64() : 0;
    }

    [EngineFact]
    public async Task The_virtio_console_comes_after_the_serial_ports()
    {
        (VirtualMachine machine, PageClient client) = await StartAsync(TestPrograms.RealMode(c => c.Forever()), o => o with { HasVirtioConsole = true });
        JsonElement figures = await (await client.ConnectAsync("/figures")).WaitForFiguresAsync(_ => true);
        figures.GetProperty("serial").EnumerateArray().Select(p => p.GetString()).ShouldBe(["COM1", "COM2", machine.VirtioConsole!.Name]);
        PageSocket socket = await client.ConnectAsync("/serial/2");
        await socket.SendAsync("typed");
        SpinWait.SpinUntil(() => machine.VirtioConsole.PendingInput == 5, TestPrograms.Patience).ShouldBeTrue();
    }

    [EngineFact]
    public async Task Instructions_are_a_figure_where_they_are_counted()
    {
        (VirtualMachine machine, PageClient client) = await StartAsync(TestPrograms.RealMode(c => c.Forever()), o => o with { CountInstructions = true });
        machine.Statistics.CountsInstructions.ShouldBeTrue();
        PageSocket socket = await client.ConnectAsync("/figures");
        await socket.WaitForFiguresAsync(f => f.GetProperty("instructions").GetInt64() > 1_000_000);
    }

    [EngineFact]
    public async Task Buttons_pause_resume_and_reset()
    {
        (VirtualMachine machine, PageClient client) = await StartAsync(TestPrograms.RealMode(c => c.KnockForever()));
        PageSocket figures = await client.ConnectAsync("/figures");
        await figures.WaitForStateAsync("running");
        await PressAsync(client, "pause");
        machine.State.ShouldBe(MachineState.Paused);
        await figures.WaitForStateAsync("paused");
        await PressAsync(client, "resume");
        await figures.WaitForStateAsync("running");
        machine.WaitForKnocks();
        await PressAsync(client, "reset");
        await figures.WaitForFiguresAsync(f => f.GetProperty("resets").GetInt32() == 1);
        // The program that the machine belongs to pauses it, too.
        machine.Pause();
        await figures.WaitForStateAsync("paused");
    }

    [EngineFact]
    public async Task Off_is_off_and_then_no_button_works()
    {
        (VirtualMachine machine, PageClient client) = await StartAsync(TestPrograms.RealMode(c => c.KnockForever()));
        PageSocket figures = await client.ConnectAsync("/figures");
        await PressAsync(client, "stop");
        machine.Completion.IsCompleted.ShouldBeTrue();
        JsonElement ended = (await figures.WaitForStateAsync("ended")).GetProperty("ended");
        ended.GetProperty("reason").GetString().ShouldBe(nameof(MachineExitReason.Stopped));
        ended.GetProperty("exitCode").GetInt32().ShouldBe(0);
        ended.GetProperty("report").GetString().ShouldBe("");
        foreach (string button in (string[])["pause", "resume", "reset", "power", "stop", "ctrl-alt-del"])
        {
            using HttpResponseMessage response = await client.PostAsync($"/machine/{button}");
            response.StatusCode.ShouldBe(HttpStatusCode.Conflict);
            (await response.Content.ReadAsStringAsync()).ShouldBe("The machine has ended.\n");
        }
    }

    [EngineFact]
    public async Task The_power_button_is_an_event_for_the_guest()
    {
        // Waits for PWRBTN_STS in PM1a_STS (ACPI 4.8.3.1.1), then switches itself off.
        (VirtualMachine machine, PageClient client) = await StartAsync(TestPrograms.RealMode(c =>
        {
            c.mov(dx, 0x600);
            c.AnonymousLabel();
            c.@in(ax, dx);
            c.test(ax, 1 << 8);
            c.je(c.@B);
            c.PowerOff();
        }));
        await PressAsync(client, "power");
        (await machine.WaitForExitAsync(TestPrograms.Patience)).Reason.ShouldBe(MachineExitReason.PowerOff);
    }

    [EngineFact]
    public async Task The_end_of_the_guest_reaches_the_page_before_its_server_ends()
    {
        (VirtualMachine machine, PageClient client) = await StartAsync(new BuiltInGuestBoot());
        PageSocket figures = await client.ConnectAsync("/figures");
        PageSocket serial = await client.ConnectAsync("/serial/0");
        await serial.WaitForTextAsync(Prompt);
        await serial.SendAsync("exit 4\r");
        (await machine.WaitForExitAsync(TestPrograms.Patience)).ExitCode.ShouldBe(9);
        Task disposed = ((WebConsole)_open[^1]).DisposeAsync().AsTask();
        JsonElement ended = (await figures.WaitForStateAsync("ended")).GetProperty("ended");
        ended.GetProperty("reason").GetString().ShouldBe(nameof(MachineExitReason.DebugExit));
        ended.GetProperty("exitCode").GetInt32().ShouldBe(9);
        (await figures.WaitForCloseAsync()).ShouldBe(WebSocketCloseStatus.NormalClosure);
        (await serial.WaitForCloseAsync()).ShouldBe(WebSocketCloseStatus.NormalClosure);
        await disposed.WaitAsync(TestPrograms.Patience);
        await Should.ThrowAsync<HttpRequestException>(() => client.GetAsync("/"));
    }

    [EngineFact]
    public async Task The_screen_is_a_picture_and_keys_reach_the_guest()
    {
        (VirtualMachine machine, PageClient client) = await StartAsync(new BiosBoot(), o => o with { Display = new DisplayOptions(), Name = "Ringfence" });
        await machine.Screen!.WaitForTextAsync(new Regex("\\S"), TestPrograms.Patience);
        using (HttpResponseMessage response = await client.GetAsync("/screen.png"))
        {
            response.StatusCode.ShouldBe(HttpStatusCode.OK);
            response.Content.Headers.ContentType!.MediaType.ShouldBe("image/png");
            response.Headers.CacheControl!.NoStore.ShouldBeTrue();
            using MemoryStream png = new();
            machine.Screen.Capture().SavePng(png);
            byte[] picture = await response.Content.ReadAsByteArrayAsync();
            picture[..8].ShouldBe(png.ToArray()[..8]);
            // IHDR: the same size.
            picture[16..24].ShouldBe(png.ToArray()[16..24]);
        }

        PageSocket socket = await client.ConnectAsync("/screen", protocol: "binary");
        socket.Socket.SubProtocol.ShouldBe("binary");
        using RfbClient rfb = new(WebSocketStream.Create(socket.Socket, WebSocketMessageType.Binary));
        await Task.Run(() =>
        {
            rfb.LogIn("003.008", null).ShouldBeTrue();
            rfb.Initialize(16, -223);
            (rfb.Width, rfb.Height).ShouldBe(machine.Screen.Size);
            rfb.Request(incremental: false);
            rfb.Update().ShouldBe(rfb.Width * rfb.Height);
        }).WaitAsync(TestPrograms.Patience);
        // Our firmware takes that for a reset.
        await PressAsync(client, "ctrl-alt-del");
        SpinWait.SpinUntil(() => machine.Statistics.Resets > 0, TestPrograms.Patience).ShouldBeTrue();
    }

    [EngineFact]
    public async Task Without_a_display_adapter_there_is_no_screen()
    {
        (_, PageClient client) = await StartAsync(TestPrograms.RealMode(c => c.Forever()));
        (await client.RefusalAsync("/screen")).ShouldBe(HttpStatusCode.NotFound);
        (await client.RefusalAsync("/serial/2")).ShouldBe(HttpStatusCode.NotFound);
        (await client.RefusalAsync("/serial/-1")).ShouldBe(HttpStatusCode.NotFound);
        (await client.RefusalAsync("/serial/")).ShouldBe(HttpStatusCode.NotFound);
        using HttpResponseMessage picture = await client.GetAsync("/screen.png");
        picture.StatusCode.ShouldBe(HttpStatusCode.Conflict);
        using HttpResponseMessage keys = await client.PostAsync("/machine/ctrl-alt-del");
        keys.StatusCode.ShouldBe(HttpStatusCode.Conflict);
        using HttpResponseMessage unknown = await client.PostAsync("/machine/explode");
        unknown.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [EngineFact]
    public async Task What_the_drives_do_is_a_figure()
    {
        string image = Path.GetTempFileName();
        try
        {
            byte[] sector = new byte[1440 << 10];
            TestPrograms.Assemble(16, RawBoot.BootSectorAddress, c => c.Forever()).CopyTo(sector, 0);
            (sector[510], sector[511]) = (0x55, 0xaa);
            await File.WriteAllBytesAsync(image, sector);
            (VirtualMachine machine, PageClient client) = await StartAsync(new BiosBoot { MenuWait = TimeSpan.Zero }, o => o with
            {
                MemoryBytes = 16 << 20,
                Drives = [new DriveOptions { Path = image, Kind = DriveKind.Floppy }],
            });
            PageSocket figures = await client.ConnectAsync("/figures");
            JsonElement drive = (await figures.WaitForFiguresAsync(f => f.GetProperty("drives")[0].GetProperty("reads").GetInt64() > 0)).GetProperty("drives")[0];
            drive.GetProperty("name").GetString().ShouldBe("floppy0");
            drive.GetProperty("readBytes").GetInt64().ShouldBeGreaterThanOrEqualTo(512);
            drive.GetProperty("writes").GetInt64().ShouldBe(0);
            drive.GetProperty("writtenBytes").GetInt64().ShouldBe(0);
            machine.Statistics.Drives.Keys.ShouldBe(["floppy0"]);
        }
        finally
        {
            File.Delete(image);
        }
    }

    [EngineFact]
    public async Task A_page_of_a_machine_that_runs_already_has_what_it_printed()
    {
        VirtualMachine machine = TestPrograms.Start(TestPrograms.RealMode(c =>
        {
            c.Print("printed before");
            c.Forever();
        }));
        _open.Add(machine);
        await machine.Serial[0].WaitForTextAsync("printed before", TestPrograms.Patience);
        PageClient client = await ServeAsync(machine);
        await (await client.ConnectAsync("/serial/0")).WaitForTextAsync("printed before");
    }

    private static async Task PressAsync(PageClient client, string button)
    {
        using HttpResponseMessage response = await client.PostAsync($"/machine/{button}");
        response.StatusCode.ShouldBe(HttpStatusCode.NoContent, await response.Content.ReadAsStringAsync());
    }

    private async Task<(VirtualMachine Machine, PageClient Client)> StartAsync(BootSource boot, Func<MachineOptions, MachineOptions>? change = null)
    {
        VirtualMachine machine = TestPrograms.Create(boot, o => change?.Invoke(Sized(o)) ?? Sized(o));
        _open.Add(machine);
        PageClient client = await ServeAsync(machine);
        machine.Start();
        return (machine, client);

        MachineOptions Sized(MachineOptions options) => boot is RawBoot ? options : options with { MemoryBytes = 64 << 20 };
    }

    private async Task<PageClient> ServeAsync(VirtualMachine machine)
    {
        WebConsole console = await WebConsole.StartAsync(machine);
        _open.Add(console);
        PageClient client = await PageClient.OpenAsync(console);
        _clients.Add(client);
        return client;
    }
}
