using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Interpretation;

public sealed unsafe class InterpreterTests
{
    [EngineFact]
    public void Prime_counting_by_trial_division_is_right()
    {
        using var machine = new BareProcessor();
        machine.Load(a =>
        {
            Label top = a.CreateLabel();
            Label next = a.CreateLabel();
            Label prime = a.CreateLabel();
            Label composite = a.CreateLabel();
            Label end = a.CreateLabel();
            a.mov(edi, 2);
            a.Label(ref top);
            a.mov(ecx, edi);
            a.mov(esi, 2);
            a.cmp(esi, ecx);
            a.jge(prime);
            a.Label(ref next);
            a.mov(eax, ecx);
            a.cdq();
            a.idiv(esi);
            a.test(edx, edx);
            a.jz(composite);
            a.inc(esi);
            a.cmp(esi, ecx);
            a.jl(next);
            a.Label(ref prime);
            a.inc(ebx);
            a.Label(ref composite);
            a.inc(edi);
            a.cmp(edi, 1000);
            a.jb(top);
            a.Label(ref end);
            a.jmp(end);
        });
        machine.Run(2_000_000);
        machine.State->Gpr[3].ShouldBe(168UL);
    }

    [EngineFact]
    public void The_instruction_count_is_exact_at_block_boundaries()
    {
        using var machine = new BareProcessor();
        machine.Load(a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.inc(eax);
            a.nop();
            a.nop();
            a.jmp(top);
        });
        machine.Run(4000);
        machine.State->InstructionCount.ShouldBe(4000UL);
        machine.State->Gpr[0].ShouldBe(1000UL);
        machine.State->Rip.ShouldBe(BareProcessor.Code);
    }

    [EngineFact]
    public void A_tight_loop_notices_a_stop_request()
    {
        using var machine = new BareProcessor();
        machine.Load(a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.jmp(top);
        });
        using var timer = new StoppingTimer(() => machine.Processor.Post(ProcessorEvents.Stop), 50);
        machine.State->InstructionLimit = ulong.MaxValue;
        machine.Engine.Run().ShouldBe(Ringfence.Processors.Exits.ExitReason.Stop);
        machine.State->Rip.ShouldBe(BareProcessor.Code);
    }

    [EngineFact]
    public void A_repeated_move_with_overlap_repeats_its_first_bytes()
    {
        using var machine = new BareProcessor();
        machine.Memory.Write(new Memory.GuestPhysical(0x30000), [1, 2, 3]);
        machine.Load(a =>
        {
            Label end = a.CreateLabel();
            a.mov(esi, 0x30000);
            a.mov(edi, 0x30003);
            a.mov(ecx, 9);
            a.rep.movsb();
            a.Label(ref end);
            a.jmp(end);
        });
        machine.Run(10);
        Span<byte> bytes = stackalloc byte[12];
        machine.Memory.Read(new Memory.GuestPhysical(0x30000), bytes);
        bytes.ToArray().ShouldBe([1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]);
        machine.State->Gpr[1].ShouldBe(0UL);
        machine.State->Gpr[6].ShouldBe(0x30009UL);
    }

    [EngineFact]
    public void A_repeated_store_crosses_pages_and_is_complete()
    {
        using var machine = new BareProcessor();
        machine.Load(a =>
        {
            Label end = a.CreateLabel();
            a.mov(edi, 0x30ff2);
            a.mov(ecx, 3000);
            a.mov(eax, 0x01020304);
            a.rep.stosd();
            a.Label(ref end);
            a.jmp(end);
        });
        machine.Run(10);
        machine.Read(0x30ff2).ShouldBe(0x01020304u);
        machine.Read(0x30ff2 + (2999 * 4)).ShouldBe(0x01020304u);
        machine.Read(0x30ff2 + (3000 * 4)).ShouldBe(0u);
        machine.State->Gpr[7].ShouldBe(0x30ff2UL + 12000);
    }

    [EngineFact]
    public void The_tracer_sees_every_instruction()
    {
        using var machine = new BareProcessor();
        machine.Load(a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.inc(eax);
            a.jmp(top);
        });
        var seen = new List<ulong>();
        ((Execution.EngineLoop)machine.Engine).Tracer = processor => seen.Add(processor.State->Rip);
        machine.Run(6);
        seen.ShouldBe([0x10000, 0x10001, 0x10000, 0x10001, 0x10000, 0x10001]);
    }
}
