using Iced.Intel;

namespace Ringfence.Execution.Translation;

/// <summary>A guest register that stays in the state otherwise and lives in a host register inside one trace.</summary>
/// <param name="Guest">Number of the guest's register.</param>
/// <param name="Host">The host's register.</param>
/// <param name="Lender">The guest register whose place it takes, which the trace does not use; -1 for a scratch register.</param>
internal readonly record struct Promotion(int Guest, Register Host, int Lender);
