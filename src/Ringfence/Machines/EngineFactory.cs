using Ringfence.Execution;
using Ringfence.Execution.Interpretation;
using Ringfence.Execution.Translation;
using Ringfence.Processors;

namespace Ringfence.Machines;

/// <summary>Makes engines.</summary>
internal static class EngineFactory
{
    /// <summary>Makes the engine of one processor.</summary>
    public static IExecutionEngine Create(EngineKind kind, Processor processor) => kind switch
    {
        EngineKind.Interpreter => new Interpreter(processor),
        EngineKind.Translator => new Translator(processor),
        EngineKind.LockStep => new Translator(processor, lockStep: true),
        EngineKind.Auto => Translator.IsSupported ? new Translator(processor) : new Interpreter(processor),
        _ => throw new ArgumentOutOfRangeException(nameof(kind)),
    };
}
