using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Processors.Exits;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Tests.ExecutionTests;

/// <summary>Rights of pages that change under hot code: WP, NXE, user and supervisor, SMEP, SMAP, accessed and dirty bits (Intel SDM 3A 4.6 to 4.8).</summary>
public sealed unsafe class PageRightsTests
{
    private const uint Page = SmallPages.Window;
    private const uint Frame = 0x200000;
    private const ulong Zero = RflagsBits.Zf | RflagsBits.Pf;
    private const ulong P = SmallPages.Present, W = SmallPages.Writable, U = SmallPages.User;

    [EngineFact]
    public void Stores_of_a_supervisor_to_a_read_only_page_follow_CR0_WP_at_a_hot_site()
    {
        using TestMachine machine = Make();
        machine.Map(Page, Frame, P | U);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.mov(rax, cr0);
            a.btr(rax, 16);
            a.mov(cr0, rax);
            a.Label(ref top);
            a.add(__dword_ptr[Page], 5);
            a.dec(ecx);
            a.jnz(top);
            a.or(rax, 1 << 16);
            a.mov(cr0, rax);
            a.jmp(top);
        });
        machine.State->Gpr[Gpr.Rcx] = 1000;
        ulong control = machine.State->Cr0;
        machine.ShouldFault(ExceptionVector.PageFault, 3, machine.InstructionStarts(64, 4)[3], FlagsOfLow(control), TestMachine.Stack, (Gpr.Rax, control), (Gpr.Rcx, 0));
        machine.State->Cr2.ShouldBe(Page);
        machine.Read32(Frame).ShouldBe(5000U);
        (machine.Read64(SmallPages.Pte(Page)) & 0x60).ShouldBe(0x60UL);
    }

    [EngineFact]
    public void A_page_made_read_only_faults_and_made_writable_again_takes_the_store()
    {
        using TestMachine machine = Make();
        machine.Map(Page, Frame);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            Label rounds = a.CreateLabel();
            a.Label(ref rounds);
            a.mov(ecx, 500);
            a.Label(ref top);
            a.mov(rax, __[Page + 8]);
            a.inc(rax);
            a.mov(__[Page + 8], rax);
            a.dec(ecx);
            a.jnz(top);
            a.and(__byte_ptr[SmallPages.Pte(Page)], ~2);
            a.invlpg(__[Page]);
            a.jmp(rounds);
        });
        ulong rip = machine.InstructionStarts(64, 4)[3];
        for (ulong round = 1; round <= 5; round++)
        {
            ulong value = (round * 500) + 1;
            machine.ShouldFault(ExceptionVector.PageFault, 3, rip, FlagsOf(value), TestMachine.Stack, (Gpr.Rax, value), (Gpr.Rcx, 500));
            machine.State->Cr2.ShouldBe(Page + 8UL);
            machine.Read64(Frame + 8).ShouldBe(value - 1);
            machine.Map(Page, Frame);
            machine.Resume();
        }
    }

    [EngineFact]
    public void A_page_becomes_executable_and_is_no_longer_with_its_NX_bit()
    {
        using TestMachine machine = Make();
        machine.Map(Page, Frame, P | W | U | SmallPages.NoExecute);
        machine.Store(Frame, 0xff, 0xc3, 0xc3);                 // inc ebx; ret
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.call(Page);
            a.dec(ecx);
            a.jnz(top);
            a.btc(__qword_ptr[SmallPages.Pte(Page)], 63);
            a.invlpg(__[Page]);
            a.mov(ecx, 700);
            a.jmp(top);
        });
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 700;
        for (uint round = 0; round < 4; round++)
        {
            ((ExceptionVector)machine.RunToVector()).ShouldBe(ExceptionVector.PageFault);
            ExceptionFrame frame = machine.Frame(14);
            frame.ErrorCode.ShouldBe(0x11U);
            frame.Rip.ShouldBe(Page);
            frame.Rsp.ShouldBe(TestMachine.Stack - 8);
            machine.State->Cr2.ShouldBe(Page);
            machine.State->Gpr[Gpr.Rbx].ShouldBe(round * 700UL);
            machine.Map(Page, Frame);
            machine.Resume();
        }
    }

    [EngineFact]
    public void Bit_63_of_a_PTE_is_NX_or_reserved_as_EFER_NXE_says()
    {
        using TestMachine machine = Make();
        machine.Map(Page, Frame, P | W | U | SmallPages.NoExecute);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.add(rbx, __[Page]);
            a.dec(edi);
            a.jnz(top);
            a.mov(ecx, 0xc000_0080);
            a.rdmsr();
            a.btr(eax, 11);
            a.wrmsr();
            a.mov(rax, cr3);
            a.mov(cr3, rax);
            a.jmp(top);
        });
        machine.Write64(Frame, 2);
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rdi] = 1000;
        machine.RunToFault().ShouldBe((ExceptionVector.PageFault, 9U));
        machine.Frame(14).Rip.ShouldBe((ulong)TestMachine.Code);
        machine.State->Cr2.ShouldBe(Page);
        machine.State->Gpr[Gpr.Rbx].ShouldBe(2000UL);
    }

    [EngineFact]
    public void One_linear_page_of_code_runs_at_CPL_0_and_3_with_the_rights_of_each()
    {
        using TestMachine machine = Make();
        machine.Map(Page, Frame, P | W);                        // a supervisor's page
        machine.Write32(Frame, 3);
        const uint Routine = TestMachine.Code + 0x1000;
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.mov(r8w, cs);
            a.add(ebx, __[Page]);
            a.dec(ecx);
            a.jnz(top);
            a.@int(0x80);
        }, Routine);
        machine.SetGate(0x80, TestMachine.Gate(TestMachine.LongCode0, TestMachine.Handler(0x80), 0xee, parameters: 1));
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.StartAt(Routine);
        machine.RunToVector().ShouldBe(0x80);
        ((ushort)machine.State->Gpr[Gpr.R8]).ShouldBe(TestMachine.LongCode0);
        machine.State->Gpr[Gpr.Rbx].ShouldBe(3000UL);

        machine.EnterUser();
        machine.StartAt(Routine);
        machine.State->Gpr[Gpr.Rcx] = 1000;
        ((ExceptionVector)machine.RunToVector()).ShouldBe(ExceptionVector.PageFault);
        ExceptionFrame frame = machine.Frame(14);
        frame.ErrorCode.ShouldBe(5U);
        frame.Rip.ShouldBe(machine.InstructionStarts(64, 2, Routine)[1]);
        frame.Cs.ShouldBe(TestMachine.LongCode3);
        frame.Rsp.ShouldBe(TestMachine.UserStack);
        machine.State->Cr2.ShouldBe(Page);
        machine.Map(Page, Frame);
        machine.Resume();
        machine.RunToVector().ShouldBe(0x80);
        ((ushort)machine.State->Gpr[Gpr.R8]).ShouldBe(TestMachine.LongCode3);
        machine.State->Gpr[Gpr.Rbx].ShouldBe(6000UL);

        machine.EnterSupervisor();
        machine.StartAt(Routine);
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.RunToVector().ShouldBe(0x80);
        ((ushort)machine.State->Gpr[Gpr.R8]).ShouldBe(TestMachine.LongCode0);
        machine.State->Gpr[Gpr.Rbx].ShouldBe(9000UL);
    }

    [EngineFact]
    public void A_supervisors_page_cannot_be_executed_at_CPL_3_though_it_was_hot_at_CPL_0()
    {
        using TestMachine machine = Make();
        machine.Map(Page, Frame, P | W);
        machine.Store(Frame, 0xff, 0xc3, 0xc3);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.call(Page);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.RunToHalt().ShouldBe(ExitReason.Halt);
        machine.State->Gpr[Gpr.Rbx].ShouldBe(1000UL);
        machine.EnterUser();
        machine.StartAt(TestMachine.Code);
        ((ExceptionVector)machine.RunToVector()).ShouldBe(ExceptionVector.PageFault);
        ExceptionFrame frame = machine.Frame(14);
        frame.ErrorCode.ShouldBe(0x15U);
        frame.Rip.ShouldBe(Page);
        frame.Rsp.ShouldBe(TestMachine.UserStack - 8);
        machine.State->Gpr[Gpr.Rbx].ShouldBe(1000UL);
    }

    [EngineFact]
    public void SMEP_keeps_a_supervisor_from_a_users_code_page_that_it_has_executed_before()
    {
        using TestMachine machine = Make();
        MakeSupervisors(machine);
        machine.Map(Page, Frame);
        machine.Store(Frame, 0xff, 0xc3, 0xc3);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.call(Page);
            a.dec(ecx);
            a.jnz(top);
            a.mov(rax, cr4);
            a.bts(rax, 20);
            a.mov(cr4, rax);
            a.mov(ecx, 5);
            a.jmp(top);
        });
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.RunToFault().ShouldBe((ExceptionVector.PageFault, 0x11U));
        machine.Frame(14).Rip.ShouldBe(Page);
        machine.State->Gpr[Gpr.Rbx].ShouldBe(1000UL);
        machine.State->Gpr[Gpr.Rcx].ShouldBe(5UL);
    }

    [EngineTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void SMAP_lets_a_supervisor_touch_a_users_page_between_STAC_and_CLAC_only(bool store)
    {
        using TestMachine machine = Make();
        MakeSupervisors(machine);
        machine.Map(Page, Frame);
        machine.State->Cr4 |= Cr4.Smap;
        machine.Processor.Mmu.Flush();
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.stac();
            a.call(TestMachine.Code + 0x100);
            a.clac();
            a.inc(__dword_ptr[TestMachine.Data]);
            a.dec(ecx);
            a.jnz(top);
            a.call(TestMachine.Code + 0x100);
        });
        machine.Assemble(64, a =>
        {
            if (store) a.mov(__[Page + 4], ecx);
            else a.mov(eax, __[Page + 4]);
            a.ret();
        }, TestMachine.Code + 0x100);
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.Write32(Frame + 4, 55);
        ulong rax = store ? machine.SeedOf(Gpr.Rax) : 55;
        machine.ShouldFault(ExceptionVector.PageFault, store ? 3U : 1U, TestMachine.Code + 0x100, Zero, TestMachine.Stack - 8, (Gpr.Rax, rax), (Gpr.Rcx, 0));
        machine.State->Cr2.ShouldBe(Page + 4UL);
        machine.Read32(TestMachine.Data).ShouldBe(1000U);
        machine.Read32(Frame + 4).ShouldBe(store ? 1U : 55U);
    }

    [EngineFact]
    public void Accessed_and_dirty_bits_are_set_by_the_first_access_that_needs_them_and_again_after_they_were_cleared()
    {
        using TestMachine machine = Make();
        machine.Map(Page, Frame);
        const uint Pte = TestMachine.PageTables + 0x3000 + ((Page >> 12) * 8);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            Label faults = a.CreateLabel();
            a.Label(ref top);
            a.and(__dword_ptr[Pte], ~0x60);
            a.invlpg(__[Page]);
            a.mov(r8d, __[Pte]);
            a.mov(eax, __[Page + 4]);
            a.mov(r9d, __[Pte]);
            a.mov(__[Page + 4], eax);
            a.mov(r10d, __[Pte]);
            a.and(r8d, 0x60);
            a.and(r9d, 0x60);
            a.and(r10d, 0x60);
            a.shl(r9d, 8);
            a.shl(r10d, 16);
            a.or(r8d, r9d);
            a.or(r8d, r10d);
            a.cmp(r8d, 0x60_2000);
            a.jne(faults);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
            a.Label(ref faults);
            a.ud2();
        });
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.RunToHalt();
        machine.State->Gpr[Gpr.Rcx].ShouldBe(0UL, $"0x{machine.State->Gpr[Gpr.R8]:x}");
        machine.State->Rip.ShouldBe(machine.InstructionStarts(64, 20)[19]);
    }

    [EngineFact]
    public void A_fetch_sets_the_accessed_bit_and_not_the_dirty_bit()
    {
        using TestMachine machine = Make();
        machine.Map(Page, Frame);
        machine.Store(Frame, 0xc3);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.and(__dword_ptr[SmallPages.Pte(Page)], ~0x60);
            a.invlpg(__[Page]);
            a.call(Page);
            a.mov(eax, __[SmallPages.Pte(Page)]);
            a.and(eax, 0x60);
            a.add(rbx, rax);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.ShouldHalt(machine.InstructionStarts(64, 10)[9], Zero, TestMachine.Stack, (Gpr.Rax, 0x20), (Gpr.Rbx, 0x20 * 1000), (Gpr.Rcx, 0));
    }

    [EngineFact]
    public void A_modifying_instruction_on_a_page_only_read_before_sets_the_dirty_bit()
    {
        using TestMachine machine = Make();
        machine.Map(Page, Frame);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.mov(eax, __[Page]);
            a.dec(ecx);
            a.jnz(top);
            a.mov(ebx, __[SmallPages.Pte(Page)]);
            a.@lock.xadd(__[Page], edx);
            a.mov(esi, __[SmallPages.Pte(Page)]);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.RunToHalt();
        machine.State->Gpr[Gpr.Rbx].ShouldBe(Frame | 0x27UL);
        machine.State->Gpr[Gpr.Rsi].ShouldBe(Frame | 0x67UL);
    }

    private static TestMachine Make()
    {
        var machine = new TestMachine();
        machine.EnterLongSmall();
        machine.UseInterruptStack();
        machine.MakeHandlersReturn();
        machine.Seed();
        return machine;
    }

    /// <summary>All of RAM belongs to the supervisor.</summary>
    private static void MakeSupervisors(TestMachine machine)
    {
        for (uint page = 0; page < 1024; page++) machine.Map(page << 12, page << 12, P | W);
        machine.Processor.Mmu.Flush();
    }

    private static ulong FlagsOfLow(ulong value)
    {
        ulong flags = (System.Numerics.BitOperations.PopCount((byte)value) & 1) == 0 ? RflagsBits.Pf : 0;
        return (long)value < 0 ? flags | RflagsBits.Sf : flags;
    }

    private static ulong FlagsOf(ulong incremented) =>
        ((incremented & 15) == 0 ? RflagsBits.Af : 0) | ((System.Numerics.BitOperations.PopCount((byte)incremented) & 1) == 0 ? RflagsBits.Pf : 0);
}
