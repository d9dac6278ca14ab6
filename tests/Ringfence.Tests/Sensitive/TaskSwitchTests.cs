using Ringfence.Processors;
using Ringfence.Processors.Exits;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Sensitive;

/// <summary>Hardware task switches (Intel SDM 3A 7.3).</summary>
public sealed unsafe class TaskSwitchTests
{
    private const ushort NewTask = TestMachine.FirstFree;
    private const ushort TaskGate = TestMachine.FirstFree + 8;
    private const uint NewTss = 0x4800;

    [EngineFact]
    public void A_jump_to_a_TSS_saves_the_old_task_and_makes_the_new_one_busy()
    {
        using TestMachine machine = Machine();
        machine.State->Gpr[3] = 0xabcd;
        machine.Assemble(32, a => a.jmp(NewTask, 0U));
        machine.RunToHalt().ShouldBe(ExitReason.Halt);
        machine.State->Rip.ShouldBe(TestMachine.UserCode + 1UL);
        machine.State->Gpr[0].ShouldBe(0x1000_0000UL);
        machine.State->Gpr[7].ShouldBe(0x1000_0007UL);
        machine.Segment(SegmentIndex.Tr).Selector.ShouldBe(NewTask);
        machine.Read32(TestMachine.Tss + 0x20).ShouldBe(TestMachine.Code + 7);
        machine.Read32(TestMachine.Tss + 0x34).ShouldBe(0xabcdU);
        machine.Read16(TestMachine.Tss + 0x4c).ShouldBe(TestMachine.Code0);
        (machine.Read8(TestMachine.Gdt + NewTask + 5) & 2).ShouldBe(2);
        (machine.Read8(TestMachine.Gdt + TestMachine.TssSelector + 5) & 2).ShouldBe(0);
        machine.State->HasCr0(Cr0.Ts).ShouldBeTrue();
        (machine.State->Rflags & RflagsBits.Nt).ShouldBe(0UL);
    }

    [EngineFact]
    public void A_call_nests_and_iret_with_NT_comes_back()
    {
        using TestMachine machine = Machine();
        machine.Assemble(32, a => { a.call(NewTask, 0U); a.inc(ecx); a.ud2(); });
        machine.Assemble(32, a => { a.pushfd(); a.pop(ebx); a.mov(__[TestMachine.Data], ebx); a.iretd(); }, TestMachine.UserCode);
        machine.State->Gpr[1] = 5;
        machine.RunToVector().ShouldBe(6);
        machine.State->Gpr[1].ShouldBe(6UL);
        (machine.Read32(TestMachine.Data) & (uint)RflagsBits.Nt).ShouldBe((uint)RflagsBits.Nt);
        machine.Read16(NewTss).ShouldBe(TestMachine.TssSelector, "the link field");
        (machine.Read32(NewTss + 0x24) & (uint)RflagsBits.Nt).ShouldBe(0U, "IRET clears NT in the task it leaves");
        (machine.Read8(TestMachine.Gdt + NewTask + 5) & 2).ShouldBe(0);
        (machine.Read8(TestMachine.Gdt + TestMachine.TssSelector + 5) & 2).ShouldBe(2);
        machine.Segment(SegmentIndex.Tr).Selector.ShouldBe(TestMachine.TssSelector);
    }

    [EngineFact]
    public void A_task_gate_is_reached_by_call_and_by_interrupt()
    {
        using TestMachine machine = Machine();
        machine.SetGdt(TaskGate, TestMachine.Gate(NewTask, 0, 0x85));
        machine.Assemble(32, a => a.call(TaskGate, 0U));
        machine.RunToHalt().ShouldBe(ExitReason.Halt);
        machine.Segment(SegmentIndex.Tr).Selector.ShouldBe(NewTask);

        using TestMachine second = Machine();
        second.SetGate(0x50, TestMachine.Gate(NewTask, 0, 0x85));
        second.Emit(0xcd, 0x50);
        second.RunToHalt().ShouldBe(ExitReason.Halt);
        second.Segment(SegmentIndex.Tr).Selector.ShouldBe(NewTask);
        second.Read32(TestMachine.Tss + 0x20).ShouldBe(TestMachine.Code + 2);
        (second.State->Rflags & RflagsBits.Nt).ShouldBe(RflagsBits.Nt);
    }

