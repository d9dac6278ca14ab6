namespace Ringfence.Processors.Instructions;

/// <summary>
/// How memory operands become linear addresses. A type argument of the handlers that access memory, so that 64-bit
/// code pays for no segment limit.
/// </summary>
internal interface IAddressing
{
    /// <summary>64-bit mode: base added, no limit, 64-bit linear addresses.</summary>
    static abstract bool IsLong { get; }
}

/// <summary>64-bit mode.</summary>
internal readonly struct LongAddressing : IAddressing
{
    /// <inheritdoc/>
    public static bool IsLong => true;
}

/// <summary>Every other mode: limits are checked, linear addresses have 32 bits.</summary>
internal readonly struct SegmentedAddressing : IAddressing
{
    /// <inheritdoc/>
    public static bool IsLong => false;
}
