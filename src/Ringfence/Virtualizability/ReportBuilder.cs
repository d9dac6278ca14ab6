using System.Diagnostics;
using System.Globalization;

namespace Ringfence.Virtualizability;

/// <summary>Runs a classifier over all forms of a machine, reports forms of one instruction with the same answer together, and applies the theorem.</summary>
internal static class ReportBuilder
{
    /// <summary>Makes the report of a machine.</summary>
    public static VirtualizabilityReport Build(
        IMachineModel model, bool umip, IInstructionNotes notes, IProgress<double>? progress, CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        var classifier = new SensitivityClassifier(model);
        List<FormClassification> forms = [];
        for (int i = 0; i < model.Forms.Count; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            forms.Add(classifier.Classify(i));
            progress?.Report((i + 1.0) / model.Forms.Count);
        }

        List<InstructionVerdict> verdicts = [];
        foreach (IGrouping<string, FormClassification> family in forms.GroupBy(f => model.Forms[f.Form].Instruction))
            verdicts.AddRange(Split(model, [.. family]).Select(group => Judge(model, group, notes)));
        verdicts = [.. verdicts.OrderBy(Rank).ThenBy(v => v.Instruction, StringComparer.Ordinal)];
        bool hasUserMode = model.Environments.Any(e => e.IsUser);
        int offenders = verdicts.Count(v => v.IsOffender);
        return new VirtualizabilityReport
        {
            Machine = model.Name,
            Mode = model.Mode,
            Umip = umip,
            Assumptions = model.Assumptions,
            Instructions = verdicts,
            IsVirtualizable = hasUserMode && offenders == 0,
            Verdict = Apply(verdicts.Count(v => v.IsSensitive), offenders, hasUserMode),
            Forms = model.Forms.Count,
            Executions = classifier.Executions,
            Duration = Stopwatch.GetElapsedTime(start),
        };
    }

    private static int Rank(InstructionVerdict verdict) => verdict.IsOffender ? 0 : verdict.IsPrivileged ? 1 : 2;

    /// <summary>Forms with different answers stand apart; those that never complete have none, and go with the others.</summary>
    private static IEnumerable<Group> Split(IMachineModel model, List<FormClassification> family)
    {
        string name = model.Forms[family[0].Form].Instruction;
        List<List<FormClassification>> answers = [.. family.Where(f => f.Completes).GroupBy(f => (f.IsSensitive, f.IsPrivileged)).Select(g => g.ToList())];
        List<FormClassification> silent = [.. family.Where(f => !f.Completes)];
        if (answers.Count == 0) return [new Group(name, silent)];
        answers[0].AddRange(silent);
        return answers.Count == 1
            ? [new Group(name, answers[0])]
            : answers.Select(a => new Group($"{name} ({string.Join("; ", a.Select(f => model.Forms[f.Form].Notation))})", a));
    }

    private static InstructionVerdict Judge(IMachineModel model, Group group, IInstructionNotes notes)
    {
        List<FormClassification> forms = group.Forms;
        bool isSensitive = forms.Any(f => f.IsSensitive);
        bool isPrivileged = forms.Any(f => f.IsPrivileged) && forms.All(f => f.IsPrivileged || !f.Completes);
        bool isOffender = isSensitive && !isPrivileged;
        WitnessedProperty[] wanted =
        [
            isPrivileged ? WitnessedProperty.Privileged : WitnessedProperty.NotPrivileged,
            WitnessedProperty.ControlSensitive, WitnessedProperty.BehaviourSensitive,
        ];
        var verdict = new InstructionVerdict
        {
            Instruction = group.Name,
            Forms = [.. forms.Select(f => f.Form).Order().Select(f => model.Forms[f].Notation).Distinct()],
            IsPrivileged = isPrivileged,
            IsControlSensitive = forms.Any(f => f.IsControlSensitive),
            IsBehaviourSensitive = forms.Any(f => f.IsBehaviourSensitive),
            Rule = isOffender ? string.Join(", ", forms.SelectMany(f => f.Classes).Distinct().Order().Select(RuleOf)) : "",
            Touches = [.. forms.SelectMany(f => f.Touches).Distinct().Order(StringComparer.Ordinal)],
            Explanation = "",
            Literature = notes.Literature(group.Name),
            Witnesses = [.. wanted.Where(p => isSensitive || isPrivileged).Select(p => First(forms, p)).OfType<Witness>()],
            Treatments = [],
        };
        verdict = verdict with { Explanation = notes.Explain(verdict, forms.Any(f => f.Completes)) };
        return isSensitive || isPrivileged ? verdict with { Treatments = notes.Treatments(verdict, [.. forms.Select(f => f.Form)]) } : verdict;
    }

    /// <summary>The one that tells most; of these the one with the shortest encoding, which has the operand size of the mode.</summary>
    private static Witness? First(List<FormClassification> forms, WitnessedProperty property) => forms
        .Where(f => f.Witnesses.ContainsKey(property))
        .OrderByDescending(f => f.WorthOf(property))
        .ThenBy(f => f.Witnesses[property].Bytes.Length)
        .Select(f => f.Witnesses[property])
        .FirstOrDefault();

    private static string RuleOf(ElementClass kind) => kind switch
    {
        ElementClass.Mode => "3A",
        ElementClass.SensitiveRegister => "3B",
        ElementClass.Protection => "3C",
        _ => "3D",
    };

    private static string Apply(int sensitive, int offenders, bool hasUserMode)
    {
        if (!hasUserMode) return "Not virtualizable by trap and emulate: there is no user mode in which a monitor could run the machine.";
        return offenders == 0
            ? string.Create(CultureInfo.InvariantCulture, $"Virtualizable: all {sensitive} sensitive instructions are privileged.")
            : string.Create(
                CultureInfo.InvariantCulture,
                $"Not virtualizable by trap and emulate alone: {offenders} of {sensitive} sensitive instructions are not privileged.");
    }

    private sealed record Group(string Name, List<FormClassification> Forms);
}
