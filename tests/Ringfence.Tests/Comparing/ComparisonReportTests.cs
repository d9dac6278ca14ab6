using System.Text.Json;
using Ringfence.Cli.Comparing;
using Ringfence.Cli.Running;
using Ringfence.Processors.Exits;

namespace Ringfence.Tests.Comparing;

public sealed class ComparisonReportTests
{
    [Fact]
    public void The_table_names_the_engines_their_times_and_the_ratio()
    {
        string text = ComparisonText.Create(SampleComparison.Create(), onTerminal: false);
        text.ShouldMatch(@"interpreter +translator\n");
        text.ShouldMatch(@"wall time +8\.000 s +1\.000 s\n");
        text.ShouldMatch(@"times the fastest +8\.00 +1\.00\n");
        text.ShouldMatch(@"guest instructions +987\.65 G +900\.00 M\*\n");
        text.ShouldMatch(@"port I/O +123\.46 G +12\.5 % +40,000 +25\.0 %\n");
        text.ShouldMatch(@"translation +0 +0\.0 % +600 +25\.0 %\n");
        text.ShouldMatch(@"Form_1_r64_m128_imm8 +500,000 +500,000\n");
        text.ShouldContain("* Instructions of translator: counted in a run of its own");
        text.ShouldNotContain("\e");
    }

    [Fact]
    public void Bars_are_as_long_as_their_parts_and_told_apart_without_colours()
    {
        string[] lines = ComparisonText.Create(SampleComparison.Create(), onTerminal: false).Split('\n');
        lines.ShouldContain($"  interpreter  {new string('█', 60)} 8.000 s");
        lines.ShouldContain($"  translator   {new string('█', 8)} 1.000 s");
        // 8 s: 3 of guest code, 1 of port I/O, 1 of privileged instructions, 3 of idleness. 1 s: 0.15, 0.25, 0.25, 0.125, 0.05, 0.025, 0.15.
        lines.ShouldContain("  interpreter  " + new string('█', 23) + new string('a', 8) + new string('c', 7) + new string('·', 22));
        lines.ShouldContain("  translator   " + new string('█', 9) + new string('a', 15) + new string('b', 15) + new string('d', 8) + new string('x', 4) + new string('·', 9));
        lines.ShouldContain(line => line.Contains("a port I/O", StringComparison.Ordinal) && line.Contains("b translation", StringComparison.Ordinal));
    }

    [Fact]
    public void No_line_is_longer_than_100_characters_however_many_engines_there_are()
    {
        string[] lines = ComparisonText.Create(SampleComparison.Many(), onTerminal: false).Split('\n');
        lines.ShouldAllBe(line => line.Length <= 100);
        for (int i = 1; i <= 7; i++) lines.Count(line => line.Contains($"paravirtual{i}", StringComparison.Ordinal)).ShouldBe(5);
    }

    [Theory]
    [InlineData(new double[] { 1, 1, 1 }, 10)]
    [InlineData(new double[] { 0.0001, 100 }, 60)]
    [InlineData(new double[] { 3, 0, 7, 11, 13 }, 60)]
    public void The_parts_of_a_bar_are_together_as_long_as_it(double[] values, int width)
    {
        int[] lengths = ComparisonText.Split(values, width);
        lengths.Sum().ShouldBe(width);
        lengths.Zip(values).ShouldAllBe(pair => Math.Abs(pair.First - (pair.Second / values.Sum() * width)) < 1);
    }

    [Fact]
    public void A_bar_of_nothing_is_empty() => ComparisonText.Split([0, 0], 60).ShouldBe([0, 0]);

