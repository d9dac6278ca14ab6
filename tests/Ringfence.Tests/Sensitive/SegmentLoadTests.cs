using Ringfence.Processors;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Sensitive;

/// <summary>What MOV to a segment register accepts (Intel SDM 3A 5.5 to 5.7, volume 2 "MOV").</summary>
public sealed unsafe class SegmentLoadTests
{
    private const ushort Selector = TestMachine.FirstFree;
    private const int None = -1;

    /// <summary>CPL, RPL, access byte of the descriptor, expected fault.</summary>
    [EngineTheory]
    [InlineData(0, 0, 0x92, None)] // writable data
    [InlineData(0, 0, 0x90, None)] // read-only data
    [InlineData(0, 0, 0x96, None)] // expand-down
    [InlineData(0, 0, 0x9a, None)] // readable code
    [InlineData(0, 0, 0x98, 13)] // execute-only code
    [InlineData(0, 0, 0x12, 11)] // not present
    [InlineData(0, 0, 0x82, 13)] // system segment
    [InlineData(0, 3, 0x92, 13)] // RPL above DPL
    [InlineData(0, 3, 0xf2, None)]
    [InlineData(3, 3, 0xf2, None)]
    [InlineData(3, 0, 0x92, 13)] // CPL above DPL
    [InlineData(3, 0, 0xd2, 13)]
    [InlineData(3, 3, 0x9e, None)] // conforming readable code of any DPL
    [InlineData(3, 3, 0x9a, 13)]
    [InlineData(3, 3, 0x9c, 13)] // conforming execute-only
    public void Loading_a_data_segment_register_checks_type_privilege_and_presence(int cpl, int rpl, int access, int fault)
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        if (cpl == 3) machine.EnterUser();
        machine.SetGdt(Selector, TestMachine.Descriptor(0x12345, 0x777, access, 0));
        machine.Assemble(32, a => { a.mov(eax, Selector | rpl); a.mov(es, ax); a.ud2(); });
        if (fault != None)
        {
            machine.RunToFault().ShouldBe(((ExceptionVector)fault, (uint)Selector));
            return;
        }

