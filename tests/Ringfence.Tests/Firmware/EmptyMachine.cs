using System.Buffers.Binary;
using Ringfence.Firmware;
using Ringfence.Memory;
using Ringfence.Processors;

namespace Ringfence.Tests.Firmware;

/// <summary>Memory and processors in their power-on state, for loaders to fill.</summary>
internal sealed unsafe class EmptyMachine : IDisposable
{
    public EmptyMachine(ulong memoryBytes = 64UL << 20, int processors = 1, int serialPorts = 2)
    {
        Memory = new PhysicalMemory(memoryBytes);
        NoBus bus = new(processors);
        Target = new BootTarget(Memory, [.. Enumerable.Range(0, processors).Select(i => new Processor(i, Memory, bus))], serialPorts);
    }

    public PhysicalMemory Memory { get; }

    public BootTarget Target { get; }

    public VcpuState* State => Target.BootProcessor.State;

    public byte[] Read(ulong address, int length)
    {
        byte[] data = new byte[length];
        Memory.Read(new GuestPhysical(address), data);
        return data;
    }

    public byte Read8(ulong address) => Read(address, 1)[0];

    public ushort Read16(ulong address) => BinaryPrimitives.ReadUInt16LittleEndian(Read(address, 2));

    public uint Read32(ulong address) => BinaryPrimitives.ReadUInt32LittleEndian(Read(address, 4));

    public ulong Read64(ulong address) => BinaryPrimitives.ReadUInt64LittleEndian(Read(address, 8));

    public string ReadText(ulong address) => new([.. Read(address, 4096).TakeWhile(b => b != 0).Select(b => (char)b)]);

    public void Dispose()
    {
        foreach (Processor processor in Target.Processors) processor.Dispose();
        Memory.Dispose();
    }
}
