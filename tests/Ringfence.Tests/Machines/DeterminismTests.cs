using Iced.Intel;
using Ringfence.Machines;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using static Ringfence.Tests.Machines.TestPrograms;

namespace Ringfence.Tests.Machines;

public sealed class DeterminismTests
{
    [EngineFact]
    public async Task Two_runs_of_a_deterministic_machine_execute_the_same_instructions()
    {
        (ulong hash, MachineStatistics statistics, string output) first = await RunAsync(seed: 1);
        (ulong hash, MachineStatistics statistics, string output) second = await RunAsync(seed: 1);
        first.statistics.Interrupts[8].ShouldBeGreaterThan(50);
        second.hash.ShouldBe(first.hash);
        second.statistics.Instructions.ShouldBe(first.statistics.Instructions);
        second.statistics.GuestTime.ShouldBe(first.statistics.GuestTime);
        second.output.ShouldBe(first.output);
    }

    [EngineFact]
    public async Task Another_seed_gives_another_run() => (await RunAsync(seed: 2)).Hash.ShouldNotBe((await RunAsync(seed: 1)).Hash);

    [EngineFact]
    public async Task Halting_until_a_timer_costs_guest_time_and_no_host_time()
    {
        // Ten PIT periods of 54.9 ms each.
        using VirtualMachine machine = Create(
            RealMode(c =>
            {
                Label wait = c.CreateLabel();
                c.StartTimer(0xffff);
                c.Label(ref wait);
                c.hlt();
                c.cmp(cx, 10);
                c.jb(wait);
                c.PowerOff();
            }),
            o => o with { Deterministic = true });
        machine.Start();
        await machine.WaitForExitAsync(Patience);
        machine.Statistics.GuestTime.TotalMilliseconds.ShouldBe(549, tolerance: 60);
        machine.Statistics.Instructions.ShouldBeLessThan(1000UL);
    }

    [EngineFact]
    public async Task One_instruction_takes_one_nanosecond()
    {
        // 1 + 2 * 20,000 + 1 instructions; an engine counts blocks, of which the longest has 64 instructions.
        using VirtualMachine machine = Create(
            RealMode(c =>
            {
                Label again = c.CreateLabel();
                c.mov(cx, 20_000);
                c.rdtsc();
                c.mov(ebx, eax);
                c.Label(ref again);
                c.dec(cx);
                c.jne(again);
                c.rdtsc();
                c.sub(eax, ebx);
                c.mov(__[0x600], eax);
                c.PowerOff();
            }),
            o => o with { Deterministic = true });
        machine.Start();
        await machine.WaitForExitAsync(Patience);
        byte[] memory = new byte[4];
        machine.ReadMemory(new Ringfence.Memory.GuestPhysical(0x600), memory);
        BitConverter.ToInt32(memory).ShouldBeInRange(40_002 - 64, 40_002 + 64);
    }

    // Mixes random numbers, a busy loop, port I/O and timer interrupts that land anywhere in it.
    private static async Task<(ulong Hash, MachineStatistics Statistics, string Output)> RunAsync(ulong seed)
    {
        using VirtualMachine machine = Create(
            RealMode(c =>
            {
                Label loop = c.CreateLabel();
                Label inner = c.CreateLabel();
                c.StartTimer(100);
                c.Label(ref loop);
                c.rdrand(eax);
                c.and(eax, 0xff);
                c.inc(ax);
                c.Label(ref inner);
                c.dec(ax);
                c.jne(inner);
                c.mov(ax, bx);
                c.and(al, 15);
                c.add(al, (byte)'a');
                c.mov(dx, Com1);
                c.@out(dx, al);
                c.inc(bx);
                c.cmp(cx, 100);
                c.jb(loop);
                c.PowerOff();
            }),
            o => o with { Deterministic = true, Seed = seed });
        machine.Start();
        (await machine.WaitForExitAsync(Patience)).Reason.ShouldBe(MachineExitReason.PowerOff);
        return (machine.ExecutionHash, machine.Statistics, machine.Serial[0].Output);
    }
}

/// <summary>Guests with a timer.</summary>
internal static class TimerPrograms
{
    /// <summary>
    /// Programs the 8259s (vectors 8 and up, only IRQ 0 open) and the 8254's counter 0 as a rate generator, and opens interrupts.
    /// CX counts the interrupts.
    /// </summary>
    public static void StartTimer(this Assembler c, int divisor)
    {
        Label behind = c.CreateLabel();
        c.Out(0x20, 0x11);
        c.Out(0x21, 8);
        c.Out(0x21, 4);
        c.Out(0x21, 1);
        c.Out(0x21, 0xfe);

        // The call leaves the handler's address on the stack.
        c.call(behind);
        c.inc(cx);
        c.push(ax);
        c.Out(0x20, 0x20);
        c.pop(ax);
        c.iret();
        c.Label(ref behind);
        c.pop(ax);
        c.mov(__[8 * 4], ax);
        c.mov(__word_ptr[(8 * 4) + 2], 0);
        c.Out(0x43, 0x34);
        c.Out(0x40, (byte)divisor);
        c.Out(0x40, (byte)(divisor >> 8));
        c.xor(cx, cx);
        c.xor(bx, bx);
        c.sti();
    }

    private static void Out(this Assembler c, byte port, byte value)
    {
        c.mov(al, value);
        c.@out(port, al);
    }
}
