using Ringfence.Processors;
using Ringfence.Processors.Sensitive;

namespace Ringfence.Virtualizability.Model;

/// <summary>A processor's surroundings as numbers that experiments set and look at.</summary>
internal sealed class ModelBus : IProcessorBus
{
    /// <summary>The numbers.</summary>
    public ModelBusState State;

    /// <inheritdoc/>
    public ulong TimestampFrequency => 1_000_000_000;

    /// <inheritdoc/>
    public int ProcessorCount => 2;

    /// <inheritdoc/>
    public uint ReadPort(ushort port, int size)
    {
        State.Accesses = (State.Accesses * 31) + port + 1;
        return State.PortValue;
    }

    /// <inheritdoc/>
    public void WritePort(ushort port, int size, uint value) => State.Accesses = (State.Accesses * 31) + port + ((ulong)value << 16) + 2;

    /// <inheritdoc/>
    public int AcknowledgeInterrupt(Processor processor) => -1;

    /// <inheritdoc/>
    public ulong GetTaskPriority(Processor processor) => State.TaskPriority;

    /// <inheritdoc/>
    public void SetTaskPriority(Processor processor, ulong value) => State.TaskPriority = value;

    /// <inheritdoc/>
    public bool TryReadApicMsr(Processor processor, uint msr, out ulong value)
    {
        value = State.ApicBase;
        return msr == Msr.ApicBase;
    }

    /// <inheritdoc/>
    public bool TryWriteApicMsr(Processor processor, uint msr, ulong value)
    {
        if (msr != Msr.ApicBase) return false;
        State.ApicBase = value;
        return true;
    }

    /// <inheritdoc/>
    public ulong TimestampCounter(Processor processor) => 1_000_000;

    /// <inheritdoc/>
    public ulong NextRandom(Processor processor) => 0x1234_5678_9abc_def0;

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
