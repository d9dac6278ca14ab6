using Iced.Intel;
using Ringfence.Processors.Exits;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Tests.ExecutionTests;

/// <summary>Code that changes other than by a store to its own linear address: string moves, devices, loaders, a second linear address.</summary>
public sealed unsafe class CopiedCodeTests
{
    private const uint Routine = TestMachine.Code + 0x1000;
    private const uint Alias = SmallPages.Window;

    [EngineTheory]
    [InlineData(16)]
    [InlineData(32)]
    [InlineData(64)]
    public void A_routine_replaced_by_REP_MOVS_in_a_loop_is_the_one_copied_last(int bits)
    {
        using var machine = new TestMachine();
        uint code = machine.Enter(bits);
        uint segment = TestMachine.Code - code;
        uint even = code + 0x3000;
        uint routine = code + 0x1000;
        machine.Store(even + segment, 0xb3, 1, 0xc3, 0, 0, 0, 0, 0);        // mov bl, 1; ret
        machine.Store(even + segment + 8, 0xb3, 100, 0xc3, 0, 0, 0, 0, 0);  // mov bl, 100; ret
        ulong stack = machine.State->Gpr[Gpr.Rsp];
        machine.Assemble(bits, a =>
        {
            Label top = a.CreateLabel();
            a.cld();
            a.Label(ref top);
            a.mov(esi, edx);
            a.and(esi, 1);
            a.shl(esi, 3);
            a.add(esi, even);
            a.mov(edi, routine);
            a.mov(ecx, 8);
            a.rep.movsb();
            a.call(routine);
            a.movzx(ebx, bl);
            a.add(eax, ebx);
            a.dec(edx);
            a.jnz(top);
            a.hlt();
        }, @base: segment);
        machine.State->Gpr[Gpr.Rax] = 0;
        machine.State->Gpr[Gpr.Rdx] = 2000;
        ulong end = machine.InstructionStarts(bits, 14)[13] - segment + 1;
        machine.ShouldHalt(end, RflagsBits.Zf | RflagsBits.Pf, stack,
            (Gpr.Rax, 101_000), (Gpr.Rbx, 100), (Gpr.Rcx, 0), (Gpr.Rdx, 0), (Gpr.Rsi, even + 16), (Gpr.Rdi, routine + 8));
    }

    [EngineFact]
    public void A_REP_STOS_over_the_instructions_behind_it_leaves_only_what_it_stored()
    {
        using var machine = new TestMachine();
        machine.Enter(64);
        const uint Next = TestMachine.Code + 0x100;
        machine.Store(Next - 2, 0xf3, 0xaa);
        for (uint i = 0; i < 200; i++) machine.Store(Next + (i * 2), 0xfe, 0xc3);   // inc bl
        machine.Store(Next + 400, 0xf4);
        machine.State->Gpr[Gpr.Rdi] = Next;
        machine.State->Gpr[Gpr.Rax] = 0x90;
        machine.State->Gpr[Gpr.Rcx] = 400;
        machine.State->Rip = Next - 2;
        machine.ShouldHalt(Next + 401, 0, TestMachine.Stack, (Gpr.Rax, 0x90), (Gpr.Rcx, 0), (Gpr.Rdi, Next + 400));
    }

    [EngineFact]
    public void A_hot_loop_that_a_loader_rewrites_between_two_runs_is_the_new_one()
    {
        using var machine = new TestMachine();
        machine.Enter(64);
        machine.Assemble(64, Loop(7));
        machine.State->Gpr[Gpr.Rax] = 0;
        machine.State->Gpr[Gpr.Rcx] = 5000;
        machine.RunToHalt();
        machine.State->Gpr[Gpr.Rax].ShouldBe(35_000UL);
        machine.Assemble(64, Loop(9));
        machine.StartAt(TestMachine.Code);
        machine.State->Gpr[Gpr.Rcx] = 5000;
        machine.RunToHalt();
        machine.State->Gpr[Gpr.Rax].ShouldBe(80_000UL);
        machine.Assemble(64, a => { a.mov(bl, 3); a.hlt(); });
        machine.StartAt(TestMachine.Code);
        machine.ShouldHalt(TestMachine.Code + 3, RflagsBits.Zf | RflagsBits.Pf, TestMachine.Stack,
            (Gpr.Rax, 80_000), (Gpr.Rcx, 0), (Gpr.Rbx, (machine.SeedOf(Gpr.Rbx) & ~0xffUL) | 3));
    }

    [EngineFact]
    public void A_device_that_changes_the_loop_a_processor_spins_in_lets_it_out()
    {
        using var machine = new TestMachine();
        machine.Enter(64);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.mov(al, 1);
            a.inc(rbx);
            a.cmp(al, 1);
            a.je(top);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.RunWhile(() =>
        {
            Thread.Sleep(20);
            machine.Store(TestMachine.Code + 1, 2);
        }).ShouldBe(ExitReason.Halt);
        ((byte)machine.State->Gpr[Gpr.Rax]).ShouldBe((byte)2);
        machine.State->Gpr[Gpr.Rbx].ShouldBeGreaterThan(1UL);
        machine.State->Rip.ShouldBe(machine.InstructionStarts(64, 5)[4] + 1);
    }

