using Ringfence.Processors;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Sensitive;

/// <summary>SYSCALL, SYSENTER and their returns, SWAPGS, FS and GS bases (Intel SDM 3A 5.8.7, 5.8.8).</summary>
public sealed unsafe class SystemCallTests
{
    [EngineFact]
    public void Syscall_and_sysretq_make_the_round_trip()
    {
        using var machine = new TestMachine();
        machine.EnterLong();
        machine.EnterUser();
        machine.State->Star = (0x0023UL << 48) | ((ulong)TestMachine.LongCode0 << 32);
        machine.State->Lstar = TestMachine.UserCode;
        machine.State->Fmask = RflagsBits.If | RflagsBits.Df;
        machine.State->Rflags = RflagsBits.If | RflagsBits.Df | RflagsBits.Cf;
        machine.Assemble(64, a => { a.syscall(); a.mov(ebx, cs); a.mov(ebp, ss); a.ud2(); });
        machine.Assemble(64, a => { a.mov(esi, cs); a.mov(edi, ss); a.pushfq(); a.pop(r8); a.sysretq(); }, TestMachine.UserCode);
        machine.RunToVector().ShouldBe(6);
        VcpuState* s = machine.State;
        s->Gpr[6].ShouldBe((ulong)TestMachine.LongCode0);
        s->Gpr[7].ShouldBe((ulong)TestMachine.LongCode0 + 8);
        s->Gpr[3].ShouldBe(0x33UL);
        s->Gpr[5].ShouldBe(0x2bUL);
        s->Gpr[1].ShouldBe(TestMachine.Code + 2UL);
        s->Gpr[11].ShouldBe(RflagsBits.If | RflagsBits.Df | RflagsBits.Cf | 2);
        s->Gpr[8].ShouldBe(RflagsBits.Cf | 2UL);
        (machine.Read64(s->Gpr[4] + 16) & (RflagsBits.If | RflagsBits.Df)).ShouldBe(RflagsBits.If | RflagsBits.Df);
    }

    [EngineFact]
    public void Syscall_without_SCE_or_outside_64_bit_mode_is_UD()
    {
        using var machine = new TestMachine();
        machine.EnterLong();
        machine.State->Efer &= ~Efer.Sce;
        machine.Emit(0x0f, 0x05);
        machine.RunToVector().ShouldBe(6);

        using var legacy = new TestMachine();
        legacy.EnterProtected();
        legacy.State->Efer = Efer.Sce;
        legacy.Emit(0x0f, 0x05);
        legacy.RunToVector().ShouldBe(6);
    }

    [EngineFact]
    public void Sysretq_to_a_non_canonical_address_faults_at_cpl_0()
    {
        using var machine = new TestMachine();
        machine.EnterLong();
        machine.Assemble(64, a => { a.mov(rcx, 0x8000_0000_0000UL); a.sysretq(); });
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0U));
        (machine.Read64(machine.State->Gpr[4] + 16) & 3).ShouldBe(0UL);
    }

    [EngineFact]
    public void Sysret_with_a_32_bit_operand_enters_compatibility_mode()
    {
        using var machine = new TestMachine();
        machine.EnterLong();
        machine.State->Star = 0x001bUL << 48;
        machine.Assemble(64, a => { a.mov(ecx, (int)TestMachine.UserCode); a.mov(r11d, 2); a.sysret(); });
        machine.Assemble(32, a => { a.mov(ebx, cs); a.ud2(); }, TestMachine.UserCode);
        machine.RunToVector().ShouldBe(6);
        machine.State->Gpr[3].ShouldBe(0x1bUL);
        machine.Read64(machine.State->Gpr[4]).ShouldBe(TestMachine.UserCode + 2UL);
    }

    [EngineFact]
    public void Sysenter_and_sysexit_make_the_round_trip()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.EnterUser();
        machine.State->SysenterCs = TestMachine.Code0;
        machine.State->SysenterEsp = TestMachine.InnerStack;
        machine.State->SysenterEip = TestMachine.UserCode;
        machine.State->Rflags = RflagsBits.If;
        machine.Assemble(32, a => { a.mov(ecx, esp); a.mov(edx, (int)TestMachine.Code + 0x100); a.sysenter(); });
        machine.Assemble(32, a => { a.mov(esi, cs); a.mov(edi, esp); a.pushfd(); a.pop(ebx); a.sysexit(); }, TestMachine.UserCode);
        machine.Assemble(32, a => { a.mov(eax, cs); a.mov(ebp, ss); a.ud2(); }, TestMachine.Code + 0x100);
        machine.RunToVector().ShouldBe(6);
        machine.State->Gpr[6].ShouldBe((ulong)TestMachine.Code0);
        machine.State->Gpr[7].ShouldBe(TestMachine.InnerStack);
        (machine.State->Gpr[3] & RflagsBits.If).ShouldBe(0UL);
        machine.State->Gpr[0].ShouldBe((ulong)TestMachine.Code3);
        machine.State->Gpr[5].ShouldBe((ulong)TestMachine.Data3);
        machine.Read32(machine.State->Gpr[4] + 12).ShouldBe(TestMachine.UserStack);
    }

    [EngineFact]
    public void Sysenter_with_a_null_IA32_SYSENTER_CS_is_GP()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.State->SysenterCs = 3;
        machine.Emit(0x0f, 0x34);
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0U));
    }

    [EngineFact]
    public void Swapgs_exchanges_the_base_at_cpl_0_only()
    {
        using var machine = new TestMachine();
        machine.EnterLong();
        machine.State->KernelGsBase = 0x1111;
        machine.Segment(SegmentIndex.Gs).Base = 0x2222;
        machine.Assemble(64, a => { a.swapgs(); a.ud2(); });
        machine.RunToVector().ShouldBe(6);
        machine.Segment(SegmentIndex.Gs).Base.ShouldBe(0x1111UL);
        machine.State->KernelGsBase.ShouldBe(0x2222UL);

        machine.State->Activity = ActivityState.Active;
        machine.EnterUser();
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0U));
    }

    [EngineFact]
    public void Fsgsbase_instructions_need_CR4_and_a_canonical_value()
    {
        using var machine = new TestMachine();
        machine.EnterLong();
        machine.Assemble(64, a => a.rdfsbase(rax));
        machine.RunToVector().ShouldBe(6);

        machine.EnterLong();
        machine.State->Activity = ActivityState.Active;
        machine.State->Cr4 |= Cr4.Fsgsbase;
        machine.EnterUser();
        machine.Assemble(64, a =>
        {
            a.mov(rax, 0xffff_8000_1234_5678UL);
            a.wrfsbase(rax);
            a.rdfsbase(rbx);
            a.rdfsbase(ecx);
            a.wrgsbase(eax);
            a.rdgsbase(rdx);
            a.mov(rax, 0x8000_0000_0000UL);
            a.wrgsbase(rax);
        });
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0U));
        machine.State->Gpr[3].ShouldBe(0xffff_8000_1234_5678UL);
        machine.State->Gpr[1].ShouldBe(0x1234_5678UL);
        machine.State->Gpr[2].ShouldBe(0x1234_5678UL);
    }
}
