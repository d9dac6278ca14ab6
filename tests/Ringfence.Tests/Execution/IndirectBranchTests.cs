using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Processors.Exits;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Tests.ExecutionTests;

/// <summary>Indirect jumps, calls and returns: targets without number, targets that cannot be, and stacks that are deep.</summary>
public sealed unsafe class IndirectBranchTests
{
    private const ulong Zero = RflagsBits.Zf | RflagsBits.Pf;
    private const uint Page = SmallPages.Window;
    private const uint Frame = 0x200000;

    /// <summary>512 linear pages of 2 MiB from here, each the same 512 pages, each the same frame: one routine at 16384 addresses 64 KiB apart.</summary>
    private const ulong ManyTargets = 0x1_0000_0000;

    public enum Kind
    {
        JumpRegister,
        JumpMemory,
        CallRegister,
        CallMemory,
        Return,
        ReturnPop,
    }

    public static TheoryData<Kind, bool, ulong> NonCanonical
    {
        get
        {
            var data = new TheoryData<Kind, bool, ulong>();
            foreach (Kind kind in Enum.GetValues<Kind>())
                foreach (bool hot in new[] { false, true })
                    foreach (ulong target in new[] { 0x0000_8000_0000_0000UL, 0xffff_7fff_ffff_ffffUL, 0x1234_0000_0001_0000UL }) data.Add(kind, hot, target);
            return data;
        }
    }

    public static TheoryData<Kind> Kinds => new(Enum.GetValues<Kind>());

