using Ringfence.Machines;

namespace Ringfence.Cli.Commands;

/// <summary>What <c>ringfence compare</c> was asked for, checked as far as that goes without looking at files.</summary>
internal sealed record CompareOptions
{
    /// <summary>The command as it was given, for reports.</summary>
    public required string Command { get; init; }

    public required GuestOptions Guest { get; init; }

    public required IReadOnlyList<EngineKind> Engines { get; init; }

    /// <summary>The file typed on COM1; null: standard input if it is redirected.</summary>
    public string? Input { get; init; }

    /// <summary>How often each engine runs the guest; its shortest run counts.</summary>
    public required int Repetitions { get; init; }

    /// <summary>Run engines that do not count instructions a second time, counting.</summary>
    public required bool Count { get; init; }

    /// <summary>Show what the guests print.</summary>
    public required bool Verbose { get; init; }

    /// <summary>What is printed on standard output is JSON.</summary>
    public required bool PrintJson { get; init; }

    public string? JsonPath { get; init; }

    public string? HtmlPath { get; init; }
}
