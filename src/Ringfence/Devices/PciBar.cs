namespace Ringfence.Devices;

/// <summary>What a base address register decodes.</summary>
internal enum PciBarKind
{
    /// <summary>I/O ports.</summary>
    Io,

    /// <summary>Memory below 4 GiB.</summary>
    Memory,

    /// <summary>Memory anywhere; takes two registers.</summary>
    Memory64,
}

/// <summary>A base address register of a <see cref="PciFunction"/> (PCI Local Bus Specification 3.0, 6.2.5).</summary>
/// <param name="Index">0 to 5, or <see cref="ExpansionRom"/>.</param>
/// <param name="Size">Bytes decoded.</param>
/// <param name="Kind">What it decodes.</param>
/// <param name="Target">An <see cref="IBusDevice"/>, memory that processors access directly, or null.</param>
internal sealed record PciBar(int Index, uint Size, PciBarKind Kind, object? Target)
{
    /// <summary>Number of the expansion ROM's register.</summary>
    public const int ExpansionRom = 6;
}
