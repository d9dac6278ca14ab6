using System.Diagnostics;
using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Processors.Exits;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Tests.ExecutionTests;

/// <summary>
/// Interrupts and stop requests that another thread posts while the guest is in a loop: they are taken soon, between two instructions, with
/// the state of exactly that place (Intel SDM 3A 6.6).
/// </summary>
public sealed unsafe class AsynchronousEventTests
{
    private const int Vector = 0x55;
    private const uint Counter = TestMachine.Data;
    private const uint Buffer = 0x200000;
    private const uint BufferBytes = 0x1f_0000;

    /// <summary>
    /// Loops without end. RBX and RDX are 0 at first, RDI is <see cref="TestMachine.Code"/>; the second function says what must hold at each
    /// instruction, by its number.
    /// </summary>
    private static readonly Dictionary<string, (Action<Assembler> Emit, Action<TestMachine, int> Check)> Loops = new()
    {
        ["jump to itself"] = (Looping((a, top) => a.jmp(top)), (_, at) => at.ShouldBe(0)),
        ["one block"] = (Looping((a, top) =>
        {
            a.inc(rbx);
            a.add(rdx, 3);
            a.jmp(top);
        }), (m, at) => m.State->Gpr[Gpr.Rdx].ShouldBe(3 * (m.State->Gpr[Gpr.Rbx] - (at == 1 ? 1UL : 0)))),
        ["two blocks"] = (Looping((a, top) =>
        {
            Label second = a.CreateLabel();
            a.inc(rbx);
            a.jmp(second);
            a.nop();
            a.Label(ref second);
            a.inc(rdx);
            a.jmp(top);
        }), (m, at) => m.State->Gpr[Gpr.Rdx].ShouldBe(m.State->Gpr[Gpr.Rbx] - (at is >= 1 and <= 3 ? 1UL : 0))),
        ["memory"] = (Looping((a, top) =>
        {
            a.inc(rbx);
            a.mov(__[Counter], rbx);
            a.mov(rdx, __[Counter]);
            a.jmp(top);
        }), (m, at) =>
        {
            m.Read64(Counter).ShouldBe(m.State->Gpr[Gpr.Rbx] - (at == 1 ? 1UL : 0));
            m.State->Gpr[Gpr.Rdx].ShouldBe(m.State->Gpr[Gpr.Rbx] - (at is 1 or 2 ? 1UL : 0));
        }
        ),
        ["conditional branch"] = (Looping((a, top) =>
        {
            a.add(rbx, 2);
            a.cmp(rbx, -1);
            a.jne(top);
            a.hlt();
        }), (m, at) =>
        {
            at.ShouldBeLessThan(3);
            (m.State->Gpr[Gpr.Rbx] & 1).ShouldBe(0UL);
        }
        ),
        ["loop"] = (Looping((a, top) =>
        {
            a.inc(rbx);
            a.loop(top);
            a.hlt();
        }), (m, at) => (0 - m.State->Gpr[Gpr.Rcx]).ShouldBe(m.State->Gpr[Gpr.Rbx] - (at == 1 ? 1UL : 0))),
        ["call and return"] = (Looping((a, top) =>
        {
            Label routine = a.CreateLabel();
            a.inc(rbx);
            a.call(routine);
            a.jmp(top);
            a.Label(ref routine);
            a.inc(rdx);
            a.ret();
        }), (m, at) =>
        {
            m.State->Gpr[Gpr.Rdx].ShouldBe(m.State->Gpr[Gpr.Rbx] - (at is 1 or 3 ? 1UL : 0));
        }
        ),
        ["indirect jump"] = (Looping((a, _) =>
        {
            a.inc(rbx);
            a.jmp(rdi);
        }), (_, at) => at.ShouldBeLessThan(2)),
        ["indirect jump through memory"] = (Looping((a, _) =>
        {
            a.mov(__[Counter + 8], rdi);
            a.inc(rbx);
            a.jmp(__qword_ptr[Counter + 8]);
        }), (_, at) => at.ShouldBeLessThan(3)),
        ["return to itself"] = (Looping((a, _) =>
        {
            a.inc(rbx);
            a.push(rdi);
            a.ret();
        }), (_, at) => at.ShouldBeLessThan(3)),
        ["repeated store"] = (Looping((a, top) =>
        {
            a.inc(rbx);
            a.mov(edi, Buffer);
            a.mov(ecx, BufferBytes / 4);
            a.mov(eax, ebx);
            a.rep.stosd();
            a.jmp(top);
        }), CheckRepeatedStore),
    };

    public static TheoryData<string> LoopNames => new(Loops.Keys);

