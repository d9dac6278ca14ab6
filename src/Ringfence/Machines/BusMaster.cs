using Ringfence.Devices;
using Ringfence.Memory;

namespace Ringfence.Machines;

/// <summary>Devices' access to guest memory.</summary>
internal sealed class BusMaster(PhysicalMemory memory) : IGuestMemory
{
    /// <inheritdoc/>
    public void Read(ulong address, Span<byte> data) => memory.ReadMemory(address, data);

    /// <inheritdoc/>
    public void Write(ulong address, ReadOnlySpan<byte> data) => memory.WriteMemory(address, data);
}
