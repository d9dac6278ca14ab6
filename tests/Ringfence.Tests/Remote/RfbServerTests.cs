using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Ringfence.Devices;
using Ringfence.Devices.Video;
using Ringfence.Machines;
using Ringfence.Remote;
using Ringfence.Tests.Support;
using Xunit.Abstractions;

namespace Ringfence.Tests.Remote;

public sealed class RfbServerTests : IAsyncLifetime
{
    private const int Zrle = 16;
    private const int DesktopSize = -223;
    private const int ExtendedDesktopSize = -308;
    private const int ExtendedKeyEvent = -258;

    private readonly ITestOutputHelper _output;
    private readonly FakeVideo _video = new();
    private readonly ConcurrentQueue<(Key Key, bool Down)> _keys = new();
    private readonly ConcurrentQueue<(int X, int Y, int Wheel, int Buttons)> _moves = new();
    private readonly Screen _screen;
    private readonly List<RfbServer> _servers = [];

    public RfbServerTests(ITestOutputHelper output)
    {
        _output = output;
        _screen = new Screen(_video, Press, (x, y, wheel, buttons) => _moves.Enqueue((x, y, wheel, buttons)));
        _video.Show(200, 100, Mixed);
    }

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        foreach (RfbServer server in _servers) await server.DisposeAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(20));
    }

    [Theory]
    [InlineData("003.003")]
    [InlineData("003.007")]
    [InlineData("003.008")]
    public void The_password_opens_in_every_version(string version)
    {
        RfbServer server = Start("secret");
        using (RfbClient client = new(server.EndPoint!)) client.LogIn(version, "wrong").ShouldBeFalse();
        server.Statistics.Refused.ShouldBe(1);
        using RfbClient second = new(server.EndPoint!);
        second.LogIn(version, "secret").ShouldBeTrue();
        second.Initialize();
        second.Request(false);
        second.Update();
        ShouldShow(second);
    }

    [Fact]
    public void A_wrong_password_is_answered_late_and_with_the_reason()
    {
        RfbServer server = Start("secret");
        using RfbClient client = new(server.EndPoint!);
        Stopwatch time = Stopwatch.StartNew();
        client.LogIn("003.008", "Secret").ShouldBeFalse();
        client.Reason.ShouldBe("The password is wrong.");
        time.ElapsedMilliseconds.ShouldBeGreaterThan(90);
        client.Stream.ReadByte().ShouldBe(-1);
    }

    [Theory]
    [InlineData("003.003")]
    [InlineData("003.007")]
    [InlineData("003.008")]
    public void No_password_is_needed_where_that_is_allowed(string version)
    {
        using RfbClient client = Open(Start(), [], version);
        client.Request(false);
        client.Update().ShouldBe(200 * 100);
        ShouldShow(client);
    }

    [Fact]
    public void Nobody_is_let_in_without_a_password_from_elsewhere()
    {
        Should.Throw<ArgumentException>(() => new RfbServer(_screen, new RfbServerOptions()));
        Should.Throw<ArgumentException>(() => new RfbServer(_screen, new RfbServerOptions { AllowsNoPassword = true, Address = IPAddress.Any }));
        foreach (string password in (string[])["", "123456789", "naïve€", "xxxxpppp"])
            Should.Throw<ArgumentException>(() => new RfbServer(_screen, new RfbServerOptions { Password = password }));
    }

    [Theory]
    [InlineData(32, 24, false, 255, 16, 8, 0, true)]
    [InlineData(32, 24, true, 255, 16, 8, 0, true)]
    [InlineData(32, 24, false, 255, 8, 16, 24, true)]
    [InlineData(32, 24, true, 255, 24, 16, 8, true)]
    [InlineData(32, 32, false, 255, 0, 8, 16, false)]
    [InlineData(16, 15, false, 31, 10, 5, 0, false)]
    [InlineData(16, 15, true, 31, 0, 5, 10, false)]
    [InlineData(8, 6, false, 3, 4, 2, 0, false)]
    public void Pixels_come_as_the_client_asks_for_them(int bits, int depth, bool bigEndian, int maximum, int red, int green, int blue, bool isCompact)
    {
        // Raw and ZRLE; each kind of tile is in the picture.
        foreach (int encoding in (int[])[0, Zrle])
        {
            using RfbClient client = Open(Start(), [encoding]);
            client.SetFormat(bits, depth, bigEndian, maximum, red, green, blue);
            client.IsCompact = isCompact;
            client.Request(false);
            client.Update();
            ShouldShow(client, (255 / maximum / 2) + 1);
        }
    }

    [Theory]
    [InlineData(8)]
    [InlineData(16)]
    [InlineData(32)]
    public void A_client_that_wants_a_color_map_is_told_one(int bits)
    {
        foreach (int encoding in (int[])[0, Zrle])
        {
            using RfbClient client = Open(Start(), [encoding]);
            client.SetMappedFormat(bits);
            client.Request(false);
            client.Update();
            ShouldShow(client, (255 / 3 / 2) + 1);
        }
    }

    [Fact]
    public void A_client_that_asks_for_another_size_is_told_that_it_is_the_guests_business()
    {
        using RfbClient client = Open(Start(), [Zrle, ExtendedDesktopSize, DesktopSize]);
        client.Request(false);
        client.Update().ShouldBe(200 * 100);
        client.SizeAnswer.ShouldBe((0, 0));
        client.Request(true);
        SetDesktopSize(client, 300, 200);
        client.Update().ShouldBe(0);
        (client.SizeAnswer, client.Width, client.Height).ShouldBe(((1, 1), 200, 100));
        _video.Show(320, 50, Mixed);
        client.Request(true);
        client.Update();
        (client.SizeAnswer, client.Width, client.Height).ShouldBe(((0, 0), 320, 50));
        client.Request(false);
        client.Update();
        ShouldShow(client);
    }

    [Fact]
    public void A_size_that_is_asked_for_without_being_able_to_hear_the_answer_changes_nothing()
    {
        using RfbClient client = Open(Start(), [Zrle]);
        for (int i = 0; i < 300; i++) SetDesktopSize(client, i * 200, 65535, screens: i);
        client.Request(false);
        client.Update().ShouldBe(200 * 100);
        ShouldShow(client);
    }

    [Fact]
    public async Task Keys_without_a_character_of_a_US_keyboard_are_pressed_by_their_codes()
    {
        using RfbClient client = Open(Start(), [Zrle, ExtendedKeyEvent]);
        client.Request(false);
        client.Update();
        client.MaySendKeyCodes.ShouldBeTrue();
        // The key beside Tab, which types 'a' in France; that right of L, which types 'ö' in Germany; Left; Pause; one without a code; one that nobody has.
        (uint Code, uint Keysym)[] keys = [(0x10, 'a'), (0x27, 'ö'), (0xcb, 0xff51), (0xc6, 0xff13), (0, 'b'), (0x7f, 0x1234)];
        foreach ((uint code, uint keysym) in keys)
            foreach (byte down in (byte[])[1, 0])
                client.Send([255, 0, 0, down, .. BigEndian(keysym), .. BigEndian(code)]);
        await Wait(() => _keys.Count >= 10);
        _keys.ShouldBe([(Key.A, true), (Key.A, false), (Key.Semicolon, true), (Key.Semicolon, false), (Key.Left, true), (Key.Left, false), (Key.Pause, true), (Key.Pause, false), (Key.B, true), (Key.B, false)]);
    }

    [Fact]
    public void Messages_of_QEMU_that_were_not_offered_end_the_connection()
    {
        RfbServer server = Start();
        using RfbClient client = Open(server, [Zrle]);
        client.Send(255, 1, 0, 0);
        client.Stream.ReadByte().ShouldBe(-1);
        SpinWait.SpinUntil(() => server.Statistics is { Dropped: 1 }, 20_000).ShouldBeTrue();
    }

    [Fact]
    public void Only_tiles_that_have_changed_are_sent()
    {
        using RfbClient client = Open(Start(), [Zrle]);
        client.Request(false);
        client.Update();
        client.Request(true);
        _video.Show(200, 100, (x, y) => (x, y) == (70, 20) ? 0x123456 : Mixed(x, y));
        client.Update().ShouldBe(64 * 16);
        ShouldShow(client);
        client.Request(false);
        client.Update().ShouldBe(200 * 100);
        ShouldShow(client);
    }

    [Fact]
    public void A_new_size_is_told_to_clients_that_know_it_and_cut_for_others()
    {
        RfbServer server = Start();
        using RfbClient client = Open(server, [Zrle, DesktopSize]);
        using RfbClient old = Open(server, [Zrle]);
        foreach (RfbClient each in (RfbClient[])[client, old])
        {
            each.Request(false);
            each.Update();
            each.Request(true);
        }

        _video.Show(320, 50, Mixed);
        client.Update();
        (client.Width, client.Height).ShouldBe((320, 50));
        client.Request(true);
        client.Update();
        ShouldShow(client);
        old.Update();
        old.Pixels[199].ShouldBe(_screen.Capture()[199, 0]);
        old.Pixels[(60 * 200) + 5].ShouldBe(0xff00_0000);
    }

    [Fact]
    public async Task An_idle_screen_costs_nothing()
    {
        RfbServer server = Start();
        using RfbClient client = Open(server, [Zrle]);
        client.Request(false);
        client.Update();
        client.Request(true);
        await Task.Delay(2500);
        int draws = _video.Draws;
        await Task.Delay(1000);
        (_video.Draws - draws).ShouldBeLessThan(15);
        server.Statistics.Updates.ShouldBe(1);
        ((NetworkStream)client.Stream).DataAvailable.ShouldBeFalse();
    }

    [Fact]
    public async Task Keys_are_those_of_a_us_keyboard()
    {
        RfbServer server = Start();
        using (RfbClient client = Open(server, []))
        {
            foreach ((uint keysym, bool down) in ((uint, bool)[])[('a', true), ('a', false), (0xffe1, true), ('B', true), ('B', false), (0xffe1, false), ('!', true), ('!', false), (0xffbe, true)])
                client.Key(keysym, down);
            await Wait(() => _keys.Count >= 11);
        }

        // What a client holds when it goes is released.
        await Wait(() => _keys.Count >= 12);
        _keys.ShouldBe(
        [
            (Key.A, true), (Key.A, false),
            (Key.LeftShift, true), (Key.B, true), (Key.B, false), (Key.LeftShift, false),
            (Key.LeftShift, true), (Key.D1, true), (Key.LeftShift, false), (Key.D1, false),
            (Key.F1, true), (Key.F1, false),
        ]);
    }

    [Fact]
    public async Task The_pointer_moves_the_mouse_by_differences()
    {
        using RfbClient client = Open(Start(), []);
        client.Pointer(0, 100, 50);
        client.Pointer(0, 103, 48);
        client.Pointer(4, 103, 48);
        client.Pointer(2, 103, 48);
        client.Pointer(8, 103, 48);
        client.Pointer(0, 103, 48);
        client.Pointer(16, 103, 48);
        await Wait(() => _moves.Count >= 6);
        _moves.ShouldBe([(3, 2, 0, 0), (0, 0, 0, 2), (0, 0, 0, 4), (0, 0, -1, 0), (0, 0, 0, 0), (0, 0, 1, 0)]);
    }

    [Fact]
    public void A_client_that_takes_nothing_is_dropped_and_holds_up_nobody()
    {
        _video.Show(1920, 1200, (x, y) => (uint)((x * 7919) ^ (y * 104729)) & 0xffffff);
        RfbServer server = Start(patience: 5);
        using RfbClient slow = Open(server, []);
        for (int i = 0; i < 50; i++) slow.Request(false);
        using RfbClient client = Open(server, []);
        for (int i = 0; i < 5; i++)
        {
            client.Request(false);
            client.Update();
        }

        ShouldShow(client);
        SpinWait.SpinUntil(() => server.Statistics is { Dropped: 1, Clients: 1 }, 20_000).ShouldBeTrue();
    }

    [Fact]
    public void Connections_beyond_the_most_and_those_that_say_nothing_end()
    {
        RfbServer server = Start(patience: 2);
        using RfbClient first = new(server.EndPoint!);
        List<RfbClient> more = [.. Enumerable.Range(0, 8).Select(_ => new RfbClient(server.EndPoint!))];
        SpinWait.SpinUntil(() => server.Statistics is { Clients: 0, Dropped: 9 }, 20_000).ShouldBeTrue(server.Statistics.ToString());
        more.ForEach(m => m.Dispose());
    }

    [Fact]
    public void Random_bytes_neither_crash_nor_hang_it()
    {
        RfbServer server = Start(patience: 5);
        Random random = new(1);
        for (int i = 0; i < 2000; i++)
        {
            byte[] noise = new byte[random.Next(1, 200)];
            random.NextBytes(noise);
            using RfbClient client = new(server.EndPoint!);
            try
            {
                if (i % 4 != 0)
                {
                    client.LogIn("003.008", null);
                    client.Initialize(Zrle, DesktopSize, ExtendedDesktopSize, ExtendedKeyEvent);
                    for (int at = 0; at < noise.Length; at += 10)
                        if (random.Next(3) > 0) noise[at] = random.Next(5) switch { 0 => 251, 1 => 255, _ => (byte)random.Next(7) };
                }

                client.Send(noise);
                client.Request(true);
            }
            catch (IOException)
            {
                // The server has had enough.
            }
        }

        SpinWait.SpinUntil(() => server.Statistics.Clients == 0, 20_000).ShouldBeTrue(server.Statistics.ToString());
        using RfbClient last = Open(server, [Zrle]);
        last.Request(false);
        last.Update();
        ShouldShow(last);
    }

    [Fact]
    public void A_scrolling_screen_comes_25_times_a_second()
    {
        const int WarmingUp = 32;
        const int Frames = 60;
        VideoPicture[] pictures = new VideoPicture[8];
        for (int i = 0; i < pictures.Length; i++)
        {
            uint[] pixels = new uint[1024 * 768];
            for (int at = 0; at < pixels.Length; at++) pixels[at] = 0xff00_0000 | Text(at % 1024, (at / 1024) + (i * 16));
            pictures[i] = new VideoPicture(1024, 768, pixels);
        }

        _video.Show(pictures[0]);
        using RfbClient client = Open(Start(), [Zrle]);
        client.Request(false);
        client.Update();
        BusyHost.OnceOf(5, () =>
        {
            Stopwatch time = new();
            for (int frame = 1 - WarmingUp; frame <= Frames; frame++)
            {
                if (frame == 1) time.Start();
                _video.Show(pictures[(frame + WarmingUp) % pictures.Length]);
                client.Request(true);
                client.Update(decodes: false);
            }

            double rate = Frames / time.Elapsed.TotalSeconds;
            _output.WriteLine($"{rate:0.0} frames a second");
            // Loosely: the host of the test may be busy. Never more than 30.
            rate.ShouldBeInRange(8, 31);
        });
    }

    [Fact]
    public async Task A_busy_port_is_refused_and_the_end_is_prompt()
    {
        RfbServer server = Start();
        RfbServer second = new(_screen, new RfbServerOptions { Port = server.EndPoint!.Port, AllowsNoPassword = true });
        Should.Throw<SocketException>(second.Start);
        await second.DisposeAsync();
        using RfbClient client = Open(server, []);
        await server.DisposeAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(10));
        client.Stream.ReadByte().ShouldBe(-1);
    }

    private static void SetDesktopSize(RfbClient client, int width, int height, int screens = 1) =>
        client.Send([251, 0, (byte)(width >> 8), (byte)width, (byte)(height >> 8), (byte)height, (byte)screens, 0, .. new byte[16 * (byte)screens]]);

    private static byte[] BigEndian(uint value) => [(byte)(value >> 24), (byte)(value >> 16), (byte)(value >> 8), (byte)value];

    // Tiles of one color, of few, of runs and of many colors.
    private static uint Mixed(int x, int y) => (x / 64) switch
    {
        0 => y < 64 ? 0x0000ffu : (uint)(x % 3) * 0x404040,
        1 => (uint)((x / 16 * 0x203040) ^ (y * 0x010305)) & 0xffffff,
        2 => (uint)(((x * 7919) ^ (y * 104729)) * 31) & 0xffffff,
        _ => (uint)(x % 2) * 0xffffff,
    };

    private static uint Text(int x, int y) => ((x * 31) ^ (y / 16 * 977) ^ (y * 7)) % 5 == 0 ? 0xaaaaaau : 0;

    private static async Task Wait(Func<bool> condition)
    {
        for (int i = 0; i < 2000 && !condition(); i++) await Task.Delay(10);
        condition().ShouldBeTrue();
    }

    private static RfbClient Open(RfbServer server, int[] encodings, string version = "003.008")
    {
        RfbClient client = new(server.EndPoint!);
        client.LogIn(version, null).ShouldBeTrue();
        client.Initialize(encodings);
        return client;
    }

    private void ShouldShow(RfbClient client, int tolerance = 0)
    {
        ScreenImage image = _screen.Capture();
        (client.Width, client.Height).ShouldBe((image.Width, image.Height));
        for (int i = 0; i < client.Pixels.Length; i++)
        {
            for (int shift = 0; shift < 24; shift += 8)
            {
                int difference = (int)((client.Pixels[i] >> shift) & 255) - (int)((image.Pixels[i] >> shift) & 255);
                if (Math.Abs(difference) > tolerance) Assert.Fail($"pixel {i % image.Width},{i / image.Width}: {client.Pixels[i]:x8} instead of {image.Pixels[i]:x8}");
            }
        }
    }

    private bool Press(Key key, bool down)
    {
        _keys.Enqueue((key, down));
        return true;
    }

    /// <param name="password">What lets in; null: everything.</param>
    /// <param name="patience">Seconds for a client's handshake, and for what it does not take: enough for one that is good on a busy host.</param>
    private RfbServer Start(string? password = null, int patience = 60)
    {
        RfbServer server = new(_screen, new RfbServerOptions
        {
            Port = 0,
            Password = password,
            AllowsNoPassword = password is null,
            MaximumClients = 4,
            HandshakeTimeout = TimeSpan.FromSeconds(patience),
            SendTimeout = TimeSpan.FromSeconds(patience),
            RefusalDelay = TimeSpan.FromMilliseconds(100),
        });
        server.Start();
        _servers.Add(server);
        return server;
    }
}
