using System.Diagnostics;
using System.Text.Json;
using Ringfence.Virtualizability.HostProcessors;

namespace Ringfence.Tests.CommandLine;

/// <summary>The command <c>ringfence analyze</c> as a process of its own.</summary>
public sealed class AnalyzeTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("ringfence-").FullName;

    [Fact]
    public void The_text_begins_with_the_answer_and_names_the_literatures_instructions()
    {
        CommandResult result = RingfenceProcess.Run("analyze", "--target", "model");
        result.Errors.ShouldBeEmpty();
        result.ExitCode.ShouldBe(0);
        result.OutputLines[0].ShouldBe("NOT VIRTUALIZABLE by trap and emulate alone");
        foreach (string name in new[] { "SGDT", "SIDT", "SLDT", "SMSW", "STR", "PUSHF", "POPF", "LAR", "LSL", "VERR", "VERW" }) result.Output.ShouldMatch($@"\n {name}\b");
        result.Output.ShouldMatch(@"\nPrivileged: \d+ instructions\n");
        result.Output.ShouldNotContain("Innocuous:");
        result.Output.ShouldNotContain("This host");
        result.OutputLines.ShouldAllBe(line => line.Length <= 100);
        result.Output.ShouldNotContain("\e");
    }

    [Fact]
    public void Files_get_the_same_as_standard_output()
    {
        string json = Path.Combine(_folder, "report.json");
        string html = Path.Combine(_folder, "report.html");
        File.WriteAllText(json, new string('x', 1 << 20));
        CommandResult result = RingfenceProcess.Run("analyze", "--target", "model", "--umip", "on", "--format", "json", "--json", json, "--html", html);
        result.Errors.ShouldBeEmpty();
        result.ExitCode.ShouldBe(0);
        File.ReadAllText(json).ShouldBe(result.Output);
        using JsonDocument document = JsonDocument.Parse(result.OutputBytes);
        document.RootElement.GetProperty("umip").GetBoolean().ShouldBeTrue();
        document.RootElement.GetProperty("host").ValueKind.ShouldBe(JsonValueKind.Null);
        JsonElement sgdt = document.RootElement.GetProperty("instructions").EnumerateArray().Single(i => i.GetProperty("instruction").GetString() == "SGDT");
        sgdt.GetProperty("class").GetString().ShouldBe("privileged");
        string page = File.ReadAllText(html);
        page.ShouldStartWith("<!DOCTYPE html>");
        page.ShouldContain("ringfence analyze --target model --mode protected --umip on");
    }

    [SkippableFact]
    public void The_host_is_asked_alone_where_programs_can()
    {
        Skip.IfNot(HostProcessorProbe.IsSupported, "needs x86-64 Linux");
        CommandResult result = RingfenceProcess.Run("analyze", "--target", "host", "--mode", "long", "--format", "json");
        Skip.If(result.Errors.Contains("was not asked", StringComparison.Ordinal), result.Errors);
        result.Errors.ShouldBeEmpty();
        using JsonDocument document = JsonDocument.Parse(result.OutputBytes);
        JsonElement[] instructions = [.. document.RootElement.GetProperty("instructions").EnumerateArray()];
        foreach (JsonElement instruction in instructions.Where(i => i.GetProperty("sensitive").GetBoolean()))
            instruction.GetProperty("privileged").GetBoolean().ShouldBe(instruction.GetProperty("host").GetProperty("traps").GetBoolean());
        instructions.Single(i => i.GetProperty("instruction").GetString() == "POPF").GetProperty("class").GetString().ShouldBe("offender");
        instructions.Single(i => i.GetProperty("instruction").GetString() == "CLI").GetProperty("class").GetString().ShouldBe("privileged");
        document.RootElement.GetProperty("machine").GetString().ShouldBe(document.RootElement.GetProperty("host").GetProperty("processor").GetString());
    }

    [Theory]
    [InlineData("--mode|virtual", "--mode: 'virtual' is not real, protected, vm86 or long")]
    [InlineData("--umip|yes", "--umip: 'yes' is not on or off")]
    [InlineData("--target|guest", "--target: 'guest' is not model, host or both")]
    [InlineData("--target|host|--mode|vm86", "--target host: no program of a 64-bit system is in --mode vm86 (protected or long)")]
    [InlineData("--format|xml", "--format: 'xml' is not text or json")]
    [InlineData("--mode", "Required argument missing for option: '--mode'")]
    [InlineData("--what", "'--what' is not an option; see ringfence --help")]
    [InlineData("more", "'more' is not a command or an option; see ringfence --help")]
    [InlineData("--html|/nonexistent/x.html", "--html: /nonexistent/x.html: no such folder")]
    [InlineData("--json|/", "--json: /: is a folder, not a file")]
    [InlineData("--json|", "--json: : is not a file name")]
    [InlineData("--json|/tmp/x|--html|/tmp/../tmp/x", "--html and --json: both name /tmp/../tmp/x")]
    public void What_cannot_be_done_is_one_line_on_standard_error_and_exit_code_1(string arguments, string expected)
    {
        CommandResult result = RingfenceProcess.Run(["analyze", .. arguments.Split('|')]);
        result.ErrorLines.Length.ShouldBe(1, result.Errors);
        result.Errors.ShouldStartWith($"ringfence: {expected}");
        result.OutputBytes.ShouldBeEmpty();
        result.ExitCode.ShouldBe(1);
    }

    [Fact]
    public void A_file_that_cannot_be_written_is_known_before_anything_is_executed_and_leaves_no_other_file()
    {
        string html = Path.Combine(_folder, "report.html");
        Stopwatch watch = Stopwatch.StartNew();
        CommandResult result = RingfenceProcess.Run("analyze", "--html", html, "--json", "/nonexistent/x.json");
        result.ExitCode.ShouldBe(1);
        result.Errors.ShouldBe("ringfence: --json: /nonexistent/x.json: no such folder\n");
        File.Exists(html).ShouldBeFalse();
        watch.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(20));
    }

    [SkippableFact]
    public void A_full_disk_is_one_line()
    {
        Skip.IfNot(File.Exists("/dev/full"), "there is no /dev/full");
        CommandResult result = RingfenceProcess.Run("analyze", "--target", "model", "--mode", "real", "--json", "/dev/full");
        result.ErrorLines.ShouldHaveSingleItem().ShouldStartWith("ringfence: --json: /dev/full: cannot be written");
        result.ExitCode.ShouldBe(1);
        result.OutputBytes.ShouldBeEmpty();
    }

    [Fact]
    public void Help_ends_with_examples_and_says_what_the_classes_mean()
    {
        CommandResult result = RingfenceProcess.Run("analyze", "--help");
        result.ExitCode.ShouldBe(0);
        result.Errors.ShouldBeEmpty();
        foreach (string part in new[] { "--target", "--mode", "--umip", "--all", "--format", "--html", "--json", "ringfence analyze --umip on --html analyze.html", "behaviour sensitive" }) result.Output.ShouldContain(part);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
