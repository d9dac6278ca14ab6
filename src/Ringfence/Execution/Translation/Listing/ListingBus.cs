using Ringfence.Processors;

namespace Ringfence.Execution.Translation.Listing;

/// <summary>What a processor is connected to that never executes anything: nothing.</summary>
internal sealed class ListingBus : IProcessorBus
{
    /// <inheritdoc/>
    public ulong TimestampFrequency => 1_000_000_000;

    /// <inheritdoc/>
    public int ProcessorCount => 1;

    /// <inheritdoc/>
    public uint ReadPort(ushort port, int size) => uint.MaxValue;

    /// <inheritdoc/>
    public void WritePort(ushort port, int size, uint value)
    {
    }

    /// <inheritdoc/>
    public int AcknowledgeInterrupt(Processor processor) => -1;

    /// <inheritdoc/>
    public ulong GetTaskPriority(Processor processor) => 0;

    /// <inheritdoc/>
    public void SetTaskPriority(Processor processor, ulong value)
    {
    }

    /// <inheritdoc/>
    public bool TryReadApicMsr(Processor processor, uint msr, out ulong value)
    {
        value = 0;
        return false;
    }

    /// <inheritdoc/>
    public bool TryWriteApicMsr(Processor processor, uint msr, ulong value) => false;

    /// <inheritdoc/>
    public ulong TimestampCounter(Processor processor) => 0;

    /// <inheritdoc/>
    public ulong NextRandom(Processor processor) => 0;

    /// <inheritdoc/>
    public void EnterExclusive(Processor processor)
    {
    }

    /// <inheritdoc/>
    public void LeaveExclusive(Processor processor)
    {
    }

    /// <inheritdoc/>
    public void ShootDownWriters(Processor processor, ulong frame, int processors)
    {
    }

    /// <inheritdoc/>
    public void InvalidateCode(Processor? writer, ulong frame, int processors)
    {
    }
}
