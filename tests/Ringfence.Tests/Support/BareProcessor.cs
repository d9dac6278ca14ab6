using Iced.Intel;
using Ringfence.Execution;
using Ringfence.Memory;
using Ringfence.Processors;
using Ringfence.Processors.Exits;

namespace Ringfence.Tests.Support;

/// <summary>One processor in flat 32-bit protected mode without paging, 16 MiB of RAM and no devices.</summary>
internal sealed unsafe class BareProcessor : IDisposable
{
    public const uint Code = 0x10000;

    /// <summary>Makes the processor.</summary>
    /// <param name="engine">Makes its engine, for tests of one engine's own parts; null: the current one.</param>
    public BareProcessor(Func<Processor, IExecutionEngine>? engine = null)
    {
        Memory = new PhysicalMemory(16 << 20);
        Processor = new Processor(0, Memory, new NoBus());
        Engine = engine is null ? Engines.Create(Processor) : engine(Processor);
        State->Cr0 = Cr0.Pe | Cr0.Et;
        for (int i = 0; i < 6; i++) State->Segment((SegmentIndex)i) = new SegmentRegister(0, 0, uint.MaxValue, (ushort)(i == 1 ? 0xc09b : 0xc093));

        State->Rip = Code;
        State->Gpr[4] = 0x80000;
        Processor.RefreshMode();
    }

    public PhysicalMemory Memory { get; }

    public Processor Processor { get; }

    public IExecutionEngine Engine { get; }

    public VcpuState* State => Processor.State;

    public void Load(Action<Assembler> program, uint at = Code)
    {
        var assembler = new Assembler(32);
        program(assembler);
        var bytes = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(bytes), at);
        Memory.Write(new GuestPhysical(at), bytes.ToArray());
    }

    /// <summary>Runs at least <paramref name="instructions"/> instructions, to a block's end.</summary>
    public void Run(ulong instructions)
    {
        State->InstructionLimit = State->InstructionCount + instructions;
        Engine.Run().ShouldBe(ExitReason.InstructionLimit);
    }

    public uint Read(uint address)
    {
        Span<byte> data = stackalloc byte[4];
        Memory.Read(new GuestPhysical(address), data);
        return BitConverter.ToUInt32(data);
    }

    public void Dispose()
    {
        Engine.Dispose();
        Processor.Dispose();
        Memory.Dispose();
    }
}
