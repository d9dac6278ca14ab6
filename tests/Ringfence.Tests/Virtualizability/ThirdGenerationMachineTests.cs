using Ringfence.Virtualizability;

namespace Ringfence.Tests.Virtualizability;

/// <summary>Popek and Goldberg's (1974) theorem on a machine of the kind it was made for.</summary>
public sealed class ThirdGenerationMachineTests
{
    [Fact]
    public void A_machine_whose_sensitive_instructions_all_trap_is_virtualizable()
    {
        VirtualizabilityReport report = VirtualizabilityAnalysis.Run(new ThirdGenerationMachine());

        report.IsVirtualizable.ShouldBeTrue(report.Verdict);
        report.Offenders.ShouldBeEmpty();
        Names(report, i => i.IsPrivileged).ShouldBe(["Halt", "Input", "LoadRelocation", "LoadStatus", "Output", "ReturnToUser", "StoreStatus"]);
        Names(report, i => i.IsControlSensitive).ShouldBe(["Halt", "LoadRelocation", "LoadStatus", "Output", "ReturnToUser"]);
        Names(report, i => i.IsBehaviourSensitive).ShouldBe(["Input", "StoreStatus"], ignoreOrder: true);
        Names(report, i => !i.IsSensitive && !i.IsPrivileged).ShouldBe(["Add", "Jump", "JumpIfZero", "Load", "Store", "Subtract"]);
    }

    [Fact]
    public void One_sensitive_instruction_that_user_mode_ignores_forbids_a_monitor()
    {
        VirtualizabilityReport report = VirtualizabilityAnalysis.Run(new ThirdGenerationMachine(returnToUserTraps: false));

        report.IsVirtualizable.ShouldBeFalse();
        InstructionVerdict offender = report.Offenders.ShouldHaveSingleItem();
        offender.Instruction.ShouldBe("ReturnToUser");
        offender.IsControlSensitive.ShouldBeTrue();
        offender.IsBehaviourSensitive.ShouldBeFalse("in both modes it is a jump as far as a program sees");
        offender.Rule.ShouldBe("3A");
        offender.Touches.ShouldBe(["M"]);
        offender.Witnesses.ShouldContain(w => w.Property == WitnessedProperty.NotPrivileged);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Each_witness_shows_the_same_again(bool returnToUserTraps)
    {
        var machine = new ThirdGenerationMachine(returnToUserTraps);
        var classifier = new SensitivityClassifier(machine);

        foreach (Witness witness in VirtualizabilityAnalysis.Run(machine).Instructions.SelectMany(i => i.Witnesses)) classifier.Replay(witness).ShouldBeTrue(witness.ToString());
    }

    private static string[] Names(VirtualizabilityReport report, Func<InstructionVerdict, bool> predicate) =>
        [.. report.Instructions.Where(predicate).Select(i => i.Instruction).Order(StringComparer.Ordinal)];
}
