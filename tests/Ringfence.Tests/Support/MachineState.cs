using Iced.Intel;
using Ringfence.Memory;
using Ringfence.Processors;
using Ringfence.Processors.Exits;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Tests.Support;

/// <summary>Sets up and compares the whole architectural state of a <see cref="TestMachine"/>: what an engine must not get wrong.</summary>
internal static unsafe class MachineState
{
    /// <summary>Where <see cref="EnterReal"/> puts its code, data and stack segments.</summary>
    public const ushort RealCode = (ushort)(TestMachine.Code >> 4), RealStack = (ushort)(TestMachine.Stack >> 4);

    private const int BackstopSeconds = 30;

    /// <summary>What <see cref="Seed"/> leaves in a register: different in every byte from every other register.</summary>
    public static ulong SeedOf(this TestMachine machine, int register)
    {
        ulong value = 0x9e37_79b9_7f4a_7c15UL * (ulong)(register + 1);
        return machine.State->Mode == ProcessorMode.Long ? value : (uint)value;
    }

    /// <summary>Gives every general register but RSP a value of its own and clears the flags.</summary>
    public static void Seed(this TestMachine machine)
    {
        for (int i = 0; i < 16; i++)
            if (i != Gpr.Rsp) machine.State->Gpr[i] = i < 8 || machine.State->Mode == ProcessorMode.Long ? machine.SeedOf(i) : 0;
        machine.State->Rflags = RflagsBits.AlwaysOne;
    }

    /// <summary>Every register but RSP has its seed or what <paramref name="changed"/> says.</summary>
    public static void ShouldHaveRegisters(this TestMachine machine, params (int Register, ulong Value)[] changed)
    {
        bool isLong = machine.State->IsLongModeActive;
        for (int i = 0; i < (isLong ? 16 : 8); i++)
        {
            if (i == Gpr.Rsp) continue;
            int at = Array.FindIndex(changed, c => c.Register == i);
            machine.State->Gpr[i].ShouldBe(at >= 0 ? changed[at].Value : machine.SeedOf(i), $"register {i}");
        }
    }

    /// <summary>The frame of the handler that has just halted, whose vector is <paramref name="vector"/>, at the same privilege level.</summary>
    public static ExceptionFrame Frame(this TestMachine machine, int vector, bool software = false)
    {
        ulong top = machine.State->Gpr[Gpr.Rsp];
        if (machine.State->Mode == ProcessorMode.Real)
        {
            ulong words = machine.Segment(SegmentIndex.Ss).Base + (ushort)top;
            return new ExceptionFrame(null, machine.Read16(words), machine.Read16(words + 2), machine.Read16(words + 4), (ushort)top + 6UL);
        }

        bool hasError = !software && vector is 8 or (>= 10 and <= 14) or 17;
        ulong at = machine.Physical(top);
        if (machine.State->IsLongModeActive)
        {
            uint? error = hasError ? machine.Read32(at) : null;
            if (hasError) at += 8;
            return new ExceptionFrame(error, machine.Read64(at), machine.Read16(at + 8), machine.Read64(at + 16), machine.Read64(at + 24));
        }

        uint? code = hasError ? machine.Read32(at) : null;
        if (hasError) at += 4;
        bool outer = (machine.Read16(at + 4) & 3) != 0;
        ulong rsp = outer ? machine.Read32(at + 12) : top + (hasError ? 16U : 12U);
        return new ExceptionFrame(code, machine.Read32(at), machine.Read16(at + 4), machine.Read32(at + 8), rsp);
    }

    /// <summary>
    /// Runs into a fault and compares everything: vector, error code, the pushed RIP, flags (with RF, as faults push it) and RSP, and all
    /// registers against their seeds but for <paramref name="changed"/>.
    /// </summary>
    public static void ShouldFault(
        this TestMachine machine, ExceptionVector vector, uint? errorCode, ulong rip, ulong status, ulong rsp, params (int Register, ulong Value)[] changed)
    {
        ((ExceptionVector)machine.RunToVector()).ShouldBe(vector);
        ExceptionFrame frame = machine.Frame((int)vector);
        frame.Rip.ShouldBe(rip, $"RIP 0x{frame.Rip:x}, not 0x{rip:x}");
        frame.ErrorCode.ShouldBe(errorCode);
        ulong resume = machine.State->Mode == ProcessorMode.Real ? 0 : RflagsBits.Rf;
        frame.Rflags.ShouldBe(status | RflagsBits.AlwaysOne | resume, $"RFLAGS 0x{frame.Rflags:x}");
        frame.Rsp.ShouldBe(rsp, $"RSP 0x{frame.Rsp:x}, not 0x{rsp:x}");
        machine.ShouldHaveRegisters(changed);
    }

