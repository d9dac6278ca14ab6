using Ringfence.Processors;
using Ringfence.Processors.Exits;
using Ringfence.Processors.Sensitive;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Sensitive;

/// <summary>Exceptions, their frames, and what becomes of faults while delivering one (Intel SDM 3A chapter 6).</summary>
public sealed unsafe class ExceptionTests
{
    [EngineFact]
    public void Division_by_zero_is_a_fault_that_pushes_the_instructions_own_address_and_RF()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Assemble(32, a => { a.xor(ecx, ecx); a.div(ecx); });
        machine.RunToVector().ShouldBe(0);
        ulong frame = machine.State->Gpr[4];
        machine.Read32(frame).ShouldBe(TestMachine.Code + 2);
        machine.Read32(frame + 4).ShouldBe(TestMachine.Code0);
        (machine.Read32(frame + 8) & (uint)RflagsBits.Rf).ShouldBe((uint)RflagsBits.Rf);
        machine.Processor.Statistics.Exceptions[0].ShouldBe(1);
    }

    [EngineTheory]
    [InlineData(new byte[] { 0xcc }, 3, 1)]
    [InlineData(new byte[] { 0xf1 }, 1, 1)]
    [InlineData(new byte[] { 0xcd, 0x80 }, 0x80, 2)]
    [InlineData(new byte[] { 0xcd, 0x03 }, 3, 2)]
    public void Software_interrupts_push_the_address_behind_them_and_no_RF(byte[] code, int vector, int length)
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Emit(code);
        machine.RunToVector().ShouldBe(vector);
        ulong frame = machine.State->Gpr[4];
        frame.ShouldBe(TestMachine.Stack - 12);
        machine.Read32(frame).ShouldBe(TestMachine.Code + (uint)length);
        (machine.Read32(frame + 8) & (uint)RflagsBits.Rf).ShouldBe(0U);
    }

    [EngineFact]
    public void Into_traps_with_vector_4_only_if_OF_is_set()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Assemble(32, a => { a.xor(eax, eax); a.into(); a.mov(al, 0x7f); a.inc(al); a.into(); });
        machine.RunToVector().ShouldBe(4);
        machine.Read32(machine.State->Gpr[4]).ShouldBe(TestMachine.Code + 8);
    }

    [EngineTheory]
    [InlineData(new byte[] { 0x0f, 0x0b })]
    [InlineData(new byte[] { 0x0f, 0xb9, 0xc0 })]
    [InlineData(new byte[] { 0x0f, 0xff, 0xc0 })]
    [InlineData(new byte[] { 0x0f, 0xaa })]
    [InlineData(new byte[] { 0x0f, 0x01, 0xc8 })]
    [InlineData(new byte[] { 0x0f, 0x01, 0xc9 })]
    [InlineData(new byte[] { 0x8e, 0xc8 })]
    [InlineData(new byte[] { 0x0f, 0x20, 0xc8 })]
    [InlineData(new byte[] { 0xf0, 0x90 })]
    public void Undefined_and_absent_instructions_are_UD(byte[] code)
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Emit(code);
        machine.RunToVector().ShouldBe(6);
        machine.Read32(machine.State->Gpr[4]).ShouldBe(TestMachine.Code);
    }

    [EngineFact]
    public void Bound_outside_its_bounds_is_vector_5()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Write32(TestMachine.Data, 1);
        machine.Write32(TestMachine.Data + 4, 5);
        machine.Assemble(32, a => { a.mov(eax, 6); a.bound(eax, __[TestMachine.Data]); });
        machine.RunToVector().ShouldBe(5);
    }

    [EngineTheory]
    [InlineData("d9e8", Cr0.Ts)] // fld1
    [InlineData("9b", Cr0.Ts | Cr0.Mp)] // fwait
    [InlineData("0f58c1", Cr0.Ts)] // addps
    [InlineData("d9e8", Cr0.Em)]
    public void Floating_point_with_TS_or_EM_is_device_not_available(string code, ulong bits)
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.State->Cr4 = Cr4.Osfxsr;
        machine.State->Cr0 |= bits;
        machine.Processor.RefreshMode();
        machine.Emit(Convert.FromHexString(code));
        machine.RunToVector().ShouldBe(7);
        machine.Read32(machine.State->Gpr[4]).ShouldBe(TestMachine.Code);
    }

    [EngineFact]
    public void An_unmasked_x87_error_is_vector_16_at_the_next_waiting_instruction()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Write16(TestMachine.Data, 0x37b);
        machine.Assemble(32, a => { a.fldcw(__word_ptr[TestMachine.Data]); a.fld1(); a.fldz(); a.fdivp(st1, st0); a.wait(); });
        machine.RunToVector().ShouldBe(16);
    }

    [EngineFact]
    public void An_unmasked_SSE_error_is_vector_19_with_OSXMMEXCPT_and_UD_without()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.State->Cr4 = Cr4.Osfxsr | Cr4.Osxmmexcpt;
        machine.State->Mxcsr = 0x1d80;
        machine.Write32(TestMachine.Data, 0x3f80_0000);
        machine.Processor.RefreshMode();
        machine.Assemble(32, a => { a.xorps(xmm1, xmm1); a.movss(xmm0, __dword_ptr[TestMachine.Data]); a.divss(xmm0, xmm1); });
        machine.RunToVector().ShouldBe(19);

        machine.EnterProtected();
        machine.State->Activity = ActivityState.Active;
        machine.State->Cr4 = Cr4.Osfxsr;
        machine.Processor.RefreshMode();
        machine.RunToVector().ShouldBe(6);
    }

    [EngineFact]
    public void Stack_accesses_outside_the_segment_or_not_canonical_are_SS()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.EnterUser();
        machine.Load(SegmentIndex.Ss, TestMachine.Data3, 0, 0xffff, 0x40f3);
        machine.State->Gpr[4] = 0x2_0000;
        machine.Assemble(32, a => a.push(eax));
        machine.RunToFault().ShouldBe((ExceptionVector.StackFault, 0U));

        using var wide = new TestMachine();
        wide.EnterLong();
        wide.EnterUser();
        wide.Assemble(64, a => { a.mov(rbp, 0x8000_0000_0000UL); a.mov(eax, __[rbp]); });
        wide.RunToFault().ShouldBe((ExceptionVector.StackFault, 0U));
    }

    [EngineFact]
    public void A_misaligned_access_at_cpl_3_with_AM_and_AC_is_an_alignment_check()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.State->Cr0 |= Cr0.Am;
        machine.EnterUser();
        machine.Assemble(32, a =>
        {
            a.pushfd();
            a.or(__dword_ptr[esp], (uint)RflagsBits.Ac);
            a.popfd();
            a.mov(eax, __[TestMachine.Data + 1]);
        });
        machine.RunToFault().ShouldBe((ExceptionVector.AlignmentCheck, 0U));
    }

    [EngineFact]
    public void A_page_fault_tells_its_address_in_CR2_and_its_cause_in_the_error_code()
    {
        using var machine = new TestMachine();
        machine.EnterLong();
        machine.Assemble(64, a => { a.mov(rax, 0x12345678UL); a.mov(__[rax], eax); });
        machine.RunToFault().ShouldBe((ExceptionVector.PageFault, 2U));
        machine.State->Cr2.ShouldBe(0x12345678UL);
        machine.Processor.Statistics.Exceptions[14].ShouldBe(1);
    }

    [EngineFact]
    public void An_interrupt_gate_clears_IF_TF_NT_RF_and_a_trap_gate_leaves_IF()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.SetGate(0x41, TestMachine.Gate(TestMachine.Code0, TestMachine.Handler(0x41), 0x8f));
        machine.State->Rflags = RflagsBits.If | RflagsBits.Nt | RflagsBits.Cf;
        machine.Emit(0xcd, 0x41);
        machine.RunToVector().ShouldBe(0x41);
        machine.State->Rflags.ShouldBe(RflagsBits.If | RflagsBits.Cf | RflagsBits.AlwaysOne);

        machine.State->Rflags = RflagsBits.If | RflagsBits.Nt;
        machine.State->Activity = ActivityState.Active;
        machine.State->Rip = TestMachine.Code;
        machine.Emit(0xcd, 0x42);
        machine.RunToVector().ShouldBe(0x42);
        machine.State->Rflags.ShouldBe(RflagsBits.AlwaysOne);
        machine.Read32(machine.State->Gpr[4] + 8).ShouldBe((uint)(RflagsBits.If | RflagsBits.Nt | RflagsBits.AlwaysOne));
    }

    [EngineFact]
    public void An_interrupt_to_an_inner_level_takes_the_stack_of_the_TSS_and_pushes_the_old_one()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.EnterUser();
        machine.SetGate(0x80, TestMachine.Gate(TestMachine.Code0, TestMachine.Handler(0x80), 0xee));
        machine.Emit(0xcd, 0x80);
        machine.RunToVector().ShouldBe(0x80);
        ulong frame = machine.State->Gpr[4];
        frame.ShouldBe(TestMachine.InnerStack - 20);
        machine.State->Cpl.ShouldBe((byte)0);
        machine.Segment(SegmentIndex.Ss).Selector.ShouldBe(TestMachine.Data0);
        machine.Read32(frame).ShouldBe(TestMachine.Code + 2);
        machine.Read32(frame + 4).ShouldBe(TestMachine.Code3);
        machine.Read32(frame + 12).ShouldBe(TestMachine.UserStack);
        machine.Read32(frame + 16).ShouldBe(TestMachine.Data3);
    }

    [EngineFact]
    public void Int_n_at_cpl_3_through_a_gate_of_dpl_0_is_GP_with_the_vector_in_the_error_code()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.EnterUser();
        machine.Emit(0xcd, 0x80);
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, (0x80U << 3) | 2));
        machine.Read32(machine.State->Gpr[4] + 4).ShouldBe(TestMachine.Code);
    }

    [EngineFact]
    public void A_gate_that_is_not_present_is_NP_and_beyond_the_limit_is_GP()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.SetGate(0x30, TestMachine.Gate(TestMachine.Code0, 0, 0x0e));
        machine.Emit(0xcd, 0x30);
        machine.RunToFault().ShouldBe((ExceptionVector.SegmentNotPresent, (0x30U << 3) | 2));

        machine.EnterProtected();
        machine.State->Activity = ActivityState.Active;
        machine.State->Idtr.Limit = (0x30 * 8) + 6;
        machine.Emit(0xcd, 0x30);
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, (0x30U << 3) | 2));
    }

    [EngineFact]
    public void A_sixteen_bit_gate_pushes_words()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.SetGate(0x30, TestMachine.Gate(TestMachine.Code0, TestMachine.Handler(0x30), 0x86));
        machine.State->Rip = 0x9000;
        machine.Assemble(32, a => a.@int(0x30), 0x9000);
        machine.RunToVector().ShouldBe(0x30);
        ulong frame = machine.State->Gpr[4];
        frame.ShouldBe(TestMachine.Stack - 6);
        machine.Read16(frame).ShouldBe((ushort)0x9002);
        machine.Read16(frame + 2).ShouldBe(TestMachine.Code0);
    }

    [EngineFact]
    public void An_exception_through_a_gate_of_nonsense_sets_EXT()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.SetGate(6, TestMachine.Gate(0x777, 0, 0x8e));
        machine.State->Gdtr.Limit = 0x77;
        machine.Emit(0x0f, 0x0b);
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0x775U));
    }

    [EngineFact]
    public void A_contributory_fault_while_delivering_a_contributory_one_is_a_double_fault()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.SetGate(13, 0);
        machine.Assemble(32, a => { a.mov(ax, 0xfff8); a.mov(ds, ax); });
        machine.RunToFault().ShouldBe((ExceptionVector.DoubleFault, 0U));
    }

    [EngineFact]
    public void A_contributory_fault_while_delivering_a_benign_one_is_delivered_itself()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.SetGate(6, 0);
        machine.Emit(0x0f, 0x0b);
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, (6U << 3) | 3));
    }

    [EngineFact]
    public void A_page_fault_while_delivering_a_page_fault_is_a_double_fault()
    {
        using var machine = new TestMachine();
        machine.EnterLong();
        machine.Assemble(64, a => { a.mov(rax, 0x40000000UL); a.mov(rsp, rax); a.mov(__[rax], eax); });
        machine.Write64(TestMachine.Tss + 0x24, TestMachine.InnerStack);
        machine.SetGate(8, TestMachine.Gate(TestMachine.LongCode0, TestMachine.Handler(8), 0x8e, parameters: 1));
        machine.RunToFault().ShouldBe((ExceptionVector.DoubleFault, 0U));
    }

    [EngineFact]
    public void A_fault_while_delivering_a_double_fault_shuts_the_processor_down()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.State->Idtr.Limit = 0;
        machine.Emit(0x0f, 0x0b);
        machine.RunToHalt().ShouldBe(ExitReason.Shutdown);
        machine.State->Activity.ShouldBe(ActivityState.Shutdown);
    }

    [EngineFact]
    public void External_interrupts_wait_for_IF_and_are_counted()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Bus.Interrupts.Enqueue(0x55);
        machine.Processor.Post(ProcessorEvents.Interrupt);
        machine.Assemble(32, a => { a.inc(eax); a.sti(); a.inc(ebx); a.inc(ecx); a.hlt(); });
        machine.State->Gpr[0] = machine.State->Gpr[1] = machine.State->Gpr[3] = 0;
        machine.RunToVector().ShouldBe(0x55);
        machine.State->Gpr[0].ShouldBe(1UL);
        machine.State->Gpr[3].ShouldBe(1UL, "STI inhibits interrupts until after the next instruction");
        machine.State->Gpr[1].ShouldBe(0UL);
        machine.Processor.Statistics.Interrupts[0x55].ShouldBe(1);
        (machine.Read32(machine.State->Gpr[4] + 8) & (uint)RflagsBits.If).ShouldBe((uint)RflagsBits.If);
    }

    [EngineFact]
    public void Hlt_ends_with_an_interrupt_whose_frame_points_behind_it()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Assemble(32, a => { a.sti(); a.hlt(); });
        machine.RunToHalt().ShouldBe(ExitReason.Halt);
        machine.State->Rip.ShouldBe(TestMachine.Code + 2UL);
        machine.Bus.Interrupts.Enqueue(0x21);
        machine.Processor.Post(ProcessorEvents.Interrupt);
        machine.RunToVector().ShouldBe(0x21);
        machine.Read32(machine.State->Gpr[4]).ShouldBe(TestMachine.Code + 2);
    }

    [EngineFact]
    public void An_NMI_ignores_IF_and_blocks_the_next_one_until_iret()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Emit(0xf4);
        machine.Processor.Post(ProcessorEvents.Nmi);
        machine.RunToVector().ShouldBe(2);
        machine.Processor.Post(ProcessorEvents.Nmi);
        ulong stack = machine.State->Gpr[4];
        machine.RunToHalt().ShouldBe(ExitReason.Halt);
        machine.State->Gpr[4].ShouldBe(stack, "the second NMI waits");
        machine.Memory.Write(new Ringfence.Memory.GuestPhysical(TestMachine.Handler(2)), [0x41, 0xcf]);
        machine.State->Rip = TestMachine.Handler(2);
        machine.State->Activity = ActivityState.Active;
        machine.State->Gpr[1] = 0;
        machine.RunToHalt().ShouldBe(ExitReason.Halt);
        machine.State->Gpr[1].ShouldBe(2UL, "one IRET lets the waiting NMI in");
        machine.Processor.Statistics.Exceptions[2].ShouldBe(2);
    }

    [EngineFact]
    public void An_IO_breakpoint_traps_after_the_port_access()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.State->Cr4 = Cr4.De;
        machine.State->DebugAddress[1] = 0x80;
        machine.State->Dr7 = 0x400 | (3 << 2) | (2UL << 20);
        machine.Processor.RefreshMode();
        machine.Emit(0xe6, 0x81, 0xe6, 0x80, 0x90);
        machine.RunToVector().ShouldBe(1);
        machine.Bus.Writes.Count.ShouldBe(2);
        (machine.State->Dr6 & 15).ShouldBe(2UL);
        machine.Read32(machine.State->Gpr[4]).ShouldBe(TestMachine.Code + 4);
    }

    [EngineFact]
    public void In_long_mode_the_frame_always_has_SS_and_RSP_on_a_stack_aligned_to_16()
    {
        using var machine = new TestMachine();
        machine.EnterLong();
        machine.State->Gpr[4] = TestMachine.Stack - 3;
        machine.Emit(0xcd, 0x40);
        machine.RunToVector().ShouldBe(0x40);
        ulong frame = machine.State->Gpr[4];
        frame.ShouldBe(TestMachine.Stack - 16UL - 40);
        machine.Read64(frame).ShouldBe(TestMachine.Code + 2UL);
        machine.Read64(frame + 8).ShouldBe((ulong)TestMachine.LongCode0);
        machine.Read64(frame + 24).ShouldBe(TestMachine.Stack - 3UL);
        machine.Read64(frame + 32).ShouldBe((ulong)TestMachine.Data0);
    }

    [EngineFact]
    public void In_long_mode_an_inner_level_gets_RSP0_and_a_null_SS_and_an_IST_gate_its_own_stack()
    {
        using var machine = new TestMachine();
        machine.EnterLong();
        machine.EnterUser();
        machine.SetGate(0x40, TestMachine.Gate(TestMachine.LongCode0, TestMachine.Handler(0x40), 0xee));
        machine.Emit(0xcd, 0x40);
        machine.RunToVector().ShouldBe(0x40);
        machine.State->Gpr[4].ShouldBe(TestMachine.InnerStack - 40UL);
        machine.Segment(SegmentIndex.Ss).Selector.ShouldBe((ushort)0);
        machine.Read64(machine.State->Gpr[4] + 32).ShouldBe((ulong)TestMachine.Data3);

        machine.Write64(TestMachine.Tss + 0x1c + (8 * 3), TestMachine.Stack1);
        machine.SetGate(0x41, TestMachine.Gate(TestMachine.LongCode0, TestMachine.Handler(0x41), 0x8e, parameters: 3));
        machine.State->Rip = TestMachine.Code;
        machine.State->Activity = ActivityState.Active;
        machine.Emit(0xcd, 0x41);
        machine.RunToVector().ShouldBe(0x41);
        machine.State->Gpr[4].ShouldBe(TestMachine.Stack1 - 40UL);
    }

    [EngineFact]
    public void Single_step_traps_after_each_instruction_with_DR6_BS()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Assemble(32, a =>
        {
            a.pushfd();
            a.or(__dword_ptr[esp], (uint)RflagsBits.Tf);
            a.popfd();
            a.nop();
            a.nop();
        });
        machine.RunToVector().ShouldBe(1);
        (machine.State->Dr6 & (1 << 14)).ShouldBe(1UL << 14);
        byte[] beforeNop = new byte[16];
        machine.Memory.Read(new Ringfence.Memory.GuestPhysical(TestMachine.Code), beforeNop);
        uint nop = TestMachine.Code + (uint)Array.IndexOf(beforeNop, (byte)0x90);
        machine.Read32(machine.State->Gpr[4]).ShouldBe(nop + 1);
        (machine.Read32(machine.State->Gpr[4] + 8) & (uint)(RflagsBits.Tf | RflagsBits.Rf)).ShouldBe((uint)RflagsBits.Tf);
        (machine.State->Rflags & RflagsBits.Tf).ShouldBe(0UL);
    }

    [Fact]
    public void A_debug_trap_sets_DR6_and_clears_DR7_GD()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.State->Dr7 |= DebugRegisters.GeneralDetect;
        EventDelivery.DeliverDebugTrap(machine.Processor, 4);
        (machine.State->Dr6 & 15).ShouldBe(4UL);
        (machine.State->Dr7 & DebugRegisters.GeneralDetect).ShouldBe(0UL);
        machine.State->Rip.ShouldBe((ulong)TestMachine.Handler(1));
    }

    [EngineFact]
    public void Real_mode_uses_the_vector_table_and_pushes_no_error_code()
    {
        using var machine = new TestMachine();
        machine.State->Idtr.Limit = 0x3ff;
        machine.Load(SegmentIndex.Cs, 0x1000, 0x10000, 0xffff, 0x9b);
        machine.State->Gpr[4] = 0x8000;
        machine.State->Rip = 0;
        machine.State->SystemFlags |= RflagsBits.If;
        machine.Processor.Mmu.FlushCodeTlb();
        machine.Processor.RefreshMode();
        machine.Write32(13 * 4, 0x0123_4567);
        machine.Memory.Write(new Ringfence.Memory.GuestPhysical(0x1230 + 0x4567), [0xf4]);
        machine.Assemble(16, a => { a.mov(bx, 0xffff); a.mov(ax, __[bx]); });
        machine.RunToHalt().ShouldBe(ExitReason.Halt);
        machine.State->Rip.ShouldBe(0x4568UL);
        machine.Segment(SegmentIndex.Cs).Selector.ShouldBe((ushort)0x123);
        machine.State->Gpr[4].ShouldBe(0x7ffaUL);
        machine.Read16(0x7ffa).ShouldBe((ushort)3);
        machine.Read16(0x7ffc).ShouldBe((ushort)0x1000);
        (machine.Read16(0x7ffe) & (ushort)RflagsBits.If).ShouldNotBe(0);
        (machine.State->Rflags & RflagsBits.If).ShouldBe(0UL);
    }
}
