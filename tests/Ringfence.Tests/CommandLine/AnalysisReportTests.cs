using System.Text.Json;
using Ringfence.Cli.Analyzing;
using Ringfence.Tests.Pages;
using Ringfence.Virtualizability;

namespace Ringfence.Tests.CommandLine;

/// <summary>What <c>ringfence analyze</c> makes of a report, as text and as JSON.</summary>
public sealed class AnalysisReportTests
{
    private const int Width = 100;

    private static readonly string Text = new AnalysisText(SampleReports.NotVirtualizable, SampleReports.Contrast, all: false).ToText(onTerminal: false);

    [Fact]
    public void The_answer_comes_first_and_nothing_is_wider_than_100_columns()
    {
        string[] lines = Text.Split('\n');
        lines[0].ShouldBe("NOT VIRTUALIZABLE by trap and emulate alone");
        lines[1].ShouldBe("Ringfence processor model, 32-bit protected mode, user-mode instruction prevention off");
        lines[3].ShouldStartWith("  Four sensitive instructions are not privileged");
        lines[5].ShouldBe("  With user-mode instruction prevention on, SGDT traps and 3 offenders remain.");
        lines.ShouldAllBe(line => line.Length <= Width && line.TrimEnd() == line);
        Text.ShouldEndWith("\n");
        Text.ShouldNotContain("\e");
        Text.ShouldNotContain("\n\n\n");
        Text.ShouldNotContain("\u2026");
    }

    [Fact]
    public void Offenders_are_explained_and_set_beside_the_host()
    {
        Text.ShouldContain("Sensitive and not privileged: 4 instructions\n  3 names of Robin and Irvine's list (2000) are among them; beyond that list: XGETBV.\n");
        Text.ShouldMatch(@"\n POPF +3B, 3C +EFLAGS\.IF, +Shows EFLAGS\.IF to");
        Text.ShouldMatch(@"\n SGDT +3B +GDTR .*no trap, base\n.*fffe0000h \(model:\n");
        Text.ShouldContain("This host does not do what the model says: 1 instruction\n");
        Text.ShouldContain("The kernel emulates SGDT under user-mode");
        Text.ShouldMatch(@"\n Instruction +interpretation +binary");
        Text.ShouldMatch(@"\n LAR +definition +call-out +inserted trap +hypercall +intercept\n");
    }

    [Fact]
    public void Privileged_ones_are_named_and_innocuous_ones_counted_unless_all_are_asked_for()
    {
        Text.ShouldContain("\nPrivileged: 2 instructions\n  CLTS, HLT\n");
        Text.ShouldContain("9 instructions in 1,234 forms: 4 offenders, 2 privileged, 3 innocuous (--all lists them).");
        Text.ShouldNotContain("ADD");
        string all = new AnalysisText(SampleReports.NotVirtualizable, SampleReports.Contrast, all: true).ToText(onTerminal: false);
        all.ShouldContain("\nInnocuous: 3 instructions\n  ADD, MOV, <script>");
        all.ShouldContain("3 innocuous.\n");
        all.ShouldContain("[bold]x[/]");
        all.ShouldContain("5,678,901 executions in 2.5 s.\nThis host: Example CPU 9000 @ 3.00GHz, UMIP on; 1 of 4 not as the model says.\n");
    }

    [Fact]
    public void A_virtualizable_machine_has_no_offenders_to_list()
    {
        string text = new AnalysisText(SampleReports.Virtualizable, null, all: false).ToText(onTerminal: false);
        text.ShouldStartWith("VIRTUALIZABLE by trap and emulate alone\nRingfence processor model, 32-bit protected mode, user-mode instruction prevention on\n");
        text.ShouldNotContain("not privileged:");
        text.ShouldNotContain("technique");
        text.ShouldNotContain("This host");
    }

    [Fact]
    public void The_JSON_object_has_names_in_snake_case_and_all_instructions()
    {
        using JsonDocument document = JsonDocument.Parse(AnalysisJson.Create(SampleReports.NotVirtualizable, SampleReports.Contrast));
        JsonElement root = document.RootElement;
        root.EnumerateObject().Select(p => p.Name).ShouldBe(["machine", "mode", "umip", "virtualizable", "verdict", "assumptions", "counts", "umip_contrast", "duration_seconds", "host", "instructions"]);
        root.GetProperty("virtualizable").GetBoolean().ShouldBeFalse();
        root.GetProperty("duration_seconds").GetDouble().ShouldBe(2.5);
        root.GetProperty("counts").EnumerateObject().Select(p => (p.Name, p.Value.GetInt64()))
            .ShouldBe([("instructions", 9), ("forms", 1234), ("executions", 5_678_901), ("sensitive", 6), ("privileged", 2), ("offenders", 4), ("innocuous", 3)]);
        root.GetProperty("umip_contrast").EnumerateObject().Select(p => p.Name).ShouldBe(["umip", "virtualizable", "offenders", "changed"]);
        root.GetProperty("host").GetProperty("disagreements").GetInt32().ShouldBe(1);

        JsonElement instruction = root.GetProperty("instructions").EnumerateArray().Single(i => i.GetProperty("instruction").GetString() == "SGDT");
        instruction.EnumerateObject().Select(p => p.Name).ShouldBe(
            ["instruction", "class", "forms", "privileged", "sensitive", "control_sensitive", "behaviour_sensitive", "offender", "rule", "touches", "explanation", "literature", "witnesses", "treatments", "host"]);
        instruction.GetProperty("class").GetString().ShouldBe("offender");
        instruction.GetProperty("host").EnumerateObject().Select(p => p.Name).ShouldBe(["traps", "result", "prediction", "agrees", "note"]);
        instruction.GetProperty("treatments")[0].EnumerateObject().Select(p => p.Name).ShouldBe(["technique", "means", "detail"]);
        JsonElement witness = instruction.GetProperty("witnesses")[0];
        witness.EnumerateObject().Select(p => p.Name).ShouldBe(["property", "assembler", "bytes", "scenario", "first", "second", "element", "first_value", "second_value"]);
        witness.GetProperty("property").GetString().ShouldBe("behaviour_sensitive");
        root.GetProperty("instructions").EnumerateArray().Last().GetProperty("instruction").GetString().ShouldBe(SampleReports.Hostile);
    }

    [Fact]
    public void Without_a_host_the_JSON_object_says_null()
    {
        using JsonDocument document = JsonDocument.Parse(AnalysisJson.Create(SampleReports.Virtualizable, null));
        document.RootElement.GetProperty("host").ValueKind.ShouldBe(JsonValueKind.Null);
        VirtualizabilityReport report = SampleReports.Virtualizable;
        document.RootElement.GetProperty("instructions").GetArrayLength().ShouldBe(report.Instructions.Count);
    }
}