        machine.RunToVector().ShouldBe(6);
        ref SegmentRegister loaded = ref machine.Segment(SegmentIndex.Es);
        loaded.Selector.ShouldBe((ushort)(Selector | rpl));
        loaded.Base.ShouldBe(0x12345UL);
        loaded.Limit.ShouldBe(0x777U);
        (loaded.Attributes & 0xff).ShouldBe(access | 1);
        machine.Read8(TestMachine.Gdt + Selector + 5).ShouldBe((byte)(access | 1), "the accessed bit is set in memory");
    }

    [EngineTheory]
    [InlineData(0, 0x92, None)]
    [InlineData(0, 0x96, None)]
    [InlineData(0, 0x90, 13)] // read-only
    [InlineData(0, 0x9a, 13)] // code
    [InlineData(0, 0xf2, 13)] // DPL is not CPL
    [InlineData(3, 0x92, 13)] // RPL is not CPL
    [InlineData(0, 0x12, 12)] // not present: #SS, not #NP
    public void Loading_SS_needs_writable_data_of_exactly_the_current_level(int rpl, int access, int fault)
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.SetGdt(Selector, TestMachine.Descriptor(0, (access & 4) != 0 ? 0 : 0xf_ffffU, access, 0xc));
        machine.Assemble(32, a => { a.mov(eax, Selector | rpl); a.mov(ss, ax); a.nop(); a.ud2(); });
        if (fault != None) machine.RunToFault().ShouldBe(((ExceptionVector)fault, (uint)Selector));
        else machine.RunToVector().ShouldBe(6);
    }

    [EngineFact]
    public void A_null_selector_may_be_loaded_but_not_used_and_never_into_SS()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Assemble(32, a => { a.mov(eax, 3); a.mov(fs, ax); a.mov(eax, __dword_ptr.fs[TestMachine.Data]); });
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0U));
        machine.Segment(SegmentIndex.Fs).Selector.ShouldBe((ushort)3);

        machine.EnterProtected();
        machine.State->Activity = ActivityState.Active;
        machine.Assemble(32, a => { a.xor(eax, eax); a.mov(ss, ax); });
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0U));
    }

    [EngineTheory]
    [InlineData(0x1000)]
    [InlineData(0x0ffc)]
    public void A_selector_outside_its_table_is_GP(int selector)
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.State->Gdtr.Limit = 0xffe;
        machine.Segment(SegmentIndex.Ldtr).Limit = 0xffe;
        machine.Assemble(32, a => { a.mov(eax, selector); a.mov(es, ax); });
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, (uint)selector));
    }

    [EngineFact]
    public void A_selector_with_TI_set_is_looked_up_in_the_LDT()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Write64(TestMachine.Ldt + 8, TestMachine.Descriptor(0x4000, 0xfff, 0x92, 4));
        machine.Assemble(32, a => { a.mov(eax, 0xc); a.mov(gs, ax); a.ud2(); });
        machine.RunToVector().ShouldBe(6);
        machine.Segment(SegmentIndex.Gs).Base.ShouldBe(0x4000UL);
    }

    [EngineFact]
    public void The_limit_counts_pages_when_G_is_set()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.SetGdt(Selector, TestMachine.Descriptor(0, 1, 0x92, 0xc));
        machine.Assemble(32, a => { a.mov(eax, Selector); a.mov(es, ax); a.mov(al, __byte_ptr.es[0x1fff]); a.mov(al, __byte_ptr.es[0x2000]); });
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0U));
        machine.Read32(machine.State->Gpr[4] + 4).ShouldBe(TestMachine.Code + 14);
    }

    [EngineFact]
    public void An_expand_down_segment_allows_offsets_above_its_limit_only()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.SetGdt(Selector, TestMachine.Descriptor(0, 0xfff, 0x96, 4));
        machine.Assemble(32, a => { a.mov(eax, Selector); a.mov(es, ax); a.mov(bl, __byte_ptr.es[0x1000]); a.mov(bl, __byte_ptr.es[0xfff]); });
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0U));
        machine.Read32(machine.State->Gpr[4] + 4).ShouldBe(TestMachine.Code + 15);
    }

    [EngineFact]
    public void Far_pointer_loads_change_register_and_segment_together_or_not_at_all()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Write32(TestMachine.Data, 0xcafe_f00d);
        machine.Write16(TestMachine.Data + 4, TestMachine.Data3);
        machine.Write32(TestMachine.Data + 8, 0x1111_1111);
        machine.Write16(TestMachine.Data + 12, 0xfff0);
        machine.Assemble(32, a => { a.lgs(ebx, __[TestMachine.Data]); a.lfs(ebx, __[TestMachine.Data + 8]); });
        machine.State->Gdtr.Limit = 0x7f;
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0xfff0U));
        machine.State->Gpr[3].ShouldBe(0xcafe_f00dUL);
        machine.Segment(SegmentIndex.Gs).Selector.ShouldBe(TestMachine.Data3);
        machine.Segment(SegmentIndex.Fs).Selector.ShouldBe(TestMachine.Data0);
    }

    [EngineFact]
    public void Push_and_pop_of_segment_registers_use_the_operand_size()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Write32(TestMachine.Stack - 4, 0xffff_ffff);
        machine.Emit(0x06, 0x66, 0x06, 0x66, 0x0f, 0xa9, 0x0f, 0xa1, 0x0f, 0x0b);
        machine.Load(SegmentIndex.Es, TestMachine.Data3, 0, 0xffff_ffff, 0xc0f3);
        machine.RunToVector().ShouldBe(6);
        machine.Segment(SegmentIndex.Gs).Selector.ShouldBe(TestMachine.Data3);
        machine.Segment(SegmentIndex.Fs).Selector.ShouldBe(TestMachine.Data3);
        machine.State->Gpr[4].ShouldBe(TestMachine.Stack - 12UL);
    }

    [EngineFact]
    public void Mov_SS_inhibits_interrupts_for_one_instruction()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.State->Rflags = RflagsBits.If;
        machine.State->Gpr[0] = TestMachine.Data0;
        machine.Assemble(32, a => { a.mov(ss, ax); a.mov(esp, (int)TestMachine.Stack1); a.inc(ecx); a.hlt(); });
        machine.State->InstructionLimit = machine.State->InstructionCount + 1;
        machine.Engine.Run();
        machine.State->InterruptShadow.ShouldBe((byte)1);
        machine.Bus.Interrupts.Enqueue(0x20);
        machine.Processor.Post(ProcessorEvents.Interrupt);
        machine.RunToVector().ShouldBe(0x20);
        machine.State->Gpr[4].ShouldBe(TestMachine.Stack1 - 12UL);
        machine.State->Gpr[1].ShouldBe(0UL);
    }

    [EngineFact]
    public void In_64_bit_mode_SS_may_be_null_below_cpl_3_and_null_FS_has_base_0()
    {
        using var machine = new TestMachine();
        machine.EnterLong();
        machine.State->Segment(SegmentIndex.Fs).Base = 0x7777;
        machine.Assemble(64, a => { a.xor(eax, eax); a.mov(ss, ax); a.mov(fs, ax); a.push(rax); a.ud2(); });
        machine.RunToVector().ShouldBe(6);
        machine.Segment(SegmentIndex.Fs).Base.ShouldBe(0UL);

        machine.State->Activity = ActivityState.Active;
        machine.EnterUser();
        machine.Assemble(64, a => { a.xor(eax, eax); a.mov(ss, ax); });
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0U));
    }

    [EngineFact]
    public void Real_mode_loads_keep_the_limit_that_protected_mode_left()
    {
        using var machine = new TestMachine();
        machine.Load(SegmentIndex.Cs, 0x1000, 0x10000, 0xffff, 0x9b);
        machine.Load(SegmentIndex.Ds, 0x10, 0, 0xffff_ffff, 0xc093);
        machine.State->Rip = 0;
        machine.Processor.Mmu.FlushCodeTlb();
        machine.Processor.RefreshMode();
        machine.Write32(0x200100, 0xfeed);
        machine.Assemble(16, a => { a.mov(ax, 0x10); a.mov(ds, ax); a.mov(ebx, 0x200000); a.mov(ecx, __[ebx]); a.hlt(); });
        machine.RunToHalt().ShouldBe(Ringfence.Processors.Exits.ExitReason.Halt);
        machine.State->Gpr[1].ShouldBe(0xfeedUL);
    }
}
