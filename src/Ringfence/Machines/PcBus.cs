using Ringfence.Devices;
using Ringfence.Processors;

namespace Ringfence.Machines;

/// <summary>The PC as its processors see it. Every access to a device takes the machine lock.</summary>
internal sealed class PcBus(Pc pc, RandomSource random) : IProcessorBus
{
    /// <summary>One tick a nanosecond of guest time: guests that calibrate against another clock find a round and stable number.</summary>
    public const ulong TimestampHertz = 1_000_000_000;

    /// <inheritdoc/>
    public ulong TimestampFrequency => TimestampHertz;

    /// <inheritdoc/>
    public int ProcessorCount => pc.Processors.Count;

    /// <inheritdoc/>
    public uint ReadPort(ushort port, int size)
    {
        lock (pc.Memory.DeviceLock) return pc.Ports.Read(port, size);
    }

    /// <inheritdoc/>
    public void WritePort(ushort port, int size, uint value)
    {
        lock (pc.Memory.DeviceLock) pc.Ports.Write(port, size, value);
    }

    /// <inheritdoc/>
    public int AcknowledgeInterrupt(Processor processor)
    {
        lock (pc.Memory.DeviceLock) return Apic(processor).AcknowledgeInterrupt();
    }

    /// <inheritdoc/>
    public ulong GetTaskPriority(Processor processor)
    {
        lock (pc.Memory.DeviceLock) return Apic(processor).TaskPriorityClass;
    }

    /// <inheritdoc/>
    public void SetTaskPriority(Processor processor, ulong value)
    {
        lock (pc.Memory.DeviceLock) Apic(processor).TaskPriorityClass = value;
    }

    /// <inheritdoc/>
    public bool TryReadApicMsr(Processor processor, uint msr, out ulong value)
    {
        lock (pc.Memory.DeviceLock) return Apic(processor).TryReadMsr(msr, out value);
    }

    /// <inheritdoc/>
    public bool TryWriteApicMsr(Processor processor, uint msr, ulong value)
    {
        lock (pc.Memory.DeviceLock) return Apic(processor).TryWriteMsr(msr, value);
    }

    /// <inheritdoc/>
    public ulong TimestampCounter(Processor processor) => (ulong)pc.Clock.Now;

    /// <inheritdoc/>
    public void TimestampChanged(Processor processor)
    {
        lock (pc.Memory.DeviceLock) Apic(processor).TimestampChanged();
    }

    /// <inheritdoc/>
    public ulong NextRandom(Processor processor) => random.Next();

    /// <inheritdoc/>
    public void EnterExclusive(Processor processor) => pc.Control.EnterExclusive(processor);

    /// <inheritdoc/>
    public void LeaveExclusive(Processor processor) => pc.Control.LeaveExclusive(processor);

    /// <inheritdoc/>
    public void ShootDownWriters(Processor processor, ulong frame, int processors)
    {
        // Inside an exclusive section nobody executes guest code, so the others' TLBs may be changed from here.
        pc.Control.EnterExclusive(processor);
        foreach (Processor other in pc.Processors)
            if ((processors & (1 << other.Index)) != 0) other.Mmu.DropWriter(frame);
        pc.Control.LeaveExclusive(processor);
    }

    /// <inheritdoc/>
    public void InvalidateCode(Processor? writer, ulong frame, int processors)
    {
        foreach (Processor other in pc.Processors)
        {
            if (other == writer || (processors & (1 << other.Index)) == 0) continue;
            other.StaleCode.Enqueue(frame);
            other.Post(ProcessorEvents.FlushCode);
        }
    }

    private LocalApic Apic(Processor processor) => pc.Apics.LocalApics[processor.Index];
}
