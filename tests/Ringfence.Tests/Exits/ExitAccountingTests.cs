using Iced.Intel;
using Ringfence.Machines;
using Ringfence.Processors.Exits;
using Ringfence.Tests.Machines;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using static Ringfence.Tests.Machines.TestPrograms;

namespace Ringfence.Tests.Exits;

public sealed class ExitAccountingTests
{
    [EngineFact]
    public async Task Reasons_that_lie_in_the_guest_are_counted_alike_in_all_engines()
    {
        const uint Idt = 0x9000;
        const uint Handler = 0x9100;
        using VirtualMachine machine = Start(ProtectedMode(c =>
        {
            Label over = c.CreateLabel();
            // Gates of vectors 3, 6 and 13 lead to IRETs: one of them drops the error code and skips the instruction, one skips two bytes.
            foreach ((int vector, uint entry) in new[] { (3, Handler), (6, Handler + 16), (13, Handler + 32) })
            {
                c.mov(__dword_ptr[Idt + (vector * 8)], (8 << 16) | entry);
                c.mov(__dword_ptr[Idt + (vector * 8) + 4], 0x8e00);
            }

            c.mov(__byte_ptr[Handler], 0xcf);
            c.mov(__dword_ptr[Handler + 16], 0x0224_0483);   // add dword ptr [esp], 2
            c.mov(__byte_ptr[Handler + 20], 0xcf);
            c.mov(__dword_ptr[Handler + 32], 0x8304_c483);   // add esp, 4
            c.mov(__dword_ptr[Handler + 36], 0xcf02_2404);   // add dword ptr [esp], 2; iret
            c.mov(__word_ptr[0x9400], 0x7ff);
            c.mov(__dword_ptr[0x9402], Idt);
            c.lidt(__[0x9400]);
            for (int i = 0; i < 5; i++) c.cpuid();
            for (int i = 0; i < 4; i++) c.@int3();
            for (int i = 0; i < 3; i++) c.ud2();
            c.mov(ax, 0x7777);
            for (int i = 0; i < 2; i++) c.db(0x8e, 0xd8);    // MOV DS, AX; beyond the GDT: #GP
            for (int i = 0; i < 6; i++) c.@out(0x80, al);
            for (int i = 0; i < 7; i++) c.mov(eax, __dword_ptr[0xfee00030]);
            c.jmp(over);
            c.Label(ref over);
            c.PowerOff();
        }), o => o with { TimeExits = true });
        MachineExit exit = await machine.WaitForExitAsync(Patience);
        exit.Reason.ShouldBe(MachineExitReason.PowerOff, exit.Report);
        MachineStatistics statistics = machine.Statistics;
        statistics.Exits[ExitReason.Exception].ShouldBe(4 + 3 + 2);
        statistics.Exits[ExitReason.Mmio].ShouldBe(7);
        statistics.Exits[ExitReason.PortIo].ShouldBe(6 + 1);
        statistics.SensitiveInstructions[nameof(Code.Cpuid)].ShouldBe(5);
        statistics.SensitiveInstructions[nameof(Code.Int3)].ShouldBe(4);
        statistics.SensitiveInstructions[nameof(Code.Iretd)].ShouldBe(9);
        statistics.SensitiveInstructions[nameof(Code.Out_imm8_AL)].ShouldBe(6);
        statistics.Exits.Keys.ShouldNotContain(ExitReason.PageFault);
    }

    [EngineFact]
    public async Task Time_is_taken_where_it_is_asked_for_and_adds_up_to_the_wall_time()
    {
        using VirtualMachine machine = BootBuiltIn(o => o with { TimeExits = true });
        await machine.Serial[0].WaitForTextAsync("ringfence> ", Patience);
        await Task.Delay(300);
        machine.Serial[0].Write("primes 20000\npoweroff\n");
        await machine.WaitForExitAsync(Patience);
        ExecutionTime time = machine.Statistics.Time.ShouldNotBeNull();
        time.Idle.ShouldBeGreaterThan(TimeSpan.FromMilliseconds(200));
        time.GuestCode.ShouldBeGreaterThan(TimeSpan.Zero);
        time.Monitor.ShouldBeGreaterThan(TimeSpan.Zero);
        time.Exits.Keys.ShouldContain(ExitReason.PortIo);
        time.Total.ShouldBeLessThanOrEqualTo(machine.Statistics.WallTime + TimeSpan.FromMilliseconds(50));
        time.Total.ShouldBeGreaterThan(machine.Statistics.WallTime * 0.8);
        machine.Statistics.Exits[ExitReason.Halt].ShouldBeGreaterThan(0);
    }

    [EngineFact]
    public async Task Without_being_asked_no_time_is_taken()
    {
        using VirtualMachine machine = Start(RealMode(c => c.PowerOff()));
        await machine.WaitForExitAsync(Patience);
        machine.Statistics.Time.ShouldBeNull();
        machine.Statistics.Exits[ExitReason.PortIo].ShouldBe(1);
    }

    [EngineFact]
    public async Task Instructions_are_counted_in_every_engine_where_it_is_asked_for()
    {
        const int Rounds = 100_000;
        using VirtualMachine machine = Start(ProtectedMode(c =>
        {
            Label loop = c.CreateLabel();
            c.mov(ecx, Rounds);
            c.Label(ref loop);
            c.add(eax, 3);
            c.dec(ecx);
            c.jnz(loop);
            c.PowerOff();
        }), o => o with { CountInstructions = true });
        await machine.WaitForExitAsync(Patience);
        machine.Statistics.Instructions.ShouldBeInRange(3UL * Rounds, (3UL * Rounds) + 40);
    }

    [EngineFact]
    public async Task A_move_between_places_that_share_entries_of_the_TLB_fills_them_once_a_page()
    {
        const int Source = 4 << 20;
        const int Target = Source + (16 << 20);
        const int Bytes = 256 << 10;
        using VirtualMachine machine = Create(ProtectedMode(c =>
        {
            c.mov(esi, Source);
            c.mov(edi, Target);
            c.mov(ecx, Bytes / 4);
            c.cld();
            c.rep.movsd();
            c.PowerOff();
        }), o => o with { MemoryBytes = 32 << 20 });
        byte[] data = new byte[Bytes];
        new Random(1).NextBytes(data);
        machine.WriteMemory(new Ringfence.Memory.GuestPhysical(Source), data);
        machine.Start();
        (await machine.WaitForExitAsync(Patience)).Reason.ShouldBe(MachineExitReason.PowerOff);
        byte[] moved = new byte[Bytes];
        machine.ReadMemory(new Ringfence.Memory.GuestPhysical(Target), moved);
        moved.SequenceEqual(data).ShouldBeTrue();
        machine.Statistics.Exits[ExitReason.TlbFill].ShouldBeLessThan(4 * (Bytes >> 12));
    }

    private static VirtualMachine BootBuiltIn(Func<MachineOptions, MachineOptions> change)
    {
        VirtualMachine machine = VirtualMachine.Create(change(new MachineOptions { Boot = new BuiltInGuestBoot(), Engine = Engines.CurrentKind }));
        machine.Start();
        return machine;
    }
}
