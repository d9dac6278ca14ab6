namespace Ringfence.Virtualizability;

/// <summary>What the experiments say about one form.</summary>
public sealed class FormClassification
{
    private readonly Dictionary<WitnessedProperty, Witness> _witnesses = [];
    private readonly Dictionary<WitnessedProperty, int> _worths = [];
    private readonly SortedSet<ElementClass> _classes = [];
    private readonly SortedSet<string> _touches = new(StringComparer.Ordinal);

    internal FormClassification(int form) => Form = form;

    /// <summary>Number of the form.</summary>
    public int Form { get; }

    /// <summary>Pairs that differ in the mode only and whose supervisor half completed.</summary>
    public int SupervisorCompletions { get; internal set; }

    /// <summary>Pairs that differ in the mode only and whose user half completed.</summary>
    public int UserCompletions { get; internal set; }

    /// <summary>It completed at least once.</summary>
    public bool Completes { get; internal set; }

    /// <summary>Traps in the user half of every pair, and completes in the supervisor half of one.</summary>
    public bool IsPrivileged => SupervisorCompletions > 0 && UserCompletions == 0;

    /// <summary>Changed what is not the program's, without trapping.</summary>
    public bool IsControlSensitive => _witnesses.ContainsKey(WitnessedProperty.ControlSensitive);

    /// <summary>What the program saw afterwards depended on what is not the program's.</summary>
    public bool IsBehaviourSensitive => _witnesses.ContainsKey(WitnessedProperty.BehaviourSensitive);

    /// <summary>Control or behaviour sensitive.</summary>
    public bool IsSensitive => IsControlSensitive || IsBehaviourSensitive;

    /// <summary>Classes of what was changed or shown.</summary>
    public IReadOnlyCollection<ElementClass> Classes => _classes;

    /// <summary>What was changed or shown, by name.</summary>
    public IReadOnlyCollection<string> Touches => _touches;

    /// <summary>An experiment for each property.</summary>
    public IReadOnlyDictionary<WitnessedProperty, Witness> Witnesses => _witnesses;

    internal void Touch(ElementClass kind, string register)
    {
        _classes.Add(kind);
        _touches.Add(register);
    }

    /// <summary>Is there no witness of a property yet that is worth as much?</summary>
    internal bool Lacks(WitnessedProperty property, int worth) => _worths.GetValueOrDefault(property, -1) < worth;

    internal int WorthOf(WitnessedProperty property) => _worths.GetValueOrDefault(property, -1);

    internal void SetWitness(Witness witness, int worth)
    {
        _witnesses[witness.Property] = witness;
        _worths[witness.Property] = worth;
    }
}
