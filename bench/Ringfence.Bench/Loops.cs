using Iced.Intel;
using Ringfence.Execution;
using Ringfence.Machines;
using Ringfence.Memory;
using Ringfence.Processors;

namespace Ringfence.Bench;

/// <summary>A processor in flat 32-bit protected mode that runs an endless loop for a number of instructions.</summary>
internal sealed unsafe class Loops : IDisposable
{
    private const uint Code = 0x10000;
    private readonly PhysicalMemory _memory = new(16 << 20);
    private readonly Processor _processor;
    private readonly IExecutionEngine _engine;

    public Loops(Action<Assembler> program, EngineKind engine = EngineKind.Interpreter)
    {
        _processor = new Processor(0, _memory, new NoBus());
        _engine = EngineFactory.Create(engine, _processor);
        VcpuState* s = _processor.State;
        s->Cr0 = Cr0.Pe | Cr0.Et;
        for (int i = 0; i < 6; i++) s->Segment((SegmentIndex)i) = new SegmentRegister(0, 0, uint.MaxValue, (ushort)(i == 1 ? 0xc09b : 0xc093));

        s->Rip = Code;
        s->Gpr[4] = 0x80000;
        _processor.RefreshMode();
        var assembler = new Assembler(32);
        program(assembler);
        var bytes = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(bytes), Code);
        _memory.Write(new GuestPhysical(Code), bytes.ToArray());
    }

    public void Run(int instructions)
    {
        _processor.State->InstructionLimit = _processor.State->InstructionCount + (ulong)instructions;
        _engine.Run();
    }

    public void Dispose()
    {
        _engine.Dispose();
        _processor.Dispose();
        _memory.Dispose();
    }
}