    [EngineFact]
    public void An_exception_through_a_task_gate_pushes_its_error_code_on_the_new_stack()
    {
        using TestMachine machine = Machine();
        machine.SetGate(13, TestMachine.Gate(NewTask, 0, 0x85));
        machine.State->Gdtr.Limit = 0x7f;
        machine.Assemble(32, a => { a.mov(ax, 0x88); a.mov(ds, ax); });
        machine.RunToHalt().ShouldBe(ExitReason.Halt);
        machine.State->Gpr[4].ShouldBe(TestMachine.Stack1 - 4UL);
        machine.Read32(TestMachine.Stack1 - 4).ShouldBe(0x88U);
        machine.Read32(TestMachine.Tss + 0x20).ShouldBe(TestMachine.Code + 4);
        (machine.Read32(TestMachine.Tss + 0x24) & (uint)RflagsBits.Rf).ShouldBe((uint)RflagsBits.Rf);
    }

    [EngineTheory]
    [InlineData(0x8b, 0x67, 13)] // busy
    [InlineData(0x09, 0x67, 11)] // not present
    [InlineData(0x89, 0x66, 10)] // limit too small
    [InlineData(0x81, 0x2a, 10)] // 16-bit, limit too small
    public void A_bad_TSS_descriptor_faults_in_the_old_task(int access, int limit, int vector)
    {
        using TestMachine machine = Machine();
        machine.SetGdt(NewTask, TestMachine.Descriptor(NewTss, (uint)limit, access, 0));
        machine.Assemble(32, a => a.jmp(NewTask, 0U));
        machine.RunToFault().ShouldBe(((ExceptionVector)vector, (uint)NewTask));
        machine.Read32(machine.State->Gpr[4] + 4).ShouldBe(TestMachine.Code);
        machine.Segment(SegmentIndex.Tr).Selector.ShouldBe(TestMachine.TssSelector);
    }

    [EngineTheory]
    [InlineData(0x60, 0x1c, 10, 0x1cU)] // LDT selector in the LDT
    [InlineData(0x4c, 0, 10, 0U)] // null CS
    [InlineData(0x4c, TestMachine.Data0, 10, 0x10U)] // CS is data
    [InlineData(0x54, TestMachine.Code0, 10, 8U)] // DS is code that may be read: allowed
    [InlineData(0x48, 0x7f0, 10, 0x7f0U)] // ES outside
    public void Bad_selectors_in_the_new_TSS_fault_in_the_new_task(int offset, int selector, int vector, uint errorCode)
    {
        using TestMachine machine = Machine();
        machine.State->Gdtr.Limit = 0x7f;
        machine.Write16(NewTss + (uint)offset, (ushort)selector);
        machine.Assemble(32, a => a.jmp(NewTask, 0U));
        if (offset == 0x54)
        {
            machine.RunToHalt().ShouldBe(ExitReason.Halt);
            machine.State->Rip.ShouldBe(TestMachine.UserCode + 1UL);
            return;
        }

        // A task gate for the fault gives its handler sound segments whatever the new task's are.
        const ushort FaultTask = 0x78;
        const uint FaultTss = 0x4c00;
        Prepare(machine, FaultTss, TestMachine.Handler(vector), TestMachine.UserStack);
        machine.SetGdt(FaultTask, TestMachine.Descriptor(FaultTss, 0x67, 0x89, 0));
        machine.SetGate(vector, TestMachine.Gate(FaultTask, 0, 0x85));
        machine.RunToFault().ShouldBe(((ExceptionVector)vector, errorCode));
        machine.Read16(FaultTss).ShouldBe(NewTask, "the fault is the new task's");
        machine.Read32(NewTss + 0x20).ShouldBe(TestMachine.UserCode);
    }

    [EngineFact]
    public void The_T_flag_raises_a_debug_trap_with_BT_in_the_new_task()
    {
        using TestMachine machine = Machine();
        machine.Write16(NewTss + 0x64, 1);
        machine.Assemble(32, a => a.jmp(NewTask, 0U));
        machine.RunToVector().ShouldBe(1);
        (machine.State->Dr6 & (1 << 15)).ShouldBe(1UL << 15);
        machine.Read32(machine.State->Gpr[4]).ShouldBe(TestMachine.UserCode);
    }

