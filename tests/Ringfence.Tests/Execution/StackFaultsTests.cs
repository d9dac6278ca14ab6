using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Tests.ExecutionTests;

/// <summary>Instructions that use the stack and fault leave RSP and everything else as it was, and complete when they are executed again.</summary>
public sealed unsafe class StackFaultsTests
{
    private const uint Page = SmallPages.Window + 0x1000;
    private const uint Frame = 0x200000;
    private const uint Target = TestMachine.Code + 0x800;

    private static readonly Dictionary<string, (Action<Assembler> Emit, int Pushed, ulong Value)> Pushes = new()
    {
        ["push rax"] = (a => a.push(rax), 8, 0xaaaa_bbbb_cccc_ddddUL),
        ["push r15"] = (a => a.push(r15), 8, 0x1515_1515_1515_1515UL),
        ["push rsp"] = (a => a.push(rsp), 8, Page),
        ["push 16"] = (a => a.push(ax), 2, 0xddddUL),
        ["push immediate"] = (a => a.push(-2), 8, ulong.MaxValue - 1),
        ["push memory"] = (a => a.push(__qword_ptr[TestMachine.Data]), 8, Target),
        ["pushfq"] = (a => a.pushfq(), 8, RflagsBits.AlwaysOne | RflagsBits.Cf),
        ["call"] = (a => a.call(Target), 8, 0),
        ["call register"] = (a => a.call(rbx), 8, 0),
        ["call memory"] = (a => a.call(__qword_ptr[TestMachine.Data]), 8, 0),
        ["enter"] = (a => a.enter(0x20, 0), 8, 0x0b0b_0b0b_0b0b_0b0bUL),
    };

    private static readonly Dictionary<string, (Action<Assembler> Emit, ulong Popped)> Pops = new()
    {
        ["pop rax"] = (a => a.pop(rax), 8),
        ["pop r15"] = (a => a.pop(r15), 8),
        ["pop rsp"] = (a => a.pop(rsp), 0),
        ["pop 16"] = (a => a.pop(ax), 2),
        ["pop memory"] = (a => a.pop(__qword_ptr[TestMachine.Data]), 8),
        ["popfq"] = (a => a.popfq(), 8),
        ["ret"] = (a => a.ret(), 8),
        ["ret 32"] = (a => a.ret(32), 40),
    };

    public static TheoryData<string> PushNames => new(Pushes.Keys);

    public static TheoryData<string> PopNames => new(Pops.Keys);

    [EngineTheory]
    [MemberData(nameof(PushNames))]
    public void A_push_to_a_missing_page_leaves_RSP_and_is_complete_when_the_page_is_there(string name)
    {
        (Action<Assembler> emit, int pushed, ulong value) = Pushes[name];
        using TestMachine machine = Make();
        machine.Assemble(64, a =>
        {
            a.inc(rdx);
            a.stc();
            emit(a);
            a.hlt();
        });
        ulong[] starts = machine.InstructionStarts(64, 4);
        (int, ulong)[] registers =
            [(Gpr.Rax, 0xaaaa_bbbb_cccc_ddddUL), (Gpr.Rdx, 4), (Gpr.Rbx, Target), (Gpr.R15, 0x1515_1515_1515_1515UL), (Gpr.Rbp, 0x0b0b_0b0b_0b0b_0b0bUL)];
        machine.State->Gpr[Gpr.Rsp] = Page;
        machine.ShouldFault(ExceptionVector.PageFault, 2, starts[2], RflagsBits.Cf, Page, registers);
        machine.State->Cr2.ShouldBe(Page - (ulong)pushed);
        machine.Map(Page - 0x1000, Frame);
        machine.Resume();
        bool enters = name == "enter";
        bool calls = name.StartsWith("call", StringComparison.Ordinal);
        if (enters) registers[4] = (Gpr.Rbp, Page - 8);
        machine.ShouldHalt(calls ? Target + 1 : starts[3] + 1, RflagsBits.Cf, Page - (ulong)pushed - (enters ? 0x20UL : 0), registers);
        ulong expected = calls ? starts[3] : value;
        ulong mask = pushed == 2 ? 0xffffUL : ulong.MaxValue;
        (machine.Read64(Frame + 0x1000 - (ulong)pushed) & mask).ShouldBe(expected);
    }