    [EngineTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void Code_written_through_another_linear_address_of_its_page_is_the_new_one_after_a_serializing_instruction(bool runsAlias)
    {
        using var machine = new TestMachine();
        machine.EnterLongSmall();
        machine.Seed();
        machine.Map(Alias, Routine);
        machine.Store(Routine, 0xb8, 0, 0, 0, 0, 0xc3);
        uint executed = runsAlias ? Alias : Routine;
        uint written = (runsAlias ? Routine : Alias) + 1;
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.mov(esi, 1000);
            a.mov(edi, executed);
            a.Label(ref top);
            a.mov(__[written], esi);
            a.cpuid();
            a.call(rdi);
            a.add(r8, rax);
            a.dec(esi);
            a.jnz(top);
            a.hlt();
        });
        machine.State->Gpr[Gpr.R8] = 0;
        machine.RunToHalt();
        machine.State->Gpr[Gpr.R8].ShouldBe(500_500UL);
        machine.State->Gpr[Gpr.Rsp].ShouldBe(TestMachine.Stack);
    }

    [EngineFact]
    public void One_page_of_code_runs_at_two_linear_addresses_that_it_can_tell_apart()
    {
        using var machine = new TestMachine();
        machine.EnterLongSmall();
        machine.Seed();
        machine.Map(Alias, Routine);
        machine.Store(Routine, 0x48, 0x8d, 0x05, 0xf9, 0xff, 0xff, 0xff);   // lea rax, [rip - 7]
        machine.Assemble(64, a => { a.add(r8, rax); a.ret(); }, Routine + 7);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.mov(esi, 1000);
            a.Label(ref top);
            a.call(Routine);
            a.mov(edi, Alias);
            a.call(rdi);
            a.dec(esi);
            a.jnz(top);
            a.hlt();
        });
        machine.State->Gpr[Gpr.R8] = 0;
        machine.ShouldHalt(machine.InstructionStarts(64, 7)[6] + 1, RflagsBits.Zf | RflagsBits.Pf, TestMachine.Stack,
            (Gpr.Rax, Alias), (Gpr.R8, 1000UL * (Routine + Alias)), (Gpr.Rsi, 0), (Gpr.Rdi, Alias));
    }

    [EngineFact]
    public void A_call_written_at_one_linear_address_returns_behind_itself_at_the_other()
    {
        using var machine = new TestMachine();
        machine.EnterLongSmall();
        machine.Seed();
        machine.Map(Alias, Routine);
        // call +1; hlt; pop rax; hlt: the address pushed is that of the first HLT where it runs.
        machine.Store(Routine, 0xe8, 1, 0, 0, 0, 0xf4, 0x58, 0xf4);
        foreach (uint page in new[] { Routine, Alias, Routine, Alias })
        {
            machine.StartAt(page);
            machine.ShouldHalt(page + 8, 0, TestMachine.Stack, (Gpr.Rax, page + 5UL));
        }
    }

    [EngineFact]
    public void A_page_that_was_code_is_data_again_and_then_other_code()
    {
        using var machine = new TestMachine();
        machine.Enter(64);
        machine.Assemble(64, a =>
        {
            Label rounds = a.CreateLabel();
            Label fill = a.CreateLabel();
            a.mov(edx, 50);
            a.Label(ref rounds);
            a.mov(edi, Routine);
            a.mov(ecx, 511);
            a.mov(rax, 0x9090909090909090UL);
            a.rep.stosq();
            a.mov(rax, 0xc390909090c3fe90UL);                // nop; inc bl; nop (4); ret
            a.stosq();
            a.call(Routine);
            a.mov(edi, Routine);
            a.mov(ecx, 512);
            a.Label(ref fill);
            a.mov(__[rdi + (rcx * 8) - 8], rcx);
            a.add(r8, __[rdi + (rcx * 8) - 8]);
            a.dec(ecx);
            a.jnz(fill);
            a.dec(edx);
            a.jnz(rounds);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rbx] = machine.State->Gpr[Gpr.R8] = 0;
        machine.ShouldHalt(machine.InstructionStarts(64, 17)[16] + 1, RflagsBits.Zf | RflagsBits.Pf, TestMachine.Stack,
            (Gpr.Rax, 0xc390909090c3fe90UL), (Gpr.Rbx, 50), (Gpr.Rcx, 0), (Gpr.Rdx, 0), (Gpr.Rdi, Routine), (Gpr.R8, 50 * 512 * 513 / 2));
    }

    private static Action<Assembler> Loop(int step) => a =>
    {
        Label top = a.CreateLabel();
        a.Label(ref top);
        a.add(eax, step);
        a.dec(ecx);
        a.jnz(top);
        a.hlt();
    };
}
