using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Tests.ExecutionTests;

/// <summary>
/// Code at and across the ends of pages: each page has a translation of its own, and an instruction faults when any of its bytes is missing
/// (Intel SDM 3A 4.7), with CR2 at the first byte missing and RIP at the instruction.
/// </summary>
public sealed unsafe class PageBoundaryTests
{
    private const uint First = SmallPages.Window;
    private const uint Second = SmallPages.Window + 0x1000;
    private const uint FirstFrame = 0x200000, SecondFrame = 0x201000, OtherFrame = 0x202000;
    private const uint Bias = unchecked(FirstFrame - First);
    private const ulong Loop = RflagsBits.Zf | RflagsBits.Pf;

    [EngineTheory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(9)]
    public void An_instruction_whose_second_page_is_missing_faults_with_CR2_there_and_completes_once_it_is_mapped(int bytesInFirst)
    {
        using TestMachine machine = Make();
        Map(machine, second: false);
        // inc ebx; mov rax, imm64 (ten bytes); inc ecx; hlt.
        byte[] code = [0xff, 0xc3, 0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 0xff, 0xc1, 0xf4];
        uint at = Second - (uint)bytesInFirst;
        WriteSplit(machine, at - 2, code);
        machine.StartAt(at - 2);
        machine.State->Gpr[Gpr.Rbx] = 0x7fff_ffff;
        machine.State->Gpr[Gpr.Rcx] = 6;
        const ulong Overflow = RflagsBits.Of | RflagsBits.Sf | RflagsBits.Af | RflagsBits.Pf;
        machine.ShouldFault(ExceptionVector.PageFault, 0x10, at, Overflow, TestMachine.Stack, (Gpr.Rbx, 0x8000_0000), (Gpr.Rcx, 6));
        machine.State->Cr2.ShouldBe(Second);
        machine.Map(Second, SecondFrame);
        machine.Resume();
        machine.ShouldHalt(at + 13, 0, TestMachine.Stack, (Gpr.Rax, 0x0807_0605_0403_0201), (Gpr.Rbx, 0x8000_0000), (Gpr.Rcx, 7));
    }

    [EngineFact]
    public void A_second_page_that_may_not_be_executed_faults_when_an_instruction_reaches_into_it()
    {
        using TestMachine machine = Make();
        Map(machine);
        machine.Map(Second, SecondFrame, SmallPages.Present | SmallPages.Writable | SmallPages.User | SmallPages.NoExecute);
        WriteSplit(machine, Second - 3, [0xb8, 1, 2, 3, 4, 0xf4]);
        machine.StartAt(Second - 3);
        machine.ShouldFault(ExceptionVector.PageFault, 0x11, Second - 3, 0, TestMachine.Stack);
        machine.State->Cr2.ShouldBe(Second);
    }

    [EngineFact]
    public void A_missing_second_page_is_told_before_the_missing_operand()
    {
        using TestMachine machine = Make();
        Map(machine, second: false);
        WriteSplit(machine, Second - 2, [0x48, 0x8b, 0x07, 0xf4]);  // mov rax, [rdi]
        machine.State->Gpr[Gpr.Rdi] = 0x700000;
        machine.StartAt(Second - 2);
        machine.ShouldFault(ExceptionVector.PageFault, 0x10, Second - 2, 0, TestMachine.Stack, (Gpr.Rdi, 0x700000));
        machine.State->Cr2.ShouldBe(Second);
        machine.Map(Second, SecondFrame);
        machine.Resume();
        machine.ShouldFault(ExceptionVector.PageFault, 0, Second - 2, 0, TestMachine.Stack, (Gpr.Rdi, 0x700000));
        machine.State->Cr2.ShouldBe(0x700000UL);
    }

    [EngineFact]
    public void The_second_half_of_an_instruction_follows_its_page_to_another_frame()
    {
        using TestMachine machine = Make();
        Map(machine);
        // mov eax, imm32 with three bytes in the second page; ret.
        WriteSplit(machine, Second - 2, [0xb8, 1, 2, 3, 4, 0xc3]);
        machine.Store(OtherFrame, 0x22, 0x33, 0x44, 0xc3);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.mov(ecx, 1000);
            a.Label(ref top);
            a.call(Second - 2);
            a.add(rbx, rax);
            a.xor(__qword_ptr[SmallPages.Pte(Second)], (int)(SecondFrame ^ OtherFrame));
            a.invlpg(__[Second]);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.ShouldHalt(machine.InstructionStarts(64, 9)[8], Loop, TestMachine.Stack,
            (Gpr.Rax, 0x4433_2201), (Gpr.Rbx, 500 * (0x0403_0201UL + 0x4433_2201UL)), (Gpr.Rcx, 0));
    }

