using Ringfence.Firmware;
using Ringfence.Firmware.Bios;
using Ringfence.Memory;
using Ringfence.Processors.Exits;

namespace Ringfence.Machines;

/// <summary>The PC as its own firmware uses it.</summary>
/// <param name="pc">The PC.</param>
/// <param name="drives">Its drives.</param>
internal sealed class FirmwarePlatform(Pc pc, IReadOnlyList<FirmwareDrive> drives) : IFirmwarePlatform
{
    /// <inheritdoc/>
    public long Now => pc.Clock.Now;

    /// <inheritdoc/>
    public long DeviceAccesses => pc.Processors[0].Exits[ExitReason.PortIo] + pc.Processors[0].Exits[ExitReason.Mmio];

    /// <inheritdoc/>
    public ulong LowRamEnd => pc.Memory.LowRamEnd;

    /// <inheritdoc/>
    public ulong HighRamEnd => pc.Memory.HighRamEnd;

    /// <inheritdoc/>
    public int Processors => pc.Processors.Count;

    /// <inheritdoc/>
    public int SerialPorts => pc.Serial.Count;

    /// <inheritdoc/>
    public IReadOnlyList<E820Entry> MemoryMap { get; } = E820Map.Build(pc.Memory);

    /// <inheritdoc/>
    public IReadOnlyList<FirmwareDrive> Drives => drives;

    /// <inheritdoc/>
    public uint ReadPort(ushort port, int size) => pc.Ports.Read(port, size);

    /// <inheritdoc/>
    public void WritePort(ushort port, int size, uint value) => pc.Ports.Write(port, size, value);

    /// <inheritdoc/>
    public void ReadMemory(ulong address, Span<byte> data) => pc.Memory.Read(new GuestPhysical(address), data);

    /// <inheritdoc/>
    public void WriteMemory(ulong address, ReadOnlySpan<byte> data) => pc.Memory.Write(new GuestPhysical(address), data);

    /// <inheritdoc/>
    public void SetUp() => pc.SetUpFromFirmware();

    /// <inheritdoc/>
    public void WriteConsole(byte character) => pc.DebugOutput.Receive(character);
}
