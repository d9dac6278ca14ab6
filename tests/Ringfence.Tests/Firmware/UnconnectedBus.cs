using Ringfence.Processors;

namespace Ringfence.Tests.Firmware;

/// <summary>A processor's bus with nothing on it, for tests that never execute an instruction.</summary>
internal sealed class UnconnectedBus(int processorCount) : IProcessorBus
{
    public ulong TimestampFrequency => 1_000_000_000;

    public int ProcessorCount => processorCount;

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

    public ulong TimestampCounter(Processor processor) => 0;

    public ulong NextRandom(Processor processor) => 0;

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
