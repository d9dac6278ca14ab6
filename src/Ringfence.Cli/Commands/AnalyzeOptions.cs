using Ringfence.Virtualizability;

namespace Ringfence.Cli.Commands;

/// <summary>What <c>ringfence analyze</c> was asked for, checked as far as that goes without looking at files.</summary>
internal sealed record AnalyzeOptions
{
    /// <summary>What is analysed.</summary>
    public required AnalysisOptions Analysis { get; init; }

    /// <summary>What is printed on standard output is JSON.</summary>
    public required bool PrintJson { get; init; }

    /// <summary>The text lists innocuous instructions as well.</summary>
    public required bool All { get; init; }

    public string? JsonPath { get; init; }

    public string? HtmlPath { get; init; }

    /// <summary>The command line that asks for the same, for the page.</summary>
    public required string Command { get; init; }
}
