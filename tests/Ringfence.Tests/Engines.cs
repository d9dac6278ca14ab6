using Ringfence.Execution;
using Ringfence.Execution.Translation;
using Ringfence.Machines;
using Ringfence.Processors;
using Ringfence.Tests.Support;

namespace Ringfence.Tests;

/// <summary>
/// Every engine is a row of every test: a test marked with <see cref="EngineFactAttribute"/> or <see cref="EngineTheoryAttribute"/> runs
/// once for each of <see cref="Names"/>, and what it makes while it runs is made for <see cref="Current"/>.
/// </summary>
internal static class Engines
{
    private static readonly AsyncLocal<string?> Row = new();

    /// <summary>
    /// The names, as on the command line: a new engine is one name more. RINGFENCE_ENGINES (names with commas between them) chooses others
    /// for one run.
    /// </summary>
    public static IReadOnlyList<string> Names { get; } = Chosen() ?? ["interpreter", "translator"];

    /// <summary>The engine of the test that runs; outside such tests the first one.</summary>
    public static string Current => Row.Value ?? Names[0];

    /// <summary>The same for <see cref="MachineOptions.Engine"/>.</summary>
    public static EngineKind CurrentKind => KindOf(Current);

    /// <summary>
    /// The translator with every hot path compiled at once, where the sampler would take its time; it stops at no limit. A row for tests
    /// of processors (RINGFENCE_ENGINES=traces), not of whole machines.
    /// </summary>
    public const string Traces = "traces";

    /// <summary>Does the current engine stop at an instruction limit?</summary>
    public static bool StopsAtLimit => Current != Traces;

    /// <summary>Makes the engine of the test that runs for a processor.</summary>
    public static IExecutionEngine Create(Processor processor) =>
        Current == Traces ? new Translator(processor, tracesAtOnce: true) : EngineFactory.Create(CurrentKind, processor);

    /// <summary>Makes an engine the current one of the calling asynchronous method and of everything that it starts.</summary>
    public static void Enter(string name) => Row.Value = name;

    // A name that does not exist fails the tests that ask for it; discovery must not fail, since then nothing would.
    private static EngineKind KindOf(string name) =>
        name == Traces ? EngineKind.Translator
            : Enum.TryParse(name, ignoreCase: true, out EngineKind kind) ? kind : throw new ArgumentOutOfRangeException(nameof(name), name, "No such engine.");

    private static string[]? Chosen()
    {
        string[] names = (Environment.GetEnvironmentVariable("RINGFENCE_ENGINES") ?? "")
            .Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return names.Length == 0 ? null : names;
    }
}