    [EngineTheory]
    [MemberData(nameof(PopNames))]
    public void A_pop_from_a_missing_page_leaves_RSP_and_is_complete_when_the_page_is_there(string name)
    {
        (Action<Assembler> emit, ulong popped) = Pops[name];
        using TestMachine machine = Make();
        machine.Assemble(64, a =>
        {
            a.inc(rdx);
            a.stc();
            emit(a);
            a.hlt();
        });
        ulong[] starts = machine.InstructionStarts(64, 4);
        (int, ulong)[] registers =
            [(Gpr.Rax, 0xaaaa_bbbb_cccc_ddddUL), (Gpr.Rdx, 4), (Gpr.Rbx, Target), (Gpr.R15, 0x1515_1515_1515_1515UL), (Gpr.Rbp, 0x0b0b_0b0b_0b0b_0b0bUL)];
        machine.State->Gpr[Gpr.Rsp] = Page;
        machine.ShouldFault(ExceptionVector.PageFault, 0, starts[2], RflagsBits.Cf, Page, registers);
        machine.State->Cr2.ShouldBe(Page);
        machine.Write64(Frame, name == "popfq" ? RflagsBits.Zf | RflagsBits.Of : Target);
        machine.Map(Page, Frame);
        machine.Resume();
        bool returns = name.StartsWith("ret", StringComparison.Ordinal);
        ulong flags = name == "popfq" ? RflagsBits.Zf | RflagsBits.Of : RflagsBits.Cf;
        if (name == "pop rax") registers[0] = (Gpr.Rax, Target);
        if (name == "pop 16") registers[0] = (Gpr.Rax, 0xaaaa_bbbb_cccc_0000UL | (Target & 0xffff));
        if (name == "pop r15") registers[3] = (Gpr.R15, Target);
        machine.ShouldHalt(returns ? Target + 1 : starts[3] + 1, flags, name == "pop rsp" ? Target : Page + popped, registers);
    }