    [EngineFact]
    public void The_first_half_of_an_instruction_follows_its_page_to_another_frame()
    {
        using TestMachine machine = Make();
        Map(machine);
        WriteSplit(machine, Second - 2, [0xb8, 1, 2, 3, 4, 0xc3]);
        machine.Store(OtherFrame + 0xffe, 0xb9, 9);                 // mov ecx, imm32
        machine.Assemble(64, a =>
        {
            a.call(Second - 2);
            a.call(Second - 2);
            a.mov(__dword_ptr[SmallPages.Pte(First)], OtherFrame | 7);
            a.invlpg(__[First]);
            a.call(Second - 2);
            a.hlt();
        });
        machine.ShouldHalt(machine.InstructionStarts(64, 7)[6], 0, TestMachine.Stack, (Gpr.Rax, 0x0403_0201), (Gpr.Rcx, 0x0403_0209));
    }

    [EngineTheory]
    [InlineData("falls through")]
    [InlineData("jumps")]
    [InlineData("jumps back")]
    [InlineData("branch not taken")]
    [InlineData("call")]
    public void What_ends_a_page_exactly_goes_on_at_the_first_byte_of_the_next_one(string kind)
    {
        using TestMachine machine = Make();
        Map(machine, second: false);
        Action<Assembler> last = kind switch
        {
            "falls through" => a => a.inc(ebx),
            "jumps" => a => a.jmp(Second),
            "jumps back" => a => a.jmp(Second),
            "branch not taken" => a => { a.inc(ebx); a.jz(First); }
            ,
            _ => a => { a.inc(ebx); a.call(Second); }
            ,
        };
        uint start = machine.AssembleUpTo(64, FirstFrame + 0x1000, last, Bias) - Bias;
        machine.Store(SecondFrame, kind == "call" ? [0xc3] : [0xfe, 0xc1, 0xf4]);
        machine.StartAt(start);
        machine.State->Gpr[Gpr.Rbx] = 1;
        machine.State->Gpr[Gpr.Rcx] = 0;
        bool jumps = kind.StartsWith("jumps", StringComparison.Ordinal);
        ulong rbx = jumps ? 1UL : 2UL;
        ulong stack = TestMachine.Stack - (kind == "call" ? 8UL : 0UL);
        machine.ShouldFault(ExceptionVector.PageFault, 0x10, Second, 0, stack, (Gpr.Rbx, rbx), (Gpr.Rcx, 0));
        machine.State->Cr2.ShouldBe(Second);
        machine.Map(Second, SecondFrame);
        machine.Resume();
        if (kind == "call")
        {
            // It returns to itself: the page's end is the next page's begin, where RET now pops what the test has put there.
            machine.Write64(TestMachine.Stack, TestMachine.Code);
            machine.Store(TestMachine.Code, 0xf4);
            machine.ShouldHalt(TestMachine.Code + 1, 0, TestMachine.Stack + 8, (Gpr.Rbx, rbx), (Gpr.Rcx, 0));
            return;
        }

        machine.ShouldHalt(Second + 3, 0, TestMachine.Stack, (Gpr.Rbx, rbx), (Gpr.Rcx, 1));
    }

