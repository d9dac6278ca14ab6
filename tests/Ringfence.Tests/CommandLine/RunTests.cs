using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Iced.Intel;
using Ringfence.Machines;
using Ringfence.Tests.Machines;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.CommandLine;

public sealed class RunTests : IDisposable
{
    private const ushort Com1 = TestPrograms.Com1;
    private readonly List<string> _files = [];

    [EngineTheory]
    [InlineData(0, 1)]
    [InlineData(0x2a, 85)]
    public void A_write_to_the_debug_exit_port_decides_the_exit_code(int value, int exitCode)
    {
        Run(Rom(c => Exit(c, value))).ExitCode.ShouldBe(exitCode);
    }

    [EngineFact]
    public void Power_off_is_exit_code_0()
    {
        CommandResult result = Run(Rom(PowerOff));
        result.ExitCode.ShouldBe(0, result.Errors);
        result.Errors.ShouldBeEmpty();
    }

    [EngineFact]
    public void A_halt_that_nothing_can_end_is_exit_code_3_with_registers_and_the_instruction()
    {
        CommandResult result = Run(Rom(c =>
        {
            c.mov(eax, 0x1234_5678);
            c.cli();
            c.hlt();
        }));
        result.ExitCode.ShouldBe(3);
        result.Errors.ShouldContain("12345678");
        result.Errors.ShouldContain("hlt");
        result.OutputBytes.ShouldBeEmpty();
    }

    [EngineFact]
    public void A_triple_fault_is_exit_code_3_with_registers_and_the_failing_instruction()
    {
        CommandResult result = Run(Rom(c =>
        {
            const int Zeroes = 0x4000;
            c.mov(bx, Zeroes);
            c.lidt(__.cs[bx]);
            c.mov(ebx, unchecked((int)0xabcd_ef01));
            c.ud2();
        }));
        result.ExitCode.ShouldBe(3, result.Errors);
        result.Errors.ShouldContain("Triple fault");
        result.Errors.ShouldContain("abcdef01");
        result.Errors.ShouldContain("ud2");
    }

    [EngineFact]
    public void A_timeout_is_exit_code_124_and_says_so()
    {
        CommandResult result = Run(Rom(Spin), "--timeout", "0.5");
        result.ExitCode.ShouldBe(124);
        result.Errors.ShouldBe("ringfence: stopped after 0.5 s\n");
    }

    [EngineFact]
    public void What_the_guest_prints_arrives_byte_for_byte()
    {
        CommandResult result = Run(Rom(c =>
        {
            Label next = c.CreateLabel();
            c.mov(dx, Com1);
            c.xor(ax, ax);
            c.Label(ref next);
            c.@out(dx, al);
            c.inc(al);
            c.jnz(next);
            PowerOff(c);
        }));
        result.OutputBytes.ShouldBe([.. Enumerable.Range(0, 256).Select(i => (byte)i)]);
    }

    [EngineFact]
    public void Piped_input_arrives_byte_for_byte_at_the_speed_the_guest_takes_it_and_its_end_stops_nothing()
    {
        const int Bytes = 1024;
        byte[] input = [.. Enumerable.Range(0, Bytes).Select(i => (byte)(i * 7))];
        string rom = Rom(c =>
        {
            c.mov(cx, Bytes);
            Label next = c.CreateLabel();
            c.Label(ref next);
            c.Receive();
            c.xor(al, 0xff);
            c.@out(dx, al);
            c.dec(cx);
            c.jnz(next);
            Exit(c, 7);
        });
        CommandResult result = RingfenceProcess.RunGuest(input, "--firmware", rom, "--timeout", "60");
        result.ExitCode.ShouldBe(15, result.Errors);
        result.OutputBytes.ShouldBe([.. input.Select(b => (byte)~b)]);
    }

    [EngineFact]
    public void Serial_ports_and_the_debug_console_go_where_they_are_told()
    {
        string second = NewFile();
        string debug = NewFile();
        CommandResult result = Run(
            Rom(c =>
            {
                Print(c, Com1, "one");
                Print(c, 0x2f8, "two");
                Print(c, 0xe9, "three");
                PowerOff(c);
            }),
            "--serial", "null", "--serial", $"file:{second}", "--debugcon", $"file:{debug}");
        result.ExitCode.ShouldBe(0, result.Errors);
        result.OutputBytes.ShouldBeEmpty();
        File.ReadAllText(second).ShouldBe("two");
        File.ReadAllText(debug).ShouldBe("three");
    }