    /// <summary>Runs to HLT and compares RIP (behind the HLT), all flags, RSP and all registers.</summary>
    public static void ShouldHalt(this TestMachine machine, ulong rip, ulong flags, ulong rsp, params (int Register, ulong Value)[] changed)
    {
        machine.RunToHalt(10_000_000).ShouldBe(ExitReason.Halt);
        machine.State->Rip.ShouldBe(rip, $"RIP 0x{machine.State->Rip:x}, not 0x{rip:x}");
        machine.State->Rflags.ShouldBe(flags | RflagsBits.AlwaysOne, $"RFLAGS 0x{machine.State->Rflags:x}");
        machine.State->Gpr[Gpr.Rsp].ShouldBe(rsp);
        machine.ShouldHaveRegisters(changed);
    }

    /// <summary>
    /// Handlers behind whose HLT stands what returns to the interrupted code; <see cref="Resume"/> goes there. In the mode set up.
    /// </summary>
    public static void MakeHandlersReturn(this TestMachine machine)
    {
        bool isLong = machine.State->IsLongModeActive;
        for (int vector = 0; vector < 256; vector++)
        {
            bool hasError = vector is 8 or (>= 10 and <= 14) or 17;
            byte[] code = (isLong, hasError) switch
            {
                (true, true) => [0xf4, 0x48, 0x83, 0xc4, 8, 0x48, 0xcf],
                (true, false) => [0xf4, 0x48, 0xcf],
                (false, true) => [0xf4, 0x83, 0xc4, 4, 0xcf],
                (false, false) => [0xf4, 0xcf],
            };
            machine.Memory.Write(new GuestPhysical(TestMachine.Handler(vector)), code);
        }
    }

    /// <summary>Continues behind the HLT that the processor stands at.</summary>
    public static void Resume(this TestMachine machine)
    {
        machine.State->Activity.ShouldBe(ActivityState.Halted);
        machine.State->Activity = ActivityState.Active;
    }

    /// <summary>Starts again at an address, in the mode and at the level the processor is in.</summary>
    public static void StartAt(this TestMachine machine, ulong rip)
    {
        machine.State->Activity = ActivityState.Active;
        machine.State->Rip = rip;
    }

    /// <summary>64-bit mode at CPL 0 again, on the first stack.</summary>
    public static void EnterSupervisor(this TestMachine machine)
    {
        machine.Load(SegmentIndex.Cs, TestMachine.LongCode0, 0, 0xffff_ffff, 0xa09b);
        machine.Load(SegmentIndex.Ss, TestMachine.Data0, 0, 0xffff_ffff, 0xc093);
        machine.State->Cpl = 0;
        machine.State->Gpr[Gpr.Rsp] = TestMachine.Stack;
        machine.Processor.Mmu.FlushCodeTlb();
        machine.Processor.RefreshMode();
    }

    /// <summary>
    /// Runs to HLT while <paramref name="meanwhile"/> does something on another thread. An engine that does not come back fails the test
    /// instead of stopping the run; the machine is then not disposed of, because the engine still uses it.
    /// </summary>
    public static ExitReason RunWhile(this TestMachine machine, Action? meanwhile = null, ulong limit = ulong.MaxValue / 2)
    {
        machine.State->InstructionLimit = machine.State->InstructionCount + limit;
        ExitReason reason = default;
        Exception? failure = null;
        var guest = new Thread(() =>
        {
            try
            {
                reason = machine.Engine.Run();
            }
            catch (Exception exception)
            {
                failure = exception;
            }
        });
        guest.Start();
        meanwhile?.Invoke();
        if (!guest.Join(TimeSpan.FromSeconds(BackstopSeconds)))
        {
            machine.Processor.Post(ProcessorEvents.Stop);
            if (!guest.Join(TimeSpan.FromSeconds(1))) machine.IsAbandoned = true;
            throw new TimeoutException(machine.IsAbandoned ? "The engine sees no events." : "The guest did not come to its HLT.");
        }

        if (failure is not null) throw new InvalidOperationException("The engine failed.", failure);
        return reason;
    }

