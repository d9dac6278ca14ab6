using System.Globalization;

namespace Ringfence.Virtualizability;

/// <summary>
/// Popek and Goldberg's (1974) classes of instructions, found by experiment on any <see cref="IMachineModel"/>.
/// <para>
/// <b>Privileged</b>: of every two environments that differ in the mode only it traps in the user's; and there is such a pair in whose supervisor half it
/// completes. <b>Control sensitive</b>: in some environment it completes and an element that is not the program's has changed.
/// <b>Behaviour sensitive</b>: in two environments that look the same to the program and differ in one component it completes, and the program's
/// elements differ afterwards. <b>Innocuous</b>: neither.
/// </para>
/// An instance is for one thread.
/// </summary>
/// <param name="model">The machine.</param>
public sealed class SensitivityClassifier(IMachineModel model)
{
    private const string Completes = "completes";

    private readonly int _elements = model.Elements.Count;
    private readonly int _visible = model.Elements.TakeWhile(e => e.Class == ElementClass.Program).Count();
    private readonly EnvironmentPair? _plainest = model.Pairs.FirstOrDefault();
    private readonly int[] _traps = new int[model.Environments.Count];
    private readonly ulong[] _before = new ulong[model.Environments.Count * model.Elements.Count];
    private readonly ulong[] _after = new ulong[model.Environments.Count * model.Elements.Count];

    /// <summary>Instructions executed so far.</summary>
    public long Executions { get; private set; }

    /// <summary>Tries one form with all its operands in all environments.</summary>
    public FormClassification Classify(int form)
    {
        var result = new FormClassification(form);
        IReadOnlyList<OperandScenario> scenarios = model.Scenarios(form);
        for (int scenario = 0; scenario < scenarios.Count; scenario++)
        {
            for (int i = 0; i < _traps.Length; i++)
            {
                _traps[i] = model.Execute(form, scenario, i, Before(i), After(i));
                Executions++;
            }

            FindControl(result, scenarios[scenario]);
            foreach (EnvironmentPair pair in model.Pairs) Compare(result, scenarios[scenario], pair);
        }

        return result;
    }

    /// <summary>Runs the experiment of a witness again. True: it shows the same.</summary>
    /// <exception cref="ArgumentException">The machine has no such experiment.</exception>
    public bool Replay(Witness witness)
    {
        (int form, int scenario) = Find(witness);
        int first = EnvironmentOf(witness.First);
        int second = EnvironmentOf(witness.Second);
        _traps[first] = model.Execute(form, scenario, first, Before(first), After(first));
        _traps[second] = model.Execute(form, scenario, second, Before(second), After(second));
        Executions += 2;
        OperandScenario operands = model.Scenarios(form)[scenario];
        switch (witness.Property)
        {
            case WitnessedProperty.Privileged:
                return _traps[first] < 0 && _traps[second] >= 0 && TrapWitness(operands, witness.Property, first, second) == witness;
            case WitnessedProperty.NotPrivileged:
                return _traps[second] < 0 && TrapWitness(operands, witness.Property, first, second) == witness;
            default:
                int element = ElementOf(witness.Element);
                if (_traps[first] >= 0 || _traps[second] >= 0) return false;
                return witness.Property == WitnessedProperty.ControlSensitive
                    ? element >= _visible && ControlWitness(operands, first, element) == witness
                    : element < _visible && BehaviourWitness(operands, first, second, element) == witness;
        }
    }

    private Span<ulong> Before(int environment) => _before.AsSpan(environment * _elements, _elements);

    private Span<ulong> After(int environment) => _after.AsSpan(environment * _elements, _elements);

    private void FindControl(FormClassification result, OperandScenario operands)
    {
        for (int i = 0; i < _traps.Length; i++)
        {
            if (_traps[i] >= 0) continue;
            result.Completes = true;
            Span<ulong> before = Before(i)[_visible..];
            Span<ulong> after = After(i)[_visible..];
            int different = before.CommonPrefixLength(after);
            if (different == before.Length) continue;
            int best = different;
            for (int element = different; element < before.Length; element++)
            {
                if (before[element] == after[element]) continue;
                MachineElement changed = model.Elements[_visible + element];
                result.Touch(changed.Class, changed.Register);
                if (changed.Class < model.Elements[_visible + best].Class) best = element;
            }

            int worth = WorthOf(i, i);
            if (result.Lacks(WitnessedProperty.ControlSensitive, worth)) result.SetWitness(ControlWitness(operands, i, _visible + best), worth);
        }
    }

