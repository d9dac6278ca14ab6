using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Tests.ExecutionTests;

/// <summary>
/// Linear addresses that lead elsewhere: after MOV to CR3, INVLPG and changes of paging no engine may use what the addresses led to before
/// (Intel SDM 3A 4.10.4).
/// </summary>
public sealed unsafe class StaleMappingTests
{
    private const uint Page = SmallPages.Window;
    private const uint FrameA = 0x200000, FrameB = 0x201000;
    private const ulong Zero = RflagsBits.Zf | RflagsBits.Pf;

    public enum Transfer
    {
        Call,
        CallRegister,
        CallMemory,
        Jump,
        JumpRegister,
        Branch,
        Return,
        FallThrough,
    }

    public static TheoryData<Transfer> Transfers => new(Enum.GetValues<Transfer>());

    [EngineTheory]
    [MemberData(nameof(Transfers))]
    public void After_a_switch_of_CR3_a_transfer_to_the_same_linear_address_executes_the_other_frame(Transfer transfer)
    {
        using TestMachine machine = Make(other: true);
        const uint Last = Page - 1;
        machine.Assemble(64, a => { a.add(rbx, 1); a.jmp(rbp); }, FrameA);
        machine.Assemble(64, a => { a.add(rbx, 1000); a.jmp(rbp); }, FrameB);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            Label back = a.CreateLabel();
            a.mov(edi, Page);
            a.lea(rbp, __[back]);
            a.Label(ref top);
            a.mov(cr3, rsi);
            a.xchg(rsi, rdx);
            switch (transfer)
            {
                case Transfer.Call: a.call(Page); break;
                case Transfer.CallRegister: a.call(rdi); break;
                case Transfer.CallMemory: a.call(__qword_ptr[TestMachine.Data]); break;
                case Transfer.Jump: a.jmp(Page); break;
                case Transfer.JumpRegister: a.jmp(rdi); break;
                case Transfer.Branch: a.cmp(ecx, ecx); a.je(Page); break;
                case Transfer.Return: a.push(rdi); a.ret(); break;
                default: a.jmp(Last); break;
            }

            a.Label(ref back);
            a.mov(esp, TestMachine.Stack);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        });
        machine.Write64(TestMachine.Data, Page);
        machine.Store(Last, 0x90);                              // falls through from a page that both address spaces have
        ulong back = machine.State->Gpr[Gpr.Rbp];
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.State->Gpr[Gpr.Rsi] = SmallPages.OtherTables;
        machine.State->Gpr[Gpr.Rdx] = TestMachine.PageTables;
        machine.RunToHalt(1_000_000);
        machine.State->Gpr[Gpr.Rbx].ShouldBe(500UL + 500_000);
        machine.State->Gpr[Gpr.Rcx].ShouldBe(0UL);
        machine.State->Cr3.ShouldBe(TestMachine.PageTables);
        back.ShouldNotBe(machine.State->Gpr[Gpr.Rbp]);
    }

    [EngineFact]
    public void The_instruction_behind_MOV_to_CR3_comes_from_the_new_frame()
    {
        using TestMachine machine = Make(other: true);
        machine.Assemble(64, a => { a.mov(cr3, rsi); a.mov(al, 1); a.hlt(); }, FrameA);
        machine.Assemble(64, a => { a.mov(cr3, rdx); a.mov(al, 2); a.hlt(); }, FrameB);
        machine.State->Gpr[Gpr.Rsi] = SmallPages.OtherTables;
        machine.State->Gpr[Gpr.Rdx] = TestMachine.PageTables;
        for (int i = 0; i < 100; i++)
        {
            bool inOther = (i & 1) != 0;
            machine.StartAt(Page);
            machine.ShouldHalt(Page + 6, 0, TestMachine.Stack, (Gpr.Rsi, SmallPages.OtherTables), (Gpr.Rdx, TestMachine.PageTables),
                (Gpr.Rax, (machine.SeedOf(Gpr.Rax) & ~0xffUL) | (inOther ? 1UL : 2UL)));
        }
    }

    [EngineFact]
    public void Data_at_one_linear_address_is_that_of_each_address_space_in_a_loop_that_switches_between_them()
    {
        using TestMachine machine = Make(other: true);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.inc(__dword_ptr[Page + 0x10]);
            a.mov(eax, __[Page + 0x10]);
            a.mov(cr3, rsi);
            a.add(__dword_ptr[Page + 0x10], 3);
            a.add(rax, __[Page + 0x10]);
            a.mov(cr3, rdx);
            a.add(rbx, rax);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rsi] = SmallPages.OtherTables;
        machine.State->Gpr[Gpr.Rdx] = TestMachine.PageTables;
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.ShouldHalt(machine.InstructionStarts(64, 11)[10], Zero, TestMachine.Stack,
            (Gpr.Rax, 4000), (Gpr.Rbx, 4UL * 1000 * 1001 / 2), (Gpr.Rcx, 0), (Gpr.Rsi, SmallPages.OtherTables), (Gpr.Rdx, TestMachine.PageTables));
        machine.Read32(FrameA + 0x10).ShouldBe(1000U);
        machine.Read32(FrameB + 0x10).ShouldBe(3000U);
    }

    [EngineFact]
    public void A_page_that_only_one_address_space_has_faults_in_the_other_at_the_same_hot_site()
    {
        using TestMachine machine = Make(other: true);
        machine.Map(Page, 0, 0, SmallPages.OtherTables);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.add(rbx, 7);
            a.mov(rax, __[Page]);
            a.dec(ecx);
            a.jnz(top);
            a.mov(cr3, rsi);
            a.jmp(top);
        });
        machine.Write64(FrameA, 77);
        machine.State->Gpr[Gpr.Rsi] = SmallPages.OtherTables;
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.ShouldFault(ExceptionVector.PageFault, 0, machine.InstructionStarts(64, 2)[1], FlagsOf(7007), TestMachine.Stack,
            (Gpr.Rax, 77), (Gpr.Rbx, 7007), (Gpr.Rcx, 0), (Gpr.Rsi, SmallPages.OtherTables));
        machine.State->Cr2.ShouldBe(Page);
    }

    [EngineTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void After_INVLPG_a_data_page_is_the_frame_its_PTE_names(bool reloadsCr3)
    {
        using TestMachine machine = Make();
        machine.Write64(FrameA + 8, 1);
        machine.Write64(FrameB + 8, 1000);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.add(rbx, __[Page + 8]);
            a.xor(__dword_ptr[SmallPages.Pte(Page)], (int)(FrameA ^ FrameB));
            if (reloadsCr3) a.mov(cr3, rdx);
            else a.invlpg(__[Page + 0x123]);
            a.add(__qword_ptr[Page + 16], 1);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 1001;
        machine.State->Gpr[Gpr.Rdx] = TestMachine.PageTables;
        machine.ShouldHalt(machine.InstructionStarts(64, 8)[7], Zero, TestMachine.Stack,
            (Gpr.Rbx, 501 + 500_000), (Gpr.Rcx, 0), (Gpr.Rdx, TestMachine.PageTables));
        machine.Read64(FrameA + 16).ShouldBe(500UL);
        machine.Read64(FrameB + 16).ShouldBe(501UL);
    }

    [EngineTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void After_INVLPG_a_code_page_is_the_frame_its_PTE_names(bool indirect)
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a => { a.add(rbx, 1); a.ret(); }, FrameA);
        machine.Assemble(64, a => { a.add(rbx, 1000); a.ret(); }, FrameB);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            if (indirect) a.call(rdi);
            else a.call(Page);
            a.xor(__dword_ptr[SmallPages.Pte(Page)], (int)(FrameA ^ FrameB));
            a.invlpg(__[Page]);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 1001;
        machine.State->Gpr[Gpr.Rdi] = Page;
        machine.ShouldHalt(machine.InstructionStarts(64, 7)[6], Zero, TestMachine.Stack, (Gpr.Rbx, 501 + 500_000), (Gpr.Rcx, 0), (Gpr.Rdi, Page));
    }

    [EngineFact]
    public void Code_that_moves_its_own_page_goes_on_in_the_new_frame()
    {
        using TestMachine machine = Make();
        for (uint i = 0; i < 2; i++)
        {
            uint frame = i == 0 ? FrameA : FrameB;
            byte mark = (byte)(i + 1);
            machine.Assemble(64, a =>
            {
                a.xor(__dword_ptr[SmallPages.Pte(Page)], (int)(FrameA ^ FrameB));
                a.invlpg(__[Page]);
                a.mov(al, (sbyte)mark);
                a.hlt();
            }, frame);
        }

        for (int i = 0; i < 50; i++)
        {
            machine.StartAt(Page);
            machine.RunToHalt();
            ((byte)machine.State->Gpr[Gpr.Rax]).ShouldBe((byte)((i & 1) == 0 ? 2 : 1));
        }
    }

    [EngineFact]
    public void A_code_page_that_goes_missing_faults_at_the_jump_to_it_with_RIP_at_the_target()
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a => { a.add(rbx, 1); a.ret(); }, FrameA);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.call(Page);
            a.dec(ecx);
            a.jnz(top);
            a.mov(__qword_ptr[SmallPages.Pte(Page)], 0);
            a.invlpg(__[Page]);
            a.jmp(top);
        });
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.ShouldFault(ExceptionVector.PageFault, 0x10, Page, Zero, TestMachine.Stack - 8, (Gpr.Rbx, 1000), (Gpr.Rcx, 0));
        machine.State->Cr2.ShouldBe(Page);
        machine.Read64(TestMachine.Stack - 8).ShouldBe(machine.InstructionStarts(64, 2)[1]);
        machine.Map(Page, FrameA);
        machine.State->Gpr[Gpr.Rcx] = 2;
        machine.Resume();
        machine.ShouldFault(ExceptionVector.PageFault, 0x10, Page, Zero, TestMachine.Stack - 8, (Gpr.Rbx, 1002), (Gpr.Rcx, 0));
    }

    [EngineFact]
    public void Paging_switched_off_and_on_in_a_loop_reads_the_physical_and_the_mapped_page()
    {
        using var machine = new TestMachine();
        machine.EnterProtectedSmall();
        machine.MakeHandlersReturn();
        machine.Seed();
        machine.Map32(TestMachine.Data, FrameB);
        machine.Write32(TestMachine.Data, 1);
        machine.Write32(FrameB, 1000);
        machine.Assemble(32, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.add(ebx, __[TestMachine.Data]);
            a.mov(eax, cr0);
            a.btc(eax, 31);
            a.mov(cr0, eax);
            a.add(ebx, __[TestMachine.Data]);
            a.inc(__dword_ptr[TestMachine.Data + 4]);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 1000;
        ulong control = machine.State->Cr0;
        machine.ShouldHalt(machine.InstructionStarts(32, 10)[9], Zero, TestMachine.Stack, (Gpr.Rax, control), (Gpr.Rbx, 1_001_000), (Gpr.Rcx, 0));
        machine.State->Cr0.ShouldBe(control);
        machine.Read32(TestMachine.Data + 4).ShouldBe(500U);
        machine.Read32(FrameB + 4).ShouldBe(500U);
    }

    [EngineFact]
    public void Many_pages_read_and_written_in_turn_are_each_their_own_frame()
    {
        using TestMachine machine = Make();
        for (uint i = 0; i < 400; i++) machine.Map(Page + (i * 0x1000), 0x200000 + ((399 - i) * 0x1000));
        machine.Assemble(64, a =>
        {
            Label rounds = a.CreateLabel();
            Label top = a.CreateLabel();
            a.Label(ref rounds);
            a.mov(edi, Page);
            a.mov(ecx, 400);
            a.Label(ref top);
            a.add(__[rdi + 0x28], ecx);
            a.add(rdi, 0x1000);
            a.dec(ecx);
            a.jnz(top);
            a.dec(edx);
            a.jnz(rounds);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rdx] = 20;
        machine.ShouldHalt(machine.InstructionStarts(64, 10)[9], Zero, TestMachine.Stack,
            (Gpr.Rcx, 0), (Gpr.Rdx, 0), (Gpr.Rdi, Page + (400 * 0x1000)));
        for (uint i = 0; i < 400; i++) machine.Read32(0x200000 + ((399 - i) * 0x1000) + 0x28).ShouldBe(20 * (400 - i));
    }

    private static TestMachine Make(bool other = false)
    {
        var machine = new TestMachine();
        machine.EnterLongSmall();
        machine.UseInterruptStack();
        machine.MakeHandlersReturn();
        machine.Seed();
        machine.Map(Page, FrameA);
        if (!other) return machine;
        machine.BuildSmallPages(SmallPages.OtherTables);
        machine.Map(Page, FrameB, tables: SmallPages.OtherTables);
        return machine;
    }

    private static ulong FlagsOf(uint sum)
    {
        ulong flags = (System.Numerics.BitOperations.PopCount((byte)sum) & 1) == 0 ? RflagsBits.Pf : 0;
        return ((sum - 7) & 15) + 7 > 15 ? flags | RflagsBits.Af : flags;
    }
}
