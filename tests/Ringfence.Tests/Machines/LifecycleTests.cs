using Ringfence.Machines;
using Ringfence.Memory;
using Ringfence.Processors;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using static Ringfence.Tests.Machines.TestPrograms;

namespace Ringfence.Tests.Machines;

public sealed class LifecycleTests
{
    [EngineFact]
    public async Task Soft_off_ends_the_machine_with_exit_code_0()
    {
        using VirtualMachine machine = Start(RealMode(c => c.PowerOff()));
        MachineExit exit = await machine.WaitForExitAsync(Patience);
        exit.ShouldBe(new MachineExit(MachineExitReason.PowerOff, 0, ""));
    }

    [EngineTheory]
    [InlineData(0, 1)]
    [InlineData(1, 3)]
    [InlineData(42, 85)]
    public async Task The_debug_exit_port_ends_the_machine_with_twice_the_value_plus_1(int value, int exitCode)
    {
        using VirtualMachine machine = Start(RealMode(c =>
        {
            c.mov(al, (byte)value);
            c.@out(0xf4, al);
            c.Forever();
        }));
        MachineExit exit = await machine.WaitForExitAsync(Patience);
        exit.Reason.ShouldBe(MachineExitReason.DebugExit);
        exit.ExitCode.ShouldBe(exitCode);
    }

    [EngineFact]
    public async Task A_triple_fault_ends_the_machine_and_reports_registers_and_instruction()
    {
        // With an IDT limit of 0 no exception can be delivered: #GP, #DF, shutdown (Intel SDM 3A 6.15).
        using VirtualMachine machine = Start(RealMode(c =>
        {
            c.mov(eax, 0x1234_5678);
            c.lidt(__[0x600]);
            c.ud2();
        }));
        MachineExit exit = await machine.WaitForExitAsync(Patience);
        exit.Reason.ShouldBe(MachineExitReason.TripleFault);
        exit.ExitCode.ShouldBe(3);
        exit.Report.ShouldContain("ud2");
        exit.Report.ShouldContain("RAX=0000000012345678");
    }

    [EngineFact]
    public async Task A_machine_halted_with_interrupts_disabled_ends_with_a_report()
    {
        using VirtualMachine machine = Start(RealMode(c =>
        {
            c.cli();
            c.hlt();
        }));
        MachineExit exit = await machine.WaitForExitAsync(Patience);
        exit.Reason.ShouldBe(MachineExitReason.Halted);
        exit.ExitCode.ShouldBe(3);
        exit.Report.ShouldContain("Halted");
    }

    [EngineFact]
    public async Task A_machine_halted_with_interrupts_enabled_waits()
    {
        using VirtualMachine machine = Start(RealMode(c =>
        {
            c.MaskInterruptControllers();
            c.sti();
            c.AnonymousLabel();
            c.hlt();
            c.jmp(c.@B);
        }));
        await Should.ThrowAsync<TimeoutException>(machine.WaitForExitAsync(TimeSpan.FromMilliseconds(300)));
        machine.Stop().Reason.ShouldBe(MachineExitReason.Stopped);
    }

    [EngineFact]
    public void Pausing_stops_execution_and_guest_time_and_resuming_continues_both()
    {
        using VirtualMachine machine = Start(RealMode(c => c.KnockForever()));
        machine.WaitForKnocks();
        machine.Pause();
        ulong instructions = machine.GetRegisters().InstructionCount;
        long knocks = machine.Knocks();
        TimeSpan time = machine.Statistics.GuestTime;
        Thread.Sleep(20);
        machine.GetRegisters().InstructionCount.ShouldBe(instructions);
        machine.Knocks().ShouldBe(knocks);
        machine.Statistics.GuestTime.ShouldBe(time);
        machine.Resume();
        machine.WaitForKnocks();
        machine.Statistics.GuestTime.ShouldBeGreaterThan(time);
    }

    [EngineFact]
    public void A_machine_can_be_stepped_through_before_it_is_started()
    {
        using VirtualMachine machine = Create(RealMode(c =>
        {
            c.mov(eax, 7);
            c.inc(eax);
            c.mov(__[0x600], eax);
            c.Forever();
        }));
        machine.DisassembleCurrent().ShouldContain("mov eax,7");
        machine.Step();
        machine.GetRegisters().Rax.ShouldBe(7UL);
        machine.Step();
        machine.GetRegisters().Rax.ShouldBe(8UL);
        machine.GetRegisters().InstructionCount.ShouldBe(2UL);
        byte[] memory = new byte[4];
        machine.ReadMemory(new GuestPhysical(0x600), memory);
        memory.ShouldBe(new byte[4]);
        machine.Step();
        machine.ReadMemory(new GuestLinear(0x600), memory);
        BitConverter.ToInt32(memory).ShouldBe(8);
    }