    [EngineTheory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(9)]
    [InlineData(10)]
    public void A_loop_across_a_page_boundary_counts_right_wherever_the_boundary_is(int before)
    {
        using TestMachine machine = Make();
        Map(machine);
        // add ebx, 3; add rdx, rbx; dec ecx; jnz -10; hlt.
        WriteSplit(machine, Second - (uint)before, [0x83, 0xc3, 3, 0x48, 0x01, 0xda, 0xff, 0xc9, 0x75, 0xf6, 0xf4]);
        machine.StartAt(Second - (uint)before);
        machine.State->Gpr[Gpr.Rbx] = machine.State->Gpr[Gpr.Rdx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 3000;
        machine.ShouldHalt(Second - (uint)before + 11, Loop, TestMachine.Stack,
            (Gpr.Rbx, 9000), (Gpr.Rcx, 0), (Gpr.Rdx, 3UL * 3000 * 3001 / 2));
    }

    [EngineFact]
    public void A_hot_loop_across_a_boundary_faults_in_its_middle_when_its_second_page_goes_and_continues_when_it_is_back()
    {
        using TestMachine machine = Make();
        Map(machine);
        // Second - 10: inc rbx; test ebx, 1023; jz leaves the page's end; Second: dec ecx, jnz back, hlt.
        uint top = Second - 13;
        WriteSplit(machine, top,
        [
            0x48, 0xff, 0xc3,                       // inc rbx
            0xf7, 0xc3, 0xff, 0x03, 0, 0,           // test ebx, 1023
            0x75, 0x02,                             // jnz +2
            0xff, 0xd7,                             // call rdi
            0xff, 0xc9, 0x75, 0xef, 0xf4,           // dec ecx; jnz top; hlt
        ]);
        machine.Assemble(64, a =>
        {
            a.mov(__qword_ptr[SmallPages.Pte(Second)], 0);
            a.invlpg(__[Second]);
            a.test(ebx, 1023);
            a.ret();
        });
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rdi] = TestMachine.Code;
        machine.State->Gpr[Gpr.Rcx] = 5000;
        machine.StartAt(top);
        for (ulong round = 1; round <= 4; round++)
        {
            ulong done = round * 1024;
            machine.ShouldFault(ExceptionVector.PageFault, 0x10, Second, Loop, TestMachine.Stack,
                (Gpr.Rbx, done), (Gpr.Rcx, 5000 - done + 1), (Gpr.Rdi, TestMachine.Code));
            machine.State->Cr2.ShouldBe(Second);
            machine.Map(Second, SecondFrame);
            machine.Resume();
        }

        machine.ShouldHalt(Second + 5, Loop, TestMachine.Stack, (Gpr.Rbx, 5000), (Gpr.Rcx, 0), (Gpr.Rdi, TestMachine.Code));
    }

    [EngineFact]
    public void Neighbouring_linear_pages_in_frames_far_apart_run_as_one_piece()
    {
        using TestMachine machine = Make();
        machine.Map(First, OtherFrame);
        machine.Map(Second, FirstFrame);
        machine.Store(OtherFrame + 0xffd, 0xb8, 1, 2);
        machine.Store(FirstFrame, 3, 4, 0xeb, 0x01, 0xf4, 0xfe, 0xc0, 0xf4);
        machine.Store(SecondFrame, 0xf4);
        machine.Store(OtherFrame + 0x1000, 0xf4);
        machine.StartAt(Second - 3);
        machine.ShouldHalt(Second + 8, 0, TestMachine.Stack, (Gpr.Rax, 0x0403_0202));
    }

    [EngineFact]
    public void In_real_address_mode_an_instruction_that_passes_the_end_of_the_segment_is_GP_where_it_begins()
    {
        using var machine = new TestMachine();
        machine.Enter(16);
        machine.Store(TestMachine.Code + 0xfffb, 0x40, 0x40, 0x40, 0xb8, 1, 2); // inc ax (3); mov ax, imm16 with its last byte outside
        machine.State->Rip = 0xfffb;
        machine.State->Gpr[Gpr.Rax] = 0x1234_0006;
        machine.ShouldFault(ExceptionVector.GeneralProtection, null, 0xfffe, RflagsBits.Pf, 0x8000, (Gpr.Rax, 0x1234_0009));
    }

    private static TestMachine Make()
    {
        var machine = new TestMachine();
        machine.EnterLongSmall();
        machine.MakeHandlersReturn();
        machine.Seed();
        return machine;
    }

    private static void Map(TestMachine machine, bool second = true)
    {
        machine.Map(First, FirstFrame);
        if (second) machine.Map(Second, SecondFrame);
    }

    /// <summary>Writes code at a linear address of the two pages, whether they are mapped or not.</summary>
    private static void WriteSplit(TestMachine machine, uint at, byte[] code) => machine.Store(at - First + FirstFrame, code);
}
