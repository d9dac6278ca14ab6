namespace Ringfence.Devices;

/// <summary>Guest physical memory as a device that is bus master sees it. What is not RAM or ROM reads as ones and ignores writes: devices do not talk to each other.</summary>
internal interface IGuestMemory
{
    /// <summary>Reads.</summary>
    void Read(ulong address, Span<byte> data);

    /// <summary>Writes; decoded code there is forgotten.</summary>
    void Write(ulong address, ReadOnlySpan<byte> data);
}
