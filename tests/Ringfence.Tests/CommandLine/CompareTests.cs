using System.Diagnostics;
using System.Text.Json;
using Iced.Intel;
using Ringfence.Execution.Translation.Listing;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.CommandLine;

public sealed class CompareTests : IDisposable
{
    private const ushort Com1 = 0x3f8;
    private const ushort DebugExit = 0xf4;
    private readonly List<string> _files = [];

    [SkippableFact]
    public void The_built_in_guest_prints_the_same_in_both_engines_and_one_table_has_both()
    {
        Skip.IfNot(TranslationListing.IsSupported);
        string input = NewFile("help\necho one two\npointers\nnonsense\npoweroff\n");
        string page = NewFile("");
        CommandResult result = RingfenceProcess.Run("compare", "--input", input, "--verbose", "--timeout", "100", "--html", page);
        result.ExitCode.ShouldBe(0, result.Errors);
        string[] interpreter = LinesOf("interpreter", result);
        interpreter.ShouldContain("ringfence> echo one two");
        interpreter[^1].ShouldBe("Powering off.");
        LinesOf("translator", result).ShouldBe(interpreter);
        result.ErrorLines.ShouldAllBe(line => line.Contains('|'));
        result.Output.ShouldMatch(@"\n +interpreter +translator\n");
        result.Output.ShouldMatch(@"\n  end +power off +power off\n");
        result.Output.ShouldMatch(@"\n  guest instructions +[\d.,]+( M)? +[\d.,]+( M)?\*\n");
        result.Output.ShouldMatch(@"\n  port I/O +[\d,]+ ");
        result.Output.ShouldMatch(@"\n  translator +█+ [\d.]+ s\n");
        result.Output.ShouldNotContain("\e");
        File.ReadAllText(page).ShouldContain("data-plot=\"exits\"");
    }

    [SkippableFact]
    public void Without_input_the_built_in_guest_gets_a_script_and_json_has_the_figures()
    {
        Skip.IfNot(TranslationListing.IsSupported);
        string file = NewFile("");
        CommandResult result = RingfenceProcess.Run("compare", "--timeout", "100", "--format", "json", "--json", file);
        result.ExitCode.ShouldBe(0, result.Errors);
        result.Errors.ShouldBeEmpty();
        File.ReadAllBytes(file).ShouldBe(result.OutputBytes);
        using JsonDocument json = JsonDocument.Parse(result.Output);
        json.RootElement.GetProperty("input").GetProperty("source").GetString().ShouldBe("built-in script");
        JsonElement engines = json.RootElement.GetProperty("engines");
        engines.EnumerateArray().Select(e => e.GetProperty("engine").GetString()).ShouldBe(["interpreter", "translator"]);
        foreach (JsonElement engine in engines.EnumerateArray())
        {
            engine.GetProperty("exit_reason").GetString().ShouldBe("power_off");
            engine.GetProperty("wall_seconds").GetDouble().ShouldBeGreaterThan(0);
            // The script's arithmetic alone is more than that, and most of a run.
            engine.GetProperty("guest_instructions").GetInt64().ShouldBeInRange(300_000_000, 3_000_000_000);
            engine.GetProperty("exits").GetProperty("port_io").GetInt64().ShouldBeGreaterThan(100);
            engine.GetProperty("exits").GetProperty("page_fault").GetInt64().ShouldBeGreaterThan(0);
            // It sleeps for 0.2 s of a clock that it has measured, on a busy host perhaps badly.
            engine.GetProperty("idle_seconds").GetDouble().ShouldBeGreaterThan(0.01);
            double all = engine.GetProperty("guest_code_seconds").GetDouble() + engine.GetProperty("monitor_seconds").GetDouble() + engine.GetProperty("idle_seconds").GetDouble();
            all.ShouldBe(engine.GetProperty("wall_seconds").GetDouble(), (0.25 * all) + 0.2);
        }

        engines[0].GetProperty("counted_apart").GetBoolean().ShouldBeFalse();
        engines[1].GetProperty("counted_apart").GetBoolean().ShouldBeTrue();
    }

    [SkippableFact]
    public void Standard_input_is_typed_and_instructions_are_not_counted_where_nobody_wants_it()
    {
        Skip.IfNot(TranslationListing.IsSupported);
        CommandResult result = RingfenceProcess.Run("echo 7\npoweroff\n"u8.ToArray(), ["compare", "--engines", "translator", "--no-count", "--repeat", "2", "--timeout", "100"]);
        result.ExitCode.ShouldBe(0, result.Errors);
        result.Output.ShouldContain("typed: standard input");
        result.Output.ShouldMatch(@"guest instructions +-\n");
        result.Output.ShouldContain("ran the guest 2 times");
        result.Output.ShouldNotContain("interpreter");
    }

    [Fact]
    public void A_guest_that_does_not_power_off_is_exit_code_124_with_its_last_lines()
    {
        string rom = Rom(c =>
        {
            foreach (char character in "here\e[2J\r\nI stay")
            {
                c.mov(dx, Com1);
                c.mov(al, (byte)character);
                c.@out(dx, al);
            }

            Spin(c);
        });
        CommandResult result = RingfenceProcess.Run("compare", "--firmware", rom, "--engines", "interpreter", "--timeout", "0.7");
        result.ExitCode.ShouldBe(124);
        result.ErrorLines.ShouldBe(
        [
            "ringfence: interpreter: stopped after 0.7 s",
            "interpreter| here[2J",
            "interpreter| I stay",
            "Nothing was typed: a guest that waits for somebody gets its commands by --input FILE or on standard input.",
        ]);
        result.Output.ShouldMatch(@"\n  end +timeout\n");
    }

