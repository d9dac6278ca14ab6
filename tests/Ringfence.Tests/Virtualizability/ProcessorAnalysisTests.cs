using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using Ringfence.Virtualizability;
using Ringfence.Virtualizability.Model;

namespace Ringfence.Tests.Virtualizability;

/// <summary>What the experiments find on Ringfence's processor, and that they are sound.</summary>
public sealed class ProcessorAnalysisTests
{
    private static readonly ConcurrentDictionary<(AnalysisMode, bool), Lazy<VirtualizabilityReport>> Reports = new();

    private static readonly string[] UmipInstructions = ["SGDT", "SIDT", "SLDT", "SMSW", "STR"];

    public static TheoryData<AnalysisMode, bool> Configurations => new()
    {
        { AnalysisMode.Real, false }, { AnalysisMode.Protected, false }, { AnalysisMode.Protected, true }, { AnalysisMode.Virtual8086, false },
        { AnalysisMode.Virtual8086, true }, { AnalysisMode.Long, false }, { AnalysisMode.Long, true },
    };

    [Fact]
    public void In_protected_mode_without_UMIP_all_that_Robin_and_Irvine_list_is_sensitive_and_not_privileged()
    {
        VirtualizabilityReport report = Report(AnalysisMode.Protected);

        report.IsVirtualizable.ShouldBeFalse();
        report.Offenders.Select(i => i.Literature).OfType<string>().Distinct().ShouldBe(
            ["CALL", "INT n", "JMP", "LAR", "LSL", "MOV", "POP", "POPF", "PUSH", "PUSHF", "RET", "SGDT", "SIDT", "SLDT", "SMSW", "STR", "VERR", "VERW"],
            ignoreOrder: true);
        RobinAndIrvine.All.ShouldBe(report.Offenders.Select(i => i.Literature).OfType<string>().Distinct(), ignoreOrder: true);
    }

    [Theory]
    [InlineData(AnalysisMode.Protected)]
    [InlineData(AnalysisMode.Long)]
    public void UMIP_makes_five_instructions_privileged_and_changes_no_other(AnalysisMode mode)
    {
        VirtualizabilityReport without = Report(mode);
        VirtualizabilityReport with = Report(mode, umip: true);

        without.Offenders.Select(i => i.Instruction).Except(with.Offenders.Select(i => i.Instruction)).ShouldBe(UmipInstructions, ignoreOrder: true);
        with.Offenders.Select(i => i.Instruction).ShouldBeSubsetOf(without.Offenders.Select(i => i.Instruction));
        foreach (string name in UmipInstructions)
        {
            InstructionVerdict verdict = with.Instructions.Single(i => i.Instruction == name);
            (verdict.IsPrivileged, verdict.IsSensitive).ShouldBe((true, true), name);
        }
    }

    [Fact]
    public void In_virtual_8086_mode_what_segment_registers_and_the_interrupt_flag_need_does_not_forbid_a_monitor()
    {
        VirtualizabilityReport report = Report(AnalysisMode.Virtual8086, umip: true);

        foreach (string name in (string[])["CLI", "STI", "PUSHF", "POPF", "INT n", "IRET", "IN", "OUT"])
            report.Instructions.Single(i => i.Instruction == name).IsPrivileged.ShouldBeTrue(name);
        foreach (string name in (string[])["MOV to Sreg", "MOV from Sreg", "PUSH Sreg", "POP Sreg", "CALL far", "JMP far", "RET far", "LDS"])
            report.Instructions.Single(i => i.Instruction == name).IsSensitive.ShouldBeFalse(name);
    }

    [Fact]
    public void Real_address_mode_has_no_user_mode_and_nothing_privileged()
    {
        VirtualizabilityReport report = Report(AnalysisMode.Real);

        report.IsVirtualizable.ShouldBeFalse();
        report.Instructions.ShouldAllBe(i => !i.IsPrivileged);
    }

    [Theory]
    [InlineData("ADD")]
    [InlineData("MOV")]
    [InlineData("PUSH")]
    [InlineData("POP")]
    [InlineData("CALL")]
    [InlineData("RET")]
    [InlineData("JMP")]
    [InlineData("LEA")]
    [InlineData("ENTER")]
    [InlineData("LEAVE")]
    [InlineData("BOUND")]
    [InlineData("ARPL")]
    [InlineData("DIV")]
    [InlineData("MOVSB")]
    [InlineData("XLATB")]
    [InlineData("FADD")]
    [InlineData("FLDENV")]
    [InlineData("FXRSTOR")]
    [InlineData("ADDPS")]
    [InlineData("SAHF")]
    [InlineData("STD")]
    [InlineData("CMPXCHG8B")]
    public void Computation_is_innocuous(string instruction)
    {
        InstructionVerdict verdict = Report(AnalysisMode.Protected).Instructions.Single(i => i.Instruction == instruction);

        (verdict.IsSensitive, verdict.IsPrivileged).ShouldBe((false, false));
        verdict.Explanation.ShouldBe("Innocuous.");
        verdict.Rule.ShouldBeEmpty();
        verdict.Treatments.ShouldBeEmpty();
    }

