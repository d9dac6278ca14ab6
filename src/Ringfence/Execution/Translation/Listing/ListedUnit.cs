namespace Ringfence.Execution.Translation.Listing;

/// <summary>A translation unit: up to twelve guest instructions, or up to a transfer of control.</summary>
/// <param name="Address">Instruction pointer of the first one.</param>
/// <param name="Instructions">The instructions.</param>
/// <param name="Fragment">What they were compiled to; null: one instruction that lies in two pages, which is executed by itself.</param>
public sealed record ListedUnit(ulong Address, IReadOnlyList<ListedInstruction> Instructions, ListedFragment? Fragment)
{
    /// <summary>Guest bytes.</summary>
    public int Length => Instructions.Sum(i => i.Bytes.Length);
}
