using Ringfence.Devices;
using Ringfence.Processors;

namespace Ringfence.Tests.Support;

/// <summary>A processor's surroundings that remember what was done to them.</summary>
internal sealed class FakeBus : IProcessorBus
{
    public List<(ushort Port, int Size, uint Value)> Writes { get; } = [];

    public List<(ushort Port, int Size)> Reads { get; } = [];

    /// <summary>The ports, where a test has some; all others are answered by <see cref="PortValue"/>.</summary>
    public PortBus? Ports { get; set; }

    public Func<ushort, uint> PortValue { get; set; } = _ => 0x1234_5678;

    public ulong Priority { get; private set; }

    public ulong Timestamp { get; set; } = 1000;

    public ulong ApicBase { get; set; } = 0xfee0_0900;

    public Queue<int> Interrupts { get; } = [];

    public ulong TimestampFrequency { get; init; } = 2_000_000_000;

    public int ProcessorCount { get; init; } = 1;

    public uint ReadPort(ushort port, int size)
    {
        if (Ports is not null) return Ports.Read(port, size);
        Reads.Add((port, size));
        return PortValue(port);
    }

    public void WritePort(ushort port, int size, uint value)
    {
        if (Ports is not null) Ports.Write(port, size, value);
        else Writes.Add((port, size, value));
    }

    public int AcknowledgeInterrupt(Processor processor)
    {
        int vector = Interrupts.TryDequeue(out int next) ? next : -1;
        if (Interrupts.Count == 0) processor.Withdraw(ProcessorEvents.Interrupt);
        return vector;
    }

    public ulong GetTaskPriority(Processor processor) => Priority;

    public void SetTaskPriority(Processor processor, ulong value) => Priority = value;

    public bool TryReadApicMsr(Processor processor, uint msr, out ulong value)
    {
        value = msr == 0x1b ? ApicBase : 0;
        return msr == 0x1b;
    }

    public bool TryWriteApicMsr(Processor processor, uint msr, ulong value)
    {
        if (msr != 0x1b) return false;
        ApicBase = value;
        return true;
    }

    public ulong TimestampCounter(Processor processor) => Timestamp;

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