    [EngineFact]
    public void LEAVE_with_RBP_in_a_missing_page_changes_neither_RSP_nor_RBP()
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a => { a.inc(rdx); a.leave(); a.hlt(); });
        machine.State->Gpr[Gpr.Rbp] = Page;
        machine.ShouldFault(ExceptionVector.PageFault, 0, machine.InstructionStarts(64, 2)[1], 0, TestMachine.Stack,
            (Gpr.Rax, 0xaaaa_bbbb_cccc_ddddUL), (Gpr.Rdx, 4), (Gpr.Rbx, Target), (Gpr.R15, 0x1515_1515_1515_1515UL), (Gpr.Rbp, Page));
    }

    [EngineFact]
    public void A_row_of_pushes_into_a_missing_page_faults_at_the_first_that_reaches_it()
    {
        using TestMachine machine = Make();
        machine.Map(Page, Frame + 0x1000);
        machine.Assemble(64, a =>
        {
            for (int i = 0; i < 8; i++)
            {
                a.push(rax);
                a.add(rax, 1);
            }

            a.hlt();
        });
        machine.State->Gpr[Gpr.Rax] = 0x100;
        machine.State->Gpr[Gpr.Rsp] = Page + 32;
        machine.ShouldFault(ExceptionVector.PageFault, 2, machine.InstructionStarts(64, 9)[8], 0, Page,
            (Gpr.Rax, 0x104), (Gpr.Rdx, 3), (Gpr.Rbx, Target), (Gpr.R15, 0x1515_1515_1515_1515UL), (Gpr.Rbp, 0x0b0b_0b0b_0b0b_0b0bUL));
        for (uint i = 0; i < 4; i++) machine.Read64(Frame + 0x1000 + 24 - (i * 8)).ShouldBe(0x100UL + i);
        machine.Map(Page - 0x1000, Frame);
        machine.Resume();
        machine.ShouldHalt(machine.InstructionStarts(64, 17)[16] + 1, 0, Page - 32,
            (Gpr.Rax, 0x108), (Gpr.Rdx, 3), (Gpr.Rbx, Target), (Gpr.R15, 0x1515_1515_1515_1515UL), (Gpr.Rbp, 0x0b0b_0b0b_0b0b_0b0bUL));
        for (uint i = 4; i < 8; i++) machine.Read64(Frame + 0x1000 + 24 - (i * 8)).ShouldBe(0x100UL + i);
    }

    [EngineFact]
    public void A_row_of_pops_with_a_fault_between_them_has_RSP_exact_at_each()
    {
        using TestMachine machine = Make();
        machine.Map(Page, Frame);
        for (uint i = 0; i < 3; i++) machine.Write64(Frame + 0xfe8 + (i * 8), 0x1000 + i);
        machine.Assemble(64, a =>
        {
            a.pop(r8);
            a.pop(r9);
            a.mov(r10, __[rsp + 0x10]);
            a.pop(r11);
            a.pop(r12);
            a.pop(r13);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rsp] = Page + 0xfe8;
        ulong[] starts = machine.InstructionStarts(64, 7);
        (int, ulong)[] registers =
        [
            (Gpr.Rax, 0xaaaa_bbbb_cccc_ddddUL), (Gpr.Rdx, 3), (Gpr.Rbx, Target), (Gpr.R15, 0x1515_1515_1515_1515UL),
            (Gpr.Rbp, 0x0b0b_0b0b_0b0b_0b0bUL), (Gpr.R8, 0x1000), (Gpr.R9, 0x1001),
        ];
        machine.ShouldFault(ExceptionVector.PageFault, 0, starts[2], 0, Page + 0xff8, registers);
        machine.State->Cr2.ShouldBe(Page + 0x1008UL);
        machine.Assemble(64, a => { a.nop(); a.nop(); a.nop(); a.nop(); a.nop(); }, (uint)starts[2]);
        machine.Resume();
        machine.ShouldFault(ExceptionVector.PageFault, 0, starts[4], 0, Page + 0x1000, [.. registers, (Gpr.R11, 0x1002)]);
        machine.State->Cr2.ShouldBe(Page + 0x1000UL);
    }

    [EngineTheory]
    [InlineData(true)]
    [InlineData(false)]
    public void PUSHA_and_POPA_that_reach_a_missing_page_leave_every_register(bool push)
    {
        using var machine = new TestMachine();
        machine.EnterProtectedSmall();
        machine.EnterUser();
        machine.Seed();
        machine.Assemble(32, a =>
        {
            a.inc(edx);
            if (push) a.pushad();
            else a.popad();
        });
        machine.State->Gpr[Gpr.Rdx] = 9;
        uint stack = push ? Page + 16 : Page - 16;
        machine.Map32(Page - (push ? 0U : 0x1000U), Frame);
        machine.State->Gpr[Gpr.Rsp] = stack;
        machine.ShouldFault(ExceptionVector.PageFault, push ? 6U : 4U, TestMachine.Code + 1, RflagsBits.Pf, stack, (Gpr.Rdx, 10));
        machine.State->Cr2.ShouldBe(push ? Page - 4UL : Page);
    }

    [EngineTheory]
    [InlineData(16)]
    [InlineData(32)]
    public void A_push_and_a_pop_beyond_the_stack_segments_limit_are_SS_and_leave_the_stack_pointer(int bits)
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.EnterUser();
        machine.Seed();
        machine.Load(SegmentIndex.Ss, TestMachine.Data3, 0x20000, 0x1fff, 0x40f3);
        if (bits == 16)
        {
            machine.Load(SegmentIndex.Cs, TestMachine.Code3, TestMachine.Code, 0xffff, 0x00fb);
            machine.State->Rip = 0;
        }

        machine.Processor.RefreshMode();
        machine.Assemble(bits, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.pop(ecx);
            a.inc(edx);
            a.jmp(top);
        });
        machine.State->Gpr[Gpr.Rsp] = 0x1f00;
        machine.State->Gpr[Gpr.Rdx] = 0;
        machine.ShouldFault(ExceptionVector.StackFault, 0, bits == 16 ? 0 : TestMachine.Code, RflagsBits.Af, 0x2000, (Gpr.Rdx, 64), (Gpr.Rcx, 0));
        machine.EnterUser();
        machine.Seed();
        machine.Load(SegmentIndex.Ss, TestMachine.Data3, 0x20000, 0x1fff, 0x40f3);
        machine.Processor.RefreshMode();
        machine.Assemble(32, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.push(ecx);
            a.inc(edx);
            a.jmp(top);
        });
        machine.StartAt(TestMachine.Code);
        machine.State->Gpr[Gpr.Rsp] = 0x100;
        machine.State->Gpr[Gpr.Rdx] = 0;
        machine.ShouldFault(ExceptionVector.StackFault, 0, TestMachine.Code, RflagsBits.Af, 0, (Gpr.Rdx, 64));
    }

    private static TestMachine Make()
    {
        var machine = new TestMachine();
        machine.EnterLongSmall();
        machine.UseInterruptStack();
        machine.MakeHandlersReturn();
        machine.Seed();
        machine.Store(Target, 0xf4);
        machine.Write64(TestMachine.Data, Target);
        machine.State->Gpr[Gpr.Rax] = 0xaaaa_bbbb_cccc_ddddUL;
        machine.State->Gpr[Gpr.Rbx] = Target;
        machine.State->Gpr[Gpr.Rdx] = 3;
        machine.State->Gpr[Gpr.Rbp] = 0x0b0b_0b0b_0b0b_0b0bUL;
        machine.State->Gpr[Gpr.R15] = 0x1515_1515_1515_1515UL;
        return machine;
    }
}
