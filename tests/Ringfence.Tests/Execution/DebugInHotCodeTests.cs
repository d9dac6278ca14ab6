using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Processors.Exits;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Tests.ExecutionTests;

/// <summary>Single step and breakpoints switched on while code is hot, and off again (Intel SDM 3B 17.2, 17.3).</summary>
public sealed unsafe class DebugInHotCodeTests
{
    private const uint Handler = TestMachine.UserCode;
    private const uint Log = 0x20_0000;
    private const uint Variable = TestMachine.Data + 0x40;
    private const ulong Step = 1 << 14;

    [EngineFact]
    public void A_trap_flag_set_in_a_hot_loop_traps_behind_each_instruction_until_it_is_cleared()
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.inc(ebx);
            a.add(edx, 3);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        });
        Start(machine, 2000);
        machine.RunToHalt();
        ulong[] starts = machine.InstructionStarts(64, 6);
        machine.StartAt(TestMachine.Code);
        machine.State->Gpr[Gpr.Rcx] = 2;
        machine.State->Rflags |= RflagsBits.Tf;
        machine.Processor.RefreshMode();
        int[] order = [1, 2, 3, 0, 1, 2, 3, 4];
        foreach (int next in order)
        {
            machine.RunToVector().ShouldBe(1);
            ExceptionFrame frame = machine.Frame(1);
            frame.Rip.ShouldBe(starts[next]);
            (frame.Rflags & (RflagsBits.Tf | RflagsBits.Rf)).ShouldBe(RflagsBits.Tf);
            (machine.State->Dr6 & 0xe00f).ShouldBe(Step);
            machine.State->Dr6 = 0xffff_0ff0;
            machine.Resume();
        }

        machine.State->Gpr[Gpr.Rbx].ShouldBe(2002UL);
        machine.State->Gpr[Gpr.Rdx].ShouldBe(6006UL);
    }

    [EngineFact]
    public void POPF_that_sets_the_trap_flag_traps_behind_the_next_instruction_in_hot_code_each_time()
    {
        using TestMachine machine = Make();
        CountTraps(machine);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.pushfq();
            a.or(__dword_ptr[rsp], (uint)RflagsBits.Tf);
            a.popfq();
            a.inc(ebx);                                     // the handler clears TF in its frame
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        });
        Start(machine, 300);
        machine.RunToHalt();
        machine.State->Rip.ShouldBe(machine.InstructionStarts(64, 8)[7]);
        machine.State->Gpr[Gpr.Rbx].ShouldBe(300UL);
        machine.Read64(Log).ShouldBe(300UL);
        ulong after = machine.InstructionStarts(64, 5)[4];
        for (uint i = 0; i < 300; i++) machine.Read64(Log + 8 + (i * 8)).ShouldBe(after);
    }

    [EngineFact]
    public void A_code_breakpoint_in_a_hot_loop_stops_before_its_instruction_each_time_and_RF_set_by_the_handler_lets_it_pass()
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.inc(ebx);
            a.add(edx, ebx);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        });
        Start(machine, 1000);
        machine.RunToHalt();
        ulong[] starts = machine.InstructionStarts(64, 6);
        ulong sum = machine.State->Gpr[Gpr.Rdx];
        machine.StartAt(TestMachine.Code);
        machine.State->Gpr[Gpr.Rcx] = 5;
        machine.State->DebugAddress[2] = starts[1];
        machine.State->Dr7 = 0x400 | (1 << 4);
        machine.Processor.RefreshMode();
        for (uint i = 1; i <= 5; i++)
        {
            machine.RunToVector().ShouldBe(1);
            ExceptionFrame frame = machine.Frame(1);
            frame.Rip.ShouldBe(starts[1]);
            (frame.Rflags & RflagsBits.Rf).ShouldBe(0UL, "RF is pushed as it is (Intel SDM 3B 17.3.1.1)");
            machine.Write64((uint)machine.State->Gpr[Gpr.Rsp] + 16, frame.Rflags | RflagsBits.Rf);
            (machine.State->Dr6 & 0xe00f).ShouldBe(4UL);
            machine.State->Gpr[Gpr.Rbx].ShouldBe(1000UL + i);
            machine.State->Gpr[Gpr.Rdx].ShouldBe(sum);
            sum += 1000 + i;
            machine.State->Dr6 = 0xffff_0ff0;
            machine.Resume();
        }

        machine.RunToHalt().ShouldBe(ExitReason.Halt);
        machine.State->Rip.ShouldBe(starts[5]);
        machine.State->Gpr[Gpr.Rdx].ShouldBe(sum);
    }

    [EngineFact]
    public void A_code_breakpoint_that_the_guest_sets_and_clears_between_rounds_of_a_loop_counts_in_between()
    {
        using TestMachine machine = Make();
        CountTraps(machine);
        machine.Assemble(64, a =>
        {
            Label rounds = a.CreateLabel();
            Label top = a.CreateLabel();
            Label target = a.CreateLabel();
            a.Label(ref rounds);
            a.mov(ecx, 100);
            a.Label(ref top);
            a.inc(ebx);
            a.Label(ref target);
            a.inc(edx);
            a.dec(ecx);
            a.jnz(top);
            a.lea(rax, __[target]);
            a.mov(dr1, rax);
            a.mov(rax, rsi);
            a.mov(dr7, rax);
            a.xor(esi, 4 | 8);
            a.dec(edi);
            a.jnz(rounds);
            a.hlt();
        });
        Start(machine, 0);
        machine.State->Gpr[Gpr.Rdi] = 6;
        machine.State->Gpr[Gpr.Rsi] = 0x400 | 4;
        machine.RunToHalt();
        machine.State->Gpr[Gpr.Rbx].ShouldBe(600UL);
        machine.State->Gpr[Gpr.Rdx].ShouldBe(600UL);
        // DR7 is 404h (L1), 408h (G1): both enable it from the second round on.
        machine.Read64(Log).ShouldBe(500UL);
        machine.Read64(Log + 8).ShouldBe(machine.InstructionStarts(64, 3)[2]);
    }

    [EngineTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_data_breakpoint_on_a_hot_loops_variable_traps_behind_each_access_that_it_watches(bool reads)
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.mov(eax, __[Variable]);
            a.add(eax, 5);
            a.mov(__[Variable], eax);
            a.inc(__dword_ptr[Variable + 8]);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        });
        Start(machine, 1000);
        machine.RunToHalt();
        machine.Read32(Variable).ShouldBe(5000U);
        ulong[] starts = machine.InstructionStarts(64, 8);
        machine.StartAt(TestMachine.Code);
        machine.State->Gpr[Gpr.Rcx] = 3;
        machine.State->DebugAddress[0] = Variable;
        machine.State->Dr7 = 0x400 | 2 | ((reads ? 3UL : 1UL) << 16) | (3UL << 18);
        machine.Processor.RefreshMode();
        for (uint i = 1; i <= 3; i++)
        {
            foreach (int at in reads ? new[] { 1, 3 } : [3])
            {
                machine.RunToVector().ShouldBe(1);
                ExceptionFrame frame = machine.Frame(1);
                frame.Rip.ShouldBe(starts[at]);
                (frame.Rflags & RflagsBits.Rf).ShouldBe(0UL);
                (machine.State->Dr6 & 0xe00f).ShouldBe(1UL);
                machine.Read32(Variable).ShouldBe(5000 + (5 * (at == 3 ? i : i - 1)));
                machine.State->Dr6 = 0xffff_0ff0;
                machine.Resume();
            }
        }

        machine.RunToHalt().ShouldBe(ExitReason.Halt);
        machine.State->Rip.ShouldBe(starts[7]);
        machine.Read32(Variable + 8).ShouldBe(1003U);

        // And switched off, the loop runs as before.
        machine.State->Dr7 = 0x400;
        machine.Processor.RefreshMode();
        machine.StartAt(TestMachine.Code);
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.RunToHalt().ShouldBe(ExitReason.Halt);
        machine.Read32(Variable).ShouldBe(10_015U);
    }

    [EngineFact]
    public void A_repeated_instruction_is_stepped_element_by_element()
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a =>
        {
            a.rep.stosb();
            a.nop();
        });
        machine.State->Gpr[Gpr.Rdi] = TestMachine.Data;
        machine.State->Gpr[Gpr.Rcx] = 4;
        machine.State->Rflags |= RflagsBits.Tf;
        machine.Processor.RefreshMode();
        for (uint i = 1; i <= 4; i++)
        {
            machine.RunToVector().ShouldBe(1);
            machine.Frame(1).Rip.ShouldBe(i < 4 ? TestMachine.Code : TestMachine.Code + 2UL);
            machine.State->Gpr[Gpr.Rcx].ShouldBe(4UL - i);
            machine.State->Gpr[Gpr.Rdi].ShouldBe(TestMachine.Data + i);
            machine.Resume();
        }
    }

    [EngineFact]
    public void The_same_instruction_at_the_same_offset_of_two_segments_is_stepped_right_in_each()
    {
        using var machine = new TestMachine();
        machine.Enter(16);
        foreach (uint @base in new[] { TestMachine.Code, TestMachine.Code + 0x1230, TestMachine.Code, TestMachine.Code + 0x230 })
        {
            machine.Store(@base, 0xb8, 1, 0, 0x40, 0xf4);              // mov ax, 1; inc ax; hlt
            machine.Load(SegmentIndex.Cs, (ushort)(@base >> 4), @base, 0xffff, 0x9b);
            machine.StartAt(0);
            machine.State->Gpr[Gpr.Rsp] = 0x8000;
            machine.State->Rflags = RflagsBits.AlwaysOne | RflagsBits.Tf;
            machine.Processor.RefreshMode();
            foreach (uint next in new[] { 3U, 4U })
            {
                machine.RunToVector().ShouldBe(1);
                machine.Frame(1).Rip.ShouldBe(next);
                machine.Frame(1).Cs.ShouldBe((ushort)(@base >> 4));
                machine.Resume();
            }

            ((ushort)machine.State->Gpr[Gpr.Rax]).ShouldBe((ushort)2);
        }
    }

    [EngineFact]
    public void A_fault_of_a_stepped_instruction_is_no_trap_and_its_frame_has_TF()
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a =>
        {
            a.add(ebx, 1);
            a.mov(eax, __[rdi]);
            a.nop();
        });
        Start(machine, 0);
        machine.State->Gpr[Gpr.Rdi] = FaultingInstruction.NonCanonical;
        machine.State->Rflags = RflagsBits.AlwaysOne | RflagsBits.Tf;
        machine.Processor.RefreshMode();
        machine.RunToVector().ShouldBe(1);
        machine.Resume();
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0U));
        ExceptionFrame frame = machine.Frame(13);
        frame.Rip.ShouldBe(machine.InstructionStarts(64, 2)[1]);
        frame.Rflags.ShouldBe(RflagsBits.AlwaysOne | RflagsBits.Tf | RflagsBits.Rf);
        machine.State->Gpr[Gpr.Rdi] = TestMachine.Data;
        machine.Resume();
        machine.RunToVector().ShouldBe(1);
        machine.Frame(1).Rip.ShouldBe(machine.InstructionStarts(64, 3)[2]);
    }

    private static TestMachine Make()
    {
        var machine = new TestMachine();
        machine.EnterLong();
        machine.UseInterruptStack();
        machine.MakeHandlersReturn();
        machine.Seed();
        machine.State->Dr6 = 0xffff_0ff0;
        return machine;
    }

    private static void Start(TestMachine machine, ulong rcx)
    {
        machine.State->Gpr[Gpr.Rbx] = machine.State->Gpr[Gpr.Rdx] = 0;
        machine.State->Gpr[Gpr.Rcx] = rcx;
    }

    /// <summary>A #DB handler in the guest: logs the return address, clears TF and sets RF in its frame.</summary>
    private static void CountTraps(TestMachine machine)
    {
        machine.SetGate(1, TestMachine.Gate(TestMachine.LongCode0, Handler, 0x8e, parameters: 1));
        machine.Assemble(64, a =>
        {
            a.push(rax);
            a.push(rcx);
            a.mov(rax, __[rsp + 16]);
            a.mov(rcx, __[Log]);
            a.mov(__[(rcx * 8) + Log + 8], rax);
            a.inc(__qword_ptr[Log]);
            a.and(__dword_ptr[rsp + 32], ~(int)RflagsBits.Tf);
            a.or(__dword_ptr[rsp + 32], (int)RflagsBits.Rf);
            a.pop(rcx);
            a.pop(rax);
            a.iretq();
        }, Handler);
    }
}
