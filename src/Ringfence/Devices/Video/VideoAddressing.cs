namespace Ringfence.Devices.Video;

/// <summary>What the memory's address counter counts.</summary>
internal enum VideoAddressing
{
    /// <summary>Offsets of the planes.</summary>
    Bytes,

    /// <summary>Pairs of offsets, bit 13 of the counter being bit 0.</summary>
    WordsBelow64K,

    /// <summary>Pairs of offsets, bit 15 of the counter being bit 0.</summary>
    Words,

    /// <summary>Offsets, in the compact arrangement of chain 4 (<see cref="VgaPlanes"/>).</summary>
    Doublewords,
}