    [Theory]
    [MemberData(nameof(Configurations))]
    public void Each_sensitive_or_privileged_instruction_has_witnesses_that_show_the_same_again(AnalysisMode mode, bool umip)
    {
        VirtualizabilityReport report = Report(mode, umip);

        foreach (InstructionVerdict verdict in report.Instructions.Where(i => i.IsSensitive || i.IsPrivileged))
        {
            List<WitnessedProperty> expected = [];
            if (verdict.IsPrivileged) expected.Add(WitnessedProperty.Privileged);
            if (verdict.IsOffender && mode != AnalysisMode.Real) expected.Add(WitnessedProperty.NotPrivileged);
            if (verdict.IsControlSensitive) expected.Add(WitnessedProperty.ControlSensitive);
            if (verdict.IsBehaviourSensitive) expected.Add(WitnessedProperty.BehaviourSensitive);
            verdict.Witnesses.Select(w => w.Property).ShouldBe(expected, verdict.Instruction);
        }

        VirtualizabilityAnalysis.Replay(Options(mode, umip), report.Instructions.SelectMany(i => i.Witnesses)).ShouldBeEmpty();
    }

    [Theory]
    [MemberData(nameof(Configurations))]
    public void Each_sensitive_instruction_is_explained_and_dealt_with_by_each_technique(AnalysisMode mode, bool umip)
    {
        foreach (InstructionVerdict verdict in Report(mode, umip).Instructions.Where(i => i.IsSensitive))
        {
            verdict.Explanation.ShouldNotBeEmpty();
            verdict.Touches.ShouldNotBeEmpty();
            (verdict.Rule.Length != 0).ShouldBe(verdict.IsOffender, verdict.Instruction);
            verdict.Treatments.Select(t => t.Technique).ShouldBe(
                ["interpretation", "trap and emulate", "binary translation", "paravirtualization", "hardware assist"]);
        }
    }

    [Theory]
    [MemberData(nameof(Configurations))]
    public void An_analysis_takes_less_than_20_seconds(AnalysisMode mode, bool umip) => Report(mode, umip).Duration.ShouldBeLessThan(TimeSpan.FromSeconds(20));

    [Fact]
    public void What_the_translator_does_in_place_is_asked_of_the_translator()
    {
        Means("PUSHF").ShouldBe("in place");
        Means("MOV from Sreg").ShouldBe("in place");
        Means("SGDT").ShouldBe("call-out");

        static string Means(string name) => Report(AnalysisMode.Protected).Instructions.Single(i => i.Instruction == name)
            .Treatments.Single(t => t.Technique == "binary translation").Means;
    }

    [Theory]
    [InlineData(AnalysisMode.Real)]
    [InlineData(AnalysisMode.Protected)]
    [InlineData(AnalysisMode.Virtual8086)]
    [InlineData(AnalysisMode.Long)]
    public void Environments_that_are_compared_look_the_same_to_the_program(AnalysisMode mode)
    {
        using var model = new ProcessorModel(mode, umip: false);
        int visible = model.Elements.Count(e => e.Class == ElementClass.Program);
        model.Elements.Take(visible).ShouldAllBe(e => e.Class == ElementClass.Program, "the program's elements come first");
        model.Elements.Select(e => e.Name).ShouldBeUnique();
        model.Environments.Select(e => e.Name).ShouldBeUnique();
        ulong[][] before = new ulong[model.Environments.Count][];
        for (int i = 0; i < before.Length; i++)
        {
            before[i] = new ulong[model.Elements.Count];
            model.Execute(0, 0, i, before[i], new ulong[model.Elements.Count]);
        }

        foreach (EnvironmentPair pair in model.Pairs)
        {
            string names = $"{model.Environments[pair.First].Name} and {model.Environments[pair.Second].Name}";
            before[pair.First][..visible].ShouldBe(before[pair.Second][..visible], names);
        }
    }

    [Fact]
    public void An_experiment_leaves_nothing_behind()
    {
        using var model = new ProcessorModel(AnalysisMode.Protected, umip: false);
        int count = model.Elements.Count;
        ulong[] expected = new ulong[count];
        ulong[] actual = new ulong[count];
        ulong[] ignored = new ulong[count];
        int user = model.UserEnvironment;
        model.Execute(0, 0, user, expected, ignored);
        for (int form = 0; form < model.Forms.Count; form++)
        {
            for (int scenario = 0; scenario < model.Scenarios(form).Count; scenario++)
            {
                model.Execute(form, scenario, 0, ignored, ignored);
                model.Execute(form, scenario, user, ignored, ignored);
            }

            model.Execute(0, 0, user, actual, ignored);
            actual.SequenceEqual(expected).ShouldBeTrue(model.Forms[form].Notation);
        }
    }

    [Fact]
    public void A_cancelled_analysis_ends()
    {
        using var source = new CancellationTokenSource();
        source.Cancel();
        Should.Throw<OperationCanceledException>(() => VirtualizabilityAnalysis.Run(new AnalysisOptions(), cancellation: source.Token));
    }

