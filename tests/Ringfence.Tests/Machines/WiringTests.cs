using Iced.Intel;
using Ringfence.Firmware;
using Ringfence.Guests;
using Ringfence.Machines;
using Ringfence.Memory;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using static Ringfence.Tests.Machines.TestPrograms;

namespace Ringfence.Tests.Machines;

public sealed class WiringTests
{
    [EngineFact]
    public async Task Port_and_device_accesses_and_code_changes_are_counted_as_exits()
    {
        using VirtualMachine machine = Start(ProtectedMode(c =>
        {
            c.@out(0x80, al);
            c.@in(al, 0x61);
            c.mov(eax, __dword_ptr[0xfee00030]);    // the local APIC's version
            c.mov(__byte_ptr[0x7e00], 0x90);        // the first instruction of this program
            c.PowerOff();
        }));
        await machine.WaitForExitAsync(Patience);
        IReadOnlyDictionary<Ringfence.Processors.Exits.ExitReason, long> exits = machine.Statistics.Exits;
        exits[Ringfence.Processors.Exits.ExitReason.PortIo].ShouldBe(3);
        exits[Ringfence.Processors.Exits.ExitReason.Mmio].ShouldBe(1);
        exits[Ringfence.Processors.Exits.ExitReason.CodeModification].ShouldBe(1);
    }

    [EngineFact]
    public async Task Address_line_20_is_forced_to_0_while_port_92h_says_so()
    {
        // FFFF:0510 is linear 100500h, and 500h through the closed gate.
        using VirtualMachine machine = Start(RealMode(c =>
        {
            c.mov(ax, 0xffff);
            c.mov(es, ax);
            c.mov(__byte_ptr[0x500], 1);
            c.mov(__byte_ptr.es[0x510], 2);
            c.mov(al, __[0x500]);
            c.mov(__[0x600], al);
            c.xor(al, al);
            c.@out(0x92, al);
            c.mov(al, __.es[0x510]);
            c.mov(__[0x601], al);
            c.mov(al, 2);
            c.@out(0x92, al);
            c.mov(al, __.es[0x510]);
            c.mov(__[0x602], al);
            c.PowerOff();
        }));
        await machine.WaitForExitAsync(Patience);
        byte[] seen = new byte[3];
        machine.ReadMemory(new GuestPhysical(0x600), seen);
        seen.ShouldBe([1, 1, 2]);
    }

    [EngineFact]
    public async Task Typing_interrupts_a_halted_guest_through_the_8259s()
    {
        using VirtualMachine machine = Start(SerialInterruptEcho());
        await machine.Serial[0].WaitForTextAsync("ready", Patience);
        machine.Serial[0].Write("x");
        await machine.Serial[0].WaitForTextAsync("x", Patience);
    }

    [EngineFact]
    public async Task Typing_wakes_a_halted_deterministic_guest_that_has_no_timer()
    {
        using VirtualMachine machine = Start(SerialInterruptEcho(), o => o with { Deterministic = true });
        await machine.Serial[0].WaitForTextAsync("ready", Patience);
        await Task.Delay(20);
        machine.Serial[0].Write("x");
        await machine.Serial[0].WaitForTextAsync("x", Patience);
    }

    [EngineFact]
    public async Task The_timer_interrupts_through_pin_2_of_the_io_apic()
    {
        using VirtualMachine machine = Start(ProtectedMode(c =>
        {
            Label behind = c.CreateLabel();
            Label wait = c.CreateLabel();
            c.MaskInterruptControllers();

            // Vector 40h: a 32-bit interrupt gate in an IDT at 0.
            c.call(behind);
            c.inc(ebx);
            c.mov(__dword_ptr[0xfee0_00b0u], 0);
            c.iretd();
            c.Label(ref behind);
            c.pop(eax);
            c.mov(__[0x40 * 8], eax);
            c.mov(__word_ptr[(0x40 * 8) + 2], 8);
            c.mov(__dword_ptr[(0x40 * 8) + 4], 0x8e00);
            c.mov(__word_ptr[0x1000], 0x7ff);
            c.mov(__dword_ptr[0x1002], 0);
            c.lidt(__[0x1000]);

            c.mov(__dword_ptr[0xfee0_00f0u], 0x1ff);
            c.mov(__dword_ptr[0xfec0_0000u], 0x14);
            c.mov(__dword_ptr[0xfec0_0010u], 0x40);
            c.mov(al, 0x34);
            c.@out(0x43, al);
            c.mov(al, 0);
            c.@out(0x40, al);
            c.mov(al, 8);
            c.@out(0x40, al);
            c.xor(ebx, ebx);
            c.sti();
            c.Label(ref wait);
            c.hlt();
            c.cmp(ebx, 5);
            c.jb(wait);
            c.PowerOff();
        }));
        (await machine.WaitForExitAsync(Patience)).Reason.ShouldBe(MachineExitReason.PowerOff);
        machine.Statistics.Interrupts[0x40].ShouldBe(5);
    }

