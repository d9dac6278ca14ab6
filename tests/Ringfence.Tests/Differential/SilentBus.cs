using Ringfence.Processors;

namespace Ringfence.Tests.Differential;

/// <summary>A bus with nothing on it: one processor without devices, interrupts or time.</summary>
internal sealed class SilentBus : IProcessorBus
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

    public ulong TimestampCounter(Processor processor) => processor.InstructionsForClock();

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

/// <summary>Time of a machine without a clock.</summary>
internal static unsafe class InstructionTime
{
    /// <summary>Executed instructions.</summary>
    public static ulong InstructionsForClock(this Processor processor) => processor.State->InstructionCount;
}
