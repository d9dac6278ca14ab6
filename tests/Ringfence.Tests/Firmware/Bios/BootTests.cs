using Ringfence.Machines;
using Ringfence.Tests.Machines;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using static Ringfence.Tests.Firmware.Bios.BootPrograms;

namespace Ringfence.Tests.Firmware.Bios;

public sealed class BootTests
{
    [EngineFact]
    public async Task A_boot_sector_of_a_disk_starts_with_its_number_in_dl()
    {
        string text = await RunAsync(From(HardDisk(ReportsDrive)));
        text.ShouldStartWith("Ringfence ");
        text.ShouldEndWith("started 0080");
    }

    [EngineFact]
    public async Task The_boot_order_is_the_owners()
    {
        BiosBoot boot = From(HardDisk(ReportsDrive), Floppy(ReportsDrive));
        (await RunAsync(boot)).ShouldEndWith("started 0000");
        (await RunAsync(boot with { Order = [BootDevice.HardDisk, BootDevice.Floppy] })).ShouldEndWith("started 0080");
    }

    [EngineFact]
    public async Task A_drive_without_a_boot_sector_is_passed_over()
    {
        byte[] empty = new byte[1440 << 10];
        (await RunAsync(From(Floppy(empty), HardDisk(ReportsDrive)))).ShouldEndWith("started 0080");
    }

    [EngineFact]
    public async Task A_boot_sector_that_gives_up_with_int_18h_is_followed_by_the_next_drive()
    {
        byte[] givesUp = Disk(c =>
        {
            c.Say('x');
            c.@int(0x18);
        });
        (await RunAsync(From(Floppy(givesUp), HardDisk(ReportsDrive)))).ShouldEndWith("xstarted 0080");
    }

    [EngineFact]
    public async Task A_machine_without_a_system_says_so_and_waits()
    {
        using VirtualMachine machine = TestPrograms.Start(From(HardDisk(new byte[1 << 20])));
        await machine.DebugConsole.WaitForTextAsync("No drive has a system that starts.", TestPrograms.Patience);
        await Task.Delay(50);
        machine.Completion.IsCompleted.ShouldBeFalse();
    }

    [EngineFact]
    public async Task A_jump_to_the_reset_vector_and_ctrl_alt_del_start_the_machine_anew()
    {
        // The first time it jumps to FFFF:0000, the second time it types Ctrl-Alt-Del, the third time it switches off; 600h counts.
        byte[] disk = Disk(c =>
        {
            Iced.Intel.Label second = c.CreateLabel(), third = c.CreateLabel();
            c.inc(__byte_ptr[0x600]);
            c.Say('!');
            c.cmp(__byte_ptr[0x600], 2);
            c.je(second);
            c.ja(third);
            c.db(0xea, 0x00, 0x00, 0xff, 0xff);
            c.Label(ref second);
            foreach (byte code in (byte[])[0x1d, 0x38, 0xe0, 0x53]) c.Inject(code);
            c.Forever();
            c.Label(ref third);
            c.mov(ax, __word_ptr[0x472]);
            c.cmp(ax, 0x1234);
            c.jne(second);
            c.Say("warm");
            c.PowerOff();
        });
        using VirtualMachine machine = TestPrograms.Start(From(HardDisk(disk)));
        (await machine.WaitForExitAsync(TestPrograms.Patience)).Reason.ShouldBe(MachineExitReason.PowerOff);
        machine.Statistics.Resets.ShouldBe(2);
        machine.DebugConsole.Output.ShouldEndWith("!warm");
    }

    [EngineFact]
    public async Task F12_shows_a_menu_and_a_number_chooses()
    {
        // The firmware looks at COM1, too: the keys come from there.
        BiosBoot boot = From(Floppy(ReportsDrive), HardDisk(ReportsDrive)) with { MenuWait = TimeSpan.FromSeconds(20), Console = FirmwareConsole.Serial };
        using VirtualMachine machine = TestPrograms.Start(boot);
        await machine.Serial[0].WaitForTextAsync("Press F12", TestPrograms.Patience);
        machine.Serial[0].Write("\e");
        await machine.Serial[0].WaitForTextAsync("2  Disk disk0 (1.4 MiB)", TestPrograms.Patience);
        machine.Serial[0].Write("2");
        await machine.Serial[0].WaitForTextAsync("started 0080", TestPrograms.Patience);
    }

    [EngineFact]
    public async Task A_deterministic_machine_starts_and_writes_its_disk_alike_every_time()
    {
        byte[] disk = Disk(c =>
        {
            c.mov(ax, 0x0301);
            c.mov(cx, 0x0003);
            c.mov(dx, 0x0080);
            c.mov(bx, 0x7c00);
            c.@int(0x13);
            c.mov(ax, 0x0201);
            c.mov(bx, 0x1000);
            c.@int(0x13);
            Iced.Intel.Label print = c.WordPrinter();
            c.call(print);
            c.PowerOff();
        });
        string path = Path.GetTempFileName();
        try
        {
            HashSet<ulong> hashes = [];
            for (int run = 0; run < 2; run++)
            {
                await File.WriteAllBytesAsync(path, disk);
                using VirtualMachine machine = TestPrograms.Start(
                    new BiosBoot { Console = FirmwareConsole.Debug },
                    o => o with { Deterministic = true, Drives = [new DriveOptions { Path = path }] });
                (await machine.WaitForExitAsync(TestPrograms.Patience)).Reason.ShouldBe(MachineExitReason.PowerOff);
                machine.DebugConsole.Output.ShouldEndWith("0001");
                hashes.Add(machine.ExecutionHash);
                (await File.ReadAllBytesAsync(path)).AsSpan(2 * 512, 512).SequenceEqual(disk.AsSpan(0, 512)).ShouldBeTrue();
            }

            hashes.Count.ShouldBe(1);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static byte[] ReportsDrive => Disk(c =>
    {
        c.push(dx);
        Iced.Intel.Label print = c.WordPrinter();
        c.Say("started ");
        c.pop(ax);
        c.call(print);
        c.PowerOff();
    });
}
