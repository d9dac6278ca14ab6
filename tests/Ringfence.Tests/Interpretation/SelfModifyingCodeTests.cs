using Iced.Intel;
using Ringfence.Memory;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Interpretation;

public sealed unsafe class SelfModifyingCodeTests
{
    [EngineFact]
    public void A_block_that_overwrites_its_own_next_instruction_executes_the_new_one()
    {
        using var machine = new BareProcessor();
        machine.Load(a =>
        {
            Label end = a.CreateLabel();
            a.mov(__byte_ptr[BareProcessor.Code + 7], 0x43); // seven bytes long: inc ebx instead of inc ecx
            a.inc(ecx);
            a.Label(ref end);
            a.jmp(end);
        });
        machine.Run(4);
        machine.State->Gpr[3].ShouldBe(1UL);
        machine.State->Gpr[1].ShouldBe(0UL);
    }

    [EngineFact]
    public void A_subroutine_written_again_and_again_returns_what_was_written_last()
    {
        using var machine = new BareProcessor();
        machine.Load(a =>
        {
            Label top = a.CreateLabel();
            Label end = a.CreateLabel();
            a.mov(edi, 0x20000);
            a.mov(__byte_ptr[edi], 0xb8);           // mov eax, imm32
            a.mov(__byte_ptr[edi + 5], 0xc3);       // ret
            a.Label(ref top);
            a.mov(__dword_ptr[edi + 1], ecx);
            a.call(edi);
            a.cmp(eax, ecx);
            a.jne(end);
            a.inc(ecx);
            a.cmp(ecx, 1000);
            a.jb(top);
            a.Label(ref end);
            a.jmp(end);
        });
        machine.Run(3 + (9 * 1000));
        machine.State->Gpr[1].ShouldBe(1000UL);
    }

    [EngineFact]
    public void Data_beside_code_in_one_page_is_written_and_the_code_goes_on()
    {
        using var machine = new BareProcessor();
        machine.Load(a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.add(__dword_ptr[BareProcessor.Code + 0x800], 1);
            a.jmp(top);
        });
        machine.Run(2000);
        machine.Read(BareProcessor.Code + 0x800).ShouldBe(1000u);
    }

    [EngineFact]
    public void Code_that_a_device_writes_is_decoded_again()
    {
        using var machine = new BareProcessor();
        machine.Memory.CodeWritten = (frame, _) =>
        {
            machine.Processor.StaleCode.Enqueue(frame);
            machine.Processor.Post(Processors.ProcessorEvents.FlushCode);
        };
        machine.Load(a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.inc(ecx);
            a.jmp(top);
        });
        machine.Run(100);
        machine.Memory.Write(new GuestPhysical(BareProcessor.Code), [0x43]);
        machine.Run(100);
        machine.State->Gpr[3].ShouldBe(50UL);
    }

    [EngineFact]
    public void An_instruction_across_a_page_boundary_follows_changes_of_either_page()
    {
        using var machine = new BareProcessor();
        const uint At = 0x20ffd;                    // mov eax, imm32: three bytes here, two in the next page
        machine.Memory.Write(new GuestPhysical(At), [0xb8, 1, 2, 3, 4, 0xc3]);
        machine.Load(a =>
        {
            Label end = a.CreateLabel();
            a.mov(edi, At);
            a.call(edi);
            a.mov(ebx, eax);
            a.mov(__byte_ptr[edi + 4], 5);
            a.call(edi);
            a.mov(ecx, eax);
            a.mov(__byte_ptr[edi + 1], 6);
            a.call(edi);
            a.Label(ref end);
            a.jmp(end);
        });
        machine.Run(15);
        machine.State->Gpr[3].ShouldBe(0x04030201UL);
        machine.State->Gpr[1].ShouldBe(0x05030201UL);
        machine.State->Gpr[0].ShouldBe(0x05030206UL);
    }
}