    [EngineFact]
    public void Counters_as_json_are_one_object_at_the_end_of_standard_output()
    {
        CommandResult result = Run(
            Rom(c =>
            {
                Print(c, Com1, "no newline");
                PowerOff(c);
            }),
            "--deterministic", "--stats", "json");
        result.OutputLines[0].ShouldBe("no newline");
        using JsonDocument json = JsonDocument.Parse(result.OutputLines[^1]);
        JsonElement root = json.RootElement;
        root.GetProperty("engine").GetString().ShouldBe(Engines.Current);
        root.GetProperty("exit_reason").GetString().ShouldBe("power_off");
        root.GetProperty("exit_code").GetInt32().ShouldBe(0);
        root.GetProperty("guest_instructions").GetInt64().ShouldBeGreaterThan(20);
        root.GetProperty("wall_seconds").GetDouble().ShouldBeGreaterThan(0);
        root.GetProperty("mips").GetDouble().ShouldBeGreaterThanOrEqualTo(0);
        foreach (string map in new[] { "unimplemented", "exceptions", "interrupts", "exits", "drives" }) root.GetProperty(map).ValueKind.ShouldBe(JsonValueKind.Object);
        root.GetProperty("ram_touched_bytes").GetInt64().ShouldBeGreaterThanOrEqualTo(0);
        root.GetProperty("monitor_bytes").GetInt64().ShouldBeInRange(1 << 20, 200 << 20);
    }

    [EngineTheory]
    [InlineData(true)]
    [InlineData(false)]
    public void Counters_say_which_exits_there_were_and_how_long_they_took(bool timed)
    {
        CommandResult result = Run(Rom(PowerOff), timed ? ["--stats", "json"] : ["--stats", "json", "--no-exit-times"]);
        using JsonDocument json = JsonDocument.Parse(result.OutputLines[^1]);
        JsonElement root = json.RootElement;
        root.GetProperty("exits").GetProperty("port_io").GetInt64().ShouldBe(1);
        root.GetProperty("sensitive_instructions").GetProperty("Out_DX_AX").GetInt64().ShouldBe(1);
        root.TryGetProperty("exit_seconds", out JsonElement seconds).ShouldBe(timed);
        if (timed) seconds.GetProperty("port_io").GetDouble().ShouldBeGreaterThan(0);
    }

