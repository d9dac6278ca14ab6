namespace Ringfence.Devices;

/// <summary>
/// A device's registers as the bus sees them: an offset into the range it was mapped at, and bytes.
/// A device knows neither its address nor who accesses it. Called under the machine lock, one access at a time.
/// Accesses of any width and alignment inside the range arrive; what the device does not implement reads as all ones
/// and ignores writes, as on real hardware, and never throws.
/// </summary>
public interface IBusDevice
{
    /// <summary>Reads <paramref name="data"/>.Length bytes (1 to 16) at <paramref name="offset"/>.</summary>
    void Read(ulong offset, Span<byte> data);

    /// <summary>Writes <paramref name="data"/> (1 to 16 bytes) at <paramref name="offset"/>.</summary>
    void Write(ulong offset, ReadOnlySpan<byte> data);
}
