using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Processors.Exits;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Tests.ExecutionTests;

/// <summary>Where a waiting interrupt is taken when IF changes: not one instruction earlier or later (Intel SDM 3A 6.8.1, 6.8.3).</summary>
public sealed unsafe class InterruptWindowTests
{
    private const int Vector = 0x61;

    [EngineFact]
    public void STI_lets_one_more_instruction_pass()
    {
        using TestMachine machine = Make(a =>
        {
            a.inc(ebx);
            a.sti();
            a.inc(ebx);
            a.inc(ebx);
            a.hlt();
        });
        ShouldInterrupt(machine, 3, (Gpr.Rbx, 2));
    }

    [EngineFact]
    public void STI_and_CLI_in_a_loop_never_open_a_window()
    {
        using TestMachine machine = Make(a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.sti();
            a.cli();
            a.inc(ebx);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        });
        machine.RunToHalt().ShouldBe(ExitReason.Halt);
        machine.State->Rip.ShouldBe(machine.InstructionStarts(64, 7)[6]);
        machine.State->Gpr[Gpr.Rbx].ShouldBe(1000UL);
        machine.Bus.Interrupts.Count.ShouldBe(1);
    }

    [EngineFact]
    public void The_window_of_STI_in_a_hot_loop_opens_behind_the_jump_that_follows_it()
    {
        using TestMachine machine = Make(a =>
        {
            Label top = a.CreateLabel();
            Label next = a.CreateLabel();
            a.Label(ref top);
            a.dec(ecx);
            a.jnz(top);
            a.sti();
            a.jmp(next);
            a.nop();
            a.Label(ref next);
            a.inc(ebx);
            a.hlt();
        });
        ShouldInterrupt(machine, 5, (Gpr.Rbx, 0));
    }

    [EngineFact]
    public void STI_and_HLT_wake_behind_the_HLT()
    {
        using TestMachine machine = Make(a =>
        {
            a.sti();
            a.hlt();
            a.inc(ebx);
            a.hlt();
        });
        ShouldInterrupt(machine, 2, (Gpr.Rbx, 0));
        machine.Resume();
        machine.RunToHalt().ShouldBe(ExitReason.Halt);
        machine.State->Rip.ShouldBe(machine.InstructionStarts(64, 5)[4]);
        machine.State->Gpr[Gpr.Rbx].ShouldBe(1UL);
    }

    [EngineFact]
    public void POPF_that_sets_IF_opens_the_window_at_once()
    {
        using TestMachine machine = Make(a =>
        {
            a.push(0x203);
            a.inc(ebx);
            a.popfq();
            a.inc(ebx);
            a.hlt();
        });
        ShouldInterrupt(machine, 3, (Gpr.Rbx, 1));
        machine.Frame(Vector).Rflags.ShouldBe(0x203UL);
    }

    [EngineFact]
    public void IRET_that_sets_IF_opens_the_window_where_it_returns_to()
    {
        using TestMachine machine = Make(a =>
        {
            Label target = a.CreateLabel();
            a.lea(rax, __[target]);
            a.push(TestMachine.Data0);
            a.push(rsp);
            a.push(0x202);
            a.push(TestMachine.LongCode0);
            a.push(rax);
            a.iretq();
            a.hlt();
            a.Label(ref target);
            a.inc(ebx);
            a.hlt();
        });
        machine.RunToVector().ShouldBe(Vector);
        machine.Frame(Vector).Rip.ShouldBe(machine.InstructionStarts(64, 9)[8]);
        machine.State->Gpr[Gpr.Rbx].ShouldBe(0UL);
    }

    [EngineFact]
    public void An_interrupt_waiting_through_a_handler_comes_when_its_IRET_restores_IF()
    {
        using TestMachine machine = Make(a =>
        {
            a.sti();
            a.nop();
            a.inc(ebx);
            a.hlt();
        });
        machine.Bus.Interrupts.Enqueue(Vector + 1);
        ShouldInterrupt(machine, 2, (Gpr.Rbx, 0));
        machine.Resume();
        machine.RunToVector().ShouldBe(Vector + 1);
        machine.Frame(Vector + 1).Rip.ShouldBe(machine.InstructionStarts(64, 3)[2]);
        machine.State->Gpr[Gpr.Rbx].ShouldBe(0UL);
        machine.Resume();
        machine.RunToHalt();
        machine.State->Gpr[Gpr.Rbx].ShouldBe(1UL);
    }

    [EngineFact]
    public void An_interrupt_that_a_port_access_raises_with_IF_clear_waits_for_STI()
    {
        using TestMachine machine = Make(a =>
        {
            a.@in(al, 0x80);
            a.inc(ebx);
            a.inc(ebx);
            a.sti();
            a.inc(ebx);
            a.inc(ebx);
            a.hlt();
        }, waiting: false);
        machine.Bus.PortValue = _ =>
        {
            machine.Bus.Interrupts.Enqueue(Vector);
            machine.Processor.Post(ProcessorEvents.Interrupt);
            return 0;
        };
        machine.RunToVector().ShouldBe(Vector);
        machine.Frame(Vector).Rip.ShouldBe(machine.InstructionStarts(64, 6)[5]);
        machine.State->Gpr[Gpr.Rbx].ShouldBe(3UL);
    }

    [EngineFact]
    public void A_critical_section_between_CLI_and_STI_is_never_seen_half_done()
    {
        const uint First = TestMachine.Data, Second = TestMachine.Data + 0x1000;
        using TestMachine machine = Make(a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.cli();
            a.inc(__qword_ptr[First]);
            a.mov(rbx, __[First]);
            a.mov(__[Second], rbx);
            a.sti();
            a.nop();
            a.jmp(top);
        }, waiting: false);
        machine.State->Rflags |= RflagsBits.If;
        ulong[] starts = machine.InstructionStarts(64, 7);
        for (int i = 0; i < 30; i++)
        {
            machine.RunWhile(() =>
            {
                Thread.Sleep(1);
                machine.Bus.Interrupts.Enqueue(Vector);
                machine.Processor.Post(ProcessorEvents.Interrupt);
            }).ShouldBe(ExitReason.Halt);
            int at = Array.IndexOf(starts, machine.Frame(Vector).Rip);
            (at is 0 or 6).ShouldBeTrue($"interrupted before instruction {at}");
            machine.Read64(First).ShouldBe(machine.Read64(Second));
            machine.Resume();
        }
    }

    [EngineFact]
    public void A_loop_that_waits_with_IF_clear_takes_the_interrupt_only_when_it_has_been_let_out()
    {
        using TestMachine machine = Make(a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.cmp(__dword_ptr[TestMachine.Data], 0);
            a.je(top);
            a.sti();
            a.inc(ebx);
            a.inc(ebx);
            a.hlt();
        });
        machine.RunWhile(() =>
        {
            Thread.Sleep(20);
            machine.Bus.Interrupts.Count.ShouldBe(1);
            machine.Write32(TestMachine.Data, 1);
        }).ShouldBe(ExitReason.Halt);
        machine.State->Rip.ShouldBe(TestMachine.Handler(Vector) + 1UL);
        machine.Frame(Vector).Rip.ShouldBe(machine.InstructionStarts(64, 5)[4]);
        machine.State->Gpr[Gpr.Rbx].ShouldBe(1UL);
    }

    [EngineFact]
    public void A_fault_of_the_instruction_behind_STI_comes_before_the_waiting_interrupt_which_waits_for_IF()
    {
        using TestMachine machine = Make(a =>
        {
            a.sti();
            a.mov(eax, __[rdi]);
            a.inc(ebx);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rdi] = FaultingInstruction.NonCanonical;
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0U));
        ExceptionFrame frame = machine.Frame(13);
        frame.Rip.ShouldBe(machine.InstructionStarts(64, 2)[1]);
        (frame.Rflags & RflagsBits.If).ShouldBe(RflagsBits.If);
        machine.State->Gpr[Gpr.Rdi] = TestMachine.Data;
        machine.Resume();
        machine.RunToVector().ShouldBe(Vector);
        // IRET has restored IF and inhibits nothing: the interrupt comes before the instruction is tried again.
        machine.Frame(Vector).Rip.ShouldBe(machine.InstructionStarts(64, 2)[1]);
        machine.State->Gpr[Gpr.Rbx].ShouldBe(0UL);
    }

    [EngineFact]
    public void A_REP_STOS_that_begins_with_an_interrupt_waiting_is_interrupted_between_two_elements()
    {
        using TestMachine machine = Make(a =>
        {
            a.@in(al, 0x80);
            a.rep.stosb();
            a.hlt();
        }, waiting: false);
        machine.Bus.PortValue = _ =>
        {
            machine.Bus.Interrupts.Enqueue(Vector);
            machine.Processor.Post(ProcessorEvents.Interrupt);
            return 0xee;
        };
        machine.State->Rflags |= RflagsBits.If;
        machine.State->Gpr[Gpr.Rdi] = 0x200000;
        machine.State->Gpr[Gpr.Rcx] = 0x18_0000;
        machine.RunToVector().ShouldBe(Vector);
        machine.Frame(Vector).Rip.ShouldBe(TestMachine.Code + 2UL);
        ulong left = machine.State->Gpr[Gpr.Rcx];
        left.ShouldBeGreaterThan(0UL);
        machine.State->Gpr[Gpr.Rdi].ShouldBe(0x38_0000 - left);
        machine.Read8(0x38_0000 - left).ShouldBe((byte)0);
        if (left < 0x18_0000) machine.Read8(0x38_0000 - left - 1).ShouldBe((byte)0xee);
        machine.Resume();
        machine.RunToHalt().ShouldBe(ExitReason.Halt);
        machine.State->Rip.ShouldBe(TestMachine.Code + 5UL);
        machine.State->Gpr[Gpr.Rcx].ShouldBe(0UL);
        machine.Read8(0x37_ffff).ShouldBe((byte)0xee);
        machine.Read8(0x38_0000).ShouldBe((byte)0);
    }

    private static TestMachine Make(Action<Assembler> program, bool waiting = true)
    {
        var machine = new TestMachine();
        machine.EnterLong();
        machine.UseInterruptStack();
        machine.MakeHandlersReturn();
        machine.Seed();
        machine.Assemble(64, program);
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 1000;
        if (!waiting) return machine;
        machine.Bus.Interrupts.Enqueue(Vector);
        machine.Processor.Post(ProcessorEvents.Interrupt);
        return machine;
    }

    private static void ShouldInterrupt(TestMachine machine, int instruction, (int Register, ulong Value) register)
    {
        machine.RunToVector().ShouldBe(Vector);
        ExceptionFrame frame = machine.Frame(Vector);
        frame.Rip.ShouldBe(machine.InstructionStarts(64, instruction + 1)[instruction]);
        (frame.Rflags & RflagsBits.If).ShouldBe(RflagsBits.If);
        frame.Rsp.ShouldBe(TestMachine.Stack);
        machine.State->Gpr[register.Register].ShouldBe(register.Value);
    }
}