    [Fact]
    public void Another_end_than_power_off_is_exit_code_1()
    {
        string rom = Rom(c =>
        {
            c.mov(dx, DebugExit);
            c.mov(al, 0);
            c.@out(dx, al);
        });
        CommandResult result = RingfenceProcess.Run("\n"u8.ToArray(), ["compare", "--firmware", rom, "--engines", "interpreter", "--timeout", "60"]);
        result.ExitCode.ShouldBe(1);
        result.Errors.ShouldBe("ringfence: interpreter: the guest did not power off but ended by debug_exit\n");
        result.Output.ShouldMatch(@"\n  end +debug exit\n");
    }

    [Fact]
    public void A_signal_stops_it_between_two_instructions_and_prints_nothing()
    {
        string input = NewFile("\n");
        string page = Path.Combine(Path.GetTempPath(), $"ringfence-{Guid.NewGuid():N}.html");
        using Process process = RingfenceProcess.Start("compare", "--engines", "interpreter", "--input", input, "--verbose", "--html", page);
        for (string? line = ""; line?.Contains("Type help", StringComparison.Ordinal) == false;) line = process.StandardError.ReadLine();
        using (Process kill = Process.Start("kill", ["-INT", $"{process.Id}"])) kill.WaitForExit();
        CommandResult result = RingfenceProcess.Finish(process, []);
        result.ExitCode.ShouldBe(130, result.Errors);
        result.OutputBytes.ShouldBeEmpty();
        File.Exists(page).ShouldBeFalse();
    }

    [Theory]
    [InlineData("--engines warp", "--engines: there is no engine 'warp' (interpreter, translator, lockstep)")]
    [InlineData("--engines auto", "--engines: there is no engine 'auto' (interpreter, translator, lockstep)")]
    [InlineData("--engines interpreter,", "--engines: there is no engine '' (interpreter, translator, lockstep)")]
    [InlineData("--engines interpreter,interpreter", "--engines: interpreter is named twice")]
    [InlineData("--engines", "Required argument missing for option: '--engines'")]
    [InlineData("--repeat 0", "--repeat: '0' is not a number of runs (1 to 100)")]
    [InlineData("--format xml", "--format: 'xml' is not text or json")]
    [InlineData("--html /no-such-folder/x", "--html: /no-such-folder/x: no such folder")]
    [InlineData("--json /no-such-folder/x", "--json: /no-such-folder/x: no such folder")]
    [InlineData("--html x/../y --json ./y", "--html and --json: both name x/../y")]
    [InlineData("--html /", "--html: /: is a folder, not a file")]
    [InlineData("--input /nonexistent/commands", "/nonexistent/commands: no such file or folder")]
    [InlineData("--input /", "/: is a folder, not a file")]
    [InlineData("--kernel /nonexistent/vmlinuz", "/nonexistent/vmlinuz: no such file or folder")]
    [InlineData("--append x", "--append needs --kernel")]
    [InlineData("--memory lots", "--memory: 'lots' is not a memory size")]
    [InlineData("--timeout 0", "--timeout: '0' is not a number of seconds above 0")]
    [InlineData("--stats json", "'--stats' is not an option; see ringfence --help")]
    public void What_cannot_be_done_is_one_line_on_standard_error_and_exit_code_1(string arguments, string expected)
    {
        CommandResult result = RingfenceProcess.Run(["compare", .. arguments.Split(' ')]);
        result.ErrorLines.Length.ShouldBe(1, result.Errors);
        result.Errors.ShouldStartWith($"ringfence: {expected}");
        result.OutputBytes.ShouldBeEmpty();
        result.ExitCode.ShouldBe(1);
    }

    [Fact]
    public void Help_tells_the_default_engines_and_what_the_built_in_guest_is_told()
    {
        CommandResult result = RingfenceProcess.Run("compare", "--help");
        result.ExitCode.ShouldBe(0);
        if (TranslationListing.IsSupported) result.Output.ShouldContain("[default: interpreter,translator]");
        result.Output.ShouldContain("primes 40000, ");
        result.Output.ShouldContain(", poweroff\n");
    }

    public void Dispose()
    {
        foreach (string file in _files) File.Delete(file);
    }

    private static string[] LinesOf(string engine, CommandResult result) =>
        [.. result.ErrorLines.Where(line => line.StartsWith($"{engine}|", StringComparison.Ordinal)).Select(line => line[(engine.Length + 1)..].TrimStart())];

    private static void Spin(Assembler c)
    {
        Label here = c.CreateLabel();
        c.Label(ref here);
        c.jmp(here);
    }

    private string Rom(Action<Assembler> code)
    {
        string path = RomBuilder.WriteFile(code);
        _files.Add(path);
        return path;
    }

    private string NewFile(string contents)
    {
        string path = Path.GetTempFileName();
        File.WriteAllText(path, contents);
        _files.Add(path);
        return path;
    }
}