    [EngineTheory]
    [MemberData(nameof(LoopNames))]
    public void An_interrupt_from_another_thread_ends_a_loop_soon_and_with_its_state_exact(string loop)
    {
        using TestMachine machine = Make(loop);
        for (int round = 0; round < 4; round++)
        {
            var latency = new Stopwatch();
            machine.RunWhile(() =>
            {
                Thread.Sleep(10);
                machine.Bus.Interrupts.Enqueue(Vector);
                latency.Start();
                machine.Processor.Post(ProcessorEvents.Interrupt);
            }).ShouldBe(ExitReason.Halt);
            latency.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(5));
            machine.State->Rip.ShouldBe(TestMachine.Handler(Vector) + 1UL);
            ExceptionFrame frame = machine.Frame(Vector);
            (frame.Rflags & RflagsBits.If).ShouldBe(RflagsBits.If);
            (machine.State->Rflags & RflagsBits.If).ShouldBe(0UL);
            Check(machine, loop, frame.Rip, frame.Rsp);
            machine.Resume();
        }

        machine.Processor.Statistics.Interrupts[Vector].ShouldBe(4);
    }

    [EngineTheory]
    [MemberData(nameof(LoopNames))]
    public void A_stop_request_from_another_thread_ends_a_loop_soon_and_with_its_state_exact(string loop)
    {
        using TestMachine machine = Make(loop);
        machine.State->Rflags = RflagsBits.AlwaysOne;
        ulong counter = 0;
        for (int round = 0; round < 4; round++)
        {
            // On a busy host the request may come before the loop has begun.
            BusyHost.OnceOf(5, () =>
            {
                var latency = new Stopwatch();
                machine.RunWhile(() =>
                {
                    Thread.Sleep(10);
                    latency.Start();
                    machine.Processor.Post(ProcessorEvents.Stop);
                }).ShouldBe(ExitReason.Stop);
                machine.Processor.Withdraw(ProcessorEvents.Stop);
                Check(machine, loop, machine.State->Rip, machine.State->Gpr[Gpr.Rsp]);
                if (loop != "jump to itself") machine.State->Gpr[Gpr.Rbx].ShouldBeGreaterThan(counter);
                latency.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(5));
            });
            counter = machine.State->Gpr[Gpr.Rbx];
        }
    }

    [EngineTheory]
    [MemberData(nameof(LoopNames))]
    public void With_IF_clear_an_NMI_ends_a_loop_and_an_interrupt_does_not(string loop)
    {
        using TestMachine machine = Make(loop);
        machine.State->Rflags = RflagsBits.AlwaysOne;
        machine.Bus.Interrupts.Enqueue(Vector);
        machine.RunWhile(() =>
        {
            machine.Processor.Post(ProcessorEvents.Interrupt);
            Thread.Sleep(20);
            machine.Processor.Post(ProcessorEvents.Nmi);
        }).ShouldBe(ExitReason.Halt);
        machine.State->Rip.ShouldBe(TestMachine.Handler(2) + 1UL);
        machine.Bus.Interrupts.Count.ShouldBe(1);
        ExceptionFrame frame = machine.Frame(2);
        (frame.Rflags & RflagsBits.If).ShouldBe(0UL);
        Check(machine, loop, frame.Rip, frame.Rsp);
    }

    [EngineTheory]
    [InlineData(16)]
    [InlineData(32)]
    public void A_loop_of_16_and_32_bit_code_ends_as_well(int bits)
    {
        using var machine = new TestMachine();
        uint code = machine.Enter(bits);
        machine.Assemble(bits, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.inc(ebx);
            a.add(edx, 3);
            a.jmp(top);
        }, @base: TestMachine.Code - code);
        machine.State->Gpr[Gpr.Rbx] = machine.State->Gpr[Gpr.Rdx] = 0;
        machine.State->Rflags = RflagsBits.AlwaysOne | RflagsBits.If;
        machine.RunWhile(() =>
        {
            Thread.Sleep(20);
            machine.Bus.Interrupts.Enqueue(Vector);
            machine.Processor.Post(ProcessorEvents.Interrupt);
        }).ShouldBe(ExitReason.Halt);
        machine.State->Rip.ShouldBe(TestMachine.Handler(Vector) + 1UL);
        ulong[] starts = machine.InstructionStarts(bits, 3);
        int at = Array.IndexOf(starts, machine.Frame(Vector).Rip + TestMachine.Code - code);
        at.ShouldBeGreaterThanOrEqualTo(0);
        ((uint)machine.State->Gpr[Gpr.Rdx]).ShouldBe(3 * ((uint)machine.State->Gpr[Gpr.Rbx] - (at == 1 ? 1U : 0)));
    }

    [EngineFact]
    public void A_computation_under_a_storm_of_interrupts_gives_the_same_result()
    {
        using var machine = new TestMachine();
        machine.Enter(64);
        machine.Store(TestMachine.Handler(Vector), 0xe9);
        const uint Handler = TestMachine.UserCode;
        machine.Write32(TestMachine.Handler(Vector) + 1, Handler - (TestMachine.Handler(Vector) + 5));
        machine.Assemble(64, a =>
        {
            a.push(rax);
            a.push(rcx);
            a.inc(__qword_ptr[Counter]);
            a.xor(eax, eax);
            a.mov(rcx, -1);
            a.mul(rcx);
            a.pop(rcx);
            a.pop(rax);
            a.mov(edx, 0);
            a.iretq();
        }, Handler);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            Label odd = a.CreateLabel();
            Label routine = a.CreateLabel();
            Label end = a.CreateLabel();
            a.Label(ref top);
            a.mov(rax, rbx);
            a.call(routine);
            a.shr(rbx, 1);
            a.jc(odd);
            a.xor(rbx, rsi);
            a.Label(ref odd);
            a.adc(r8, rbx);
            a.add(__[Counter + 8], r8);
            a.dec(r15);
            a.jnz(top);
            a.Label(ref end);
            a.hlt();
            a.jmp(end);                                     // an interrupt too late for the loop wakes the processor
            a.Label(ref routine);
            a.push(rax);
            a.add(r9, rax);
            a.pop(r10);
            a.ret();
        });
        const int Rounds = 400_000;
        ulong value = machine.SeedOf(Gpr.Rbx), mask = machine.SeedOf(Gpr.Rsi), second = machine.SeedOf(Gpr.R8), third = machine.SeedOf(Gpr.R9);
        ulong sum = 0, last = 0;
        for (int i = 0; i < Rounds; i++)
        {
            last = value;
            third += last;
            bool carry = (value & 1) != 0;
            value >>= 1;
            if (!carry) value ^= mask;
            second += value + (carry ? 1UL : 0);
            sum += second;
        }

        machine.State->Gpr[Gpr.R15] = Rounds;
        machine.State->Rflags = RflagsBits.AlwaysOne | RflagsBits.If;
        int posted = 0;
        ExitReason reason = machine.RunWhile(() =>
        {
            var time = Stopwatch.StartNew();
            while (machine.State->Activity == ActivityState.Active && posted < 300 && time.Elapsed < TimeSpan.FromSeconds(10))
            {
                machine.Bus.Interrupts.Enqueue(Vector);
                posted++;
                while (machine.Bus.Interrupts.Count > 0 && machine.State->Activity == ActivityState.Active)
                {
                    machine.Processor.Post(ProcessorEvents.Interrupt);
                    Thread.Sleep(0);
                }
            }
        });
        reason.ShouldBe(ExitReason.Halt);
        machine.State->Gpr[Gpr.Rbx].ShouldBe(value);
        machine.State->Gpr[Gpr.R8].ShouldBe(second);
        machine.State->Gpr[Gpr.R9].ShouldBe(third);
        machine.State->Gpr[Gpr.R10].ShouldBe(last);
        machine.State->Gpr[Gpr.Rsp].ShouldBe(TestMachine.Stack);
        machine.Read64(Counter + 8).ShouldBe(sum);
        machine.Read64(Counter).ShouldBe((ulong)machine.Processor.Statistics.Interrupts[Vector]);
    }

    private static Action<Assembler> Looping(Action<Assembler, Label> body) => a =>
    {
        Label top = a.CreateLabel();
        a.Label(ref top);
        body(a, top);
    };

    private static TestMachine Make(string loop)
    {
        var machine = new TestMachine();
        machine.EnterLong();
        machine.UseInterruptStack();
        machine.MakeHandlersReturn();
        machine.Seed();
        machine.Assemble(64, Loops[loop].Emit);
        machine.State->Gpr[Gpr.Rbx] = machine.State->Gpr[Gpr.Rcx] = machine.State->Gpr[Gpr.Rdx] = 0;
        machine.State->Gpr[Gpr.Rdi] = TestMachine.Code;
        machine.State->Rflags = RflagsBits.AlwaysOne | RflagsBits.If;
        return machine;
    }

    private static void Check(TestMachine machine, string loop, ulong rip, ulong rsp)
    {
        ulong[] starts = machine.InstructionStarts(64, 8);
        int at = Array.IndexOf(starts, rip);
        at.ShouldBeGreaterThanOrEqualTo(0, $"RIP 0x{rip:x} is between instructions");
        Loops[loop].Check(machine, at);
        bool inRoutine = (loop == "call and return" && at is 3 or 4) || (loop == "return to itself" && at == 2);
        rsp.ShouldBe(TestMachine.Stack - (inRoutine ? 8UL : 0));
    }

    private static void CheckRepeatedStore(TestMachine machine, int at)
    {
        uint round = (uint)machine.State->Gpr[Gpr.Rbx];
        uint left = (uint)machine.State->Gpr[Gpr.Rcx];
        if (at == 4)
        {
            machine.State->Gpr[Gpr.Rax].ShouldBe(round);
            machine.State->Gpr[Gpr.Rdi].ShouldBe(Buffer + BufferBytes - (left * 4UL));
            uint next = Buffer + BufferBytes - (left * 4);
            if (left != 0) machine.Read32(next).ShouldBe(round - 1);
            if (next != Buffer) machine.Read32(next - 4).ShouldBe(round);
        }
        else if (at is 5 or 0)
        {
            left.ShouldBe(0U);
            machine.Read32(Buffer).ShouldBe(round);
            machine.Read32(Buffer + BufferBytes - 4).ShouldBe(round);
        }
    }
}
