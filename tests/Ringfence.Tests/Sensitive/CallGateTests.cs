using Ringfence.Processors;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Sensitive;

/// <summary>Far transfers and call gates (Intel SDM 3A 5.8).</summary>
public sealed unsafe class CallGateTests
{
    private const ushort GateSelector = TestMachine.FirstFree;
    private const ushort CodeSelector = TestMachine.FirstFree + 8;

    [EngineFact]
    public void A_far_call_and_return_at_the_same_level_keep_CPL_and_stack()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.SetGdt(CodeSelector, TestMachine.Descriptor(TestMachine.UserCode, 0xffff, 0x9a, 4));
        machine.Assemble(32, a => { a.call(CodeSelector, 0U); a.ud2(); });
        machine.Assemble(32, a => { a.mov(ecx, cs); a.mov(edx, __[esp]); a.mov(ebx, __[esp + 4]); a.retf(8); }, TestMachine.UserCode);
        machine.RunToVector().ShouldBe(6);
        machine.State->Gpr[1].ShouldBe((ulong)CodeSelector);
        machine.State->Gpr[2].ShouldBe(TestMachine.Code + 7UL);
        machine.State->Gpr[3].ShouldBe((ulong)TestMachine.Code0);
        machine.State->Gpr[4].ShouldBe(TestMachine.Stack + 8UL - 12);
    }

    [EngineFact]
    public void A_call_gate_to_an_inner_level_copies_parameters_and_far_return_comes_back()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.EnterUser();
        machine.SetGdt(GateSelector, TestMachine.Gate(TestMachine.Code0, TestMachine.UserCode, 0xec, parameters: 2));
        machine.Assemble(32, a => { a.push(0x1111); a.push(0x2222); a.call(GateSelector | 3, 0U); a.hlt(); });
        machine.Assemble(32, a => { a.mov(ebx, __[esp + 8]); a.mov(ecx, __[esp + 12]); a.mov(edx, __[esp + 16]); a.mov(esi, __[esp + 20]); a.mov(ax, cs); a.retf(8); }, TestMachine.UserCode);
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0U), "HLT at CPL 3");
        machine.State->Gpr[3].ShouldBe(0x2222UL);
        machine.State->Gpr[1].ShouldBe(0x1111UL);
        machine.State->Gpr[2].ShouldBe(TestMachine.UserStack - 8UL);
        machine.State->Gpr[6].ShouldBe((ulong)TestMachine.Data3);
        (machine.State->Gpr[0] & 0xffff).ShouldBe((ulong)TestMachine.Code0);
        machine.Read32(machine.State->Gpr[4] + 16).ShouldBe(TestMachine.UserStack, "RETF 8 dropped the parameters of the outer stack too");
    }

    [EngineFact]
    public void A_sixteen_bit_call_gate_pushes_words_and_uses_the_low_half_of_its_offset()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.EnterUser();
        machine.SetGdt(GateSelector, TestMachine.Gate(TestMachine.Code0, 0x9000 | 0x7770_0000, 0xe4, parameters: 1));
        machine.Assemble(32, a => { a.push(0x3333); a.call(GateSelector | 3, 0U); });
        machine.Assemble(32, a => a.ud2(), 0x9000);
        machine.RunToVector().ShouldBe(6);
        uint frame = TestMachine.InnerStack - 10;
        machine.Read16(frame).ShouldBe(unchecked((ushort)(TestMachine.Code + 12)));
        machine.Read16(frame + 2).ShouldBe(TestMachine.Code3);
        machine.Read16(frame + 4).ShouldBe((ushort)0x3333);
        machine.Read16(frame + 6).ShouldBe(unchecked((ushort)(TestMachine.UserStack - 4)));
        machine.Read16(frame + 8).ShouldBe(TestMachine.Data3);
    }

    /// <summary>Access byte of the gate, RPL used, selector in the gate, expected fault and error code.</summary>
    [EngineTheory]
    [InlineData(0x8c, 3, TestMachine.Code0, 13, GateSelector)] // gate DPL below CPL
    [InlineData(0x6c, 3, TestMachine.Code0, 11, GateSelector)] // not present
    [InlineData(0xec, 3, 0, 13, 0)] // null code selector
    [InlineData(0xec, 3, TestMachine.Data0, 13, TestMachine.Data0)] // not code
    [InlineData(0xe2, 3, TestMachine.Code0, 13, GateSelector)] // an LDT is no target
    [InlineData(0xee, 3, TestMachine.Code0, 13, GateSelector)] // nor is an interrupt gate
    public void A_call_through_a_bad_gate_names_what_is_bad(int access, int rpl, int selector, int vector, int errorCode)
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.EnterUser();
        machine.SetGdt(GateSelector, TestMachine.Gate((ushort)selector, TestMachine.UserCode, access));
        machine.Assemble(32, a => a.call((ushort)(GateSelector | rpl), 0U));
        machine.RunToFault().ShouldBe(((ExceptionVector)vector, (uint)errorCode));
    }

    [EngineTheory]
    [InlineData(0, 10, 0U)] // null
    [InlineData(TestMachine.Data3, 10, 0x20U)] // DPL and RPL 3
    [InlineData(TestMachine.Code0, 10, 8U)] // not data
    [InlineData(0x1000, 10, 0x1000U)] // outside the GDT
    [InlineData(0x70, 12, 0x70U)] // not present: #SS
    public void The_stack_segment_of_an_inner_level_is_checked_with_TS(int ss, int vector, uint errorCode)
    {
        Skip.IfNot(Engines.StopsAtLimit, "It runs to an instruction limit.");
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.EnterUser();
        machine.SetGdt(0x70, TestMachine.Descriptor(0, 0xf_ffff, 0x12, 0xc));
        machine.SetGdt(GateSelector, TestMachine.Gate(TestMachine.Code0, TestMachine.UserCode, 0xec));
        machine.Write32(TestMachine.Tss + 8, (uint)ss);
        machine.SetGate(vector, TestMachine.Gate(TestMachine.Code3, TestMachine.Handler(vector), 0xee));
        machine.SetGdt(TestMachine.Code3, TestMachine.Descriptor(0, 0xf_ffff, 0xff, 0xc));
        machine.Assemble(32, a => a.call(GateSelector | 3, 0U));

        // The handler is conforming code at CPL 3, so it needs no inner stack; its HLT then needs one, and cannot get it.
        machine.State->InstructionLimit = machine.State->InstructionCount + 1;
        machine.Memory.Write(new Ringfence.Memory.GuestPhysical(TestMachine.Handler(vector)), [0xeb, 0xfe]);
        machine.RunToHalt(50).ShouldBe(Ringfence.Processors.Exits.ExitReason.InstructionLimit);
        machine.State->Rip.ShouldBe((ulong)TestMachine.Handler(vector));
        machine.Read32(machine.State->Gpr[4]).ShouldBe(errorCode);
    }

    [EngineFact]
    public void A_jump_to_conforming_code_keeps_CPL()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.EnterUser();
        machine.SetGdt(CodeSelector, TestMachine.Descriptor(0, 0xf_ffff, 0x9e, 0xc));
        machine.Assemble(32, a => a.jmp(CodeSelector, TestMachine.UserCode));
        machine.Assemble(32, a => { a.mov(eax, cs); a.ud2(); }, TestMachine.UserCode);
        machine.RunToVector().ShouldBe(6);
        machine.State->Gpr[0].ShouldBe(CodeSelector | 3UL);
    }

    [EngineTheory]
    [InlineData(0x9a, 13)] // non-conforming of another level
    [InlineData(0xfa, -1)]
    [InlineData(0xf2, 13)] // data
    [InlineData(0x7a, 11)] // not present
    public void A_direct_jump_needs_code_of_the_same_level(int access, int fault)
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.EnterUser();
        machine.SetGdt(CodeSelector, TestMachine.Descriptor(0, 0xf_ffff, access, 0xc));
        machine.Assemble(32, a => a.jmp(CodeSelector | 3, TestMachine.UserCode));
        machine.Assemble(32, a => a.ud2(), TestMachine.UserCode);
        if (fault < 0) machine.RunToVector().ShouldBe(6);
        else machine.RunToFault().ShouldBe(((ExceptionVector)fault, (uint)CodeSelector));
    }

    [EngineFact]
    public void A_target_beyond_the_limit_is_GP_0_before_anything_changes()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.SetGdt(CodeSelector, TestMachine.Descriptor(0, 0xfff, 0x9a, 4));
        machine.Assemble(32, a => a.call(CodeSelector, 0x1000U));
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, 0U));
        machine.State->Gpr[4].ShouldBe(TestMachine.Stack - 16UL);
    }

    [EngineFact]
    public void A_return_to_an_outer_level_takes_its_stack_and_drops_inner_data_segments()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Load(SegmentIndex.Ds, TestMachine.Data3, 0, 0xffff_ffff, 0xc0f3);
        machine.Assemble(32, a => { a.push(TestMachine.Data3); a.push((int)TestMachine.UserStack); a.push(TestMachine.Code3); a.push((int)TestMachine.UserCode); a.retf(); });
        machine.Assemble(32, a => a.ud2(), TestMachine.UserCode);
        machine.RunToVector().ShouldBe(6);
        machine.Read32(machine.State->Gpr[4] + 12).ShouldBe(TestMachine.UserStack);
        machine.Segment(SegmentIndex.Ds).Selector.ShouldBe(TestMachine.Data3);
        machine.Segment(SegmentIndex.Es).Selector.ShouldBe((ushort)0);
        machine.Segment(SegmentIndex.Es).IsUsable.ShouldBeFalse();
    }

    [EngineFact]
    public void A_return_to_an_inner_level_is_GP()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.EnterUser();
        machine.Assemble(32, a => { a.push(TestMachine.Code0); a.push((int)TestMachine.UserCode); a.retf(); });
        machine.RunToFault().ShouldBe((ExceptionVector.GeneralProtection, (uint)TestMachine.Code0));
    }

    [EngineFact]
    public void Long_mode_reaches_compatibility_mode_by_far_return_and_comes_back_by_a_64_bit_call_gate()
    {
        using var machine = new TestMachine();
        machine.EnterLong();
        machine.EnterUser();
        machine.SetGdt(GateSelector, TestMachine.Gate(TestMachine.LongCode0, TestMachine.UserCode, 0xec));
        machine.SetGdt(GateSelector + 8, 0);
        machine.Assemble(64, a => { a.push(TestMachine.Code3); a.push((int)TestMachine.Code + 0x100); a.db(0x48, 0xcb); });
        machine.Assemble(32, a => { a.mov(ebx, cs); a.call(GateSelector | 3, 0U); }, TestMachine.Code + 0x100);
        machine.Assemble(64, a => { a.mov(rcx, rsp); a.mov(edx, cs); a.ud2(); }, TestMachine.UserCode);
        machine.RunToVector().ShouldBe(6);
        machine.State->Gpr[3].ShouldBe((ulong)TestMachine.Code3);
        machine.State->Gpr[2].ShouldBe((ulong)TestMachine.LongCode0);
        machine.State->Gpr[1].ShouldBe(TestMachine.InnerStack - 32UL);
        machine.Read64(TestMachine.InnerStack - 8).ShouldBe((ulong)TestMachine.Data3);
    }
}
