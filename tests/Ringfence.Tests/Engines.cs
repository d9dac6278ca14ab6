using Ringfence.Execution;
using Ringfence.Execution.Interpretation;
using Ringfence.Processors;

namespace Ringfence.Tests;

/// <summary>Every engine is a row of every test: the rows.</summary>
public static class Engines
{
    /// <summary>The names, as on the command line.</summary>
    public static IReadOnlyList<string> Names { get; } = ["interpreter"];

    /// <summary>Makes the named engine for a processor.</summary>
    internal static IExecutionEngine Create(string name, Processor processor) => name switch
    {
        "interpreter" => new Interpreter(processor),
        _ => throw new ArgumentOutOfRangeException(nameof(name), name, "No such engine."),
    };
}
