using Iced.Intel;
using Ringfence.Machines;
using Ringfence.Memory;
using Ringfence.Processors;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using static Ringfence.Tests.Machines.TestPrograms;

namespace Ringfence.Tests.Machines;

public sealed class MultiprocessorTests
{
    private const ushort ApplicationCode = 0x8000;
    private const int Counter = 0x9000;
    private const int Finished = 0x9f00;
    private const int Iterations = 20_000;

    [EngineTheory]
    [InlineData(2)]
    [InlineData(8)]
    public async Task Init_and_startup_ipis_start_every_processor_in_real_mode_at_the_vector(int processors)
    {
        using VirtualMachine machine = CreateWithApplicationCode(
            processors,
            ProtectedMode(c =>
            {
                c.StartOthers();
                c.WaitForFinished(processors - 1);
                c.PowerOff();
            }),
            c =>
            {
                c.mov(ax, cs);
                c.mov(__[Counter], ax);
                c.@lock.inc(__dword_ptr[Finished]);
                c.cli();
                c.hlt();
            });
        machine.GetRegisters(1).Activity.ShouldBe(ActivityState.WaitForSipi);
        machine.Start();
        (await machine.WaitForExitAsync(Patience)).Reason.ShouldBe(MachineExitReason.PowerOff);
        ReadDword(machine, Counter).ShouldBe(ApplicationCode >> 4);
        for (int i = 1; i < processors; i++) machine.GetRegisters(i).Activity.ShouldBe(ActivityState.Halted);
    }

    [EngineTheory]
    [InlineData(Counter, "inside a cache line")]
    [InlineData(Counter + 62, "across two cache lines")]
    [InlineData(Counter + 0xffe, "across two pages")]
    public async Task Locked_increments_of_three_processors_are_never_lost(int address, string where)
    {
        using VirtualMachine machine = CreateWithApplicationCode(
            3,
            ProtectedMode(c =>
            {
                c.StartOthers();
                Label again = c.CreateLabel();
                c.mov(ecx, Iterations);
                c.Label(ref again);
                c.@lock.inc(__dword_ptr[address]);
                c.dec(ecx);
                c.jne(again);
                c.WaitForFinished(2);
                c.PowerOff();
            }),
            c =>
            {
                Label again = c.CreateLabel();
                c.xor(ax, ax);
                c.mov(ds, ax);
                c.mov(ecx, Iterations);
                c.Label(ref again);
                c.@lock.inc(__dword_ptr[address]);
                c.dec(ecx);
                c.jne(again);
                c.@lock.inc(__dword_ptr[Finished]);
                c.cli();
                c.hlt();
            });
        machine.Start();
        (await machine.WaitForExitAsync(Patience)).Reason.ShouldBe(MachineExitReason.PowerOff);
        ReadDword(machine, address).ShouldBe(3 * Iterations, where);
    }

    [EngineFact]
    public async Task Code_changed_by_another_processor_is_executed_as_changed()
    {
        // The second processor calls a routine again and again; the first one turns its MOV AX, 1 into MOV AX, 2.
        const ushort Routine = 0x8800;
        using VirtualMachine machine = CreateWithApplicationCode(
            2,
            ProtectedMode(c =>
            {
                c.StartOthers();
                c.WaitForFinished(1);
                c.mov(__word_ptr[Routine + 1], 2);
                c.WaitForFinished(2);
                c.PowerOff();
            }),
            c =>
            {
                Label first = c.CreateLabel();
                Label second = c.CreateLabel();
                c.xor(ax, ax);
                c.mov(ds, ax);
                c.mov(ss, ax);
                c.mov(sp, 0x7800);
                c.Label(ref first);
                c.mov(bx, Routine - ApplicationCode);
                c.call(bx);
                c.cmp(ax, 1);
                c.jne(first);
                c.@lock.inc(__dword_ptr[Finished]);
                c.Label(ref second);
                c.call(bx);
                c.cmp(ax, 2);
                c.jne(second);
                c.@lock.inc(__dword_ptr[Finished]);
                c.cli();
                c.hlt();
            });
        machine.WriteMemory(new GuestPhysical(Routine), Assemble(16, 0, c =>
        {
            c.mov(ax, 1);
            c.ret();
        }));
        machine.Start();
        (await machine.WaitForExitAsync(Patience)).Reason.ShouldBe(MachineExitReason.PowerOff);
    }

