using Iced.Intel;

namespace Ringfence.Processors.Instructions.X87;

/// <summary>The x87 floating-point unit's instructions (Intel SDM 1 chapter 8).</summary>
internal static unsafe class X87Instructions
{
    /// <summary>The handler of an x87 instruction, or null if it is none.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing => null;
}
