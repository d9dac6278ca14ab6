using Iced.Intel;
using Ringfence.Machines;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using static Ringfence.Tests.Machines.TestPrograms;

namespace Ringfence.Tests.Machines;

public sealed class ResetTests
{
    [EngineTheory]
    [InlineData(0xcf9, 0x06)]
    [InlineData(0x92, 0x01)]
    [InlineData(0x64, 0xfe)]
    public async Task Every_reset_register_starts_the_machine_anew_with_its_boot_image(int port, int value)
    {
        using VirtualMachine machine = Start(CountingProgram(port, value));
        (await machine.WaitForExitAsync(Patience)).Reason.ShouldBe(MachineExitReason.PowerOff);
        machine.Serial[0].Output.ShouldBe("bootbootboot");
        machine.Statistics.Resets.ShouldBe(2);
    }

    [EngineFact]
    public async Task A_reset_ends_the_machine_if_asked_to()
    {
        using VirtualMachine machine = Start(CountingProgram(0xcf9, 6), o => o with { ExitOnReset = true });
        (await machine.WaitForExitAsync(Patience)).ShouldBe(new MachineExit(MachineExitReason.Reset, 0, ""));
        machine.Serial[0].Output.ShouldBe("boot");
    }

    [EngineFact]
    public async Task A_triple_fault_resets_if_asked_to()
    {
        using VirtualMachine machine = Start(
            RealMode(c =>
            {
                Label again = c.CreateLabel();
                c.Print("boot");
                c.inc(__byte_ptr[0x600]);
                c.cmp(__byte_ptr[0x600], 3);
                c.jne(again);
                c.PowerOff();
                c.Label(ref again);
                c.lidt(__[0x700]);
                c.ud2();
            }),
            o => o with { ResetOnTripleFault = true });
        (await machine.WaitForExitAsync(Patience)).Reason.ShouldBe(MachineExitReason.PowerOff);
        machine.Serial[0].Output.ShouldBe("bootbootboot");
    }

    [EngineFact]
    public async Task The_host_resets_a_running_machine()
    {
        using VirtualMachine machine = Start(RealMode(c =>
        {
            c.Print("boot");
            c.Forever();
        }));
        await machine.Serial[0].WaitForTextAsync("boot", Patience);
        machine.Reset();
        await machine.Serial[0].WaitForTextAsync("boot", Patience);
        machine.Serial[0].Output.ShouldBe("bootboot");
    }

    [EngineFact]
    public void The_host_resets_a_paused_machine_which_stays_paused()
    {
        using VirtualMachine machine = Start(RealMode(c => c.Forever()));
        machine.Pause();
        machine.SetRegister(0, 5);
        machine.Reset();
        machine.GetRegisters().Rip.ShouldBe((ulong)RawBoot.BootSectorAddress);
        machine.GetRegisters().Rax.ShouldBe(0UL);
    }

    private static RawBoot CountingProgram(int port, int value) => RealMode(c =>
    {
        Label again = c.CreateLabel();
        c.Print("boot");
        c.inc(__byte_ptr[0x600]);
        c.cmp(__byte_ptr[0x600], 3);
        c.jne(again);
        c.PowerOff();
        c.Label(ref again);
        c.mov(dx, (ushort)port);
        c.mov(al, (byte)value);
        c.@out(dx, al);
        c.Forever();
    });
}
