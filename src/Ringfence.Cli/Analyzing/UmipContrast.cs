using Ringfence.Virtualizability;

namespace Ringfence.Cli.Analyzing;

/// <summary>What the same experiments say with user-mode instruction prevention the other way.</summary>
/// <param name="Umip">It is on there.</param>
/// <param name="IsVirtualizable">The answer there.</param>
/// <param name="Offenders">Sensitive and not privileged instructions there.</param>
/// <param name="Changed">Instructions that are offenders in one of the two only.</param>
internal sealed record UmipContrast(bool Umip, bool IsVirtualizable, int Offenders, IReadOnlyList<string> Changed)
{
    /// <summary>Sets two reports beside each other. Null: it makes no difference.</summary>
    public static UmipContrast? Create(VirtualizabilityReport report, VirtualizabilityReport other)
    {
        HashSet<string> here = [.. report.Offenders.Select(i => i.Instruction)];
        here.SymmetricExceptWith(other.Offenders.Select(i => i.Instruction));
        return here.Count == 0 ? null : new UmipContrast(other.Umip, other.IsVirtualizable, other.Offenders.Count(), [.. here.Order(StringComparer.Ordinal)]);
    }

    /// <inheritdoc/>
    public override string ToString()
    {
        string names = Changed.Count == 1 ? Changed[0] : $"{string.Join(", ", Changed.SkipLast(1))} and {Changed[^1]}";
        string remain = Offenders == 1 ? "one offender remains" : Offenders == 0 ? "no offender remains" : $"{Offenders} offenders remain";
        return Umip
            ? $"With user-mode instruction prevention on, {names} {(Changed.Count == 1 ? "traps" : "trap")} and {remain}."
            : $"With user-mode instruction prevention off, {names} {(Changed.Count == 1 ? "does" : "do")} not trap: there are {Offenders} offenders.";
    }
}
