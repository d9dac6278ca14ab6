using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Tests.ExecutionTests;

/// <summary>Segment bases, limits and rights that change under hot code, or that a loop runs into (Intel SDM 3A 5.3 to 5.5).</summary>
public sealed unsafe class SegmentsInHotCodeTests
{
    private const ushort Small = TestMachine.FirstFree, ReadOnly = TestMachine.FirstFree + 8;
    private const ulong Zero = RflagsBits.Zf | RflagsBits.Pf;

    [EngineTheory]
    [InlineData(16, false)]
    [InlineData(16, true)]
    [InlineData(32, false)]
    [InlineData(32, true)]
    public void A_loop_that_runs_beyond_the_data_segments_limit_is_GP_at_that_access(int bits, bool store)
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Seed();
        machine.Load(SegmentIndex.Ds, Small, 0x20_0004, 0x0fff, 0x4093);
        uint @base = Use(machine, bits);
        machine.Assemble(bits, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.add(ebx, 3);
            if (store) a.mov(__[esi], ebx);
            else a.add(edx, __[esi]);
            a.add(esi, 4);
            a.jmp(top);
        }, @base: @base);
        machine.State->Gpr[Gpr.Rbx] = machine.State->Gpr[Gpr.Rdx] = 0;
        machine.State->Gpr[Gpr.Rsi] = 2;
        ulong rip = machine.InstructionStarts(bits, 2)[1] - @base;
        // 1023 elements fit: the last begins at FFAh. FFEh to 1001h does not. 3 * 1024 = C00h.
        machine.ShouldFault(ExceptionVector.GeneralProtection, 0, rip, FlagsOfAddition(3069, 3), TestMachine.Stack,
            (Gpr.Rbx, 3072), (Gpr.Rdx, 0), (Gpr.Rsi, 0xffe));
        if (store) machine.Read32(0x20_0004 + 0xffa).ShouldBe(3069U);
        machine.Read32(0x20_0004 + 0xffe).ShouldBe(0U);
    }

    [EngineFact]
    public void A_loop_that_runs_down_to_the_limit_of_an_expand_down_segment_is_GP_there()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Seed();
        machine.Load(SegmentIndex.Es, Small, 0, 0x20_0fff, 0x4097);
        machine.Assemble(32, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.inc(ebx);
            a.add(__byte_ptr.es[edi], 1);
            a.dec(edi);
            a.jmp(top);
        });
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rdi] = 0x20_13ff;
        ulong rip = machine.InstructionStarts(32, 2)[1];
        machine.ShouldFault(ExceptionVector.GeneralProtection, 0, rip, FlagsOfAddition(0x400, 1), TestMachine.Stack,
            (Gpr.Rbx, 0x401), (Gpr.Rdi, 0x20_0fff));
        machine.Read8(0x20_1000).ShouldBe((byte)1);
        machine.Read8(0x20_0fff).ShouldBe((byte)0);
    }

    [EngineFact]
    public void A_selector_loaded_between_two_rounds_changes_base_limit_and_rights_of_a_hot_site()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Seed();
        machine.SetGdt(Small, TestMachine.Descriptor(0x20_0000, 0xffff, 0x93, 4));
        machine.SetGdt(ReadOnly, TestMachine.Descriptor(0x21_0000, 0xffff, 0x91, 4));
        machine.Assemble(32, a =>
        {
            Label rounds = a.CreateLabel();
            Label top = a.CreateLabel();
            a.Label(ref rounds);
            a.mov(ecx, 1000);
            a.Label(ref top);
            a.inc(__dword_ptr[ebx]);
            a.dec(ecx);
            a.jnz(top);
            a.mov(ds, ax);
            a.xchg(eax, edx);
            a.jmp(rounds);
        });
        machine.State->Gpr[Gpr.Rax] = Small;
        machine.State->Gpr[Gpr.Rdx] = ReadOnly;
        machine.State->Gpr[Gpr.Rbx] = 0x8000;
        machine.ShouldFault(ExceptionVector.GeneralProtection, 0, machine.InstructionStarts(32, 2)[1], Zero, TestMachine.Stack,
            (Gpr.Rax, Small), (Gpr.Rbx, 0x8000), (Gpr.Rcx, 1000), (Gpr.Rdx, ReadOnly));
        machine.Read32(0x8000).ShouldBe(1000U);
        machine.Read32(0x20_8000).ShouldBe(1000U);
        machine.Read32(0x21_8000).ShouldBe(0U);
    }

    [EngineTheory]
    [InlineData("jump")]
    [InlineData("call")]
    [InlineData("branch")]
    [InlineData("indirect")]
    [InlineData("return")]
    public void A_transfer_beyond_the_code_segments_limit_is_GP_at_the_transfer(string kind)
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Seed();
        machine.Load(SegmentIndex.Cs, TestMachine.Code0, 0, 0x1_0fff, 0x409b);
        machine.Processor.Mmu.FlushCodeTlb();
        machine.Processor.RefreshMode();
        const uint Beyond = 0x1_1000;
        machine.Assemble(32, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.dec(ecx);
            a.jnz(top);
            a.inc(edx);
            switch (kind)
            {
                case "jump": a.jmp(Beyond); break;
                case "call": a.call(Beyond); break;
                case "branch": a.cmp(ecx, ecx); a.je(Beyond); break;
                case "indirect": a.jmp(ebx); break;
                default: a.push(ebx); a.ret(); break;
            }
        });
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.State->Gpr[Gpr.Rdx] = 1;
        machine.State->Gpr[Gpr.Rbx] = Beyond;
        bool second = kind is "branch" or "return";
        ulong rip = machine.InstructionStarts(32, 5)[second ? 4 : 3];
        machine.ShouldFault(ExceptionVector.GeneralProtection, 0, rip, kind == "branch" ? Zero : 0, TestMachine.Stack - (kind == "return" ? 4UL : 0),
            (Gpr.Rcx, 0), (Gpr.Rdx, 2), (Gpr.Rbx, Beyond));
    }

    [EngineFact]
    public void Code_that_runs_into_the_code_segments_limit_is_GP_at_the_first_instruction_beyond_or_across()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Seed();
        machine.Load(SegmentIndex.Cs, TestMachine.Code0, 0, 0x1_0010, 0x409b);
        machine.Processor.Mmu.FlushCodeTlb();
        machine.Processor.RefreshMode();
        for (uint i = 0; i < 0x20; i++) machine.Store(TestMachine.Code + i, 0x40);     // inc eax
        machine.State->Gpr[Gpr.Rax] = 0;
        machine.ShouldFault(ExceptionVector.GeneralProtection, 0, 0x1_0011, FlagsOfAddition(0x10, 1), TestMachine.Stack, (Gpr.Rax, 0x11));
        machine.Store(TestMachine.Code + 0xf, 0x83, 0xc0, 5);                          // add eax, 5: its last byte is beyond
        machine.Load(SegmentIndex.Cs, TestMachine.Code0, 0, 0x1_0010, 0x409b);
        machine.Processor.Mmu.FlushCodeTlb();
        machine.Processor.RefreshMode();
        machine.StartAt(TestMachine.Code);
        machine.State->Gpr[Gpr.Rax] = 0;
        machine.State->Gpr[Gpr.Rsp] = TestMachine.Stack;
        machine.State->Rflags = RflagsBits.AlwaysOne;
        machine.ShouldFault(ExceptionVector.GeneralProtection, 0, 0x1_000f, FlagsOfAddition(0xe, 1), TestMachine.Stack, (Gpr.Rax, 0xf));
    }

    [EngineTheory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_base_of_FS_or_GS_written_by_WRMSR_counts_for_the_next_access_of_a_hot_site(bool gs)
    {
        using TestMachine machine = MakeLong();
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.mov(ecx, gs ? 0xc000_0101 : 0xc000_0100);
            a.mov(eax, esi);
            a.xor(edx, edx);
            a.wrmsr();
            if (gs) a.inc(__dword_ptr.gs[0x10]);
            else a.inc(__dword_ptr.fs[0x10]);
            a.xor(esi, TestMachine.Data ^ 0x20_0000);
            if (gs) a.add(ebx, __dword_ptr.gs[rdi]);
            else a.add(ebx, __dword_ptr.fs[rdi]);
            a.dec(ebp);
            a.jnz(top);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rsi] = TestMachine.Data;
        machine.State->Gpr[Gpr.Rdi] = 0x10;
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rbp] = 1000;
        machine.ShouldHalt(machine.InstructionStarts(64, 11)[10], Zero, TestMachine.Stack,
            (Gpr.Rax, 0x20_0000), (Gpr.Rbx, 500 * 501), (Gpr.Rcx, gs ? 0xc000_0101 : 0xc000_0100), (Gpr.Rdx, 0), (Gpr.Rbp, 0),
            (Gpr.Rsi, TestMachine.Data), (Gpr.Rdi, 0x10));
        machine.Read32(TestMachine.Data + 0x10).ShouldBe(500U);
        machine.Read32(0x20_0010).ShouldBe(500U);
    }

    [EngineFact]
    public void A_base_written_by_WRFSBASE_and_exchanged_by_SWAPGS_counts_at_once()
    {
        using TestMachine machine = MakeLong();
        machine.State->Cr4 |= Cr4.Fsgsbase;
        machine.State->KernelGsBase = 0x20_1000;
        machine.Segment(SegmentIndex.Gs).Base = TestMachine.Data + 0x1000;
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.wrfsbase(rsi);
            a.add(__qword_ptr.fs[8], 1);
            a.xor(esi, TestMachine.Data ^ 0x20_0000);
            a.add(__qword_ptr.gs[8], 1);
            a.swapgs();
            a.rdfsbase(rax);
            a.add(rbx, rax);
            a.dec(ebp);
            a.jnz(top);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rsi] = TestMachine.Data;
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rbp] = 1000;
        machine.ShouldHalt(machine.InstructionStarts(64, 11)[10], Zero, TestMachine.Stack,
            (Gpr.Rax, 0x20_0000), (Gpr.Rbx, 500UL * (0x20_0000 + TestMachine.Data)), (Gpr.Rbp, 0), (Gpr.Rsi, TestMachine.Data));
        foreach (uint at in new[] { TestMachine.Data + 8, 0x20_0008U, TestMachine.Data + 0x1008, 0x20_1008U }) machine.Read32(at).ShouldBe(500U);
    }

    [EngineFact]
    public void An_FS_access_whose_base_becomes_one_of_a_missing_page_faults_with_the_linear_address_in_CR2()
    {
        using TestMachine machine = MakeLong();
        machine.State->Cr4 |= Cr4.Fsgsbase;
        machine.Segment(SegmentIndex.Fs).Base = TestMachine.Data;
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.inc(rbx);
            a.mov(eax, __dword_ptr.fs[0x28]);
            a.dec(ecx);
            a.jnz(top);
            a.wrfsbase(rsi);
            a.jmp(top);
        });
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 999;
        machine.State->Gpr[Gpr.Rsi] = SmallPages.Window;
        machine.ShouldFault(ExceptionVector.PageFault, 0, machine.InstructionStarts(64, 2)[1], FlagsOfAddition(999, 1), TestMachine.Stack,
            (Gpr.Rax, 0), (Gpr.Rbx, 1000), (Gpr.Rcx, 0), (Gpr.Rsi, SmallPages.Window));
        machine.State->Cr2.ShouldBe(SmallPages.Window + 0x28UL);
    }

    [EngineFact]
    public void A_stack_of_16_bits_wraps_in_a_hot_loop_of_32_bit_code_and_keeps_the_upper_half_of_ESP()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Seed();
        machine.Load(SegmentIndex.Ss, Small, 0x20_0000, 0xffff, 0x0093);
        machine.Processor.RefreshMode();
        machine.Assemble(32, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.push(ecx);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rsp] = 0x1234_0010;
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.ShouldHalt(TestMachine.Code + 5, Zero, 0x1234_0000U | (0x10010 - 4000), (Gpr.Rcx, 0));
        machine.Read32(0x20_000c).ShouldBe(1000U);
        machine.Read32(0x20_fffc).ShouldBe(996U);
        machine.Read32(0x20_0010 + 0x10000 - 4000).ShouldBe(1U);
    }

    private static TestMachine MakeLong()
    {
        var machine = new TestMachine();
        machine.EnterLongSmall();
        machine.UseInterruptStack();
        machine.MakeHandlersReturn();
        machine.Seed();
        return machine;
    }

    /// <summary>A flat code segment of 32 bits, or one of 16 bits that begins at the code; returns its base.</summary>
    private static uint Use(TestMachine machine, int bits)
    {
        if (bits == 32) return 0;
        machine.Load(SegmentIndex.Cs, TestMachine.Code0, TestMachine.Code, 0xffff, 0x009b);
        machine.State->Rip = 0;
        machine.Processor.Mmu.FlushCodeTlb();
        machine.Processor.RefreshMode();
        return TestMachine.Code;
    }

    private static ulong FlagsOfAddition(uint value, uint added)
    {
        uint sum = value + added;
        ulong flags = (System.Numerics.BitOperations.PopCount((byte)sum) & 1) == 0 ? RflagsBits.Pf : 0;
        return ((value & 15) + (added & 15)) > 15 ? flags | RflagsBits.Af : flags;
    }
}
