using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Processors.Exits;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.ExecutionTests;

/// <summary>
/// Where instructions are counted without a limit, each engine counts what the interpreter counts, whichever way its code is left: at its end,
/// by side exits to the same and to another page, by faults, by windows that do not fit, by call-outs and while it is looked for events.
/// </summary>
public sealed unsafe class CountedInstructionsTests
{
    private const int Rounds = 20_000;
    private const uint OtherPage = TestMachine.UserCode;
    private const uint Routine = TestMachine.UserCode + 0x100;
    private const uint Far = SmallPages.Window;

    public enum Loop
    {
        Short,
        SideExits,
        SideExitsToAnotherPage,
        Memory,
        PagesThatAppear,
        Calls,
        IndirectCalls,
        StringsAndX87,
        ManyRegisters,
    }

    public static TheoryData<Loop> Loops => new(Enum.GetValues<Loop>());

    [EngineTheory]
    [MemberData(nameof(Loops))]
    public void Hot_code_is_counted_as_the_interpreter_counts_it(Loop loop)
    {
        string engine = Engines.Current;
        Engines.Enter("interpreter");
        (ulong expected, ulong sum) = Run(loop);
        Engines.Enter(engine);
        expected.ShouldBeGreaterThan((ulong)Rounds * 3);
        Run(loop).ShouldBe((expected, sum));
    }

    /// <summary>Instructions until the breakpoint behind the loop, and what the loop has computed.</summary>
    private static (ulong Instructions, ulong Sum) Run(Loop loop)
    {
        using TestMachine machine = new();
        machine.EnterLongSmall();
        for (uint page = 0; page < 16; page++) machine.Map(Far + (page << 12), 0x200000 + (page << 12));
        machine.EnterUser();
        machine.SetGate(3, TestMachine.Gate(TestMachine.LongCode0, TestMachine.Handler(3), 0xee));
        machine.Assemble(64, a => Emit(a, loop));
        machine.Assemble(64, EmitOtherPage, OtherPage);
        machine.Assemble(64, EmitRoutine, Routine);
        VcpuState* s = machine.State;
        s->Gpr[Gpr.R15] = Rounds;
        s->Gpr[Gpr.Rbx] = 12345;
        s->Gpr[Gpr.Rsi] = TestMachine.Data;
        s->InstructionLimit = VcpuState.CountingLimit;
        // Stopped and gone on with again and again: at looks for events everything is exact.
        using StoppingTimer stops = new(() => machine.Processor.Post(ProcessorEvents.Stop), 1, 1);
        long end = Environment.TickCount64 + 60_000;
        ExitReason reason = ExitReason.Stop;
        while (reason == ExitReason.Stop && Environment.TickCount64 < end)
        {
            reason = machine.Engine.Run();
            machine.Processor.Withdraw(ProcessorEvents.Stop);
        }

        reason.ShouldBe(ExitReason.Halt);
        s->Rip.ShouldBe(TestMachine.Handler(3) + 1UL);
        return (s->InstructionCount, s->Gpr[Gpr.Rdi]);
    }

    private static void Emit(Assembler a, Loop loop)
    {
        Label top = a.CreateLabel();
        Label other = a.CreateLabel();
        Label next = a.CreateLabel();
        if (loop == Loop.StringsAndX87) a.fninit();
        a.Label(ref top);
        // A linear congruential generator decides about branches.
        a.imul(rbx, rbx, 1103515245);
        a.add(rbx, 12345);
        a.mov(rax, rbx);
        a.shr(rax, 20);
        switch (loop)
        {
            case Loop.SideExits:
                a.test(al, 3);
                a.jz(other);
                a.add(rdi, rax);
                a.test(al, 0x30);
                a.jz(next);
                a.inc(rdi);
                break;
            case Loop.SideExitsToAnotherPage:
                a.lea(r8, __[next]);
                a.mov(__[rsi], rax);
                a.test(al, 7);
                a.jz(OtherPage);
                a.inc(rdi);
                break;
            case Loop.Memory:
                a.mov(__[rsi + 8], rax);
                a.add(rdi, __[rsi + 8]);
                a.push(rdi);
                a.test(al, 15);
                a.jz(other);
                a.pop(rdx);
                break;
            case Loop.PagesThatAppear:
                a.mov(edx, eax);
                a.and(edx, 0xfff0);
                a.mov(ecx, Far);
                a.add(rdi, __[rcx + rdx]);
                a.mov(__byte_ptr[rcx + rdx], al);
                a.mov(__[rsi], rdi);
                break;
            case Loop.Calls:
                a.push(rax);
                a.call(Routine);
                a.pop(rcx);
                a.add(rdi, rcx);
                break;
            case Loop.IndirectCalls:
                a.mov(r9d, Routine);
                a.mov(__[rsi + 16], r9);
                a.call(r9);
                a.call(__qword_ptr[rsi + 16]);
                break;
            case Loop.StringsAndX87:
                a.mov(__[rsi], rax);
                a.fild(__qword_ptr[rsi]);
                a.fistp(__qword_ptr[rsi + 8]);
                a.add(rdi, __[rsi + 8]);
                a.and(edi, 0xff8);
                a.add(rdi, (int)TestMachine.Data);
                a.mov(r10, rsi);
                a.movsq();
                a.mov(rsi, r10);
                break;
            case Loop.ManyRegisters:
                a.mov(r12, rax);
                a.add(r13, r12);
                a.xor(r14, r13);
                a.mov(__[rsi], r14);
                a.test(r14d, 12);
                a.jz(other);
                a.add(rdi, r14);
                break;
        }

        a.Label(ref next);
        a.dec(r15);
        a.jnz(top);
        a.int3();
        a.Label(ref other);
        a.add(rdi, 3);
        if (loop == Loop.Memory) a.pop(rdx);
        a.jmp(next);
    }

    private static void EmitOtherPage(Assembler a)
    {
        a.add(rdi, 5);
        a.jmp(r8);
    }

    private static void EmitRoutine(Assembler a)
    {
        a.add(rdi, 7);
        a.ret();
    }
}
