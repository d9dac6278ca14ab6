namespace Ringfence.Virtualizability;

/// <summary>What can be said of any machine's instructions.</summary>
internal sealed class GeneralNotes : IInstructionNotes
{
    /// <summary>The only one.</summary>
    public static GeneralNotes Instance { get; } = new();

    /// <inheritdoc/>
    public string Explain(InstructionVerdict verdict, bool completes) => Text(verdict, completes, hasUserMode: true);

    /// <inheritdoc/>
    public string? Literature(string instruction) => null;

    /// <inheritdoc/>
    public IReadOnlyList<Treatment> Treatments(InstructionVerdict verdict, IReadOnlyList<int> forms) => [];

    /// <summary>A sentence that follows from the verdict.</summary>
    public static string Text(InstructionVerdict verdict, bool completes, bool hasUserMode)
    {
        if (!completes) return "Trapped in every experiment, in supervisor mode as well.";
        if (!verdict.IsSensitive) return verdict.IsPrivileged ? "Traps in user mode; changes and shows nothing that was looked at." : "Innocuous.";
        string what = string.Join(", ", verdict.Touches);
        string how = verdict.IsControlSensitive && verdict.IsBehaviourSensitive ? "Changes or shows" : verdict.IsControlSensitive ? "Changes" : "Shows";
        if (!hasUserMode) return $"{how} {what}, and nothing makes it trap.";
        return verdict.IsPrivileged ? $"{how} {what}; traps in user mode." : $"{how} {what}, and does not trap in user mode.";
    }
}
