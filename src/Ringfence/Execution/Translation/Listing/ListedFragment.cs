namespace Ringfence.Execution.Translation.Listing;

/// <summary>The compiled code of a translation unit.</summary>
/// <param name="Instructions">The code itself, in the order in which it lies in memory.</param>
/// <param name="RarePaths">What lies elsewhere because it is rarely executed: failed checks, ways to fragments that are not compiled, entries.</param>
/// <param name="RunsInto">
/// Guest address of the fragment that lies directly behind, so that the jump to it has disappeared; null if this one ends in a transfer.
/// </param>
public sealed record ListedFragment(
    IReadOnlyList<ListedHostInstruction> Instructions, IReadOnlyList<ListedHostInstruction> RarePaths, ulong? RunsInto)
{
    /// <summary>Bytes of <see cref="Instructions"/>.</summary>
    public int Length => Instructions.Sum(i => i.Bytes.Length);

    /// <summary>Bytes of <see cref="RarePaths"/>.</summary>
    public int RareLength => RarePaths.Sum(i => i.Bytes.Length);
}
