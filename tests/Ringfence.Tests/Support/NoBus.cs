using Ringfence.Processors;

namespace Ringfence.Tests.Support;

/// <summary>A processor's surroundings without any device: ports read as all ones, no interrupt ever comes.</summary>
internal sealed unsafe class NoBus : IProcessorBus
{
    public ulong TimestampFrequency => 1_000_000_000;

    public int ProcessorCount => 1;

    public uint ReadPort(ushort port, int size) => uint.MaxValue;

    public void WritePort(ushort port, int size, uint value)
    {
    }

    public int AcknowledgeInterrupt(Processor processor) => -1;

    public ulong GetTaskPriority(Processor processor) => 0;

    public void SetTaskPriority(Processor processor, ulong value)
    {
    }

    public bool TryReadApicMsr(Processor processor, uint msr, out ulong value)
    {
        value = 0;
        return false;
    }

    public bool TryWriteApicMsr(Processor processor, uint msr, ulong value) => false;

    public ulong TimestampCounter(Processor processor) => processor.State->InstructionCount;

    public ulong NextRandom(Processor processor) => 4;

    public void EnterExclusive(Processor processor)
    {
    }

    public void LeaveExclusive(Processor processor)
    {
    }

    public void ShootDownWriters(Processor processor, ulong frame, int processors)
    {
    }

    public void InvalidateCode(Processor? writer, ulong frame, int processors)
    {
    }
}
