using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Ringfence.Virtualizability;

namespace Ringfence.Cli.Analyzing;

/// <summary>A report for programs.</summary>
internal static class AnalysisJson
{
    private static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        WriteIndented = true,
        NewLine = "\n",
        // The object stands in no page: only what JSON itself asks for is escaped.
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },
    };

    /// <summary>One object with names in snake case, durations in seconds, and all instructions.</summary>
    /// <param name="report">The report.</param>
    /// <param name="contrast">What it is with user-mode instruction prevention the other way; null if that makes no difference.</param>
    public static byte[] Create(VirtualizabilityReport report, UmipContrast? contrast)
    {
        var json = new
        {
            report.Machine,
            report.Mode,
            report.Umip,
            Virtualizable = report.IsVirtualizable,
            report.Verdict,
            report.Assumptions,
            Counts = new
            {
                Instructions = report.Instructions.Count,
                report.Forms,
                report.Executions,
                Sensitive = report.Instructions.Count(i => i.IsSensitive),
                Privileged = report.Instructions.Count(i => i.IsPrivileged),
                Offenders = report.Count(InstructionClass.Offender),
                Innocuous = report.Count(InstructionClass.Innocuous),
            },
            UmipContrast = contrast is null ? null : new { contrast.Umip, Virtualizable = contrast.IsVirtualizable, contrast.Offenders, contrast.Changed },
            DurationSeconds = Math.Round(report.Duration.TotalSeconds, 6),
            Host = report.HostProcessor is { } processor
                ? new
                {
                    Processor = processor,
                    Umip = report.HostUmip,
                    Observed = report.Instructions.Count(i => i.Host is not null),
                    Disagreements = report.Disagreements().Count(),
                }
                : null,
            Instructions = report.Instructions.Select(Describe),
        };
        return [.. JsonSerializer.SerializeToUtf8Bytes(json, Options), (byte)'\n'];
    }

    private static object Describe(InstructionVerdict instruction) => new
    {
        instruction.Instruction,
        Class = instruction.Class(),
        instruction.Forms,
        Privileged = instruction.IsPrivileged,
        Sensitive = instruction.IsSensitive,
        ControlSensitive = instruction.IsControlSensitive,
        BehaviourSensitive = instruction.IsBehaviourSensitive,
        Offender = instruction.IsOffender,
        instruction.Rule,
        instruction.Touches,
        instruction.Explanation,
        instruction.Literature,
        instruction.Witnesses,
        instruction.Treatments,
        instruction.Host,
    };
}