    [EngineTheory]
    [MemberData(nameof(NonCanonical))]
    public void A_target_that_is_not_canonical_is_GP_at_the_transfer_with_the_stack_as_it_was(Kind kind, bool hot, ulong target)
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a => Transfer(a, kind));
        // The good target is the loop's end, behind the code that transfers.
        const uint Next = TestMachine.Code + 0x100;
        machine.Assemble(64, a =>
        {
            a.mov(rdi, r12);
            a.dec(r15);
            a.cmovz(rdi, r14);
            a.jmp(TestMachine.Code);
        }, Next);
        machine.State->Gpr[Gpr.Rdi] = hot ? Next : target;
        machine.State->Gpr[Gpr.R12] = Next;
        machine.State->Gpr[Gpr.R14] = target;
        machine.State->Gpr[Gpr.R15] = 1000;
        ulong stack = TestMachine.Stack - (kind is Kind.Return or Kind.ReturnPop ? 8UL : 0);
        machine.ShouldFault(ExceptionVector.GeneralProtection, 0, machine.InstructionStarts(64, 5)[4], RflagsBits.Af, stack,
            (Gpr.Rbx, 16), (Gpr.Rdi, target), (Gpr.R12, Next), (Gpr.R14, target), (Gpr.R15, hot ? 0UL : 1000));
    }

    [EngineTheory]
    [MemberData(nameof(Kinds))]
    public void A_target_that_may_not_be_executed_or_is_missing_faults_there_with_the_transfer_done(Kind kind)
    {
        foreach (bool present in new[] { false, true })
        {
            using TestMachine machine = Make();
            if (present) machine.Map(Page, Frame, 7 | SmallPages.NoExecute);
            machine.Assemble(64, a => Transfer(a, kind));
            machine.State->Gpr[Gpr.Rdi] = Page + 0x321;
            bool calls = kind is Kind.CallMemory or Kind.CallRegister;
            ulong stack = TestMachine.Stack - (calls ? 8UL : 0) + (kind == Kind.ReturnPop ? 24UL : 0);
            machine.ShouldFault(ExceptionVector.PageFault, present ? 0x11U : 0x10U, Page + 0x321, RflagsBits.Af, stack, (Gpr.Rbx, 16), (Gpr.Rdi, Page + 0x321));
            machine.State->Cr2.ShouldBe(Page + 0x321UL);
            if (calls) machine.Read64(TestMachine.Stack - 8).ShouldBe(machine.InstructionStarts(64, 6)[5]);
        }
    }

    [EngineTheory]
    [InlineData(Kind.CallRegister)]
    [InlineData(Kind.CallMemory)]
    [InlineData(Kind.JumpRegister)]
    [InlineData(Kind.JumpMemory)]
    [InlineData(Kind.Return)]
    public void Ten_thousand_targets_equal_in_their_low_16_bits_are_each_reached(Kind kind)
    {
        using TestMachine machine = Make();
        MapManyTargets(machine);
        const int Targets = 10_000;
        bool calls = kind is Kind.CallRegister or Kind.CallMemory;
        // lea rax, [rip - 7]; imul rbx, rbx, 31; add rbx, rax; ret or jmp rbp
        machine.Store(Frame + 0x120, 0x48, 0x8d, 0x05, 0xf9, 0xff, 0xff, 0xff, 0x48, 0x6b, 0xdb, 31, 0x48, 0x01, 0xc3);
        machine.Store(Frame + 0x12e, calls ? [0xc3] : [0xff, 0xe5]);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            Label rounds = a.CreateLabel();
            Label back = a.CreateLabel();
            a.lea(rbp, __[back]);
            a.Label(ref rounds);
            a.mov(rdi, ManyTargets + 0x120);
            a.mov(ecx, Targets);
            a.Label(ref top);
            a.mov(__[TestMachine.Data], rdi);
            switch (kind)
            {
                case Kind.CallRegister: a.call(rdi); break;
                case Kind.CallMemory: a.call(__qword_ptr[TestMachine.Data]); break;
                case Kind.JumpRegister: a.jmp(rdi); break;
                case Kind.JumpMemory: a.jmp(__qword_ptr[TestMachine.Data]); break;
                default:
                    a.push(rdi);
                    a.ret();
                    break;
            }

            a.Label(ref back);
            a.add(rdi, 0x10000);
            a.dec(ecx);
            a.jnz(top);
            a.dec(edx);
            a.jnz(rounds);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rdx] = 3;
        machine.RunToHalt(1_000_000).ShouldBe(ExitReason.Halt);
        ulong hash = 0;
        for (int round = 0; round < 3; round++)
            for (ulong i = 0; i < Targets; i++) hash = (hash * 31) + ManyTargets + 0x120 + (i * 0x10000);
        machine.State->Gpr[Gpr.Rbx].ShouldBe(hash);
        machine.State->Gpr[Gpr.Rsp].ShouldBe(TestMachine.Stack);
    }

    [EngineFact]
    public void A_recursion_of_ten_thousand_levels_returns_from_each()
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a =>
        {
            Label routine = a.CreateLabel();
            Label end = a.CreateLabel();
            Label again = a.CreateLabel();
            a.Label(ref again);
            a.mov(ecx, 10_000);
            a.call(routine);
            a.dec(edx);
            a.jnz(again);
            a.hlt();
            a.Label(ref routine);
            a.push(rcx);
            a.dec(ecx);
            a.jz(end);
            a.call(routine);
            a.Label(ref end);
            a.pop(rax);
            a.lea(rbx, __[rbx + (rax * 2) + 1]);
            a.ret();
        });
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rdx] = 5;
        machine.State->Gpr[Gpr.Rsp] = 0x3f_0000;
        machine.ShouldHalt(machine.InstructionStarts(64, 6)[5], Zero, 0x3f_0000,
            (Gpr.Rax, 10_000), (Gpr.Rbx, 5UL * ((10_000UL * 10_001) + 10_000)), (Gpr.Rcx, 0), (Gpr.Rdx, 0));
    }

    [EngineFact]
    public void A_tree_of_calls_computes_Fibonaccis_number()
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a =>
        {
            Label fibonacci = a.CreateLabel();
            Label small = a.CreateLabel();
            a.mov(edi, 20);
            a.call(fibonacci);
            a.hlt();
            a.Label(ref fibonacci);
            a.mov(eax, edi);
            a.cmp(edi, 2);
            a.jb(small);
            a.push(rdi);
            a.dec(edi);
            a.call(fibonacci);
            a.pop(rdi);
            a.push(rax);
            a.sub(edi, 2);
            a.call(fibonacci);
            a.pop(rcx);
            a.add(eax, ecx);
            a.Label(ref small);
            a.ret();
        });
        machine.RunToHalt(1_000_000).ShouldBe(ExitReason.Halt);
        machine.State->Gpr[Gpr.Rax].ShouldBe(6765UL);
        machine.State->Gpr[Gpr.Rsp].ShouldBe(TestMachine.Stack);
    }

    [EngineFact]
    public void A_return_address_changed_on_the_stack_is_where_the_return_goes()
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            Label routine = a.CreateLabel();
            a.Label(ref top);
            a.call(routine);
            a.add(rbx, 1);                                      // four bytes, skipped every second time
            a.add(rbx, 100);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
            a.Label(ref routine);
            a.mov(eax, ecx);
            a.and(eax, 1);
            a.lea(eax, __[rax * 4]);
            a.add(__[rsp], rax);
            a.ret();
        });
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.ShouldHalt(machine.InstructionStarts(64, 7)[6], Zero, TestMachine.Stack,
            (Gpr.Rax, 4), (Gpr.Rbx, 500 + 100_000), (Gpr.Rcx, 0));
    }

    [EngineFact]
    public void Two_stacks_that_calls_and_returns_alternate_between_keep_their_own_return_addresses()
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a =>
        {
            // Two coroutines: each switches stacks and returns into the other.
            Label first = a.CreateLabel();
            Label second = a.CreateLabel();
            Label switching = a.CreateLabel();
            a.lea(rax, __[second]);
            a.mov(__[TestMachine.Stack1 - 8], rax);
            a.mov(esi, TestMachine.Stack1 - 8);
            a.Label(ref first);
            a.add(rbx, 1);
            a.call(switching);
            a.add(rbx, 10);
            a.dec(ecx);
            a.jnz(first);
            a.hlt();
            a.Label(ref second);
            a.add(rdx, 100);
            a.call(switching);
            a.add(rdx, 1000);
            a.jmp(second);
            a.Label(ref switching);
            a.xchg(rsp, rsi);
            a.ret();
        });
        machine.State->Gpr[Gpr.Rbx] = machine.State->Gpr[Gpr.Rdx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.RunToHalt();
        machine.State->Gpr[Gpr.Rbx].ShouldBe(11_000UL);
        machine.State->Gpr[Gpr.Rdx].ShouldBe((1000UL * 100) + (999 * 1000));
        machine.State->Gpr[Gpr.Rsp].ShouldBe(TestMachine.Stack);
    }

    [EngineTheory]
    [InlineData(16)]
    [InlineData(32)]
    public void Returns_with_an_immediate_drop_their_arguments_in_each_code_size(int bits)
    {
        using var machine = new TestMachine();
        uint code = machine.Enter(bits);
        ulong stack = machine.State->Gpr[Gpr.Rsp];
        machine.Assemble(bits, a =>
        {
            Label top = a.CreateLabel();
            Label routine = a.CreateLabel();
            a.Label(ref top);
            a.push(ecx);
            a.push(ecx);
            a.call(routine);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
            a.Label(ref routine);
            if (bits == 16)
            {
                a.mov(bp, sp);
                a.add(ebx, __[bp + 2]);
                a.add(edx, __[bp + 6]);
            }
            else
            {
                a.add(ebx, __[esp + 4]);
                a.add(edx, __[esp + 8]);
            }

            a.ret(8);
        }, @base: TestMachine.Code - code);
        machine.State->Gpr[Gpr.Rbx] = machine.State->Gpr[Gpr.Rdx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.RunToHalt();
        machine.State->Gpr[Gpr.Rbx].ShouldBe(500_500UL);
        machine.State->Gpr[Gpr.Rdx].ShouldBe(500_500UL);
        machine.State->Gpr[Gpr.Rsp].ShouldBe(stack);
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

    private static void MapManyTargets(TestMachine machine)
    {
        const uint Directory = 0x210000, Table = 0x211000;
        for (uint i = 0; i < 512; i++)
        {
            machine.Write64(Directory + (i * 8), Table | 7);
            machine.Write64(Table + (i * 8), Frame | 7);
        }

        machine.Write64(TestMachine.PageTables + 0x1000 + (4 * 8), Directory | 7);
    }

    /// <summary>Four instructions and a transfer to RDI.</summary>
    private static void Transfer(Assembler a, Kind kind)
    {
        a.mov(ebx, 15);
        if (kind is Kind.Return or Kind.ReturnPop)
        {
            a.mov(__[TestMachine.Stack - 8], rdi);
            a.mov(esp, TestMachine.Stack - 8);
        }
        else
        {
            a.mov(__[TestMachine.Data], rdi);
            a.mov(esp, TestMachine.Stack);
        }

        a.inc(ebx);
        switch (kind)
        {
            case Kind.JumpRegister: a.jmp(rdi); break;
            case Kind.JumpMemory: a.jmp(__qword_ptr[TestMachine.Data]); break;
            case Kind.CallRegister: a.call(rdi); break;
            case Kind.CallMemory: a.call(__qword_ptr[TestMachine.Data]); break;
            case Kind.Return: a.ret(); break;
            default: a.ret(24); break;
        }
    }
}
