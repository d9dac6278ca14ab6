using System.Diagnostics;
using Iced.Intel;
using Ringfence.Execution.Translation;
using Ringfence.Processors;
using Ringfence.Processors.Exits;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.X87;

/// <summary>
/// x87 state in programs that are interrupted, switched, saved, stepped and moved between threads: wherever an engine keeps the registers, the
/// results are those of the interpreter, to the last bit.
/// </summary>
public sealed unsafe class X87LivenessTests
{
    private const uint Data = TestMachine.Data;
    private const uint Factor = Data, Addend = Data + 16, Root = Data + 32, Result = Data + 48, Count = Data + 64;
    private const uint Area = Data + 0x400, OtherArea = Data + 0x600;
    private const uint Divide = Data + 0x300, Waits = Data + 0x308;
    private const uint Handler = TestMachine.Code + 0x1000;
    private const int Rounds = 20_000;
    private const int ManyRounds = 300_000;
    private const int MostInterrupts = 1000;

    [EngineFact]
    public void A_long_double_loop_keeps_its_state_while_interrupts_use_the_unit()
    {
        byte[] expected = ReferenceResult(rounds: ManyRounds);
        using TestMachine machine = LongMachine();
        AssembleSums(machine, ManyRounds);
        // What an operating system does: save, use, restore.
        Handle(machine, 2, a =>
        {
            a.fxsave64(__[Area]);
            a.fninit();
            a.fldpi();
            a.fldpi();
            a.fmulp(st1, st0);
            a.inc(__dword_ptr[Count]);
            a.fxrstor64(__[Area]);
            a.iretq();
        });
        RunInterrupted(machine, TimeSpan.FromMicroseconds(100));
        ResultOf(machine).ShouldBe(expected);
        machine.Read32(Count).ShouldBeGreaterThan(0U);
    }

    [EngineFact]
    public void Setting_ts_in_hot_code_gives_device_not_available_at_the_next_x87_instruction()
    {
        byte[] expected = ReferenceResult(rounds: ManyRounds);
        using TestMachine machine = LongMachine();
        AssembleSums(machine, ManyRounds);
        Handle(machine, 2, a =>
        {
            a.push(rax);
            a.mov(rax, cr0);
            a.or(eax, (int)Cr0.Ts);
            a.mov(cr0, rax);
            a.inc(__dword_ptr[Count]);
            a.pop(rax);
            a.iretq();
        });
        Handle(machine, (int)ExceptionVector.DeviceNotAvailable, a =>
        {
            a.clts();
            a.inc(__dword_ptr[Count + 4]);
            a.iretq();
        }, Handler + 0x100);
        RunInterrupted(machine, TimeSpan.FromMicroseconds(100));
        ResultOf(machine).ShouldBe(expected);
        machine.Read32(Count + 4).ShouldBeInRange(1U, machine.Read32(Count));
    }

    [EngineFact]
    public void Two_tasks_that_are_switched_with_fxsave_and_fxrstor_keep_their_registers()
    {
        using TestMachine machine = LongMachine();
        machine.Assemble(64, a =>
        {
            Label loop = a.CreateLabel();
            a.fninit();
            a.fld1();
            a.fxsave64(__[Area]);
            a.fninit();
            a.fldz();
            a.fldpi();
            a.fxsave64(__[OtherArea]);
            a.mov(ecx, 1000);
            a.Label(ref loop);
            a.fxrstor64(__[Area]);
            a.fadd(st0, st0);
            a.fmul(__dword_ptr[Root]);
            a.fld1();
            a.faddp(st1, st0);
            a.fxsave64(__[Area]);
            a.fxrstor64(__[OtherArea]);
            a.fadd(st1, st0);
            a.fxsave64(__[OtherArea]);
            a.dec(ecx);
            a.jnz(loop);
            a.fxrstor64(__[Area]);
            a.fstp(__qword_ptr[Result]);
            a.fxrstor64(__[OtherArea]);
            a.fstp(st0);
            a.fstp(__qword_ptr[Result + 8]);
            Stop(a);
        });
        machine.Write32(Root, BitConverter.SingleToUInt32Bits(0.25f));
        machine.RunToHalt().ShouldBe(ExitReason.Halt);
        BitConverter.UInt64BitsToDouble(machine.Read64(Result)).ShouldBe(2);
        BitConverter.UInt64BitsToDouble(machine.Read64(Result + 8)).ShouldBe(1000 * Math.PI, 1e-9);
        (machine.State->X87Status & 0x3800).ShouldBe(0);
    }

