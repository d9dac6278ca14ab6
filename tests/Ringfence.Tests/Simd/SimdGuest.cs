using System.Runtime.InteropServices;
using Iced.Intel;
using Ringfence.Memory;
using Ringfence.Processors;
using Ringfence.Processors.Instructions;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Simd;

/// <summary>Runs one instruction in the interpreter's handlers, in 64-bit mode without paging.</summary>
internal sealed unsafe class SimdGuest : IDisposable
{
    public const ulong Data = 0x20000;

    private readonly BareProcessor _bare = new();
    private readonly Operation* _operations;

    public SimdGuest()
    {
        _operations = (Operation*)NativeMemory.AlignedAlloc((nuint)(2 * sizeof(Operation)), 64);
        State->Efer = Efer.Lme | Efer.Lma;
        State->Cr4 |= Cr4.Osfxsr | Cr4.Osxmmexcpt;
        State->Segment(SegmentIndex.Cs).Attributes = (ushort)((State->Segment(SegmentIndex.Cs).Attributes & ~SegmentAttributes.Big) | SegmentAttributes.Long);
        Processor.RefreshMode();
    }

    public VcpuState* State => _bare.State;

    public Processor Processor => _bare.Processor;

    public PhysicalMemory Memory => _bare.Memory;

    /// <summary>Assembles, decodes and prepares an instruction. False: it has no handler.</summary>
    public bool Load(Instruction instruction)
    {
        var writer = new Bytes();
        Encoder.Create(64, writer).Encode(instruction, 0);
        var decoder = Iced.Intel.Decoder.Create(64, writer.Written.ToArray(), OperationDecoder.Options);
        decoder.Decode(out Instruction decoded);
        decoded.Code.ShouldBe(instruction.Code);
        OperationDecoder.Decode(decoded, _operations, 0, true, 1);
        _operations[1] = default;
        _operations[1].Execute = &End;
        return (_operations[0].Flags & OperationFlags.EndsBlock) == 0;
    }

    /// <summary>Executes the instruction; true unless it faulted.</summary>
    public bool Execute()
    {
        State->FaultPending = 0;
        _operations->Execute(Processor, State, _operations);
        return State->FaultPending == 0;
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

    public void Dispose()
    {
        NativeMemory.AlignedFree(_operations);
        _bare.Dispose();
    }

    private static Operation* End(Processor processor, VcpuState* s, Operation* op) => null;

    private sealed class Bytes : CodeWriter
    {
        public List<byte> Written { get; } = [];

        public override void WriteByte(byte value) => Written.Add(value);
    }
}
