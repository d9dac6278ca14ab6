namespace Ringfence.Memory;

/// <summary>An address on the guest's physical bus.</summary>
/// <param name="Value">Byte address.</param>
public readonly record struct GuestPhysical(ulong Value)
{
    /// <summary>Bytes in the smallest page.</summary>
    public const int PageSize = 4096;

    /// <summary>The page frame number.</summary>
    public ulong Frame => Value >> 12;

    /// <inheritdoc/>
    public override string ToString() => $"0x{Value:x}";
}

/// <summary>A linear address: after segmentation, before paging (Intel SDM 3A 3.1).</summary>
/// <param name="Value">Byte address.</param>
public readonly record struct GuestLinear(ulong Value)
{
    /// <inheritdoc/>
    public override string ToString() => $"0x{Value:x}";
}
