using Ringfence.Virtualizability;

namespace Ringfence.Cli.Analyzing;

/// <summary>A report about the host's processor alone: what traps is what trapped on it.</summary>
internal static class HostReport
{
    /// <summary>
    /// Makes it from the model's report with the host's observations. Which instructions are sensitive stays the model's finding, since no
    /// program can look at the host's privileged state.
    /// </summary>
    /// <exception cref="UserErrorException">The host was not asked.</exception>
    public static VirtualizabilityReport Create(VirtualizabilityReport report)
    {
        if (report.HostProcessor is not { } processor) throw new UserErrorException($"--target host: {report.Assumptions.LastOrDefault("the host cannot be asked").TrimEnd('.')}");
        InstructionVerdict[] instructions =
        [
            .. report.Instructions.Where(i => i.Host is not null)
                .Select(i => i.IsSensitive ? i with { IsPrivileged = i.Host!.Traps } : i)
                .OrderBy(i => i.Class()).ThenBy(i => i.Instruction, StringComparer.Ordinal),
        ];
        int sensitive = instructions.Count(i => i.IsSensitive);
        int offenders = instructions.Count(i => i.IsOffender);
        return report with
        {
            Machine = processor,
            Umip = report.HostUmip ?? report.Umip,
            Instructions = instructions,
            IsVirtualizable = offenders == 0,
            Verdict = offenders == 0
                ? $"Each of {sensitive} sensitive instructions traps at CPL 3 on this host."
                : $"Not virtualizable by trap and emulate alone: {offenders} of {sensitive} sensitive instructions do not trap at CPL 3 on this host.",
            Assumptions = [.. report.Assumptions, "Which instructions are sensitive is the model's finding: no program can look at the host's privileged state."],
        };
    }
}
