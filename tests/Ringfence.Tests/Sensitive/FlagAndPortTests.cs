using Ringfence.Processors;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Sensitive;

/// <summary>Flags by privilege, ports by IOPL and bitmap, selector queries (Intel SDM 1 19.5, 2 "POPF", 3A 5.10).</summary>
public sealed unsafe class FlagAndPortTests
{
    private const ulong All = RflagsBits.Status | RflagsBits.If | RflagsBits.Df | RflagsBits.Iopl | RflagsBits.Nt | RflagsBits.Ac | RflagsBits.Id;

    [EngineTheory]
    [InlineData(0, 0, All)]
    [InlineData(3, 0, All & ~(RflagsBits.If | RflagsBits.Iopl))]
    [InlineData(3, 3, All & ~RflagsBits.Iopl)]
    public void Popf_changes_what_the_level_may_change(int cpl, int iopl, ulong changeable)
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        if (cpl == 3) machine.EnterUser();
        machine.State->Rflags = (ulong)iopl << 12;
        machine.Assemble(32, a => { a.push(unchecked((int)(uint)(All & ~RflagsBits.Nt | RflagsBits.Vm | RflagsBits.Rf | RflagsBits.Vif | RflagsBits.Vip))); a.popfd(); a.ud2(); });
        machine.RunToVector().ShouldBe(6);
        ulong flags = machine.Read32(machine.State->Gpr[4] + 8);
        ulong expected = (changeable & ~RflagsBits.Nt) | RflagsBits.AlwaysOne | RflagsBits.Rf;
        if ((changeable & RflagsBits.Iopl) == 0) expected |= (ulong)iopl << 12;
        flags.ShouldBe(expected);
    }

    [EngineFact]
    public void Popf_at_cpl_3_leaves_if_alone_without_a_fault()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.EnterUser();
        machine.State->Rflags = RflagsBits.If;
        machine.Assemble(32, a => { a.push(0); a.popfd(); a.pushfd(); a.pop(eax); a.ud2(); });
        machine.RunToVector().ShouldBe(6);
        machine.State->Gpr[0].ShouldBe(RflagsBits.If | 2);
    }

    [EngineFact]
    public void Pushf_hides_VM_and_RF()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.State->Rflags = RflagsBits.Rf | RflagsBits.Cf;
        machine.Processor.RefreshMode();
        machine.Assemble(32, a => { a.pushfd(); a.pop(eax); a.ud2(); });
        machine.RunToVector().ShouldBe(6);
        machine.State->Gpr[0].ShouldBe(3UL);
    }

    [EngineFact]
    public void Iret_at_cpl_3_keeps_IOPL_and_IF()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.EnterUser();
        machine.State->Rflags = RflagsBits.If;
        machine.Assemble(32, a =>
        {
            a.push((int)(RflagsBits.Iopl | RflagsBits.Cf | RflagsBits.Vm));
            a.push(TestMachine.Code3);
            a.push((int)TestMachine.UserCode);
            a.iretd();
        });
        machine.Assemble(32, a => { a.pushfd(); a.pop(eax); a.ud2(); }, TestMachine.UserCode);
        machine.RunToVector().ShouldBe(6);
        machine.State->Gpr[0].ShouldBe(RflagsBits.If | RflagsBits.Cf | 2);
    }

    [EngineFact]
    public void Iretq_always_pops_SS_and_RSP()
    {
        using var machine = new TestMachine();
        machine.EnterLong();
        machine.Assemble(64, a =>
        {
            a.push(0);
            a.push((int)TestMachine.Stack1);
            a.push(2);
            a.push(TestMachine.LongCode0);
            a.push((int)TestMachine.UserCode);
            a.iretq();
        });
        machine.Assemble(64, a => { a.mov(rax, rsp); a.ud2(); }, TestMachine.UserCode);
        machine.RunToVector().ShouldBe(6);
        machine.State->Gpr[0].ShouldBe(TestMachine.Stack1);
    }

    [EngineFact]
    public void Iret_with_NT_in_IA32e_mode_is_GP()
    {
        using var machine = new TestMachine();
        machine.EnterLong();
        machine.State->Rflags = RflagsBits.Nt;
        machine.Emit(0x48, 0xcf);
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0U));
    }

    [EngineFact]
    public void Iret_to_a_16_bit_stack_leaves_the_upper_half_of_ESP()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.SetGdt(0x60, TestMachine.Descriptor(0x20000, 0xffff, 0xf2, 0));
        machine.Assemble(32, a =>
        {
            a.push(0x63);
            a.push(0x7777_1000);
            a.push(2);
            a.push(TestMachine.Code3);
            a.push((int)TestMachine.UserCode);
            a.iretd();
        });
        machine.Assemble(32, a => { a.mov(eax, esp); a.ud2(); }, TestMachine.UserCode);
        machine.RunToVector().ShouldBe(6);
        machine.State->Gpr[0].ShouldBe(((TestMachine.Stack - 20) & 0xffff_0000) | 0x1000UL);
    }

    [EngineTheory]
    [InlineData(0x10, 1, true)]
    [InlineData(0x11, 1, false)]
    [InlineData(0x0f, 2, true)]
    [InlineData(0x10, 2, false)]
    [InlineData(0x0e, 4, false)]
    [InlineData(0x0c, 4, true)]
    [InlineData(0x1f, 1, true)]
    [InlineData(0x1f, 2, false)] // the second byte of the map lies outside the TSS
    public void The_IO_bitmap_allows_ports_whose_bits_are_all_clear(int port, int size, bool allowed)
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Write16(TestMachine.Tss + 0x66, 0x68);
        machine.Write32(TestMachine.Tss + 0x68, 0x0002_0000);
        machine.Write16(TestMachine.Tss + 0x6c, 0xffff);
        machine.Segment(SegmentIndex.Tr).Limit = 0x6c;
        machine.EnterUser();
        machine.State->Gpr[2] = (ulong)port;
        machine.Assemble(32, a =>
        {
            if (size == 1) a.@in(al, dx);
            else if (size == 2) a.@in(ax, dx);
            else a.@in(eax, dx);
            a.ud2();
        });
        machine.RunToVector().ShouldBe(allowed ? 6 : 13);
        machine.Bus.Reads.Count.ShouldBe(allowed ? 1 : 0);
    }

    [EngineFact]
    public void In_and_out_move_their_size_and_clear_only_what_they_should()
    {
        using var machine = new TestMachine();
        machine.EnterLong();
        machine.State->Gpr[0] = ulong.MaxValue;
        machine.Assemble(64, a => { a.@in(al, 0x60); a.mov(rbx, rax); a.@in(ax, 0x60); a.mov(rcx, rax); a.@in(eax, 0x60); a.@out(0x80, ax); a.ud2(); });
        machine.RunToVector().ShouldBe(6);
        machine.State->Gpr[3].ShouldBe(0xffff_ffff_ffff_ff78UL);
        machine.State->Gpr[1].ShouldBe(0xffff_ffff_ffff_5678UL);
        machine.State->Gpr[0].ShouldBe(0x1234_5678UL);
        machine.Bus.Writes.ShouldBe([((ushort)0x80, 2, 0x5678U)]);
    }

    [EngineFact]
    public void Rep_insb_stores_every_byte_and_rep_outsw_reads_backwards_with_DF()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        byte next = 0;
        machine.Bus.PortValue = _ => next++;
        machine.Assemble(32, a =>
        {
            a.mov(edi, (int)TestMachine.Data);
            a.mov(ecx, 200);
            a.mov(dx, 0x1f0);
            a.cld();
            a.rep.insb();
            a.mov(ebx, edi);
            a.lea(esi, __[edi - 2]);
            a.mov(ecx, 3);
            a.std();
            a.rep.outsw();
            a.ud2();
        });
        machine.RunToVector().ShouldBe(6);
        machine.State->Gpr[3].ShouldBe(TestMachine.Data + 200UL);
        machine.State->Gpr[1].ShouldBe(0UL);
        machine.Read8(TestMachine.Data + 199).ShouldBe((byte)199);
        machine.Bus.Writes.Select(w => w.Value).ShouldBe([0xc7c6U, 0xc5c4U, 0xc3c2U]);
    }

    [EngineFact]
    public void Ins_faults_before_it_reads_the_port()
    {
        using var machine = new TestMachine();
        machine.EnterLong();
        machine.Assemble(64, a => { a.mov(edi, 0x4000_0000); a.insb(); });
        machine.RunToFault().ShouldBe((ExceptionVector.PageFault, 2U));
        machine.Bus.Reads.ShouldBeEmpty();
    }

    [EngineTheory]
    [InlineData(0x92, 0, true, true)]
    [InlineData(0x90, 0, true, false)]
    [InlineData(0x9a, 0, true, false)]
    [InlineData(0x98, 0, false, false)]
    [InlineData(0x92, 3, false, false)]
    [InlineData(0x9e, 3, true, false)]
    [InlineData(0x89, 0, false, false)]
    public void Verr_and_verw_set_ZF_by_type_and_privilege(int access, int rpl, bool readable, bool writable)
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.SetGdt(0x60, TestMachine.Descriptor(0, 0xfff, access, 0));
        machine.Assemble(32, a => { a.mov(eax, 0x60 | rpl); a.verr(ax); a.setz(bl); a.verw(ax); a.setz(cl); a.ud2(); });
        machine.RunToVector().ShouldBe(6);
        ((machine.State->Gpr[3] & 1) != 0).ShouldBe(readable);
        ((machine.State->Gpr[1] & 1) != 0).ShouldBe(writable);
    }

    [EngineFact]
    public void Lar_and_lsl_show_rights_and_limit_and_leave_the_register_if_ZF_is_clear()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.SetGdt(0x60, TestMachine.Descriptor(0x1234_5678, 0x12345, 0xf2, 0xc));
        machine.SetGdt(0x68, TestMachine.Gate(8, 0, 0x8e));
        machine.Assemble(32, a =>
        {
            a.mov(eax, 0x63);
            a.lar(ebx, eax);
            a.lsl(ecx, eax);
            a.mov(eax, 0x68);
            a.mov(edx, 0x55);
            a.lar(edx, eax);
            a.setz(al);
            a.ud2();
        });
        machine.RunToVector().ShouldBe(6);
        machine.State->Gpr[3].ShouldBe(0xc1_f200UL);
        machine.State->Gpr[1].ShouldBe(0x1234_5fffUL);
        machine.State->Gpr[2].ShouldBe(0x55UL);
        (machine.State->Gpr[0] & 0xff).ShouldBe(0UL);
    }

    [EngineFact]
    public void Arpl_raises_an_RPL_and_says_so()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Assemble(32, a => { a.mov(eax, 0x10); a.mov(ecx, 3); a.arpl(ax, cx); a.setz(bl); a.arpl(ax, cx); a.setz(bh); a.ud2(); });
        machine.RunToVector().ShouldBe(6);
        machine.State->Gpr[0].ShouldBe(0x13UL);
        (machine.State->Gpr[3] & 0xffff).ShouldBe(1UL);
    }

    [EngineFact]
    public void Stac_opens_user_pages_that_smap_closes()
    {
        using var machine = new TestMachine();
        machine.EnterLong();
        machine.Write64(TestMachine.PageTables + 0x2000, 0x83);
        machine.State->Cr4 |= Cr4.Smap;
        machine.Processor.Mmu.Flush();
        machine.Assemble(64, a => { a.mov(esi, 0x20_0000); a.stac(); a.mov(eax, __[rsi]); a.clac(); a.mov(eax, __[rsi]); });
        machine.RunToFault().ShouldBe((ExceptionVector.PageFault, 1U));
        machine.Read64(machine.State->Gpr[4] + 8).ShouldBe(TestMachine.Code + 13UL);
    }
}
