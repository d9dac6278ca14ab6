namespace Ringfence.Processors;

/// <summary>
/// The surroundings of a processor without a machine: ports read as all ones, no interrupt ever comes, time is the count of instructions.
/// </summary>
/// <param name="processorCount">Processors that are said to be there.</param>
internal sealed unsafe class NoBus(int processorCount = 1) : IProcessorBus
{
    /// <inheritdoc/>
    public ulong TimestampFrequency => 1_000_000_000;

    /// <inheritdoc/>
    public int ProcessorCount => processorCount;

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
    public ulong TimestampCounter(Processor processor) => processor.State->InstructionCount;

    /// <inheritdoc/>
    public ulong NextRandom(Processor processor) => 4;

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
