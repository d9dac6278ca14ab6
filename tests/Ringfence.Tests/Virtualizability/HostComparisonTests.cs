using System.Diagnostics;
using System.Globalization;
using Iced.Intel;
using Ringfence.Virtualizability;
using Ringfence.Virtualizability.HostProcessors;
using Ringfence.Virtualizability.Model;

namespace Ringfence.Tests.Virtualizability;

/// <summary>The processor model beside the processor that the tests run on: a difference without an explanation is a defect of the model.</summary>
public sealed class HostComparisonTests
{
    private const string OtherHosts = "Instructions are executed natively on Linux x86-64 only.";
    private static readonly string[] Emulated = ["SGDT", "SIDT", "SLDT", "SMSW", "STR"];

    [SkippableTheory]
    [InlineData(AnalysisMode.Protected)]
    [InlineData(AnalysisMode.Long)]
    public void Every_form_with_all_its_operands_does_on_the_host_what_the_model_says_or_the_difference_is_explained(AnalysisMode mode)
    {
        using HostComparison comparison = Create(mode);
        long start = Stopwatch.GetTimestamp();
        var unexplained = new List<string>();
        int experiments = 0;
        foreach (ModelForm form in FormCatalogue.Create(mode))
        {
            foreach (HostExperiment experiment in comparison.Run(form))
            {
                experiments++;
                experiment.Host.Kind.ShouldNotBe(HostOutcomeKind.Died, experiment.Assembler);
                if (experiment.Difference is { } difference && experiment.Note is null)
                    unexplained.Add($"{form.Form.Notation}: {experiment.Assembler} ({experiment.Scenario}): {difference}: host {experiment.HostText}; model {experiment.ModelText}");
            }
        }

        unexplained.ShouldBeEmpty();
        experiments.ShouldBeGreaterThan(4000);
        // A second or two where nothing else runs.
        Stopwatch.GetElapsedTime(start).ShouldBeLessThan(TimeSpan.FromSeconds(20));
    }

    [SkippableTheory]
    [InlineData("HLT", "#GP(0)")]
    [InlineData("CLI", "#GP(0)")]
    [InlineData("MOV from CR", "#GP(0)")]
    [InlineData("LGDT", "#GP(0)")]
    [InlineData("LLDT", "#GP(0)")]
    [InlineData("RDMSR", "#GP(0)")]
    [InlineData("INVLPG", "#GP(0)")]
    [InlineData("OUT", "#GP(0)")]
    public void Privileged_instructions_trap_on_the_host_too(string instruction, string trap)
    {
        foreach (HostObservation observation in ObserveInBothModes(instruction))
        {
            observation.Traps.ShouldBeTrue();
            observation.Agrees.ShouldBeTrue();
            observation.Prediction.ShouldBe(trap);
            observation.Result.ShouldStartWith($"{trap}: SIGSEGV");
            observation.Note.ShouldBeNull();
        }
    }

    [SkippableTheory]
    [InlineData("PUSHF")]
    [InlineData("POPF")]
    [InlineData("LAR")]
    [InlineData("LSL")]
    [InlineData("VERR")]
    [InlineData("VERW")]
    [InlineData("MOV from Sreg")]
    [InlineData("MOV to Sreg")]
    [InlineData("PUSH Sreg")]
    [InlineData("POP Sreg")]
    [InlineData("RET far")]
    [InlineData("IRET")]
    public void Sensitive_instructions_that_do_not_trap_give_the_values_that_the_model_predicts(string instruction)
    {
        foreach (HostObservation observation in ObserveInBothModes(instruction))
        {
            observation.Traps.ShouldBeFalse();
            observation.Agrees.ShouldBeTrue(observation.Result);
            observation.Result.ShouldContain("completed");
            observation.Prediction.ShouldStartWith("completed");
            observation.Note.ShouldBeNull();
        }
    }

    [SkippableFact]
    public void Where_the_host_has_UMIP_its_kernels_dummy_values_count_as_the_trap_that_they_stand_for()
    {
        Skip.IfNot(HostProcessorProbe.IsSupported, OtherHosts);
        bool umip = HostIdentity.Read()!.Umip;
        foreach (string instruction in Emulated)
        {
            foreach (HostObservation observation in ObserveInBothModes(instruction))
            {
                observation.Traps.ShouldBe(umip, instruction);
                observation.Agrees.ShouldBeTrue(observation.Result);
                if (!umip) continue;
                observation.Prediction.ShouldBe("#GP(0)");

                // A kernel that does not emulate it lets the exception through.
                if (!observation.Result.Contains("SIGSEGV")) observation.Note.ShouldNotBeNull().ShouldContain("UMIP");
            }
        }
    }

