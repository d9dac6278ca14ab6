using Ringfence.Execution;
using Ringfence.Execution.Interpretation;
using Ringfence.Execution.Translation;
using Ringfence.Processors;

namespace Ringfence.Machines;

/// <summary>Makes engines.</summary>
internal static class EngineFactory
{
    /// <summary>Makes the engine of one processor.</summary>
    /// <param name="kind">Which.</param>
    /// <param name="processor">The processor.</param>
    /// <param name="limits">What the cache of a translator holds; null: the default.</param>
    public static IExecutionEngine Create(EngineKind kind, Processor processor, CacheLimits? limits = null) => kind switch
    {
        EngineKind.Interpreter => new Interpreter(processor),
        EngineKind.Translator => new Translator(processor, lockStep: false, limits),
        EngineKind.LockStep => new Translator(processor, lockStep: true, limits),
        EngineKind.Auto => Translator.IsSupported ? new Translator(processor, lockStep: false, limits) : new Interpreter(processor),
        _ => throw new ArgumentOutOfRangeException(nameof(kind)),
    };
}