    [EngineFact]
    public void Mmx_registers_are_the_significands_of_the_x87_registers()
    {
        using TestMachine machine = LongMachine();
        machine.Assemble(64, a =>
        {
            Label loop = a.CreateLabel();
            a.fninit();
            a.mov(ecx, 100);
            a.Label(ref loop);
            a.fldpi();
            a.fld1();
            a.movq(rax, mm6);
            a.movq(rdx, mm7);
            a.movq(mm0, rdx);
            a.pxor(mm1, mm1);
            a.paddq(mm1, mm0);
            a.movq(__qword_ptr[Data], mm1);
            a.fxsave64(__[Area]);
            a.emms();
            a.dec(ecx);
            a.jnz(loop);
            Stop(a);
        });
        machine.RunToHalt().ShouldBe(ExitReason.Halt);
        machine.State->Gpr[0].ShouldBe(1UL << 63, "FLD1 was pushed to physical register 6");
        machine.State->Gpr[2].ShouldBe(0xc90f_daa2_2168_c235);
        machine.Read64(Data).ShouldBe(0xc90f_daa2_2168_c235);
        machine.Read16(Area + 2).ShouldBe((ushort)0, "TOP is 0 after an MMX instruction");
        machine.Read8(Area + 4).ShouldBe((byte)0xff, "and all registers are valid");
        machine.Read16(Area + 32 + 16 + 8).ShouldBe((ushort)0xffff, "sign and exponent of a written register are ones");
        machine.State->X87Tag.ShouldBe((byte)0);
    }

    [EngineTheory]
    [InlineData("fwait", false)]
    [InlineData("fld1", false)]
    [InlineData("fadd memory", false)]
    [InlineData("fadd memory", true)]
    [InlineData("fldcw", false)]
    [InlineData("fldcw", true)]
    [InlineData("movq", false)]
    [InlineData("movq", true)]
    [InlineData("paddd memory", false)]
    [InlineData("paddd memory", true)]
    public void An_unmasked_exception_is_raised_at_the_next_waiting_instruction(string waiting, bool user)
    {
        using TestMachine machine = LongMachine();
        if (user) machine.EnterUser();
        machine.Assemble(64, a =>
        {
            Label loop = a.CreateLabel();
            Label divide = a.CreateLabel();
            Label waits = a.CreateLabel();
            KeepAddress(a, Divide, divide);
            KeepAddress(a, Waits, waits);
            a.fninit();
            a.fldcw(__word_ptr[Data]);
            a.fld1();
            a.mov(ecx, 50);
            a.Label(ref loop);
            a.fld1();
            a.fild(__word_ptr[(rcx * 2) + (Data + 16)]);
            a.Label(ref divide);
            a.fdivp(st1, st0);
            a.nop();
            a.fnstsw(ax);
            a.fnstcw(__word_ptr[Data + 8]);
            a.mov(ebx, ecx);
            a.Label(ref waits);
            Wait(a, waiting);
            a.fnclex();
            a.fninit();
            a.fldcw(__word_ptr[Data]);
            a.fld1();
            a.dec(ecx);
            a.jnz(loop);
            Stop(a);
        });

        machine.Write16(Data, 0x37b);
        for (uint i = 1; i <= 50; i++) machine.Write16(Data + 16 + (i * 2), (ushort)(i == 7 ? 0 : 2));
        Handle(machine, (int)ExceptionVector.FloatingPoint, a =>
        {
            a.fnstenv(__dword_ptr[Area]);
            a.hlt();
        });
        machine.RunToHalt().ShouldBe(ExitReason.Halt);
        machine.State->Gpr[3].ShouldBe(7UL);
        (machine.State->Gpr[0] & 0xffff).ShouldBe(0xa884UL, "B, ES, ZE; the operands are still there");
        machine.Read64(machine.State->Gpr[4]).ShouldBe(machine.Read64(Waits), "the waiting instruction faults");
        machine.Read32(Area + 12).ShouldBe(machine.Read32(Divide), "FIP names the one that caused it");
        (machine.Read32(Area + 16) >> 16).ShouldBe(0x6f9U, "FOP");
        machine.Read32(Area + 20).ShouldBe(Data + 16 + 14, "FDP");
        machine.State->FaultPending.ShouldBe((byte)0);
    }