    /// <summary>Assembles code whose last byte stands before <paramref name="end"/>; returns where it begins.</summary>
    public static uint AssembleUpTo(this TestMachine machine, int bits, uint end, Action<Assembler> program, uint @base = 0)
    {
        var measured = new Assembler(bits);
        program(measured);
        var bytes = new MemoryStream();
        measured.Assemble(new StreamCodeWriter(bytes), end - 0x80 - @base);
        uint start = end - (uint)bytes.Length;
        machine.Assemble(bits, program, start, @base);
        return start;
    }

    /// <summary>Gives all handlers of 64-bit mode a stack of their own (IST 1), whatever RSP is when they are called.</summary>
    public static void UseInterruptStack(this TestMachine machine)
    {
        machine.Write64(TestMachine.Tss + 0x24, TestMachine.InnerStack);
        for (int vector = 0; vector < 256; vector++)
            machine.SetGate(vector, TestMachine.Gate(TestMachine.LongCode0, TestMachine.Handler(vector), 0x8e, parameters: 1));
    }

    /// <summary>Writes bytes as a loader would.</summary>
    public static void Store(this TestMachine machine, uint address, params byte[] bytes) => machine.Memory.Write(new GuestPhysical(address), bytes);

    /// <summary>Addresses of the first instructions at a physical address equal to its linear one, as a disassembler sees them.</summary>
    public static ulong[] InstructionStarts(this TestMachine machine, int bits, int count, uint at = TestMachine.Code)
    {
        byte[] bytes = new byte[count * 15];
        machine.Memory.Read(new GuestPhysical(at), bytes);
        var decoder = Decoder.Create(bits, new ByteArrayCodeReader(bytes), at);
        var starts = new ulong[count];
        for (int i = 0; i < count; i++) starts[i] = decoder.Decode().IP;
        return starts;
    }

    /// <summary>
    /// Real-address mode with code and data segments at <see cref="TestMachine.Code"/> and the stack segment at <see cref="TestMachine.Stack"/>;
    /// every vector leads to its own HLT. <see cref="TestMachine.Handlers"/> is where they stand, in segment 0.
    /// </summary>
    public static void EnterReal(this TestMachine machine)
    {
        for (int vector = 0; vector < 256; vector++)
        {
            machine.Write32((uint)vector * 4, TestMachine.Handler(vector));
            machine.Memory.Write(new GuestPhysical(TestMachine.Handler(vector)), [0xf4, 0xcf]);
        }

        machine.State->Idtr = new DescriptorTableRegister { Base = 0, Limit = 0x3ff };
        machine.Load(SegmentIndex.Cs, RealCode, TestMachine.Code, 0xffff, 0x9b);
        foreach (SegmentIndex index in new[] { SegmentIndex.Es, SegmentIndex.Ds, SegmentIndex.Fs, SegmentIndex.Gs })
            machine.Load(index, RealCode, TestMachine.Code, 0xffff, 0x93);
        machine.Load(SegmentIndex.Ss, RealStack, TestMachine.Stack, 0xffff, 0x93);
        machine.State->Gpr[Gpr.Rsp] = 0x8000;
        machine.State->Rip = 0;
        machine.Processor.Mmu.FlushCodeTlb();
        machine.Processor.RefreshMode();
    }

    /// <summary>
    /// Real-address, 32-bit protected or 64-bit mode, everything seeded; returns the offset of <see cref="TestMachine.Code"/> in its segment.
    /// </summary>
    public static uint Enter(this TestMachine machine, int bits)
    {
        if (bits == 16) machine.EnterReal();
        else if (bits == 32) machine.EnterProtected();
        else machine.EnterLong();
        machine.Seed();
        return bits == 16 ? 0 : TestMachine.Code;
    }

    /// <summary>Physical address of a linear one, as a debugger sees it.</summary>
    public static ulong Physical(this TestMachine machine, ulong linear)
    {
        machine.Processor.Mmu.TryTranslateForDebugger(linear, out ulong physical).ShouldBeTrue($"0x{linear:x} is not mapped");
        return physical;
    }
}
