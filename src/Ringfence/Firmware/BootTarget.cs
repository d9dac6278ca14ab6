using Ringfence.Memory;
using Ringfence.Processors;

namespace Ringfence.Firmware;

/// <summary>The parts of a machine that loaders fill: built, powered on, not yet running.</summary>
/// <param name="Memory">Its physical memory.</param>
/// <param name="Processors">Its processors; the first one is the one that boots.</param>
/// <param name="SerialPorts">How many serial ports it has, from COM1 on.</param>
internal sealed record BootTarget(PhysicalMemory Memory, IReadOnlyList<Processor> Processors, int SerialPorts)
{
    /// <summary>The bootstrap processor.</summary>
    public Processor BootProcessor => Processors[0];
}