    /// <summary>
    /// What is sensitive or privileged, in all modes. When it differs, verdicts.actual.txt is written: look at it, find out why, and if it is
    /// right, make it verdicts.txt.
    /// </summary>
    [Fact]
    public void The_verdicts_are_those_that_a_person_has_looked_at()
    {
        var text = new StringBuilder();
        foreach (object[] configuration in Configurations) Describe(text, Report((AnalysisMode)configuration[0], (bool)configuration[1]));
        ShouldStayAsReviewed(Source("tests", "Ringfence.Tests", "Virtualizability", "verdicts.txt"), text.ToString());
    }

    [Fact]
    public void The_documentation_has_the_table_that_the_experiments_give()
    {
        VirtualizabilityReport report = Report(AnalysisMode.Protected);
        string text = File.ReadAllText(Source("docs", "virtualizability.md"));
        int start = text.IndexOf("## 32-bit protected mode", StringComparison.Ordinal);
        string[] rows = [.. text[start..text.IndexOf("**With UMIP**", start, StringComparison.Ordinal)].Split('\n').Where(l => l.StartsWith("| ", StringComparison.Ordinal)).Skip(1)];

        string[] documented = [.. rows.Select(r => string.Join(" | ", r.Split('|')[1..6].Select(c => c.Trim()).Select((c, i) => i == 4 ? c.Split(',')[0] : c)))];

        documented.ShouldBe(report.Offenders.Select(i =>
            string.Join(" | ", i.Instruction, i.IsControlSensitive ? "yes" : "", i.IsBehaviourSensitive ? "yes" : "", i.Rule, i.Literature ?? "–")));
        text.ShouldContain($"{report.Offenders.Count()} of {report.Instructions.Count(i => i.IsSensitive)} sensitive instructions are not privileged");
        text.ShouldContain($"**64-bit mode**: {Report(AnalysisMode.Long).Offenders.Count()} offenders, {Report(AnalysisMode.Long, umip: true).Offenders.Count()} with UMIP");
        text.ShouldContain($"{Report(AnalysisMode.Protected, umip: true).Offenders.Count()} remain");
        text.ShouldContain($"{Report(AnalysisMode.Real).Offenders.Count()} instructions are sensitive");
    }

    [Theory]
    [InlineData("WRFSBASE")]
    [InlineData("RDGSBASE")]
    [InlineData("FXSAVE64")]
    [InlineData("CMPXCHG16B")]
    public void In_64_bit_mode_what_has_a_programs_own_registers_only_is_innocuous(string instruction) =>
        Report(AnalysisMode.Long).Instructions.Single(i => i.Instruction == instruction).Explanation.ShouldBe("Innocuous.");

    private static void Describe(StringBuilder text, VirtualizabilityReport report)
    {
        text.Append(CultureInfo.InvariantCulture, $"[{report.Mode}, UMIP {(report.Umip ? 1 : 0)}]\n{report.Verdict}\n");
        foreach (InstructionVerdict verdict in report.Offenders)
        {
            string kinds = $"{(verdict.IsControlSensitive ? "control" : "")} {(verdict.IsBehaviourSensitive ? "behaviour" : "")}".Trim();
            text.Append(CultureInfo.InvariantCulture, $"offender    {verdict.Instruction,-14} {kinds,-17} {verdict.Rule,-14} {string.Join(", ", verdict.Touches)}\n");
        }

        AppendNames("privileged, sensitive", i => i.IsPrivileged && i.IsSensitive);
        AppendNames("privileged, innocuous", i => i.IsPrivileged && !i.IsSensitive);
        AppendNames("always traps", i => i.Explanation.StartsWith("Trapped", StringComparison.Ordinal));
        text.Append('\n');

        void AppendNames(string title, Func<InstructionVerdict, bool> predicate) =>
            text.Append(CultureInfo.InvariantCulture, $"{title}: {string.Join(", ", report.Instructions.Where(predicate).Select(i => i.Instruction))}\n");
    }

    private static void ShouldStayAsReviewed(string path, string actual)
    {
        string actualPath = Path.ChangeExtension(path, ".actual.txt");
        File.Delete(actualPath);
        string expected = File.Exists(path) ? File.ReadAllText(path) : "";
        if (actual == expected) return;
        File.WriteAllText(actualPath, actual);
        Assert.Fail($"Verdicts have changed. Look at them: diff {path} {actualPath}. If they are right: mv {actualPath} {path}");
    }

    private static AnalysisOptions Options(AnalysisMode mode, bool umip) => new() { Mode = mode, Umip = umip };

    private static VirtualizabilityReport Report(AnalysisMode mode, bool umip = false) =>
        Reports.GetOrAdd((mode, umip), key => new Lazy<VirtualizabilityReport>(() => VirtualizabilityAnalysis.Run(Options(key.Item1, key.Item2)))).Value;

    private static string Source(params string[] parts) => Path.Combine([Root(), .. parts]);

    private static string Root()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "Ringfence.slnx"))) return folder.FullName;
        throw new InvalidOperationException("The tests run outside the repository.");
    }
}