    [SkippableFact]
    public void A_processor_that_answers_otherwise_than_the_model_is_found_out()
    {
        using HostComparison comparison = Create(AnalysisMode.Long);
        ModelForm form = FormCatalogue.Create(AnalysisMode.Long).First(f => f.Code == Code.Lar_r32_r32m16);
        HostExperiment experiment = comparison.Run(form).First(e => e.Host.Kind == HostOutcomeKind.Completed && (e.Host.Flags & 0x40) != 0);
        Decoder.Create(64, experiment.Case.Code.ToArray()).Decode(out Instruction instruction);
        var differences = new HostDifferences(comparison.Identity);
        differences.Compare(experiment, instruction).Difference.ShouldBeNull();

        HostOutcome right = experiment.Model;
        ulong[] registers = [.. right.Registers];
        registers[2] ^= 0x100;
        byte[] data = right.Data.ToArray();
        data[0x42]++;
        Found(right with { Registers = registers }).ShouldBe("general registers");
        Found(right with { Flags = right.Flags ^ 0x40 }).ShouldBe("flags");
        Found(right with { Rip = right.Rip + 1 }).ShouldBe("instruction pointer");
        Found(right with { Ds = 3 }).ShouldBe("segment registers");
        Found(right with { Data = data }).ShouldBe("memory");
        Found(right with { Kind = HostOutcomeKind.Trapped, Vector = 13 }).ShouldBe("one of them traps");

        string? Found(HostOutcome wrong)
        {
            HostExperiment result = differences.Compare(experiment with { Model = wrong }, instruction);
            result.Note.ShouldBeNull();
            return result.Difference;
        }
    }

    [SkippableFact]
    public void Traps_are_compared_by_vector_and_error_code()
    {
        using HostComparison comparison = Create(AnalysisMode.Protected);
        ModelForm form = FormCatalogue.Create(AnalysisMode.Protected).First(f => f.Code == Code.Hlt);
        HostExperiment experiment = comparison.Run(form).First();
        Decoder.Create(32, experiment.Case.Code.ToArray()).Decode(out Instruction instruction);
        var differences = new HostDifferences(comparison.Identity);
        differences.Compare(experiment with { Model = experiment.Model with { Vector = 6 } }, instruction).Difference.ShouldBe("vector");
        differences.Compare(experiment with { Model = experiment.Model with { ErrorCode = 8 } }, instruction).Difference.ShouldBe("error code");
    }

    [SkippableFact]
    public void A_report_gets_an_observation_for_every_instruction()
    {
        Skip.IfNot(HostProcessorProbe.IsSupported, OtherHosts);
        var options = new AnalysisOptions { Mode = AnalysisMode.Protected, Host = true };
        VirtualizabilityReport report = VirtualizabilityAnalysis.Run(options);
        report.HostProcessor.ShouldBe(HostIdentity.Read()!.Brand);
        report.HostUmip.ShouldBe(HostIdentity.Read()!.Umip);
        report.Assumptions.ShouldContain(a => a.Contains("compatibility mode"));
        report.Instructions.ShouldAllBe(i => i.Host != null);
        report.Instructions.Where(i => i.Host!.Note is null).ShouldAllBe(i => i.Host!.Agrees);
        report.Instructions.Where(i => i.IsPrivileged && i.Host!.Note is null).ShouldAllBe(i => i.Host!.Traps);
        report.Offenders.Where(i => i.Host!.Note is null).ShouldAllBe(i => !i.Host!.Traps);
    }

    [SkippableFact]
    public void The_hosts_processor_has_a_name_and_says_whether_it_is_a_virtual_one()
    {
        Skip.IfNot(HostProcessorProbe.IsSupported, OtherHosts);
        HostIdentity identity = HostIdentity.Read()!;
        identity.Vendor.Length.ShouldBe(12);
        string information = File.ReadAllText("/proc/cpuinfo");
        information.ShouldContain(identity.Vendor);
        information.ShouldContain(identity.Brand);
        identity.HasFlag("lm").ShouldBeTrue();
        identity.Hypervisor.ShouldBe(identity.HasFlag("hypervisor"));
    }

    [Fact]
    public void Modes_that_no_program_of_a_64_bit_system_can_be_in_are_not_compared()
    {
        HostComparison.IsPossible(AnalysisMode.Real).ShouldBeFalse();
        HostComparison.IsPossible(AnalysisMode.Virtual8086).ShouldBeFalse();
        VirtualizabilityReport report = VirtualizabilityAnalysis.Run(new AnalysisOptions { Mode = AnalysisMode.Real, Host = true });
        report.HostProcessor.ShouldBeNull();
        report.Assumptions[^1].ShouldContain("was not asked");
    }

    private static HostComparison Create(AnalysisMode mode)
    {
        Skip.IfNot(HostComparison.IsPossible(mode), OtherHosts);
        return new HostComparison(mode);
    }

    private static IEnumerable<HostObservation> ObserveInBothModes(string instruction)
    {
        foreach (AnalysisMode mode in new[] { AnalysisMode.Protected, AnalysisMode.Long })
        {
            using HostComparison comparison = Create(mode);
            yield return comparison.Observe(FormCatalogue.Create(mode).Where(f => f.Form.Instruction == instruction)).ShouldNotBeNull(
                string.Create(CultureInfo.InvariantCulture, $"{instruction} in {mode}"));
        }
    }
}
