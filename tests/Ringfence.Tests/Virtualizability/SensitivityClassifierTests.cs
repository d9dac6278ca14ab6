using Ringfence.Virtualizability;

namespace Ringfence.Tests.Virtualizability;

/// <summary>The paper's definitions, each on a machine of one instruction.</summary>
public sealed class SensitivityClassifierTests
{
    private const int Completes = -1;

    [Fact]
    public void What_changes_only_the_programs_registers_is_innocuous()
    {
        FormClassification form = Classify(e =>
        {
            e[TinyMachine.Register]++;
            return Completes;
        });

        form.IsSensitive.ShouldBeFalse();
        form.IsPrivileged.ShouldBeFalse();
        form.Completes.ShouldBeTrue();
    }

    [Fact]
    public void What_traps_in_user_mode_only_is_privileged()
    {
        FormClassification form = Classify(e => IsUser(e) ? 13 : Completes);

        form.IsPrivileged.ShouldBeTrue();
        form.IsSensitive.ShouldBeFalse();
        Witness witness = form.Witnesses[WitnessedProperty.Privileged];
        (witness.First, witness.FirstValue, witness.Second, witness.SecondValue).ShouldBe(("supervisor", "completes", "user", "trap 13"));
    }

    [Fact]
    public void What_traps_in_both_modes_is_not_privileged()
    {
        FormClassification form = Classify(_ => 6);

        form.IsPrivileged.ShouldBeFalse();
        form.Completes.ShouldBeFalse();
    }

    [Fact]
    public void What_traps_in_some_user_states_only_is_not_privileged()
    {
        FormClassification form = Classify(e => IsUser(e) && e[TinyMachine.Sensitive] == 3 ? 13 : Completes);

        form.IsPrivileged.ShouldBeFalse();
        form.Witnesses[WitnessedProperty.NotPrivileged].Second.ShouldBe("user, changed");
    }

    [Fact]
    public void What_completes_in_user_mode_where_it_traps_in_supervisor_mode_is_not_privileged()
    {
        FormClassification form = Classify(e => IsUser(e) == (e[TinyMachine.Sensitive] == 3) ? 13 : Completes);

        form.IsPrivileged.ShouldBeFalse();
        form.Witnesses[WitnessedProperty.NotPrivileged].FirstValue.ShouldBe("trap 13");
    }

    [Theory]
    [InlineData(TinyMachine.Mode, ElementClass.Mode)]
    [InlineData(TinyMachine.Sensitive, ElementClass.SensitiveRegister)]
    [InlineData(TinyMachine.Base, ElementClass.Protection)]
    [InlineData(TinyMachine.Device, ElementClass.InputOutput)]
    public void What_changes_anything_that_is_not_the_programs_is_control_sensitive(int element, ElementClass kind)
    {
        FormClassification form = Classify(e =>
        {
            e[element] ^= 1;
            return Completes;
        });

        form.IsControlSensitive.ShouldBeTrue();
        form.IsBehaviourSensitive.ShouldBeFalse();
        form.Classes.ShouldBe([kind]);
        Witness witness = form.Witnesses[WitnessedProperty.ControlSensitive];
        witness.First.ShouldBe("user", "user mode tells more than supervisor mode");
        witness.Second.ShouldBe("user");
    }

    [Fact]
    public void A_change_before_a_trap_does_not_count()
    {
        FormClassification form = Classify(e =>
        {
            e[TinyMachine.Sensitive]++;
            return 13;
        });

        form.IsSensitive.ShouldBeFalse();
    }

    [Fact]
    public void What_shows_the_mode_is_behaviour_sensitive()
    {
        FormClassification form = Classify(e =>
        {
            e[TinyMachine.Register] = e[TinyMachine.Mode];
            return Completes;
        });

        form.IsBehaviourSensitive.ShouldBeTrue();
        form.IsControlSensitive.ShouldBeFalse();
        form.Touches.ShouldBe(["mode"]);
        Witness witness = form.Witnesses[WitnessedProperty.BehaviourSensitive];
        (witness.Element, witness.FirstValue, witness.SecondValue).ShouldBe(("register", "0x0", "0x1"));
    }

    [Fact]
    public void What_shows_a_sensitive_register_is_behaviour_sensitive_in_that_register()
    {
        FormClassification form = Classify(e =>
        {
            e[TinyMachine.Register] = e[TinyMachine.Sensitive];
            return Completes;
        });

        form.IsBehaviourSensitive.ShouldBeTrue();
        form.Classes.ShouldBe([ElementClass.SensitiveRegister]);
    }

    [Fact]
    public void States_that_look_different_before_are_no_evidence()
    {
        var pairs = new TinyMachine(e =>
        {
            e[TinyMachine.Register] = e[TinyMachine.Sensitive];
            return Completes;
        })
        { Pairs = [new EnvironmentPair(0, 1, ElementClass.Mode, "mode")] };

        new SensitivityClassifier(pairs).Classify(0).IsSensitive.ShouldBeFalse("these two have the same sensitive register");
    }

    [Fact]
    public void A_witness_that_shows_something_else_now_is_found_out()
    {
        ulong value = 1;
        var classifier = new SensitivityClassifier(new TinyMachine(e =>
        {
            e[TinyMachine.Sensitive] = value;
            return Completes;
        }));
        Witness witness = classifier.Classify(0).Witnesses[WitnessedProperty.ControlSensitive];

        classifier.Replay(witness).ShouldBeTrue();
        value = 2;
        classifier.Replay(witness).ShouldBeFalse();
    }

    [Fact]
    public void A_witness_of_another_machine_is_refused()
    {
        var classifier = new SensitivityClassifier(new TinyMachine(e => IsUser(e) ? 13 : Completes));
        Witness witness = classifier.Classify(0).Witnesses[WitnessedProperty.Privileged];

        Should.Throw<ArgumentException>(() => classifier.Replay(witness with { Bytes = "ff" }));
        Should.Throw<ArgumentException>(() => classifier.Replay(witness with { First = "elsewhere" }));
    }

    [Fact]
    public void Without_a_user_mode_nothing_can_be_virtualized_by_trapping()
    {
        var machine = new TinyMachine(_ => Completes)
        {
            Environments = [new("a", false), new("b", false), new("c", false), new("d", false)],
        };

        VirtualizabilityReport report = VirtualizabilityAnalysis.Run(machine);

        report.IsVirtualizable.ShouldBeFalse();
        report.Verdict.ShouldContain("no user mode");
    }

    private static bool IsUser(ulong[] elements) => elements[TinyMachine.Mode] == 1;

    private static FormClassification Classify(TinyMachine.Step step) => new SensitivityClassifier(new TinyMachine(step)).Classify(0);
}
