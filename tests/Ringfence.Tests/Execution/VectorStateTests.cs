using System.Diagnostics;
using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Processors.Exits;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Tests.ExecutionTests;

/// <summary>
/// SSE, MMX and x87 state in hot code: kept by interrupts and faults, switched off by CR0 and CR4, and with exceptions unmasked
/// (Intel SDM 1 8.4, 9.2, 11.5; 3A 13.1).
/// </summary>
public sealed unsafe class VectorStateTests
{
    private const ulong Zero = RflagsBits.Zf | RflagsBits.Pf;
    private const uint Constants = TestMachine.Data;
    private const uint DivideByZeroMasked = 0x1f80, DivideByZeroUnmasked = 0x1d80;

    private static AssemblerRegisterXMM[] Registers =>
        [xmm0, xmm1, xmm2, xmm3, xmm4, xmm5, xmm6, xmm7, xmm8, xmm9, xmm10, xmm11, xmm12, xmm13, xmm14, xmm15];

    [EngineFact]
    public void All_sixteen_registers_and_MXCSR_of_a_loop_survive_a_storm_of_interrupts()
    {
        using TestMachine machine = Make();
        const int Rounds = 300_000;
        for (uint i = 0; i < 16; i++)
        {
            machine.Write64(Constants + (i * 16), 0x1_0001UL * (i + 1));
            machine.Write64(Constants + (i * 16) + 8, 0x1_0000_0000_0003UL * (i + 1));
        }

        machine.Write32(Constants + 0x200, 0x5f80);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            Label end = a.CreateLabel();
            a.ldmxcsr(__dword_ptr[Constants + 0x200]);
            a.Label(ref top);
            for (int i = 0; i < 16; i++) a.paddq(Registers[i], __[Constants + (i * 16)]);
            a.dec(ecx);
            a.jnz(top);
            a.Label(ref end);
            a.hlt();
            a.jmp(end);
        });
        InterruptHandler(machine, 0x55, a =>
        {
            // Saves everything with FXSAVE, changes everything, restores it.
            a.fxsave(__[0x20_0000]);
            a.mov(__dword_ptr[0x20_0300], 0x1fbf);
            a.ldmxcsr(__dword_ptr[0x20_0300]);
            foreach (AssemblerRegisterXMM register in Registers) a.pcmpeqb(register, register);
            a.inc(__qword_ptr[0x20_0400]);
            a.fxrstor(__[0x20_0000]);
        });
        machine.State->Gpr[Gpr.Rcx] = Rounds;
        machine.State->Rflags |= RflagsBits.If;
        Storm(machine, 0x55).ShouldBe(ExitReason.Halt);
        machine.Read64(0x20_0400).ShouldBeGreaterThan(0UL);
        machine.State->Mxcsr.ShouldBe(0x5f80U);
        for (int i = 0; i < 16; i++)
        {
            machine.State->Xmm[i * 2].ShouldBe(0x1_0001UL * (ulong)(i + 1) * Rounds, $"xmm{i}");
            machine.State->Xmm[(i * 2) + 1].ShouldBe(0x1_0000_0000_0003UL * (ulong)(i + 1) * Rounds, $"xmm{i}");
        }
    }

    [EngineFact]
    public void A_fault_in_a_vector_loop_leaves_all_registers_and_MXCSR_and_the_loop_goes_on()
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            for (int i = 1; i < 16; i++) a.paddd(Registers[i], Registers[0]);
            a.movups(__[rdi], xmm15);
            a.movaps(xmm1, xmm0);
            a.addps(xmm1, xmm1);
            a.dec(ecx);
            a.cmovz(rdi, rsi);
            a.jns(top);
            a.hlt();
        });
        machine.State->Xmm[0] = 1;
        machine.State->Mxcsr = 0x3fa0;
        machine.State->Gpr[Gpr.Rdi] = TestMachine.Data;
        machine.State->Gpr[Gpr.Rsi] = FaultingInstruction.Missing;
        machine.State->Gpr[Gpr.Rcx] = 500;
        machine.ShouldFault(ExceptionVector.PageFault, 2, machine.InstructionStarts(64, 16)[15], Zero, TestMachine.Stack,
            (Gpr.Rdi, FaultingInstruction.Missing), (Gpr.Rsi, FaultingInstruction.Missing), (Gpr.Rcx, 0));
        machine.State->Mxcsr.ShouldBe(0x3fa2U, "ADDPS of denormals has set DE");
        for (int i = 2; i < 16; i++) machine.State->Xmm[i * 2].ShouldBe(501UL, $"xmm{i}");
        machine.Map(FaultingInstruction.Missing & ~0xfffU, 0x200000);
        machine.Resume();
        machine.RunToHalt();
        machine.Read64(0x200230).ShouldBe(501UL);
    }

    [EngineTheory]
    [InlineData("sse")]
    [InlineData("mmx")]
    [InlineData("x87")]
    [InlineData("fxsave")]
    public void CR0_TS_set_after_a_thousand_iterations_makes_the_next_one_NM_and_CLTS_lets_it_go_on(string kind)
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            Label rounds = a.CreateLabel();
            a.Label(ref rounds);
            a.mov(ecx, 1000);
            a.Label(ref top);
            a.inc(ebx);
            switch (kind)
            {
                case "sse": a.paddd(xmm1, xmm0); break;
                case "mmx": a.paddd(mm1, mm0); break;
                case "x87": a.fninit(); break;
                default: a.fxsave(__[0x20_0000]); break;
            }

            a.dec(ecx);
            a.jnz(top);
            a.mov(rax, cr0);
            a.or(rax, (int)Cr0.Ts);
            a.mov(cr0, rax);
            a.jmp(rounds);
        });
        machine.State->Gpr[Gpr.Rbx] = 0;
        ulong control = machine.State->Cr0;
        for (uint round = 1; round <= 3; round++)
        {
            ulong rbx = (round * 1000UL) + 1;
            ((ExceptionVector)machine.RunToVector()).ShouldBe(ExceptionVector.DeviceNotAvailable);
            ExceptionFrame frame = machine.Frame(7);
            frame.Rip.ShouldBe(machine.InstructionStarts(64, 3)[2]);
            frame.Rflags.ShouldBe(RflagsBits.AlwaysOne | RflagsBits.Rf | FlagsOfIncrement(rbx));
            machine.ShouldHaveRegisters((Gpr.Rax, control | Cr0.Ts), (Gpr.Rbx, rbx), (Gpr.Rcx, 1000));
            machine.Assemble(64, a => { a.clts(); a.iretq(); }, TestMachine.Handler(7) + 1);
            machine.Resume();
        }
    }

    [EngineTheory]
    [InlineData(Cr0.Em, Cr4.Osfxsr)]
    [InlineData(0, 0)]
    public void CR0_EM_or_a_cleared_CR4_OSFXSR_makes_a_hot_SSE_instruction_UD(ulong emulation, ulong osfxsr)
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.addps(xmm1, xmm0);
            a.dec(ecx);
            a.jnz(top);
            a.mov(cr0, rsi);
            a.mov(cr4, rdi);
            a.jmp(top);
        });
        machine.State->Gpr[Gpr.Rcx] = 1000;
        ulong first = machine.State->Cr0 | emulation, second = (machine.State->Cr4 & ~Cr4.Osfxsr) | osfxsr;
        machine.State->Gpr[Gpr.Rsi] = first;
        machine.State->Gpr[Gpr.Rdi] = second;
        machine.ShouldFault(ExceptionVector.InvalidOpcode, null, TestMachine.Code, Zero, TestMachine.Stack, (Gpr.Rcx, 0), (Gpr.Rsi, first), (Gpr.Rdi, second));
    }

    [EngineTheory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_unmasked_SIMD_exception_in_hot_code_is_XM_or_UD_and_leaves_the_destination(bool osxmmexcpt)
    {
        Skip.IfNot(Engines.StopsAtLimit, "It runs to an instruction limit.");
        using TestMachine machine = Make();
        if (osxmmexcpt) machine.State->Cr4 |= Cr4.Osxmmexcpt;
        machine.Processor.RefreshMode();
        machine.State->Mxcsr = DivideByZeroUnmasked;
        for (uint i = 0; i < 100; i++) machine.Write64(Constants + (i * 8), BitConverter.DoubleToUInt64Bits(i == 90 ? 0 : 2));
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.movapd(xmm2, xmm1);
            a.divsd(xmm2, __qword_ptr[rdi]);
            a.addsd(xmm0, xmm2);
            a.add(rdi, 8);
            a.jmp(top);
        });
        machine.State->Gpr[Gpr.Rdi] = Constants;
        machine.State->Xmm[0] = 0;
        machine.State->Xmm[2] = BitConverter.DoubleToUInt64Bits(6);
        const uint Address = Constants + (90 * 8);
        ulong flags = FlagsOfSum(Address - 8, 8);
        machine.ShouldFault(osxmmexcpt ? ExceptionVector.SimdFloatingPoint : ExceptionVector.InvalidOpcode, null,
            machine.InstructionStarts(64, 2)[1], flags, TestMachine.Stack, (Gpr.Rdi, Address));
        machine.State->Mxcsr.ShouldBe(DivideByZeroUnmasked | 4);
        BitConverter.UInt64BitsToDouble(machine.State->Xmm[0]).ShouldBe(270.0);
        BitConverter.UInt64BitsToDouble(machine.State->Xmm[4]).ShouldBe(6.0);

        // Masked, the quotient is infinite and the loop goes on.
        machine.State->Mxcsr = DivideByZeroMasked;
        machine.Write64(Constants + (91 * 8), 1UL << 63);
        machine.Resume();
        machine.RunToHalt(20).ShouldBe(ExitReason.InstructionLimit);
        machine.State->Mxcsr.ShouldBe(DivideByZeroMasked | 5);
        double.IsNaN(BitConverter.UInt64BitsToDouble(machine.State->Xmm[0])).ShouldBeTrue("infinity less infinity");
    }

    [EngineFact]
    public void A_packed_operation_with_one_bad_element_sets_flags_and_changes_nothing_when_unmasked()
    {
        using TestMachine machine = Make();
        machine.State->Cr4 |= Cr4.Osxmmexcpt;
        machine.State->Mxcsr = 0x1f00;                          // invalid operation unmasked
        machine.State->Xmm[2] = 0xbf80_0000_3f80_0000;          // 1, -1
        machine.State->Xmm[3] = 0x4080_0000_4000_0000;
        machine.Processor.RefreshMode();
        machine.Assemble(64, a =>
        {
            a.add(ebx, 1);
            a.sqrtps(xmm1, xmm1);
        });
        machine.State->Gpr[Gpr.Rbx] = 2;
        machine.ShouldFault(ExceptionVector.SimdFloatingPoint, null, machine.InstructionStarts(64, 2)[1], RflagsBits.Pf, TestMachine.Stack, (Gpr.Rbx, 3));
        (machine.State->Mxcsr & 1).ShouldBe(1U);
        machine.State->Xmm[2].ShouldBe(0xbf80_0000_3f80_0000UL);
        machine.State->Xmm[3].ShouldBe(0x4080_0000_4000_0000UL);
    }

    [EngineFact]
    public void Rounding_changed_by_LDMXCSR_in_a_loop_counts_for_the_next_instruction()
    {
        using TestMachine machine = Make();
        machine.Write64(Constants, BitConverter.DoubleToUInt64Bits(2.5));
        for (uint i = 0; i < 4; i++) machine.Write32(Constants + 0x10 + (i * 4), 0x1f80 | (i << 13));
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            for (int i = 0; i < 4; i++)
            {
                a.ldmxcsr(__dword_ptr[Constants + 0x10 + (i * 4)]);
                a.cvtsd2si(eax, __qword_ptr[Constants]);
                a.imul(eax, eax, i == 0 ? 1 : i == 1 ? 100 : i == 2 ? 10_000 : 1_000_000);
                a.add(rbx, rax);
            }

            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.RunToHalt();
        // Nearest even 2, down 2, up 3, toward zero 2.
        machine.State->Gpr[Gpr.Rbx].ShouldBe(1000UL * (2 + 200 + 30_000 + 2_000_000));
        machine.State->Mxcsr.ShouldBe(0x1f80U | (3 << 13) | 0x20);
    }

    [EngineFact]
    public void MMX_and_x87_registers_are_the_same_ones_in_a_hot_loop()
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.fninit();
            a.Label(ref top);
            a.fld1();
            a.fld1();
            a.faddp(st1, st0);                                  // 2.0 in ST(0), which is R7
            a.movq(rax, mm7);                                   // its significand; TOP is 0 now and all are valid
            a.add(rbx, rax);
            a.movq(mm0, rcx);
            a.fnsave(__[0x20_0000]);
            a.add(rdx, __[0x20_0000 + 28]);                     // R0 behind the environment: ST(0)
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rbx] = machine.State->Gpr[Gpr.Rdx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.RunToHalt();
        machine.State->Gpr[Gpr.Rbx].ShouldBe(0UL, "a thousand times 8000000000000000h");
        machine.State->Gpr[Gpr.Rax].ShouldBe(1UL << 63);
        machine.State->Gpr[Gpr.Rdx].ShouldBe(500_500UL);
        machine.Read16(0x20_0000 + 28 + 8).ShouldBe((ushort)0xffff, "MMX sets sign and exponent");
    }

    [EngineFact]
    public void An_unmasked_x87_exception_in_hot_code_is_MF_at_the_next_waiting_instruction()
    {
        using TestMachine machine = Make();
        machine.Write16(Constants, 0x037b);                     // zero divide unmasked
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.fninit();
            a.fldcw(__word_ptr[Constants]);
            a.Label(ref top);
            a.fild(__dword_ptr[rdi]);
            a.fld1();
            a.fdivrp(st1, st0);                                 // 1 / [rdi]
            a.inc(ebx);
            a.fnop();
            a.fstp(st0);
            a.dec(ecx);
            a.cmovz(rdi, rsi);
            a.jns(top);
            a.hlt();
        });
        machine.Write32(Constants + 0x10, 4);
        machine.Write32(Constants + 0x20, 0);
        machine.State->Gpr[Gpr.Rdi] = Constants + 0x10;
        machine.State->Gpr[Gpr.Rsi] = Constants + 0x20;
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.ShouldFault(ExceptionVector.FloatingPoint, null, machine.InstructionStarts(64, 7)[6], FlagsOfIncrement(1001), TestMachine.Stack,
            (Gpr.Rdi, Constants + 0x20), (Gpr.Rsi, Constants + 0x20), (Gpr.Rbx, 1001), (Gpr.Rcx, 0));
        (machine.State->X87Status & 0x84).ShouldBe(0x84, "ZE and ES");
    }

    private static TestMachine Make()
    {
        var machine = new TestMachine();
        machine.EnterLongSmall();
        machine.UseInterruptStack();
        machine.MakeHandlersReturn();
        machine.Seed();
        machine.State->Mxcsr = 0x1f80;
        return machine;
    }

    private static void InterruptHandler(TestMachine machine, int vector, Action<Assembler> body)
    {
        const uint At = TestMachine.UserCode;
        machine.SetGate(vector, TestMachine.Gate(TestMachine.LongCode0, At, 0x8e, parameters: 1));
        machine.Assemble(64, a =>
        {
            body(a);
            a.iretq();
        }, At);
    }

    /// <summary>The first interrupt waits when the loop begins; the others come as fast as the guest takes them.</summary>
    private static ExitReason Storm(TestMachine machine, int vector)
    {
        machine.Bus.Interrupts.Enqueue(vector);
        machine.Processor.Post(ProcessorEvents.Interrupt);
        return machine.RunWhile(() => Post(machine, vector));
    }

    private static void Post(TestMachine machine, int vector)
    {
        while (machine.Bus.Interrupts.Count > 0) Thread.Sleep(0);
        var time = Stopwatch.StartNew();
        for (int i = 0; i < 300 && machine.State->Activity == ActivityState.Active && time.Elapsed < TimeSpan.FromSeconds(10); i++)
        {
            machine.Bus.Interrupts.Enqueue(vector);
            while (machine.Bus.Interrupts.Count > 0 && machine.State->Activity == ActivityState.Active)
            {
                machine.Processor.Post(ProcessorEvents.Interrupt);
                Thread.Sleep(0);
            }
        }
    }

    private static ulong FlagsOfIncrement(ulong result) => FlagsOfSum((uint)result - 1, 1);

    private static ulong FlagsOfSum(uint value, uint added)
    {
        uint sum = value + added;
        ulong flags = (System.Numerics.BitOperations.PopCount((byte)sum) & 1) == 0 ? RflagsBits.Pf : 0;
        return (value & 15) + (added & 15) > 15 ? flags | RflagsBits.Af : flags;
    }
}