    [EngineFact]
    public async Task Firmware_starts_at_the_reset_vector_and_again_after_a_reset()
    {
        byte[] rom = new byte[64 << 10];
        Assemble(16, 0, c =>
        {
            Label again = c.CreateLabel();
            c.Print("rom ");
            c.inc(__byte_ptr[0x600]);
            c.cmp(__byte_ptr[0x600], 2);
            c.jne(again);
            c.PowerOff();
            c.Label(ref again);
            c.mov(al, 6);
            c.mov(dx, 0xcf9);
            c.@out(dx, al);
            c.Forever();
        }).CopyTo(rom, 0);

        // The reset vector: jmp F000:0000.
        ((byte[])[0xea, 0, 0, 0, 0xf0]).CopyTo(rom, 0xfff0);
        using VirtualMachine machine = Start(new FirmwareBoot(BootFile.FromBytes("rom", rom)));
        (await machine.WaitForExitAsync(Patience)).Reason.ShouldBe(MachineExitReason.PowerOff);
        machine.Serial[0].Output.ShouldBe("rom rom ");
    }

    [Fact]
    public void An_image_that_cannot_be_booted_is_refused_with_one_line()
    {
        BootImageException refused = Should.Throw<BootImageException>(
            () => Create(new KernelBoot { Kernel = BootFile.FromBytes("noise", new byte[100]) }));
        refused.Message.ShouldStartWith("noise: ");
        refused.Message.ShouldNotContain("\n");
    }

    [EngineFact]
    public async Task The_built_in_guest_boots_to_its_shell_and_powers_off()
    {
        using VirtualMachine machine = Start(new BuiltInGuestBoot(), o => o with { MemoryBytes = 64 << 20 });
        await machine.Serial[0].WaitForTextAsync(BuiltInGuest.Prompt, Patience);
        machine.Serial[0].WriteLine("poweroff");
        (await machine.WaitForExitAsync(Patience)).Reason.ShouldBe(MachineExitReason.PowerOff);
    }

    [EngineFact]
    public void Input_after_the_end_is_ignored()
    {
        VirtualMachine machine = Start(SerialInterruptEcho());
        machine.Dispose();
        machine.Serial[0].Write("nobody is there");
        machine.PressPowerButton();
        machine.Serial[0].PendingInput.ShouldBe(15);
    }

    // Receives by interrupt 4 (vector 12) and sends everything back.
    private static RawBoot SerialInterruptEcho() => RealMode(c =>
    {
        Label behind = c.CreateLabel();
        Label wait = c.CreateLabel();
        foreach ((byte port, byte value) in ((byte, byte)[])[(0x20, 0x11), (0x21, 8), (0x21, 4), (0x21, 1), (0x21, 0xef)])
        {
            c.mov(al, value);
            c.@out(port, al);
        }

        c.call(behind);
        c.push(ax);
        c.push(dx);
        c.mov(dx, Com1);
        c.@in(al, dx);
        c.@out(dx, al);
        c.mov(al, 0x20);
        c.@out(0x20, al);
        c.pop(dx);
        c.pop(ax);
        c.iret();
        c.Label(ref behind);
        c.pop(ax);
        c.mov(__[12 * 4], ax);
        c.mov(__word_ptr[(12 * 4) + 2], 0);

        // FIFOs on with a trigger level of 8: one byte interrupts after a timeout only.
        foreach ((int register, byte value) in ((int, byte)[])[(2, 0x81), (4, 0x0b), (1, 1)])
        {
            c.mov(dx, (ushort)(Com1 + register));
            c.mov(al, value);
            c.@out(dx, al);
        }

        c.Print("ready");
        c.sti();
        c.Label(ref wait);
        c.hlt();
        c.jmp(wait);
    });
}
