using Ringfence.Processors;
using Ringfence.Processors.Sensitive;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Sensitive;

/// <summary>Control and debug registers, MSRs, descriptor-table registers (Intel SDM 3A chapter 2, 3B 18.2, 4).</summary>
public sealed unsafe class ControlStateTests
{
    [Theory]
    [InlineData(Cr0.Pg)] // PG without PE
    [InlineData(Cr0.Pe | Cr0.Nw)] // NW without CD
    [InlineData(Cr0.Pe | (1UL << 32))]
    public void Bad_values_of_CR0_are_GP(ulong value)
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        ulong before = machine.State->Cr0;
        ControlRegisters.TryWriteCr0(machine.Processor, value).ShouldBeFalse();
        machine.State->FaultVector.ShouldBe((byte)13);
        machine.State->Cr0.ShouldBe(before);
    }

    [Theory]
    [InlineData(Cr4.Vme)]
    [InlineData(Cr4.Pvi)]
    [InlineData(Cr4.Vmxe)]
    [InlineData(Cr4.Pcide)]
    [InlineData(Cr4.Osxsave)]
    [InlineData(1UL << 22)]
    [InlineData(1UL << 63)]
    public void Bits_of_CR4_that_CPUID_does_not_offer_are_GP(ulong bit)
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        ControlRegisters.TryWriteCr4(machine.Processor, bit).ShouldBeFalse();
        machine.State->Cr4.ShouldBe(0UL);
    }

    [Fact]
    public void Paging_with_LME_set_activates_IA32e_mode_and_clearing_it_leaves()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.State->Efer = Efer.Lme;
        ControlRegisters.TryWriteCr0(machine.Processor, machine.State->Cr0 | Cr0.Pg).ShouldBeFalse("LME without PAE");
        ControlRegisters.TryWriteCr4(machine.Processor, Cr4.Pae).ShouldBeTrue();
        ControlRegisters.TryWriteCr0(machine.Processor, machine.State->Cr0 | Cr0.Pg).ShouldBeTrue();
        (machine.State->Efer & Efer.Lma).ShouldBe(Efer.Lma);
        machine.State->Mode.ShouldBe(ProcessorMode.Compatibility);
        ControlRegisters.TryWriteCr4(machine.Processor, 0).ShouldBeFalse("PAE cannot be cleared in IA-32e mode");
        ControlRegisters.TryWriteCr0(machine.Processor, machine.State->Cr0 & ~Cr0.Pg).ShouldBeTrue();
        (machine.State->Efer & Efer.Lma).ShouldBe(0UL);
        machine.State->Mode.ShouldBe(ProcessorMode.Protected);
    }

    [EngineFact]
    public void Paging_cannot_be_turned_off_in_64_bit_mode()
    {
        using var machine = new TestMachine();
        machine.EnterLong();
        machine.Assemble(64, a => { a.mov(rax, cr0); a.btr(rax, 31); a.mov(cr0, rax); });
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0U));
    }

    [Fact]
    public void PAE_paging_loads_PDPTEs_with_CR3_and_refuses_reserved_bits()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.State->Cr4 = Cr4.Pae;
        machine.Write64(TestMachine.PageTables + 0x20, 0x5000 | 1);
        machine.Write64(TestMachine.PageTables + 0x40, 0x5000 | 3);
        machine.State->Cr3 = TestMachine.PageTables + 0x20;
        ControlRegisters.TryWriteCr0(machine.Processor, machine.State->Cr0 | Cr0.Pg).ShouldBeTrue();
        machine.State->Pdpte[0].ShouldBe(0x5001UL);
        ControlRegisters.TryWriteCr3(machine.Processor, TestMachine.PageTables + 0x40).ShouldBeFalse();
        machine.State->Cr3.ShouldBe(TestMachine.PageTables + 0x20UL);
        machine.State->Pdpte[0].ShouldBe(0x5001UL);
    }

    [EngineTheory]
    [InlineData(new byte[] { 0x0f, 0x22, 0xc0 })] // MOV CR0
    [InlineData(new byte[] { 0x0f, 0x20, 0xd8 })] // MOV from CR3
    [InlineData(new byte[] { 0x0f, 0x23, 0xc0 })] // MOV DR0
    [InlineData(new byte[] { 0x0f, 0x06 })] // CLTS
    [InlineData(new byte[] { 0x0f, 0x01, 0xf0 })] // LMSW AX
    [InlineData(new byte[] { 0x0f, 0x01, 0x38 })] // INVLPG
    [InlineData(new byte[] { 0x0f, 0x08 })] // INVD
    [InlineData(new byte[] { 0x0f, 0x09 })] // WBINVD
    [InlineData(new byte[] { 0x0f, 0x30 })] // WRMSR
    [InlineData(new byte[] { 0x0f, 0x32 })] // RDMSR
    [InlineData(new byte[] { 0x0f, 0x33 })] // RDPMC
    [InlineData(new byte[] { 0x0f, 0x01, 0x10 })] // LGDT
    [InlineData(new byte[] { 0x0f, 0x01, 0x18 })] // LIDT
    [InlineData(new byte[] { 0x0f, 0x00, 0xd0 })] // LLDT
    [InlineData(new byte[] { 0x0f, 0x00, 0xd8 })] // LTR
    [InlineData(new byte[] { 0x0f, 0x35 })] // SYSEXIT
    [InlineData(new byte[] { 0xf4 })] // HLT
    [InlineData(new byte[] { 0xfa })] // CLI
    [InlineData(new byte[] { 0xfb })] // STI
    [InlineData(new byte[] { 0xec })] // IN AL, DX
    [InlineData(new byte[] { 0xee })] // OUT DX, AL
    [InlineData(new byte[] { 0x6c })] // INSB
    [InlineData(new byte[] { 0x6e })] // OUTSB
    public void Privileged_instructions_are_GP_0_at_cpl_3(byte[] code)
    {
        foreach (bool isLong in new[] { false, true })
        {
            using var machine = new TestMachine();
            if (isLong) machine.EnterLong();
            else machine.EnterProtected();
            machine.EnterUser();
            machine.Emit(code);
            machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0U));
            machine.Bus.Writes.ShouldBeEmpty();
        }
    }

    [EngineTheory]
    [InlineData(new byte[] { 0x0f, 0x01, 0x05, 0, 0, 2, 0 })] // SGDT
    [InlineData(new byte[] { 0x0f, 0x01, 0x0d, 0, 0, 2, 0 })] // SIDT
    [InlineData(new byte[] { 0x0f, 0x00, 0xc0 })] // SLDT
    [InlineData(new byte[] { 0x0f, 0x00, 0xc8 })] // STR
    [InlineData(new byte[] { 0x0f, 0x01, 0xe0 })] // SMSW
    public void The_stores_are_for_everyone_unless_UMIP(byte[] code)
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.EnterUser();
        machine.Emit([.. code, 0x0f, 0x0b]);
        machine.RunToVector().ShouldBe(6);

        machine.EnterProtected();
        machine.State->Activity = ActivityState.Active;
        machine.State->Cr4 = Cr4.Umip;
        machine.EnterUser();
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0U));
    }

    [EngineFact]
    public void Lmsw_sets_PE_but_never_clears_it()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Assemble(32, a => { a.mov(ax, 0xe); a.lmsw(ax); a.ud2(); });
        machine.RunToVector().ShouldBe(6);
        (machine.State->Cr0 & 0xf).ShouldBe(0xfUL);
    }

    [EngineFact]
    public void Cr8_is_the_task_priority_and_has_four_bits()
    {
        using var machine = new TestMachine();
        machine.EnterLong();
        machine.Assemble(64, a => { a.mov(eax, 9); a.mov(cr8, rax); a.mov(rbx, cr8); a.mov(eax, 16); a.mov(cr8, rax); });
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0U));
        machine.Bus.Priority.ShouldBe(9UL);
        machine.State->Gpr[3].ShouldBe(9UL);
    }

    [EngineFact]
    public void Debug_registers_4_and_5_are_6_and_7_unless_DE()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Assemble(32, a => { a.mov(eax, 0xffff_dfff); a.db(0x0f, 0x23, 0xe0); a.mov(ebx, dr6); a.mov(eax, cr4); a.or(eax, 8); a.mov(cr4, eax); a.db(0x0f, 0x21, 0xe0); });
        machine.RunToVector().ShouldBe(6);
        machine.State->Gpr[3].ShouldBe(0xffff_cfffUL);
    }

    [EngineFact]
    public void General_detect_makes_an_access_a_debug_fault_and_is_cleared()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Assemble(32, a => { a.mov(eax, 0x2000); a.mov(dr7, eax); a.mov(ebx, dr0); });
        machine.RunToVector().ShouldBe(1);
        (machine.State->Dr6 & (1 << 13)).ShouldBe(1UL << 13);
        machine.State->Dr7.ShouldBe(0x400UL);
        machine.Read32(machine.State->Gpr[4]).ShouldBe(TestMachine.Code + 8);
    }

    [Theory]
    [InlineData(0x174U, 0x1234UL)]
    [InlineData(0x277U, 0x0007_0406_0007_0401UL)]
    [InlineData(0x2ffU, 0xc06UL)]
    [InlineData(0x250U, 0x0606_0606_0606_0606UL)]
    [InlineData(0x200U, 0xc000_0000UL)]
    [InlineData(0x201U, 0xff_c000_0800UL)]
    [InlineData(0xc000_0082U, 0xffff_ffff_8100_0000UL)]
    [InlineData(0xc000_0100U, 0x7fff_0000_0000UL)]
    [InlineData(0xc000_0103U, 7UL)]
    public void Registers_keep_what_is_written(uint msr, ulong value)
    {
        using var machine = new TestMachine();
        ModelSpecificRegisters.TryWrite(machine.Processor, msr, value).ShouldBeTrue();
        ModelSpecificRegisters.TryRead(machine.Processor, msr, out ulong read).ShouldBeTrue();
        read.ShouldBe(value);
    }

    [Theory]
    [InlineData(0x277U, 0x02UL)] // reserved memory type
    [InlineData(0x2ffU, 0x02UL)]
    [InlineData(0x2ffU, 0x1006UL)]
    [InlineData(0x200U, 0x102UL)]
    [InlineData(0x201U, 0x1UL)]
    [InlineData(0xc000_0080U, 0x2UL)]
    [InlineData(0xc000_0082U, 0x8000_0000_0000UL)]
    [InlineData(0xc000_0100U, 0x8000_0000_0000UL)]
    [InlineData(0xc000_0084U, 0x1_0000_0000UL)]
    [InlineData(0xc000_0103U, 0x1_0000_0000UL)]
    [InlineData(0xfeU, 0UL)] // read-only
    [InlineData(0x400U, 0UL)] // no machine-check banks
    [InlineData(0x1234_5678U, 0UL)]
    public void Reserved_values_and_absent_registers_are_refused(uint msr, ulong value)
    {
        using var machine = new TestMachine();
        ModelSpecificRegisters.TryWrite(machine.Processor, msr, value).ShouldBeFalse();
    }

    [Fact]
    public void LME_cannot_change_while_paging_and_LMA_cannot_be_written()
    {
        using var machine = new TestMachine();
        machine.EnterLong();
        ModelSpecificRegisters.TryWrite(machine.Processor, 0xc000_0080, Efer.Sce).ShouldBeFalse();
        ModelSpecificRegisters.TryWrite(machine.Processor, 0xc000_0080, Efer.Sce | Efer.Lme).ShouldBeTrue();
        machine.State->IsLongModeActive.ShouldBeTrue();
    }

    [EngineFact]
    public void Rdtsc_follows_writes_of_the_counter_and_TSD_reserves_it_to_cpl_0()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        ModelSpecificRegisters.TryWrite(machine.Processor, 0x10, 0x5_0000_0000).ShouldBeTrue();
        machine.State->TscAux = 77;
        machine.Bus.Timestamp += 5;
        machine.Assemble(32, a => { a.rdtscp(); a.ud2(); });
        machine.RunToVector().ShouldBe(6);
        machine.State->Gpr[0].ShouldBe(5UL);
        machine.State->Gpr[2].ShouldBe(5UL);
        machine.State->Gpr[1].ShouldBe(77UL);

        machine.EnterProtected();
        machine.State->Activity = ActivityState.Active;
        machine.State->Cr4 = Cr4.Tsd;
        machine.EnterUser();
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0U));
    }

    [EngineFact]
    public void Lgdt_and_sgdt_are_inverse_and_refuse_a_non_canonical_base()
    {
        using var machine = new TestMachine();
        machine.EnterLong();
        machine.Write16(TestMachine.Data, 0x777);
        machine.Write64(TestMachine.Data + 2, 0xffff_8000_0000_1000);
        machine.Write64(TestMachine.Data + 0x22, 0x8000_0000_0000);
        machine.Assemble(64, a =>
        {
            a.mov(ebx, (int)TestMachine.Data);
            a.sgdt(__[rbx + 0x40]);
            a.lidt(__[rbx]);
            a.sidt(__[rbx + 0x10]);
            a.lidt(__[rbx + 0x42 - 2]);
            a.lgdt(__[rbx + 0x20]);
        });
        machine.Segment(SegmentIndex.Tr).IsUsable.ShouldBeTrue();
        machine.State->Idtr.Base.ShouldBe(TestMachine.Idt);
        machine.SetGdt(0, 0);
        machine.RunToHalt();
        machine.Read16(TestMachine.Data + 0x10).ShouldBe((ushort)0x777);
        machine.Read64(TestMachine.Data + 0x12).ShouldBe(0xffff_8000_0000_1000);
        machine.Read64(TestMachine.Data + 0x42).ShouldBe(TestMachine.Gdt);
        machine.State->Gdtr.Base.ShouldBe(TestMachine.Gdt);
    }
}
