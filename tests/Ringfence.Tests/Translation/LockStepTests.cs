using Iced.Intel;
using Ringfence.Execution.Translation;
using Ringfence.Firmware;
using Ringfence.Guests;
using Ringfence.Machines;
using Ringfence.Processors;
using Ringfence.Tests.Guests;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Translation;

/// <summary>The interpreter beside the translator, unit by unit: whole guests without a difference, and differences that are there are found.</summary>
public sealed class LockStepTests
{
    private const uint Data = 0x20000;
    private static readonly TimeSpan BootTime = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan MoreTime = TimeSpan.FromSeconds(5);

    [SkippableFact]
    public void A_wrong_result_is_reported_with_the_guests_code_and_the_hosts()
    {
        using BareProcessor machine = Make();
        ReplaceImmediate(machine, 5, 6);
        string report = Should.Throw<InvalidOperationException>(() => machine.Run(100)).Message;
        report.ShouldContain("add eax,5");
        report.ShouldContain("jmp");
        report.ShouldContain("\n  RAX ");
        report.ShouldContain("add eax,6");
        report.ShouldNotContain("memory at");
    }

    [SkippableFact]
    public void A_wrong_byte_in_memory_is_reported_with_its_address()
    {
        using BareProcessor machine = Make();
        ReplaceImmediate(machine, 0x11, 0x12);
        string report = Should.Throw<InvalidOperationException>(() => machine.Run(100)).Message;
        report.ShouldContain($"memory at {Data:x} 11 12");
        report.ShouldNotContain("\n  RAX ");
    }

    [SkippableFact]
    public unsafe void A_unit_that_an_event_ends_early_is_no_difference()
    {
        Skip.IfNot(Translator.IsSupported);
        Engines.Enter("lockstep");
        using var machine = new TestMachine();
        machine.EnterLong();
        machine.Assemble(64, a =>
        {
            a.inc(ebx);
            a.sti();
            a.nop();
            a.inc(ebx);
            a.hlt();
        });
        for (int i = 0; i < 10; i++)
        {
            machine.State->Rip = TestMachine.Code;
            machine.State->Gpr[Gpr.Rsp] = TestMachine.Stack;
            machine.State->Rflags = Processors.RflagsBits.AlwaysOne;
            machine.State->Activity = ActivityState.Active;
            machine.Bus.Interrupts.Enqueue(0x61);
            machine.Processor.Post(ProcessorEvents.Interrupt);
            machine.RunToVector().ShouldBe(0x61);
            machine.State->Gpr[Gpr.Rbx].ShouldBe((ulong)i + 1);
        }
    }

    [SkippableFact]
    public async Task The_built_in_guest_runs_without_a_difference()
    {
        Skip.IfNot(Translator.IsSupported);
        using VirtualMachine machine = VirtualMachine.Create(new MachineOptions
        {
            MemoryBytes = 64 << 20,
            Engine = EngineKind.LockStep,
            Boot = new KernelBoot { Kernel = BootFile.FromBytes("built-in guest", BuiltInGuest.CreateImage()) },
        });
        machine.Serial[0].Write("demo\rpi 100\rprimes 1000\rcpuid\rcalls 100\rcrash\rspin &\rtasks\ruptime\rmem\rpoweroff\r");
        machine.Start();
        MachineExit exit = await machine.WaitForExitAsync(TimeSpan.FromSeconds(60));
        exit.Reason.ShouldBe(MachineExitReason.PowerOff, exit.Report);
        machine.Serial[0].Output.ShouldContain("168 primes below 1000");
        machine.Statistics.Engine.ShouldBe("lockstep");
        machine.Statistics.Translator!.ComparedUnits.ShouldBeGreaterThan(4000);
    }

    [SkippableFact]
    public async Task Debian_begins_to_boot_without_a_difference()
    {
        Skip.IfNot(Translator.IsSupported);
        using VirtualMachine machine = VirtualMachine.Create(new MachineOptions
        {
            MemoryBytes = 512UL << 20,
            Engine = EngineKind.LockStep,
            Boot = new KernelBoot
            {
                Kernel = BootFile.FromPath(DebianGuests.Require("vmlinuz-cloud-amd64")),
                InitialRamDisks = [BootFile.FromFolder(DebianGuests.Require("rootfs-amd64"))],
                CommandLine = "console=ttyS0",
            },
        });
        machine.Start();
        Task kernel = machine.Serial[0].WaitForTextAsync("Linux version", BootTime);
        await Task.WhenAny(machine.Completion, kernel);
        await Task.WhenAny(machine.Completion, Task.Delay(MoreTime));
        MachineExit exit = machine.Stop();
        exit.Reason.ShouldBe(MachineExitReason.Stopped, exit.Report);
        machine.Serial[0].Output.ShouldContain("Linux version");
        machine.Statistics.Translator!.ComparedUnits.ShouldBeGreaterThan(50_000);
    }

    [Fact]
    public void Two_processors_are_refused() =>
        Should.Throw<ArgumentException>(() => VirtualMachine.Create(new MachineOptions
        {
            ProcessorCount = 2,
            Engine = EngineKind.LockStep,
            Boot = new KernelBoot { Kernel = BootFile.FromBytes("built-in guest", BuiltInGuest.CreateImage()) },
        })).Message.ShouldBe("A machine in lock-step has one processor.");

    /// <summary>A loop with two constants, which has run a few times.</summary>
    private static BareProcessor Make()
    {
        Skip.IfNot(Translator.IsSupported);
        var machine = new BareProcessor(processor => new Translator(processor, lockStep: true));
        machine.Load(a =>
        {
            Label top = a.CreateLabel();
            a.mov(edi, Data);
            a.Label(ref top);
            a.add(eax, 5);
            a.mov(__byte_ptr[edi], 0x11);
            a.jmp(top);
        });
        machine.Run(10);
        ((Translator)machine.Engine).Compared.ShouldBeGreaterThan(2);
        return machine;
    }

    /// <summary>Makes the emitted loop wrong: its instruction with a constant has another one.</summary>
    private static unsafe void ReplaceImmediate(BareProcessor machine, byte from, byte to)
    {
        TranslationCache cache = ((Translator)machine.Engine).Cache;
        int loop = Enumerable.Range(1, cache.NextFragment - 1).Single(i => cache.Fragments[i].Rip == BareProcessor.Code + 5);
        int place = 0;
        var decoder = Decoder.Create(64, new ByteArrayCodeReader(new Span<byte>(cache.Executable + cache.Fragments[loop].Start, cache.Fragments[loop].End - cache.Fragments[loop].Start).ToArray()));
        while (decoder.IP < (ulong)(cache.Fragments[loop].End - cache.Fragments[loop].Start))
        {
            decoder.Decode(out Instruction instruction);
            if (instruction.Mnemonic is not (Mnemonic.Add or Mnemonic.Mov) || instruction.OpCount != 2) continue;
            if (instruction.GetOpKind(1) is OpKind.Register or OpKind.Memory || instruction.GetImmediate(1) != from) continue;
            place = cache.Fragments[loop].Start + (int)instruction.IP + decoder.GetConstantOffsets(instruction).ImmediateOffset;
        }

        place.ShouldNotBe(0);
        cache.SetByte(place, to);
    }
}
