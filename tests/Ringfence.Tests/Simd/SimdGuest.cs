using Iced.Intel;
using Ringfence.Memory;
using Ringfence.Processors;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Simd;

/// <summary>Runs one instruction in the current engine, in 64-bit mode at CPL 0 with RAM mapped one to one.</summary>
internal sealed unsafe class SimdGuest : IDisposable
{
    public const ulong Data = TestMachine.Data;

    private readonly TestMachine _machine = new();
    private ulong _end;

    public SimdGuest()
    {
        _machine.EnterLong();
        State->Cr4 |= Cr4.Osfxsr | Cr4.Osxmmexcpt;
        Processor.RefreshMode();
    }

    public VcpuState* State => _machine.State;

    public Processor Processor => _machine.Processor;

    public PhysicalMemory Memory => _machine.Memory;

    /// <summary>The exception that the last instruction raised, and its error code if it has one.</summary>
    public (ExceptionVector Vector, uint ErrorCode)? Fault { get; private set; }

    /// <summary>Assembles an instruction and places it with a HLT behind.</summary>
    public void Load(Instruction instruction)
    {
        var writer = new Bytes();
        uint length = Encoder.Create(64, writer).Encode(instruction, TestMachine.Code);
        var decoder = Iced.Intel.Decoder.Create(64, writer.Written.ToArray());
        decoder.Decode(out Instruction decoded);
        decoded.Code.ShouldBe(instruction.Code);
        _machine.Emit([.. writer.Written, 0xf4]);
        _end = TestMachine.Code + length + 1;
    }

    /// <summary>Executes the instruction; true unless it faulted.</summary>
    public bool Execute()
    {
        State->Rip = TestMachine.Code;
        State->Gpr[4] = TestMachine.Stack;
        State->Activity = ActivityState.Active;
        Processor.RefreshMode();
        Fault = null;
        _machine.RunToHalt().ShouldBe(Ringfence.Processors.Exits.ExitReason.Halt);
        if (State->Rip == _end) return true;
        var vector = (ExceptionVector)((State->Rip - 1 - TestMachine.Handlers) / 16);
        Fault = (vector, vector == ExceptionVector.GeneralProtection ? _machine.Read32(State->Gpr[4]) : 0);
        return false;
    }

    /// <summary>Loads the state, executes, and gives the state back.</summary>
    public bool Run(byte* simdCase)
    {
        VcpuState* s = State;
        s->Mxcsr = *(uint*)(simdCase + SimdCase.Mxcsr);
        new Span<byte>(simdCase + SimdCase.Xmm, 64).CopyTo(new Span<byte>(s->Xmm, 64));
        new Span<byte>(simdCase + SimdCase.Mmx, 32).CopyTo(new Span<byte>(s->X87Significand, 32));
        for (int i = 0; i < 3; i++) s->Gpr[i] = ((ulong*)(simdCase + SimdCase.General))[i];
        s->Gpr[7] = Data;
        s->Rflags = 0x202;
        s->X87Status = 0x3800;
        s->X87Tag = 0;
        Memory.Write(new GuestPhysical(Data + SimdCase.Memory), new ReadOnlySpan<byte>(simdCase + SimdCase.Memory, 64));
        bool completed = Execute();
        *(uint*)(simdCase + SimdCase.Mxcsr) = s->Mxcsr;
        new Span<byte>(s->Xmm, 64).CopyTo(new Span<byte>(simdCase + SimdCase.Xmm, 64));
        new Span<byte>(s->X87Significand, 32).CopyTo(new Span<byte>(simdCase + SimdCase.Mmx, 32));
        for (int i = 0; i < 3; i++) ((ulong*)(simdCase + SimdCase.General))[i] = s->Gpr[i];
        *(ulong*)(simdCase + SimdCase.Flags) = s->Rflags;
        Memory.Read(new GuestPhysical(Data + SimdCase.Memory), new Span<byte>(simdCase + SimdCase.Memory, 64));
        return completed;
    }

    public void Dispose() => _machine.Dispose();

    private sealed class Bytes : CodeWriter
    {
        public List<byte> Written { get; } = [];

        public override void WriteByte(byte value) => Written.Add(value);
    }
}
