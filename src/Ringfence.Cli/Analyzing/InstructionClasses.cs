using Ringfence.Virtualizability;

namespace Ringfence.Cli.Analyzing;

/// <summary>Words for verdicts that the text, the JSON object and the page have in common.</summary>
internal static class InstructionClasses
{
    /// <summary>The class of an instruction.</summary>
    public static InstructionClass Class(this InstructionVerdict instruction) =>
        instruction.IsOffender ? InstructionClass.Offender : instruction.IsPrivileged ? InstructionClass.Privileged : InstructionClass.Innocuous;

    /// <summary>How an instruction is sensitive, in a word; empty if it is not.</summary>
    public static string Sensitivity(this InstructionVerdict instruction) => (instruction.IsControlSensitive, instruction.IsBehaviourSensitive) switch
    {
        (true, true) => "control, behaviour",
        (true, false) => "control",
        (false, true) => "behaviour",
        _ => "",
    };

    /// <summary>The techniques, in the order in which they first appear.</summary>
    public static IReadOnlyList<string> Techniques(this VirtualizabilityReport report) =>
        [.. report.Instructions.SelectMany(i => i.Treatments).Select(t => t.Technique).Distinct(StringComparer.Ordinal)];

    /// <summary>Instructions of the host that did not do what the model says.</summary>
    public static IEnumerable<InstructionVerdict> Disagreements(this VirtualizabilityReport report) => report.Instructions.Where(i => i.Host is { Agrees: false });

    /// <summary>Is there a mode in which some instruction is privileged? The literature's list is about such modes.</summary>
    public static bool HasUserMode(this VirtualizabilityReport report) => report.Instructions.Any(i => i.IsPrivileged);

    /// <summary>Offenders beside Robin and Irvine's list, in a sentence about them. Null: none of them is in it, or there is no user mode.</summary>
    public static string? DescribeLiterature(this VirtualizabilityReport report)
    {
        int listed = report.Offenders.Select(i => i.Literature).OfType<string>().Distinct(StringComparer.Ordinal).Count();
        string[] beyond = [.. report.Offenders.Where(i => i.Literature is null).Select(i => i.Instruction)];
        if (listed == 0 || !report.HasUserMode()) return null;
        string names = $"{listed} {(listed == 1 ? "name of Robin and Irvine's list (2000) is" : "names of Robin and Irvine's list (2000) are")} among them";
        return beyond.Length == 0 ? $"{names}." : $"{names}; beyond that list: {string.Join(", ", beyond)}.";
    }

    /// <summary>What the host did, without the experiment's name, which stands behind it in brackets.</summary>
    public static string ShortResult(string result) => result.IndexOf(" (", StringComparison.Ordinal) is > 0 and int end ? result[..end] : result;

    /// <summary>How many instructions of a class there are.</summary>
    public static int Count(this VirtualizabilityReport report, InstructionClass kind) => report.Instructions.Count(i => i.Class() == kind);
}
