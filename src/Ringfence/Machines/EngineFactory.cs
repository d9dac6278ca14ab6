using Ringfence.Execution;
using Ringfence.Execution.Interpretation;
using Ringfence.Processors;

namespace Ringfence.Machines;

/// <summary>Makes engines.</summary>
internal static class EngineFactory
{
    /// <summary>Makes the engine of one processor.</summary>
    public static IExecutionEngine Create(EngineKind kind, Processor processor) => kind switch
    {
        EngineKind.Auto or EngineKind.Interpreter => new Interpreter(processor),
        _ => throw new ArgumentOutOfRangeException(nameof(kind)),
    };
}