    [EngineFact]
    public void A_trace_is_a_file_that_can_be_read_when_the_run_is_over()
    {
        string file = NewFile();
        CommandResult result = Run(Rom(PowerOff), "--trace", file, "--trace-limit", "1M");
        result.ExitCode.ShouldBe(0, result.Errors);
        using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(file));
        json.RootElement.GetProperty("traceEvents").EnumerateArray().ShouldContain(e => e.GetProperty("name").GetString() == "PortIo");
    }

    [EngineFact]
    public void Counters_of_translation_are_split_by_the_size_of_the_code()
    {
        CommandResult result = Run(Rom(PowerOff), "--stats", "json");
        using JsonDocument json = JsonDocument.Parse(result.OutputLines[^1]);
        json.RootElement.TryGetProperty("translator", out JsonElement translator).ShouldBe(Engines.CurrentKind != EngineKind.Interpreter);
        if (Engines.CurrentKind == EngineKind.Interpreter) return;
        JsonElement code = translator.GetProperty("code_16");
        code.GetProperty("units").GetInt64().ShouldBeGreaterThan(0);
        code.GetProperty("expansion_ratio").GetDouble().ShouldBeGreaterThan(1);
        code.GetProperty("call_outs").GetProperty("instruction").GetInt64().ShouldBeGreaterThan(0);
        code.GetProperty("translation_seconds").GetDouble().ShouldBeGreaterThan(0);
        translator.GetProperty("code_64").GetProperty("units").GetInt64().ShouldBe(0);
        translator.GetProperty("call_outs_by_instruction").EnumerateObject().ShouldNotBeEmpty();
    }

    [EngineTheory]
    [InlineData("json", "\"exit_reason\":\"debug_exit\"")]
    [InlineData("text", "guest instructions")]
    public void Counters_go_to_a_file_when_one_is_named(string format, string expected)
    {
        string file = NewFile();
        CommandResult result = Run(Rom(c => Exit(c, 0)), "--stats", $"{format}:{file}");
        result.OutputBytes.ShouldBeEmpty();
        File.ReadAllText(file).ShouldContain(expected);
    }

    [EngineFact]
    public void Counters_as_text_go_to_standard_error()
    {
        CommandResult result = Run(Rom(PowerOff), "--stats", "text");
        result.OutputBytes.ShouldBeEmpty();
        result.Errors.ShouldContain("guest instructions");
        result.Errors.ShouldNotContain("\e[");
    }

    [EngineFact]
    public void A_termination_signal_ends_the_run_with_128_and_its_number()
    {
        using Process process = RingfenceProcess.StartGuest("--firmware", Rom(c =>
        {
            Print(c, Com1, "up");
            Spin(c);
        }));
        process.StandardOutput.Read().ShouldBe('u');
        using (Process kill = Process.Start("kill", ["-TERM", $"{process.Id}"])) kill.WaitForExit();
        CommandResult result = RingfenceProcess.Finish(process, []);
        result.ExitCode.ShouldBe(143, result.Errors);
    }

    [EngineFact]
    public void Output_that_nobody_takes_ends_the_run()
    {
        using Process process = RingfenceProcess.StartGuest("--timeout", "60", "--firmware", Rom(c =>
        {
            Label again = c.CreateLabel();
            c.mov(dx, Com1);
            c.Label(ref again);
            c.@out(dx, al);
            c.jmp(again);
        }));
        process.StandardOutput.Close();
        process.WaitForExit(TimeSpan.FromSeconds(60)).ShouldBeTrue();
        process.ExitCode.ShouldBe(1);
        process.StandardError.ReadToEnd().ShouldStartWith("ringfence: standard output: ");
    }

    [EngineFact]
    public void On_a_terminal_ctrl_a_x_quits_and_the_terminal_is_as_before()
    {
        string? script = Environment.GetEnvironmentVariable("PATH")!.Split(':').Select(p => Path.Combine(p, "script")).FirstOrDefault(File.Exists);
        Skip.If(script is null, "script (Debian package bsdutils) is not installed");
        string before = NewFile();
        string after = NewFile();
        string rom = Rom(c =>
        {
            Print(c, Com1, "up");
            Spin(c);
        });
        string run = string.Join(' ', ["dotnet", RingfenceProcess.Program, .. RingfenceProcess.GuestArguments("--firmware", rom, "--timeout", "60")]);
        string command = $"stty -a >{before}; {run}; code=$?; stty -a >{after}; exit $code";
        using Process process = RingfenceProcess.StartProgram(script!, "-qefc", command, "/dev/null");
        StringBuilder seen = new();
        while (!seen.ToString().Contains("up", StringComparison.Ordinal) || !seen.ToString().Contains("Ctrl-A X quits", StringComparison.Ordinal))
        {
            int character = process.StandardOutput.Read();
            character.ShouldNotBe(-1, seen.ToString());
            seen.Append((char)character);
        }

        process.StandardInput.Write("\u0001h");
        process.StandardInput.Flush();
        Thread.Sleep(500);
        process.StandardInput.Write("\u0001x");
        process.StandardInput.Flush();
        process.WaitForExit(TimeSpan.FromSeconds(60)).ShouldBeTrue();
        string rest = process.StandardOutput.ReadToEnd();
        process.ExitCode.ShouldBe(0, rest);
        rest.ShouldContain("sends Ctrl-A to the guest");
        File.ReadAllText(after).ShouldBe(File.ReadAllText(before));
        File.ReadAllText(before).ShouldContain("speed");
    }

    public void Dispose() => _files.ForEach(File.Delete);

    private static CommandResult Run(string rom, params string[] arguments) =>
        RingfenceProcess.RunGuest([], ["--firmware", rom, "--memory", "2M", .. arguments.Contains("--timeout") ? arguments : [.. arguments, "--timeout", "60"]]);

    private static void Exit(Assembler c, int value)
    {
        c.mov(al, (byte)value);
        c.@out(0xf4, al);
        Spin(c);
    }

    // PM1 control: sleep type 5 and sleep enable (ACPI specification 4.8.3.2.1).
    private static void PowerOff(Assembler c)
    {
        c.mov(dx, 0x604);
        c.mov(ax, (5 << 10) | (1 << 13));
        c.@out(dx, ax);
        Spin(c);
    }

    private static void Print(Assembler c, ushort port, string text)
    {
        c.mov(dx, port);
        foreach (char character in text)
        {
            c.mov(al, (byte)character);
            c.@out(dx, al);
        }
    }

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

    private string NewFile()
    {
        string path = Path.GetTempFileName();
        _files.Add(path);
        return path;
    }
}