    [EngineFact]
    public async Task An_nmi_wakes_a_processor_that_is_halted_with_interrupts_disabled()
    {
        using VirtualMachine machine = CreateWithApplicationCode(
            2,
            ProtectedMode(c =>
            {
                c.StartOthers();
                c.WaitForFinished(1);
                c.mov(__dword_ptr[0xfee0_0310u], 1 << 24);
                c.mov(__dword_ptr[0xfee0_0300u], 0x4400);
                c.WaitForFinished(2);
                c.PowerOff();
            }),
            c =>
            {
                c.xor(ax, ax);
                c.mov(ds, ax);
                c.mov(ss, ax);
                c.mov(sp, 0x7800);
                c.mov(__word_ptr[8], ApplicationCode + 0x80);
                c.mov(__word_ptr[10], 0);
                c.@lock.inc(__dword_ptr[Finished]);
                c.cli();
                c.hlt();
                c.@lock.inc(__dword_ptr[Finished]);
                c.hlt();
            });
        machine.WriteMemory(new GuestPhysical(ApplicationCode + 0x80), Assemble(16, 0, c => c.iret()));
        machine.Start();
        (await machine.WaitForExitAsync(Patience)).Reason.ShouldBe(MachineExitReason.PowerOff);
        machine.GetRegisters(1).Activity.ShouldBe(ActivityState.Halted);
    }

    [EngineFact]
    public async Task A_machine_whose_processors_are_all_halted_for_good_is_dead()
    {
        using VirtualMachine machine = CreateWithApplicationCode(
            3,
            ProtectedMode(c =>
            {
                c.StartOthers();
                c.WaitForFinished(2);
                c.cli();
                c.hlt();
            }),
            c =>
            {
                c.xor(ax, ax);
                c.mov(ds, ax);
                c.@lock.inc(__dword_ptr[Finished]);
                c.cli();
                c.hlt();
            });
        machine.Start();
        MachineExit exit = await machine.WaitForExitAsync(Patience);
        exit.Reason.ShouldBe(MachineExitReason.Halted);
        exit.Report.ShouldContain("Processor 2 at");
    }

    [EngineFact]
    public void Pausing_stops_every_processor_even_while_they_fight_for_exclusive_access()
    {
        using VirtualMachine machine = CreateWithApplicationCode(3, ProtectedMode(c =>
        {
            c.StartOthers();
            c.LockForever();
        }), c =>
        {
            c.xor(ax, ax);
            c.mov(ds, ax);
            c.LockForever();
        });
        machine.Start();
        for (int i = 0; i < 20; i++)
        {
            int before = i == 0 ? 0 : Paused();
            if (i > 0) machine.Resume();
            Thread.Sleep(5);
            machine.Pause();
            Paused().ShouldBeGreaterThanOrEqualTo(before);
        }

        Paused().ShouldBeGreaterThan(0);
        for (int i = 0; i < 3; i++) machine.GetRegisters(i).Activity.ShouldBe(ActivityState.Active);

        int Paused() => ReadDword(machine, Counter + 0xffe);
    }

    private static VirtualMachine CreateWithApplicationCode(int processors, RawBoot boot, Action<Assembler> applicationCode)
    {
        VirtualMachine machine = Create(boot, o => o with { ProcessorCount = processors });
        machine.WriteMemory(new GuestPhysical(ApplicationCode), Assemble(16, 0, applicationCode));
        return machine;
    }

    private static int ReadDword(VirtualMachine machine, int address)
    {
        byte[] memory = new byte[4];
        machine.ReadMemory(new GuestPhysical((ulong)address), memory);
        return BitConverter.ToInt32(memory);
    }
}

/// <summary>Parts of multiprocessor guests.</summary>
internal static class MultiprocessorPrograms
{
    private const uint InterruptCommand = 0xfee0_0300;

    /// <summary>INIT and start-up IPIs to all but self, vector 8 (Intel SDM 3A 8.4.4).</summary>
    public static void StartOthers(this Assembler c)
    {
        c.mov(__dword_ptr[InterruptCommand], 0x000c_4500);
        c.mov(__dword_ptr[InterruptCommand], 0x000c_4608);
    }

    /// <summary>Waits until the other processors have counted up to a number.</summary>
    public static void WaitForFinished(this Assembler c, int count)
    {
        Label wait = c.CreateLabel();
        c.Label(ref wait);
        c.pause();
        c.cmp(__dword_ptr[0x9f00], count);
        c.jne(wait);
    }

    /// <summary>Locked increments across two pages.</summary>
    public static void LockForever(this Assembler c)
    {
        Label again = c.CreateLabel();
        c.Label(ref again);
        c.@lock.inc(__dword_ptr[0x9ffe]);
        c.jmp(again);
    }
}
