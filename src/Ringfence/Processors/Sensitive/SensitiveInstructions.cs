using Iced.Intel;
using Ringfence.Processors.Instructions;

namespace Ringfence.Processors.Sensitive;

/// <summary>The instructions that change or expose privileged state: the one definition, for every engine.</summary>
internal static unsafe class SensitiveInstructions
{
    /// <summary>The handler of a sensitive instruction, or null if it is none.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing => null;
}