    [EngineFact]
    public void Pointers_name_the_last_instruction_and_operand_across_units_and_code_segments()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        const uint Base = 0x1000;
        machine.SetGdt(TestMachine.FirstFree, TestMachine.Descriptor(Base, 0xf_ffff, 0x93, 0xc));
        const uint Last = TestMachine.Code + 0x200;
        machine.Assemble(32, a =>
        {
            a.mov(eax, TestMachine.FirstFree);
            a.mov(fs, eax);
            a.mov(ebx, 0x20);
            a.fninit();
            a.fld(__dword_ptr.fs[ebx + (Data - Base)]);
            a.jmp(Last);
        });
        machine.Assemble(32, a =>
        {
            Label next = a.CreateLabel();
            a.fchs();
            a.fnstcw(__word_ptr[Data + 0x80]);
            a.xor(eax, eax);
            a.mov(fs, eax);
            a.jmp(next);
            a.nop();
            a.Label(ref next);
            a.int3();
        }, Last);
        Handle(machine, 3, a =>
        {
            a.fnstenv(__dword_ptr[Area]);
            a.hlt();
        }, bits: 32);
        machine.RunToHalt().ShouldBe(ExitReason.Halt);
        machine.Read32(Area + 12).ShouldBe(Last);
        machine.Read32(Area + 16).ShouldBe(0x01e0_0000U | TestMachine.Code0);
        machine.Read32(Area + 20).ShouldBe(Data + 0x20 - Base);
        machine.Read16(Area + 24).ShouldBe(TestMachine.FirstFree);
    }

    [EngineFact]
    public void A_control_word_that_is_switched_for_each_conversion_holds_for_it_only()
    {
        using TestMachine machine = LongMachine();
        machine.Write16(Data, 0x37f);
        machine.Write16(Data + 2, 0xf7f);
        machine.Write64(Data + 8, BitConverter.DoubleToUInt64Bits(2.75));
        machine.Assemble(64, a =>
        {
            Label loop = a.CreateLabel();
            a.fninit();
            a.mov(ecx, 1000);
            a.xor(ebx, ebx);
            a.xor(edx, edx);
            a.Label(ref loop);
            a.fld(__qword_ptr[Data + 8]);
            a.fnstcw(__word_ptr[Data + 4]);
            a.fldcw(__word_ptr[Data + 2]);
            a.fist(__dword_ptr[Data + 16]);
            a.fldcw(__word_ptr[Data + 4]);
            a.fistp(__dword_ptr[Data + 20]);
            a.add(ebx, __dword_ptr[Data + 16]);
            a.add(edx, __dword_ptr[Data + 20]);
            a.dec(ecx);
            a.jnz(loop);
            Stop(a);
        });
        machine.RunToHalt().ShouldBe(ExitReason.Halt);
        machine.State->Gpr[3].ShouldBe(2000UL, "truncated");
        machine.State->Gpr[2].ShouldBe(3000UL, "rounded to nearest");
        machine.State->X87Control.ShouldBe((ushort)0x37f);
    }

    [EngineFact]
    public void The_registers_survive_call_outs_whose_monitor_collects_garbage()
    {
        const int Reads = 300;
        using TestMachine machine = LongMachine();
        machine.Bus.PortValue = _ =>
        {
            var garbage = new byte[1000];
            GC.Collect(0);
            return (uint)garbage.Length;
        };
        machine.Assemble(64, a =>
        {
            Label loop = a.CreateLabel();
            a.fninit();
            a.fld1();
            a.fldpi();
            a.fldz();
            a.mov(ecx, Reads);
            a.mov(edx, 0x300);
            a.Label(ref loop);
            a.fadd(st0, st2);
            a.@in(al, dx);
            a.dec(ecx);
            a.jnz(loop);
            a.fistp(__dword_ptr[Result]);
            a.fstp(__tbyte_ptr[Data]);
            Stop(a);
        });
        machine.RunToHalt().ShouldBe(ExitReason.Halt);
        machine.Read32(Result).ShouldBe((uint)Reads);
        machine.Read64(Data).ShouldBe(0xc90f_daa2_2168_c235);
        machine.State->X87Tag.ShouldBe((byte)0x80);
        if (machine.Engine is Translator translator && Engines.Current == "translator")
            translator.X87Loads.ShouldBeInRange(1, 3, "they stay in the host's unit across call-outs");
    }

    [EngineFact]
    public void Machines_on_different_threads_and_in_turns_on_one_do_not_mix_their_registers()
    {
        Skip.IfNot(Engines.StopsAtLimit, "It runs to instruction limits.");
        byte[] expected = ReferenceResult();
        using TestMachine first = LongMachine();
        using TestMachine second = LongMachine();
        AssembleSums(first, Rounds);
        AssembleSums(second, Rounds);
        second.Write64(Addend, BitConverter.DoubleToUInt64Bits(7));
        byte[] other = ReferenceResult(7);
        other.ShouldNotBe(expected);
        Parallel.Invoke(() => RunSlices(first, 1000, 20), () => RunSlices(second, 1000, 20));
        for (int i = 0; i < 20; i++)
        {
            RunSlices(first, 700, 1);
            RunSlices(second, 300, 1);
        }

        first.RunToHalt(10_000_000).ShouldBe(ExitReason.Halt);
        second.RunToHalt(10_000_000).ShouldBe(ExitReason.Halt);
        ResultOf(first).ShouldBe(expected);
        ResultOf(second).ShouldBe(other);
    }

    [EngineFact]
    public void A_machine_goes_on_where_it_was_when_another_thread_runs_or_steps_it()
    {
        Skip.IfNot(Engines.StopsAtLimit, "It runs to instruction limits.");
        byte[] expected = ReferenceResult();
        using TestMachine machine = LongMachine();
        AssembleSums(machine, Rounds);
        for (int i = 0; i < 20; i++)
        {
            OnThread(() => RunSlices(machine, 500, 1));
            machine.State->X87Tag.ShouldNotBe((byte)0, "the state can be seen between runs");
            OnThread(() =>
            {
                // Single steps by the monitor, as a debugger does them.
                machine.State->StepMode = 1;
                RunSlices(machine, 10, 1);
                machine.State->StepMode = 0;
            });
        }

        machine.RunToHalt(10_000_000).ShouldBe(ExitReason.Halt);
        ResultOf(machine).ShouldBe(expected);
    }

    [EngineFact]
    public void A_hot_loop_of_a_user_program_keeps_its_state()
    {
        byte[] expected = ReferenceResult(rounds: ManyRounds);
        using TestMachine machine = LongMachine();
        machine.EnterUser();
        AssembleSums(machine, ManyRounds, user: true);
        Handle(machine, 2, a =>
        {
            a.push(rax);
            a.mov(rax, cr0);
            a.or(eax, (int)Cr0.Ts);
            a.mov(cr0, rax);
            a.pop(rax);
            a.iretq();
        });
        Handle(machine, (int)ExceptionVector.DeviceNotAvailable, a =>
        {
            a.clts();
            a.inc(__dword_ptr[Count + 4]);
            a.iretq();
        }, Handler + 0x100);
        Handle(machine, 3, a =>
        {
            a.fnstenv(__dword_ptr[Area]);
            Stop(a);
        }, Handler + 0x200, access: 0xee);
        RunInterrupted(machine, TimeSpan.FromMilliseconds(3));
        ResultOf(machine).ShouldBe(expected);
        machine.Read32(Area + 20).ShouldBe(Result, "FDP is the guest's address of the last operand");
    }

    private static TestMachine LongMachine()
    {
        var machine = new TestMachine();
        machine.EnterLong();
        machine.Write64(Factor, 0x8000_0000_1234_5678);
        machine.Write16(Factor + 8, 0x3fff);
        machine.Write64(Addend, BitConverter.DoubleToUInt64Bits(0.1));
        return machine;
    }

    /// <summary>Sums in extended precision: sum = sqrt(sum * factor) + addend + i, with two more values on the stack.</summary>
    private static void AssembleSums(TestMachine machine, int rounds, bool user = false) => machine.Assemble(64, a =>
    {
        Label loop = a.CreateLabel();
        a.fninit();
        a.mov(esi, Data);
        a.fld(__tbyte_ptr[Factor]);
        a.fldz();
        a.mov(ecx, rounds);
        a.Label(ref loop);
        a.fmul(st0, st1);
        a.fsqrt();
        a.fstp(__tbyte_ptr[rsi + (Root - Data)]);
        a.mov(__dword_ptr[rsi + (Count - Data) + 8], ecx);
        a.fld(__tbyte_ptr[rsi + (Root - Data)]);
        a.fadd(__qword_ptr[rsi + (Addend - Data)]);
        a.fiadd(__dword_ptr[rsi + (Count - Data) + 8]);
        a.dec(ecx);
        a.jnz(loop);
        a.fstp(__tbyte_ptr[Result]);
        if (user) a.int3();
        Stop(a);
    });

    /// <summary>The interpreter's result.</summary>
    private static byte[] ReferenceResult(double addend = 0.1, int rounds = Rounds)
    {
        string row = Engines.Current;
        Engines.Enter("interpreter");
        using TestMachine machine = LongMachine();
        Engines.Enter(row);
        machine.Write64(Addend, BitConverter.DoubleToUInt64Bits(addend));
        AssembleSums(machine, rounds);
        machine.RunToHalt(1UL << 40).ShouldBe(ExitReason.Halt);
        return ResultOf(machine);
    }

    private static byte[] ResultOf(TestMachine machine) => [.. BitConverter.GetBytes(machine.Read64(Result)), .. BitConverter.GetBytes(machine.Read16(Result + 8))];

    private static void Handle(
        TestMachine machine, int vector, Action<Assembler> program, uint at = Handler, int bits = 64, int access = 0x8e)
    {
        machine.Assemble(bits, program, at);
        machine.SetGate(vector, TestMachine.Gate(bits == 64 ? TestMachine.LongCode0 : TestMachine.Code0, at, access));
    }

    private static void Wait(Assembler a, string name)
    {
        switch (name)
        {
            case "fwait":
                a.wait();
                break;
            case "fld1":
                a.fld1();
                break;
            case "fadd memory":
                a.fadd(__dword_ptr[Data + 0x200]);
                break;
            case "fldcw":
                a.fldcw(__word_ptr[Data]);
                break;
            case "movq":
                a.movq(mm0, rax);
                break;
            default:
                a.paddd(mm0, __[Data + 0x200]);
                break;
        }
    }

    private static void Stop(Assembler a)
    {
        Label here = a.CreateLabel();
        a.Label(ref here);
        a.hlt();
        a.jmp(here);
    }

    private static void KeepAddress(Assembler a, uint place, Label label)
    {
        a.lea(rax, __[label]);
        a.mov(__[place], rax);
    }

    private static void RunSlices(TestMachine machine, ulong instructions, int slices)
    {
        for (int i = 0; i < slices; i++)
        {
            machine.State->InstructionLimit = machine.State->InstructionCount + instructions;
            machine.Engine.Run().ShouldBe(ExitReason.InstructionLimit);
        }
    }

    /// <summary>Runs to the end while NMIs arrive from another thread, the first before the program begins.</summary>
    private static void RunInterrupted(TestMachine machine, TimeSpan period)
    {
        machine.State->InstructionLimit = ulong.MaxValue;
        using var stop = new CancellationTokenSource();
        machine.Processor.Post(ProcessorEvents.Nmi);
        Task posts = Task.Run(() => Post(machine.Processor, period, stop.Token));
        ExitReason reason = machine.Engine.Run();
        stop.Cancel();
        posts.Wait();
        reason.ShouldBe(ExitReason.Halt);
    }

    private static void Post(Processor processor, TimeSpan period, CancellationToken stop)
    {
        for (int i = 0; i < MostInterrupts && !stop.IsCancellationRequested; i++)
        {
            long posted = Stopwatch.GetTimestamp();
            while (Stopwatch.GetElapsedTime(posted) < period) Thread.Yield();
            processor.Post(ProcessorEvents.Nmi);
            if (i % 16 == 0) GC.Collect(0);
        }
    }

    private static void OnThread(Action action)
    {
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                action();
            }
            catch (Exception exception)
            {
                failure = exception;
            }
        });
        thread.Start();
        thread.Join();
        if (failure is not null) throw new AggregateException(failure);
    }
}