    [EngineFact]
    public void A_sixteen_bit_TSS_switches_words()
    {
        using TestMachine machine = Machine();
        machine.SetGdt(NewTask, TestMachine.Descriptor(NewTss, 0x2b, 0x81, 0));
        for (uint i = 0; i < 0x2c; i += 2) machine.Write16(NewTss + i, 0);
        machine.Write16(NewTss + 0x0e, 0x9000);
        machine.Write16(NewTss + 0x10, 2);
        machine.Write16(NewTss + 0x12, 0x1234);
        machine.Write16(NewTss + 0x1a, 0x8000);
        machine.Write16(NewTss + 0x22, TestMachine.Data0);
        machine.Write16(NewTss + 0x24, TestMachine.Code0);
        machine.Write16(NewTss + 0x26, TestMachine.Data0);
        machine.Write16(NewTss + 0x28, TestMachine.Data0);
        machine.Memory.Write(new Ringfence.Memory.GuestPhysical(0x9000), [0xf4]);
        machine.Assemble(32, a => a.jmp(NewTask, 0U));
        machine.RunToHalt().ShouldBe(ExitReason.Halt);
        machine.State->Rip.ShouldBe(0x9001UL);
        (machine.State->Gpr[0] & 0xffff).ShouldBe(0x1234UL);
        machine.Segment(SegmentIndex.Fs).IsUsable.ShouldBeFalse();
    }

    [EngineFact]
    public void A_task_may_run_in_virtual_8086_mode()
    {
        using TestMachine machine = Machine();
        machine.Write32(NewTss + 0x20, 0x10);
        machine.Write32(NewTss + 0x24, (uint)(RflagsBits.Vm | 2));
        for (uint i = 0; i < 6; i++) machine.Write32(NewTss + 0x48 + (i * 4), 0x2000);
        machine.Memory.Write(new Ringfence.Memory.GuestPhysical(0x20010), [0x0f, 0x0b]);
        machine.Write32(NewTss + 4, TestMachine.InnerStack);
        machine.Write32(NewTss + 8, TestMachine.Data0);
        machine.Assemble(32, a => a.jmp(NewTask, 0U));
        machine.RunToVector().ShouldBe(6);
        machine.Read32(machine.State->Gpr[4]).ShouldBe(0x10U);
        machine.Read32(machine.State->Gpr[4] + 4).ShouldBe(0x2000U);
        (machine.Read32(machine.State->Gpr[4] + 8) & (uint)RflagsBits.Vm).ShouldBe((uint)RflagsBits.Vm);
    }

    [EngineFact]
    public void Ltr_takes_an_available_TSS_only_and_makes_it_busy()
    {
        using TestMachine machine = Machine();
        machine.Assemble(32, a => { a.mov(eax, NewTask); a.ltr(ax); a.ltr(ax); });
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, (uint)NewTask));
        machine.Segment(SegmentIndex.Tr).Base.ShouldBe(NewTss);
        machine.Read8(TestMachine.Gdt + NewTask + 5).ShouldBe((byte)0x8b);
    }

    private static TestMachine Machine()
    {
        var machine = new TestMachine();
        machine.EnterProtected();
        machine.SetGdt(NewTask, TestMachine.Descriptor(NewTss, 0x67, 0x89, 0));
        Prepare(machine, NewTss, TestMachine.UserCode, TestMachine.Stack1);
        machine.Memory.Write(new Ringfence.Memory.GuestPhysical(TestMachine.UserCode), [0xf4]);
        return machine;
    }

    private static void Prepare(TestMachine machine, uint tss, uint eip, uint esp)
    {
        machine.Write32(tss + 0x20, eip);
        machine.Write32(tss + 0x24, 2);
        for (uint i = 0; i < 8; i++) machine.Write32(tss + 0x28 + (i * 4), 0x1000_0000 + i);
        machine.Write32(tss + 0x38, esp);
        for (uint i = 0; i < 6; i++) machine.Write32(tss + 0x48 + (i * 4), i == 1 ? TestMachine.Code0 : TestMachine.Data0);
    }
}