    [Fact]
    public void The_json_has_everything_an_engine_did()
    {
        using JsonDocument json = JsonDocument.Parse(ComparisonJson.Create(SampleComparison.Create()));
        JsonElement root = json.RootElement;
        root.GetProperty("guest").GetProperty("name").GetString().ShouldBe("vmlinuz");
        root.GetProperty("input").GetProperty("bytes").GetInt32().ShouldBe(9);
        root.GetProperty("fastest").GetString().ShouldBe("translator");
        JsonElement interpreter = root.GetProperty("engines")[0];
        interpreter.GetProperty("engine").GetString().ShouldBe("interpreter");
        interpreter.GetProperty("exit_reason").GetString().ShouldBe("power_off");
        interpreter.GetProperty("wall_seconds").GetDouble().ShouldBe(8);
        interpreter.GetProperty("times_the_fastest").GetDouble().ShouldBe(8);
        interpreter.GetProperty("guest_instructions").GetInt64().ShouldBe(987_654_321_012);
        interpreter.GetProperty("counted_apart").GetBoolean().ShouldBeFalse();
        interpreter.GetProperty("exits").GetProperty("port_io").GetInt64().ShouldBe(123_456_789_012);
        interpreter.GetProperty("guest_code_seconds").GetDouble().ShouldBe(3);
        interpreter.GetProperty("monitor_seconds").GetDouble().ShouldBe(2);
        interpreter.GetProperty("idle_seconds").GetDouble().ShouldBe(3);
        interpreter.GetProperty("exit_seconds").GetProperty("port_io").GetDouble().ShouldBe(1);
        interpreter.GetProperty("sensitive_instructions").EnumerateObject().Count().ShouldBe(5);
        JsonElement translator = root.GetProperty("engines")[1];
        translator.GetProperty("counted_apart").GetBoolean().ShouldBeTrue();
        translator.GetProperty("mips").GetDouble().ShouldBe(900);
    }

    [Fact]
    public void Neither_json_nor_page_grow_without_bounds()
    {
        Comparison comparison = SampleComparison.Create(forms: 100_000);
        byte[] json = ComparisonJson.Create(comparison);
        json.Length.ShouldBeLessThan(50_000);
        using JsonDocument document = JsonDocument.Parse(json);
        document.RootElement.GetProperty("engines")[0].GetProperty("sensitive_instructions_left_out").GetInt32().ShouldBe(99_800);
        ComparisonPage.Create(comparison).Length.ShouldBeLessThan(100_000);
        ComparisonText.Create(comparison, onTerminal: false).Split('\n').Length.ShouldBeLessThan(80);
    }

    [Fact]
    public void A_guest_that_did_not_power_off_is_not_the_fastest()
    {
        EngineRun failed = SampleComparison.Translator(1) with { End = new RunEnd("triple_fault", 3, "Triple fault."), Instructions = null };
        Comparison comparison = SampleComparison.Of("vmlinuz", [SampleComparison.Interpreter(1), failed]);
        comparison.Fastest!.Engine.ShouldBe("interpreter");
        string text = ComparisonText.Create(comparison, onTerminal: false);
        text.ShouldMatch(@"end +power off +triple fault\n");
        text.ShouldMatch(@"times the fastest +1\.00 +-\n");
        using JsonDocument json = JsonDocument.Parse(ComparisonJson.Create(comparison));
        json.RootElement.GetProperty("engines")[1].GetProperty("guest_instructions").ValueKind.ShouldBe(JsonValueKind.Null);
    }

    [Fact]
    public void Lines_of_guests_lose_what_would_command_a_terminal_and_are_bounded()
    {
        List<string> lines = [];
        GuestLines splitter = new(lines.Add);
        splitter.Take("\e[31mred\a\r\nwide "u8);
        splitter.Take([0xc3]);
        splitter.Take([0xa4, .. Enumerable.Repeat((byte)'x', 1000)]);
        splitter.End();
        lines[0].ShouldBe("[31mred");
        lines[1].ShouldStartWith("wide ä");
        lines.Skip(1).Sum(line => line.Length).ShouldBe(1006);
        lines.ShouldAllBe(line => line.Length <= 400);
    }

    [Fact]
    public void Every_exit_reason_has_a_name_of_its_own()
    {
        ExitReason[] all = Enum.GetValues<ExitReason>();
        all.Select(ExitReportParts.Text).Distinct().Count().ShouldBe(all.Length);
        ExitReportParts.Text(ExitReason.PrivilegedInstruction).ShouldBe("privileged instruction");
        ExitReportParts.Key(ExitReason.PortIo).ShouldBe("port_io");
    }
}