    private void Compare(FormClassification result, OperandScenario operands, EnvironmentPair pair)
    {
        int first = pair.First;
        int second = pair.Second;
        bool decides = pair.Class == ElementClass.Mode && model.Environments[second].IsUser && !model.Environments[first].IsUser;
        if (decides && (_traps[first] < 0 || _traps[second] < 0)) CompareTraps(result, operands, first, second);
        if (_traps[first] >= 0 || _traps[second] >= 0 || !Before(first)[.._visible].SequenceEqual(Before(second)[.._visible])) return;
        int element = After(first)[.._visible].CommonPrefixLength(After(second)[.._visible]);
        if (element == _visible) return;
        result.Touch(pair.Class, pair.Component);
        int worth = WorthOf(first, second);
        if (result.Lacks(WitnessedProperty.BehaviourSensitive, worth)) result.SetWitness(BehaviourWitness(operands, first, second, element), worth);
    }

    /// <summary>One in plain user mode tells most: there a monitor would have had to see it. Then one in plain supervisor mode.</summary>
    private int WorthOf(int first, int second) =>
        _plainest is null ? 0 : first == _plainest.Second || second == _plainest.Second ? 2 : first == _plainest.First ? 1 : 0;

    private void CompareTraps(FormClassification result, OperandScenario operands, int first, int second)
    {
        if (_traps[first] < 0) result.SupervisorCompletions++;
        if (_traps[second] < 0) result.UserCompletions++;
        WitnessedProperty property = _traps[second] < 0 ? WitnessedProperty.NotPrivileged : WitnessedProperty.Privileged;
        // That both complete says more than that only user mode does.
        int worth = WorthOf(first, second) + (_traps[first] < 0 ? 3 : 0);
        if (result.Lacks(property, worth)) result.SetWitness(TrapWitness(operands, property, first, second), worth);
    }

    private Witness TrapWitness(OperandScenario operands, WitnessedProperty property, int first, int second) =>
        Make(operands, property, first, second, "trap", TrapText(first), TrapText(second));

    private Witness ControlWitness(OperandScenario operands, int environment, int element) => Make(
        operands, WitnessedProperty.ControlSensitive, environment, environment, model.Elements[element].Name,
        Hex(Before(environment)[element]), Hex(After(environment)[element]));

    private Witness BehaviourWitness(OperandScenario operands, int first, int second, int element) => Make(
        operands, WitnessedProperty.BehaviourSensitive, first, second, model.Elements[element].Name, Hex(After(first)[element]), Hex(After(second)[element]));

    private Witness Make(
        OperandScenario operands, WitnessedProperty property, int first, int second, string element, string firstValue, string secondValue) => new()
        {
            Property = property,
            Assembler = operands.Assembler,
            Bytes = operands.Bytes,
            Scenario = operands.Name,
            First = model.Environments[first].Name,
            Second = model.Environments[second].Name,
            Element = element,
            FirstValue = firstValue,
            SecondValue = secondValue,
        };

    private string TrapText(int environment) => _traps[environment] < 0 ? Completes : model.TrapName(_traps[environment]);

    private static string Hex(ulong value) => "0x" + value.ToString("x", CultureInfo.InvariantCulture);

    private int EnvironmentOf(string name) => IndexOf(model.Environments, e => e.Name == name, name);

    private int ElementOf(string name) => IndexOf(model.Elements, e => e.Name == name, name);

    private static int IndexOf<T>(IReadOnlyList<T> list, Func<T, bool> predicate, string name)
    {
        for (int i = 0; i < list.Count; i++)
            if (predicate(list[i])) return i;
        throw new ArgumentException($"The machine knows no '{name}'.", nameof(name));
    }

    private (int Form, int Scenario) Find(Witness witness)
    {
        for (int form = 0; form < model.Forms.Count; form++)
        {
            IReadOnlyList<OperandScenario> scenarios = model.Scenarios(form);
            for (int i = 0; i < scenarios.Count; i++)
                if (scenarios[i].Bytes == witness.Bytes && scenarios[i].Name == witness.Scenario) return (form, i);
        }

        throw new ArgumentException($"The machine has no experiment with {witness.Bytes} and '{witness.Scenario}'.", nameof(witness));
    }
}
