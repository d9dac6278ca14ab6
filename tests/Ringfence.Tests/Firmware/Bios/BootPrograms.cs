using Iced.Intel;
using Ringfence.Firmware.Bios;
using Ringfence.Machines;
using static Iced.Intel.AssemblerRegisters;
using static Ringfence.Tests.Machines.TestPrograms;

namespace Ringfence.Tests.Firmware.Bios;

/// <summary>Boot sectors that report through the firmware's teletype function.</summary>
internal static class BootPrograms
{
    /// <summary>A disk whose first sector is a program at 7C00h; every other sector is filled with its number's low byte.</summary>
    public static byte[] Disk(Action<Assembler> program, int sectors = 2880)
    {
        byte[] disk = new byte[sectors * 512];
        for (int i = 1; i < sectors; i++) disk.AsSpan(i * 512, 512).Fill((byte)i);
        byte[] code = Assemble(16, 0x7c00, program);
        code.Length.ShouldBeLessThanOrEqualTo(510);
        code.CopyTo(disk, 0);
        disk[510] = 0x55;
        disk[511] = 0xaa;
        return disk;
    }

    public static FirmwareDrive HardDisk(byte[] disk) => new(FirmwareDriveKind.HardDisk, new MemoryDrive("disk0", new MemoryStore(disk)));

    public static FirmwareDrive Floppy(byte[] disk) => new(FirmwareDriveKind.Floppy, new MemoryDrive("floppy0", new MemoryStore(disk)));

    public static FirmwareDrive CdRom(byte[] disc) => new(FirmwareDriveKind.CdRom, new MemoryDrive("cdrom0", new MemoryStore(disc, isReadOnly: true)));

    /// <summary>The firmware with drives, its text at the debug console, no menu.</summary>
    public static BiosBoot From(params FirmwareDrive[] drives) => new() { Drives = drives, MenuWait = TimeSpan.Zero, Console = FirmwareConsole.Debug };

    /// <summary>Prints a character. Changes AX and BX.</summary>
    public static void Say(this Assembler c, char character)
    {
        c.mov(ax, (ushort)(0x0e00 | character));
        c.mov(bx, 7);
        c.@int(0x10);
    }

    /// <summary>Prints a text. Changes AX and BX.</summary>
    public static void Say(this Assembler c, string text)
    {
        foreach (char character in text) c.Say(character);
    }

    /// <summary>Lets the keyboard controller present a scan code of set 1, as if a key had been pressed, or a byte of the mouse, and waits until it was taken. Changes AL.</summary>
    public static void Inject(this Assembler c, byte code, bool fromMouse = false)
    {
        Label wait = c.CreateLabel();
        c.mov(al, (byte)(fromMouse ? 0xd3 : 0xd2));
        c.@out(0x64, al);
        c.mov(al, code);
        c.@out(0x60, al);
        c.sti();
        c.Label(ref wait);
        c.@in(al, 0x64);
        c.test(al, 1);
        c.jnz(wait);
    }

    /// <summary>Places a routine that prints AX as four digits; changes nothing. Call it with the label it returns.</summary>
    public static Label WordPrinter(this Assembler c)
    {
        Label over = c.CreateLabel(), start = c.CreateLabel(), next = c.CreateLabel();
        c.jmp(over);
        c.Label(ref start);
        c.pushad();
        c.mov(dx, ax);
        c.mov(cx, 4);
        c.Label(ref next);
        c.rol(dx, 4);
        c.mov(al, dl);
        c.ToHexDigit();
        c.mov(ah, 0x0e);
        c.mov(bx, 7);
        c.@int(0x10);
        c.loop(next);
        c.popad();
        c.ret();
        c.Label(ref over);
        c.nop();
        return start;
    }

    /// <summary>What the firmware and the program have printed when it switches the machine off.</summary>
    public static async Task<string> RunAsync(BiosBoot boot, Func<MachineOptions, MachineOptions>? change = null)
    {
        using VirtualMachine machine = Start(boot, change);
        MachineExit exit = await machine.WaitForExitAsync(Patience);
        exit.Reason.ShouldBe(MachineExitReason.PowerOff);
        return machine.DebugConsole.Output;
    }
}
