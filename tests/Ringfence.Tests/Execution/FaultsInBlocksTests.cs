using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Tests.ExecutionTests;

/// <summary>
/// Faults are precise (Intel SDM 3A 6.5): RIP is the faulting instruction's, everything before it has happened and nothing of it.
/// Each instruction faults behind others that changed registers and flags, at its first execution and after a thousand good ones.
/// </summary>
public sealed unsafe class FaultsInBlocksTests
{
    private const ulong Overflow = RflagsBits.Of | RflagsBits.Sf | RflagsBits.Af | RflagsBits.Pf;

    public static TheoryData<string, bool> Instructions
    {
        get
        {
            var data = new TheoryData<string, bool>();
            foreach (string name in FaultingInstruction.All.Keys)
            {
                data.Add(name, false);
                data.Add(name, true);
            }

            return data;
        }
    }

    private static AssemblerRegister64[] Registers =>
        [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15];

    public static TheoryData<int> RegisterNumbers => new(Enumerable.Range(0, 16));

    [EngineTheory]
    [MemberData(nameof(Instructions))]
    public void An_instruction_that_faults_leaves_what_the_ones_before_it_made(string name, bool hot)
    {
        FaultingInstruction test = FaultingInstruction.All[name];
        using TestMachine machine = Make();
        FaultingInstruction.Prepare(machine);
        bool setsUpUnit = name == "fld";
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.mov(rax, 0x5a5a_5a5a_1234_5678UL);            // 0
            a.xor(edx, edx);
            a.lea(rsp, __[r13]);
            a.mov(ebx, 77);
            a.mov(ecx, 0x7fff_ffff);
            a.lea(r10, __[rbx + (rbx * 2) + 5]);
            a.add(ecx, 1);                                  // 6: the flags
            a.lea(r8, __[rcx + 5]);
            test.Emit(a);                                   // 8
            a.dec(r15);
            a.mov(rdi, r12);
            a.cmovz(rdi, r14);
            a.jmp(top);
        });
        VcpuState* s = machine.State;
        s->Gpr[Gpr.Rdi] = hot ? test.Good : test.Bad;
        s->Gpr[Gpr.R12] = test.Good;
        s->Gpr[Gpr.R13] = TestMachine.Stack - 0x100;
        s->Gpr[Gpr.R14] = test.Bad;
        s->Gpr[Gpr.R15] = 1000;
        s->Xmm[2] = 0x5555_6666_7777_8888;
        s->Xmm[4] = 0x1111_2222_3333_4444;
        ulong rip = machine.InstructionStarts(64, 10)[setsUpUnit ? 9 : 8];
        machine.ShouldFault(test.Vector, test.ErrorCode, rip, Overflow, TestMachine.Stack - 0x100,
            (Gpr.Rax, 0x5a5a_5a5a_1234_5678UL), (Gpr.Rcx, 0x8000_0000), (Gpr.Rdx, 0), (Gpr.Rbx, 77), (Gpr.Rdi, test.Bad),
            (Gpr.R8, 0x8000_0005), (Gpr.R10, 77 * 3 + 5), (Gpr.R12, test.Good), (Gpr.R13, TestMachine.Stack - 0x100), (Gpr.R14, test.Bad),
            (Gpr.R15, hot ? 0UL : 1000UL));
        if (test.SetsCr2) s->Cr2.ShouldBe(test.Bad);
        s->Xmm[4].ShouldBe(0x1111_2222_3333_4444UL);
        if (!hot)
        {
            s->Xmm[2].ShouldBe(0x5555_6666_7777_8888UL);
            return;
        }

        // The handler returns to the instruction, which completes now, and the loop goes on.
        s->Gpr[Gpr.Rdi] = test.Good;
        s->Gpr[Gpr.R12] = test.Good;
        s->Gpr[Gpr.R15] = 500;
        machine.Resume();
        machine.ShouldFault(test.Vector, test.ErrorCode, rip, Overflow, TestMachine.Stack - 0x100,
            (Gpr.Rax, 0x5a5a_5a5a_1234_5678UL), (Gpr.Rcx, 0x8000_0000), (Gpr.Rdx, 0), (Gpr.Rbx, 77), (Gpr.Rdi, test.Bad),
            (Gpr.R8, 0x8000_0005), (Gpr.R10, 77 * 3 + 5), (Gpr.R12, test.Good), (Gpr.R13, TestMachine.Stack - 0x100), (Gpr.R14, test.Bad),
            (Gpr.R15, 0));
    }

    [EngineTheory]
    [MemberData(nameof(RegisterNumbers))]
    public void Each_register_as_base_of_a_faulting_load_and_store_keeps_its_value(int number)
    {
        AssemblerRegister64 register = Registers[number];
        foreach (bool store in new[] { false, true })
        {
            using TestMachine machine = Make();
            machine.State->Gpr[number] = FaultingInstruction.Missing;
            AssemblerRegister64 other = number == 1 ? rdx : rcx;
            machine.Assemble(64, a =>
            {
                a.inc(other);
                a.stc();
                if (store) a.mov(__[register + 8], other);
                else a.mov(other, __[register + 8]);
            });
            int changed = number == 1 ? Gpr.Rdx : Gpr.Rcx;
            ulong expected = machine.SeedOf(changed) + 1;
            ulong flags = FlagsOfIncrement(expected) | RflagsBits.Cf;
            ulong stack = number == Gpr.Rsp ? FaultingInstruction.Missing : TestMachine.Stack;
            machine.ShouldFault(ExceptionVector.PageFault, store ? 2U : 0U, machine.InstructionStarts(64, 3)[2], flags, stack,
                (number, FaultingInstruction.Missing), (changed, expected));
            machine.State->Cr2.ShouldBe(FaultingInstruction.Missing + 8UL);
        }
    }

    [EngineTheory]
    [MemberData(nameof(RegisterNumbers))]
    public void Each_register_as_index_of_a_faulting_access_keeps_its_value(int number)
    {
        if (number == Gpr.Rsp) return;
        using TestMachine machine = Make();
        AssemblerRegister64 register = Registers[number];
        AssemblerRegister64 @base = number == Gpr.Rbx ? rsi : rbx;
        int baseNumber = number == Gpr.Rbx ? Gpr.Rsi : Gpr.Rbx;
        machine.State->Gpr[number] = 0x10;
        machine.State->Gpr[baseNumber] = FaultingInstruction.Missing;
        machine.Assemble(64, a =>
        {
            a.add(register, register);
            a.add(__qword_ptr[@base + (register * 8) - 0x40], 1);
        });
        machine.ShouldFault(ExceptionVector.PageFault, 2, machine.InstructionStarts(64, 2)[1], 0, TestMachine.Stack,
            (number, 0x20), (baseNumber, FaultingInstruction.Missing));
        machine.State->Cr2.ShouldBe(FaultingInstruction.Missing + 0xc0UL);
    }

    [EngineTheory]
    [MemberData(nameof(RegisterNumbers))]
    public void Each_register_as_destination_source_and_exchanged_operand_of_a_faulting_access_keeps_its_value(int number)
    {
        AssemblerRegister64 register = Registers[number];
        Action<Assembler>[] forms =
        [
            a => a.mov(register, __[FaultingInstruction.Missing]),
            a => a.add(register, __[FaultingInstruction.Missing]),
            a => a.cmovnc(register, __[FaultingInstruction.Missing]),
            a => a.mov(__[FaultingInstruction.Missing], register),
            a => a.add(__[FaultingInstruction.Missing], register),
            a => a.xchg(__[FaultingInstruction.Missing], register),
            a => a.@lock.xadd(__[FaultingInstruction.Missing], register),
            a => a.pop(__qword_ptr[FaultingInstruction.Missing]),
        ];
        for (int form = 0; form < forms.Length; form++)
        {
            using TestMachine machine = Make();
            machine.State->Gpr[number] = TestMachine.Stack + 0x180;
            int last = form;
            machine.Assemble(64, a =>
            {
                a.add(register, -0x80);
                forms[last](a);
            });
            ulong stack = number == Gpr.Rsp ? TestMachine.Stack + 0x100 : TestMachine.Stack;
            ulong flags = RflagsBits.Cf | RflagsBits.Pf;
            machine.ShouldFault(ExceptionVector.PageFault, form < 3 ? 0U : 2U, machine.InstructionStarts(64, 2)[1], flags, stack,
                (number, TestMachine.Stack + 0x100));
            machine.State->Cr2.ShouldBe(FaultingInstruction.Missing);
        }
    }

    [EngineTheory]
    [InlineData("rsp")]
    [InlineData("rbp")]
    [InlineData("rsp index")]
    public void A_non_canonical_address_based_on_the_stack_registers_is_SS(string kind)
    {
        using TestMachine machine = Make();
        ulong stack = kind == "rbp" ? TestMachine.Stack : FaultingInstruction.NonCanonical;
        machine.State->Gpr[Gpr.Rsp] = stack;
        machine.State->Gpr[Gpr.Rbp] = FaultingInstruction.NonCanonical;
        machine.State->Gpr[Gpr.Rcx] = 0;
        machine.Assemble(64, a =>
        {
            a.mov(edx, 5);
            if (kind == "rbp") a.mov(rax, __[rbp + 8]);
            else if (kind == "rsp") a.mov(__[rsp + 8], rax);
            else a.add(rax, __[rsp + (rcx * 8)]);
        });
        machine.ShouldFault(ExceptionVector.StackFault, 0, machine.InstructionStarts(64, 2)[1], 0, stack,
            (Gpr.Rdx, 5), (Gpr.Rbp, FaultingInstruction.NonCanonical), (Gpr.Rcx, 0));
    }

    [EngineFact]
    public void An_access_that_crosses_into_a_missing_page_changes_nothing_of_the_first()
    {
        using TestMachine machine = Make();
        machine.Map(SmallPages.Window, 0x200000);
        machine.Write64(0x200ff8, 0x1122_3344_5566_7788);
        const uint At = SmallPages.Window + 0xffc;
        machine.Assemble(64, a =>
        {
            a.mov(rax, 0x0102_0304_0506_0708UL);
            a.mov(__[At], rax);
        });
        machine.ShouldFault(ExceptionVector.PageFault, 2, machine.InstructionStarts(64, 2)[1], 0, TestMachine.Stack, (Gpr.Rax, 0x0102_0304_0506_0708UL));
        machine.State->Cr2.ShouldBe(At + 4UL);
        machine.Read64(0x200ff8).ShouldBe(0x1122_3344_5566_7788UL);
        machine.Map(SmallPages.Window + 0x1000, 0x203000);
        machine.Resume();
        machine.Assemble(64, a => a.hlt(), (uint)machine.InstructionStarts(64, 3)[2]);
        machine.RunToHalt();
        machine.Read32(0x200ffc).ShouldBe(0x0506_0708U);
        machine.Read32(0x203000).ShouldBe(0x0102_0304U);
    }

    [EngineFact]
    public void Each_of_many_faulting_sites_of_one_long_block_has_its_own_RIP_and_registers()
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a =>
        {
            for (int i = 0; i < 40; i++)
            {
                a.inc(rbx);
                a.add(rdx, __[rdi + (i * 0x1000)]);
            }

            a.hlt();
        });
        machine.State->Gpr[Gpr.Rdi] = SmallPages.Window;
        machine.State->Gpr[Gpr.Rbx] = machine.State->Gpr[Gpr.Rdx] = 0;
        ulong[] starts = machine.InstructionStarts(64, 81);
        ulong sum = 0;
        for (uint i = 0; i < 40; i++)
        {
            machine.ShouldFault(ExceptionVector.PageFault, 0, starts[(i * 2) + 1], FlagsOfIncrement(i + 1), TestMachine.Stack,
                (Gpr.Rbx, i + 1), (Gpr.Rdx, sum), (Gpr.Rdi, SmallPages.Window));
            machine.State->Cr2.ShouldBe(SmallPages.Window + (i * 0x1000UL));
            machine.Write64(0x200000 + (i * 0x1000), 16UL << (int)i);
            machine.Map(SmallPages.Window + (i * 0x1000), 0x200000 + (i * 0x1000));
            sum += 16UL << (int)i;
            machine.Resume();
        }

        machine.RunToHalt();
        machine.State->Rip.ShouldBe(starts[80] + 1);
        machine.State->Gpr[Gpr.Rdx].ShouldBe(sum);
    }

    private static TestMachine Make()
    {
        var machine = new TestMachine();
        machine.EnterLongSmall();
        machine.UseInterruptStack();
        machine.MakeHandlersReturn();
        machine.Seed();
        return machine;
    }

    private static ulong FlagsOfIncrement(ulong result)
    {
        ulong flags = result == 0 ? RflagsBits.Zf : 0;
        if ((long)result < 0) flags |= RflagsBits.Sf;
        if ((result & 15) == 0) flags |= RflagsBits.Af;
        if (result == 1UL << 63) flags |= RflagsBits.Of;
        if ((System.Numerics.BitOperations.PopCount((byte)result) & 1) == 0) flags |= RflagsBits.Pf;
        return flags;
    }
}