    [EngineFact]
    public void Stepping_a_paused_machine_follows_a_jump_and_the_machine_can_go_on()
    {
        using VirtualMachine machine = Start(RealMode(c => c.KnockForever()));
        machine.WaitForKnocks();
        machine.Pause();
        ulong before = machine.GetRegisters().InstructionCount;
        var visited = new HashSet<ulong>();
        for (int i = 0; i < 6; i++)
        {
            visited.Add(machine.GetRegisters().Rip);
            machine.Step();
        }

        visited.Order().ShouldBe([0x7c00UL, 0x7c02UL]);
        machine.GetRegisters().InstructionCount.ShouldBe(before + 6);
        machine.Resume();
        machine.WaitForKnocks();
    }

    [EngineFact]
    public void A_running_machine_does_not_let_itself_be_looked_at()
    {
        using VirtualMachine machine = Start(RealMode(c => c.Forever()));
        Should.Throw<InvalidOperationException>(() => machine.GetRegisters());
        Should.Throw<InvalidOperationException>(() => machine.ReadMemory(new GuestPhysical(0), new byte[1]));
        Should.Throw<InvalidOperationException>(() => machine.Step());
        Should.Throw<InvalidOperationException>(machine.Start);
    }

    [EngineFact]
    public async Task Memory_written_while_paused_is_executed_afterwards()
    {
        using VirtualMachine machine = Start(RealMode(c => c.KnockForever()));
        machine.WaitForKnocks();
        machine.Pause();
        machine.WriteMemory(new GuestPhysical(RawBoot.BootSectorAddress), Assemble(16, RawBoot.BootSectorAddress, c => c.PowerOff()));
        machine.SetInstructionPointer(RawBoot.BootSectorAddress);
        machine.Resume();
        (await machine.WaitForExitAsync(Patience)).Reason.ShouldBe(MachineExitReason.PowerOff);
    }

    [EngineFact]
    public async Task Stopping_ends_a_busy_machine()
    {
        VirtualMachine machine = Start(RealMode(c => c.Forever()));
        machine.Stop().ShouldBe(new MachineExit(MachineExitReason.Stopped, 0, ""));
        machine.Completion.IsCompletedSuccessfully.ShouldBeTrue();
        machine.GetRegisters().Mode.ShouldBe(ProcessorMode.Real);
        await machine.DisposeAsync();
        machine.Dispose();
        Should.Throw<ObjectDisposedException>(() => machine.GetRegisters());
        machine.Statistics.Engine.ShouldBe(Engines.Current);
    }

    [EngineFact]
    public async Task Disposing_ends_busy_halted_paused_and_unstarted_machines()
    {
        VirtualMachine busy = Start(RealMode(c => c.Forever()));
        VirtualMachine halted = Start(RealMode(c =>
        {
            c.MaskInterruptControllers();
            c.sti();
            c.hlt();
        }));
        VirtualMachine paused = Start(RealMode(c => c.Forever()));
        paused.Pause();
        VirtualMachine unstarted = Create(RealMode(c => c.Forever()));
        foreach (VirtualMachine machine in (VirtualMachine[])[busy, halted, paused, unstarted])
        {
            machine.Dispose();
            (await machine.Completion).Reason.ShouldBe(MachineExitReason.Stopped);
        }
    }

    [EngineFact]
    public async Task Forty_machines_run_in_one_process()
    {
        VirtualMachine[] machines = [.. Enumerable.Range(0, 40).Select(i => Start(RealMode(c =>
        {
            c.Print($"machine {i}.");
            c.mov(al, (byte)i);
            c.@out(0xf4, al);
            c.Forever();
        })))];
        for (int i = 0; i < machines.Length; i++)
        {
            (await machines[i].WaitForExitAsync(Patience)).ExitCode.ShouldBe((i << 1) | 1);
            machines[i].Serial[0].Output.ShouldBe($"machine {i}.");
            machines[i].Dispose();
        }
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(9, 1)]
    public void A_wrong_number_of_processors_is_refused(int processors, int serialPorts) =>
        Should.Throw<ArgumentException>(() => Create(RealMode(c => c.nop()), o => o with { ProcessorCount = processors, SerialPorts = serialPorts }))
            .Message.ShouldBe("A machine has 1 to 8 processors.");

    [Fact]
    public void A_deterministic_machine_with_two_processors_is_refused() =>
        Should.Throw<ArgumentException>(() => Create(RealMode(c => c.nop()), o => o with { ProcessorCount = 2, Deterministic = true }))
            .Message.ShouldBe("A deterministic machine has one processor.");
}
