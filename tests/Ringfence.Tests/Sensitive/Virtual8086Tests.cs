using Ringfence.Processors;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Sensitive;

/// <summary>Virtual-8086 mode (Intel SDM 3A chapter 20).</summary>
public sealed unsafe class Virtual8086Tests
{
    [EngineFact]
    public void Iret_at_cpl_0_with_VM_set_enters_virtual_8086_mode_and_an_interrupt_leaves_it()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Assemble(32, a =>
        {
            a.push(0x5000);
            a.push(0x4000);
            a.push(0x3000);
            a.push(0x2000);
            a.push(0x6000);
            a.push(0x0100);
            a.push((int)(RflagsBits.Vm | RflagsBits.Iopl | RflagsBits.AlwaysOne));
            a.push(0x1200);
            a.push(0x0000);
            a.iretd();
        });
        machine.Assemble(16, a => { a.mov(ax, ds); a.@int(0x33); }, TestMachine.UserCode, TestMachine.UserCode);
        machine.SetGate(0x33, TestMachine.Gate(TestMachine.Code0, TestMachine.Handler(0x33), 0xee));
        machine.RunToVector().ShouldBe(0x33);
        (machine.State->Gpr[0] & 0xffff).ShouldBe(0x3000UL);
        ulong frame = machine.State->Gpr[4];
        frame.ShouldBe(TestMachine.InnerStack - 36UL);
        machine.Read32(frame).ShouldBe(4U);
        machine.Read32(frame + 4).ShouldBe(0x1200U);
        (machine.Read32(frame + 8) & (uint)RflagsBits.Vm).ShouldBe((uint)RflagsBits.Vm);
        machine.Read32(frame + 12).ShouldBe(0x100U);
        machine.Read32(frame + 16).ShouldBe(0x6000U);
        machine.Read32(frame + 20).ShouldBe(0x2000U);
        machine.Read32(frame + 24).ShouldBe(0x3000U);
        machine.Read32(frame + 28).ShouldBe(0x4000U);
        machine.Read32(frame + 32).ShouldBe(0x5000U);
        machine.State->Mode.ShouldBe(ProcessorMode.Protected);
        machine.Segment(SegmentIndex.Ds).IsUsable.ShouldBeFalse();
        machine.Segment(SegmentIndex.Gs).Selector.ShouldBe((ushort)0);
    }

    [EngineTheory]
    [InlineData(new byte[] { 0xfa })] // CLI
    [InlineData(new byte[] { 0xfb })] // STI
    [InlineData(new byte[] { 0x9c })] // PUSHF
    [InlineData(new byte[] { 0x9d })] // POPF
    [InlineData(new byte[] { 0xcf })] // IRET
    [InlineData(new byte[] { 0xcd, 0x21 })] // INT n
    public void Sensitive_instructions_need_IOPL_3(byte[] code)
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.EnterVirtual8086(iopl: 0);
        machine.Emit(code);
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0U));

        using var allowed = new TestMachine();
        allowed.EnterProtected();
        allowed.EnterVirtual8086(iopl: 3);
        allowed.SetGate(0x21, TestMachine.Gate(TestMachine.Code0, TestMachine.Handler(0x21), 0xee));
        allowed.Emit([.. code, 0x0f, 0x0b]);
        allowed.Write16(TestMachine.Code + 0xff00, (ushort)code.Length);
        allowed.Write16(TestMachine.Code + 0xff02, (ushort)(TestMachine.Code >> 4));
        allowed.RunToVector().ShouldBe(code[0] == 0xcd ? 0x21 : 6);
    }

    [EngineTheory]
    [InlineData(new byte[] { 0x0f, 0x00, 0xd8 }, 6)] // LTR
    [InlineData(new byte[] { 0x0f, 0x00, 0xe0 }, 6)] // VERR
    [InlineData(new byte[] { 0x0f, 0x02, 0xc0 }, 6)] // LAR
    [InlineData(new byte[] { 0x63, 0xc0 }, 6)] // ARPL
    [InlineData(new byte[] { 0xf4 }, 13)] // HLT
    [InlineData(new byte[] { 0x0f, 0x22, 0xc0 }, 13)] // MOV CR0
    [InlineData(new byte[] { 0x0f, 0x01, 0x16, 0, 0 }, 13)] // LGDT
    [InlineData(new byte[] { 0x0f, 0x06 }, 13)] // CLTS
    [InlineData(new byte[] { 0x0f, 0x32 }, 13)] // RDMSR
    public void Protected_mode_instructions_fault(byte[] code, int vector)
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.EnterVirtual8086(iopl: 3);
        machine.Emit(code);
        machine.RunToVector().ShouldBe(vector);
    }

    [EngineFact]
    public void Segments_are_sixteen_times_their_selector_and_64_KiB_long()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.EnterVirtual8086(iopl: 0);
        machine.Write16(0x2ffff0 & 0xfffff, 0);
        machine.Write32(0x23456, 0xbeef);
        machine.Assemble(16, a => { a.mov(ax, 0x2345); a.mov(es, ax); a.mov(bx, __word_ptr.es[6]); a.mov(ecx, 0x10000); a.mov(al, __byte_ptr.es[ecx]); }, @base: TestMachine.Code);
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0U));
        (machine.State->Gpr[3] & 0xffff).ShouldBe(0xbeefUL);
    }

    [EngineFact]
    public void Ports_are_governed_by_the_bitmap_even_with_IOPL_3()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Segment(SegmentIndex.Tr).Limit = 0x68 + 0x20;
        machine.Write16(TestMachine.Tss + 0x66, 0x68);
        machine.Write32(TestMachine.Tss + 0x68, 0xffff_fffe);
        machine.EnterVirtual8086(iopl: 3);
        machine.Emit(0xe6, 0x00, 0xe6, 0x01);
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0U));
        machine.Bus.Writes.Count.ShouldBe(1);
        machine.Read32(machine.State->Gpr[4] + 4).ShouldBe(2U);
    }

    [EngineFact]
    public void A_handler_that_is_not_at_level_0_is_GP_with_its_selector()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.SetGate(6, TestMachine.Gate(TestMachine.Code3, TestMachine.Handler(6), 0x8e));
        machine.EnterVirtual8086(iopl: 3);
        machine.Emit(0x0f, 0x0b);
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, (TestMachine.Code3 & 0xfffcU) | 1));
    }

    [EngineFact]
    public void Iret_in_virtual_8086_mode_cannot_change_IOPL_or_leave_the_mode()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.EnterVirtual8086(iopl: 3);
        machine.Write16(TestMachine.Code + 0xff00, 0x40);
        machine.Write16(TestMachine.Code + 0xff02, (ushort)(TestMachine.Code >> 4));
        machine.Write16(TestMachine.Code + 0xff04, 0);
        machine.Emit(0xcf);
        machine.Assemble(16, a => a.ud2(), TestMachine.Code + 0x40, TestMachine.Code);
        machine.RunToVector().ShouldBe(6);
        ulong flags = machine.Read32(machine.State->Gpr[4] + 8);
        (flags & (RflagsBits.Vm | RflagsBits.Iopl | RflagsBits.If)).ShouldBe(RflagsBits.Vm | RflagsBits.Iopl);
    }
}
