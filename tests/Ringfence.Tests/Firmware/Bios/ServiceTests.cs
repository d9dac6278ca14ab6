using System.Globalization;
using System.Text.RegularExpressions;
using Iced.Intel;
using Ringfence.Machines;
using Ringfence.Tests.Machines;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using static Ringfence.Tests.Firmware.Bios.BootPrograms;

namespace Ringfence.Tests.Firmware.Bios;

/// <summary>What boot sectors are told by the services; they print words after a sign.</summary>
public sealed partial class ServiceTests
{
    /// <summary>Where programs go that a service has let down: it ends the machine. The last bytes of the boot sector's code.</summary>
    private const ulong Failure = 0x7df8;

    [EngineFact]
    public async Task Sectors_are_read_by_cylinder_head_and_sector()
    {
        // 16 heads and 63 sectors: cylinder 0, head 1, sector 2 is sector 64.
        ushort[] words = await Words(c =>
        {
            c.mov(ax, 0x0202);
            c.mov(cx, 0x0002);
            c.mov(dx, 0x0180);
            c.mov(bx, 0x1000);
            c.@int(0x13);
            c.jc(Failure);
            return [ax, __word_ptr[0x1000], __word_ptr[0x1200]];
        });
        words.ShouldBe([(ushort)0x0002, (ushort)0x4040, (ushort)0x4141]);
    }

    [EngineFact]
    public async Task Sectors_are_read_and_written_by_number()
    {
        byte[] disk = [];
        ushort[] words = await Words(
            c =>
            {
                // The packet at 600h: 2 sectors from number 5, at 0000:1000h.
                Packet(c, 0x600, 2, 0x1000, 5);
                c.mov(si, 0x600);
                c.mov(ax, 0x4200);
                c.mov(dl, 0x80);
                c.@int(0x13);
                c.jc(Failure);
                Packet(c, 0x600, 1, 0x1200, 9);
                c.mov(ax, 0x4300);
                c.mov(dl, 0x80);
                c.@int(0x13);
                c.jc(Failure);
                return [ax, __word_ptr[0x1000], __word_ptr[0x1200]];
            },
            d => disk = d);
        words[1..].ShouldBe([(ushort)0x0505, (ushort)0x0606]);
        (words[0] >> 8).ShouldBe(0);
        disk[9 * 512].ShouldBe((byte)6);
        disk[10 * 512].ShouldBe((byte)10);
    }

    [EngineFact]
    public async Task Sectors_behind_the_end_and_heads_there_are_not_are_errors()
    {
        ushort[] words = await Words(c =>
        {
            Packet(c, 0x600, 1, 0x1000, 2880);
            c.mov(si, 0x600);
            c.mov(ax, 0x4200);
            c.mov(dl, 0x80);
            c.@int(0x13);
            c.mov(__word_ptr[0x700], ax);
            c.mov(ax, 0x0201);
            c.mov(cx, 0x0001);
            c.mov(dx, 0x1080);
            c.mov(bx, 0x1000);
            c.@int(0x13);
            c.mov(__word_ptr[0x702], ax);
            c.mov(ah, 1);
            c.mov(dl, 0x80);
            c.@int(0x13);
            return [__word_ptr[0x700], __word_ptr[0x602], __word_ptr[0x702], ax];
        });
        (words[0] >> 8).ShouldBe(4);
        words[1].ShouldBe((ushort)0);
        words[2].ShouldBe((ushort)0x0400);
        (words[3] >> 8).ShouldBe(4);
    }

    [EngineFact]
    public async Task A_disk_tells_its_parameters()
    {
        ushort[] words = await Words(c =>
        {
            c.mov(ah, 0x41);
            c.mov(bx, 0x55aa);
            c.mov(dl, 0x80);
            c.@int(0x13);
            c.mov(__word_ptr[0x700], bx);
            c.mov(__word_ptr[0x702], ax);
            c.mov(ah, 0x48);
            c.mov(dl, 0x80);
            c.mov(__word_ptr[0x600], 0x42);
            c.mov(si, 0x600);
            c.@int(0x13);
            c.jc(Failure);
            c.mov(ah, 8);
            c.mov(dl, 0x80);
            c.@int(0x13);
            return [__word_ptr[0x700], __word_ptr[0x702], __word_ptr[0x610], __word_ptr[0x618], cx, dx];
        });
        words[0].ShouldBe((ushort)0xaa55);
        (words[1] >> 8).ShouldBe(0x30);
        words[2].ShouldBe((ushort)2880);
        words[3].ShouldBe((ushort)512);
        words[4].ShouldBe((ushort)0x013f);
        words[5].ShouldBe((ushort)0x0f01);
    }

    [EngineFact]
    public async Task The_memory_map_and_the_old_sizes_agree()
    {
        ushort[] words = await Words(
            c =>
            {
                Label next = c.CreateLabel();
                c.xor(ebx, ebx);
                c.mov(di, 0x1000);
                c.Label(ref next);
                c.mov(eax, 0xe820);
                c.mov(ecx, 20);
                c.mov(edx, 0x534d4150);
                c.@int(0x15);
                c.jc(Failure);
                c.add(di, 20);
                c.test(ebx, ebx);
                c.jnz(next);
                c.mov(__word_ptr[0x700], di);
                c.mov(ah, 0x88);
                c.@int(0x15);
                c.mov(__word_ptr[0x702], ax);
                c.mov(ax, 0xe801);
                c.@int(0x15);
                c.mov(__word_ptr[0x704], ax);
                c.mov(__word_ptr[0x706], dx);
                c.@int(0x12);
                return [__word_ptr[0x700], __word_ptr[0x1008], __word_ptr[0x100a], __word_ptr[0x103e], __word_ptr[0x1046], __word_ptr[0x702], __word_ptr[0x704], __word_ptr[0x706], ax];
            },
            change: o => o with { MemoryBytes = 32 << 20 });
        ((words[0] - 0x1000) % 20).ShouldBe(0);
        words[1].ShouldBe((ushort)0xfc00);
        words[2].ShouldBe((ushort)0x0009);
        words[3].ShouldBe((ushort)0x0010);
        words[4].ShouldBe((ushort)0x01f0);
        words[5].ShouldBe((ushort)(31 << 10));
        words[6].ShouldBe((ushort)(15 << 10));
        words[7].ShouldBe((ushort)(16 << 4));
        words[8].ShouldBe((ushort)639);
    }

    [EngineFact]
    public async Task Keys_reach_int_16h_with_their_shifts()
    {
        ushort[] words = await Words(c =>
        {
            foreach (byte code in (byte[])[0x1e, 0x9e, 0x2a, 0x1e, 0x9e, 0xaa, 0xe0, 0x48, 0xe0, 0xc8, 0x1d, 0x2e, 0xae, 0x9d]) c.Inject(code);
            for (ushort i = 0; i < 4; i++)
            {
                c.mov(ah, (byte)(i == 2 ? 0x10 : 0x00));
                c.@int(0x16);
                c.mov(__word_ptr[(ushort)(0x700 + (2 * i))], ax);
            }

            Label none = c.CreateLabel();
            c.mov(ax, 0x0100);
            c.@int(0x16);
            c.jz(none);
            c.jmp(Failure);
            c.Label(ref none);
            c.nop();
            return [__word_ptr[0x700], __word_ptr[0x702], __word_ptr[0x704], __word_ptr[0x706]];
        });
        words.ShouldBe([(ushort)0x1e61, (ushort)0x1e41, (ushort)0x48e0, (ushort)0x2e03]);
    }

    [EngineFact]
    public async Task A_wait_for_a_key_ends_when_one_is_typed()
    {
        BiosBoot boot = From(HardDisk(Disk(c =>
        {
            Label print = c.WordPrinter();
            c.Say("type");
            c.xor(ax, ax);
            c.@int(0x16);
            c.call(print);
            c.PowerOff();
        }))) with
        { Console = FirmwareConsole.Serial };
        using VirtualMachine machine = TestPrograms.Start(boot);
        await machine.Serial[0].WaitForTextAsync("type", TestPrograms.Patience);
        machine.Serial[0].Write("k");
        await machine.WaitForExitAsync(TestPrograms.Patience);
        machine.Serial[0].Output.ShouldEndWith("type256b");
    }

    [EngineFact]
    public async Task Ticks_pass_and_the_user_interrupt_is_called()
    {
        ushort[] words = await Words(c =>
        {
            Label handler = c.CreateLabel(), behind = c.CreateLabel(), wait = c.CreateLabel();
            c.jmp(behind);
            c.Label(ref handler);
            c.inc(__word_ptr.cs[0x700]);
            c.iret();
            c.Label(ref behind);
            c.mov(__word_ptr[0x700], 0);
            c.mov(__word_ptr[0x1c * 4], 0x7c02);
            c.mov(__word_ptr[(0x1c * 4) + 2], 0);
            c.mov(ah, 0);
            c.@int(0x1a);
            c.mov(si, dx);
            c.Label(ref wait);
            c.hlt();
            c.cmp(__word_ptr[0x700], 3);
            c.jb(wait);
            c.mov(ah, 0);
            c.@int(0x1a);
            c.sub(dx, si);
            return [dx, __word_ptr[0x700]];
        });
        words[0].ShouldBeInRange((ushort)2, (ushort)20);
        words[1].ShouldBeInRange((ushort)3, (ushort)20);
    }

    [EngineFact]
    public async Task A_block_is_moved_beyond_the_first_mebibyte()
    {
        ushort[] words = await Words(c =>
        {
            // The table at 600h: from 1000h to 110000h, then from there to 2000h.
            c.mov(__dword_ptr[0x1000], 0xcafe_1234u);
            void Move(uint from, uint to)
            {
                c.mov(__word_ptr[0x610], 0xffff);
                c.mov(__dword_ptr[0x612], 0x9300_0000u | from);
                c.mov(__word_ptr[0x616], 0);
                c.mov(__word_ptr[0x618], 0xffff);
                c.mov(__dword_ptr[0x61a], 0x9300_0000u | to);
                c.mov(__word_ptr[0x61e], 0);
                c.mov(si, 0x600);
                c.mov(cx, 2);
                c.mov(ah, 0x87);
                c.@int(0x15);
                c.jc(Failure);
            }

            Move(0x1000, 0x11_0000);
            Move(0x11_0000, 0x2000);
            return [__word_ptr[0x2000], __word_ptr[0x2002]];
        });
        words.ShouldBe([(ushort)0x1234, (ushort)0xcafe]);
    }

    [EngineFact]
    public async Task Pci_functions_are_found_by_class()
    {
        ushort[] words = await Words(c =>
        {
            c.mov(ax, 0xb101);
            c.@int(0x1a);
            c.jc(Failure);
            c.mov(__dword_ptr[0x700], edx);
            c.mov(ax, 0xb103);
            c.mov(ecx, 0x060100);
            c.xor(si, si);
            c.@int(0x1a);
            c.jc(Failure);
            c.mov(__word_ptr[0x704], bx);
            c.mov(ax, 0xb109);
            c.mov(di, 2);
            c.@int(0x1a);
            return [__word_ptr[0x700], __word_ptr[0x702], __word_ptr[0x704], cx];
        });
        words.ShouldBe([(ushort)0x4350, (ushort)0x2049, (ushort)0x0008, (ushort)0x7000]);
    }

    [EngineFact]
    public async Task A_wait_of_microseconds_takes_them() => await BusyHost.OnceOfAsync(5, async () =>
    {
        ushort[] words = await Words(c =>
        {
            c.mov(ah, 0);
            c.@int(0x1a);
            c.mov(__word_ptr[0x700], dx);
            c.mov(ah, 0x86);
            c.mov(cx, 3);
            c.mov(dx, 0);
            c.@int(0x15);
            c.jc(Failure);
            c.mov(ah, 0);
            c.@int(0x1a);
            c.sub(dx, __word_ptr[0x700]);
            return [dx];
        });
        // 196,608 us are 3.6 ticks; a host that has no time for the guest can make it lose one.
        words[0].ShouldBeInRange((ushort)3, (ushort)40);
    });

    [EngineFact]
    public async Task A_movement_of_the_mouse_calls_the_handler_with_its_packet()
    {
        ushort[] words = await Words(c =>
        {
            Label handler = c.CreateLabel(), behind = c.CreateLabel(), wait = c.CreateLabel();
            c.jmp(behind);

            // Status, X and Y lie above the return address and a word of 0.
            c.Label(ref handler);
            c.mov(bp, sp);
            foreach (int i in (int[])[0, 1, 2])
            {
                c.mov(ax, __word_ptr[bp + (10 - (2 * i))]);
                c.mov(__word_ptr.cs[(ushort)(0x702 + (2 * i))], ax);
            }

            c.inc(__word_ptr.cs[0x700]);
            c.retf();
            c.Label(ref behind);
            c.mov(__word_ptr[0x700], 0);
            c.mov(ax, 0xc205);
            c.mov(bh, 3);
            c.@int(0x15);
            c.jc(Failure);
            c.mov(ax, 0xc207);
            c.mov(bx, 0x7c02);
            c.@int(0x15);
            c.mov(ax, 0xc200);
            c.mov(bh, 1);
            c.@int(0x15);
            c.jc(Failure);
            foreach (byte value in (byte[])[0x09, 5, 7]) c.Inject(value, fromMouse: true);
            c.Label(ref wait);
            c.cmp(__word_ptr[0x700], 0);
            c.je(wait);
            return [__word_ptr[0x700], __word_ptr[0x702], __word_ptr[0x704], __word_ptr[0x706]];
        });
        words.ShouldBe([(ushort)1, (ushort)9, (ushort)5, (ushort)7]);
    }

    private static void Packet(Assembler c, ushort at, ushort count, ushort buffer, uint sector)
    {
        c.mov(__word_ptr[at], 0x10);
        c.mov(__word_ptr[at + 2], count);
        c.mov(__word_ptr[at + 4], buffer);
        c.mov(__word_ptr[at + 6], 0);
        c.mov(__dword_ptr[at + 8], sector);
        c.mov(__dword_ptr[at + 12], 0);
    }

    /// <summary>Runs a program whose data segment is 0; it tells which words it has in the end.</summary>
    private static async Task<ushort[]> Words(
        Func<Assembler, object[]> program, Action<byte[]>? withDisk = null, Func<MachineOptions, MachineOptions>? change = null)
    {
        byte[] disk = Disk(c =>
        {
            object[] words = program(c);
            for (int i = 0; i < words.Length; i++)
            {
                if (words[i] is AssemblerRegister16 register) c.mov(__word_ptr[(ushort)(0x7a0 + (2 * i))], register);
            }

            Label print = c.WordPrinter();
            for (int i = 0; i < words.Length; i++)
            {
                c.Say('=');
                if (words[i] is AssemblerMemoryOperand operand) c.mov(ax, operand);
                else c.mov(ax, __word_ptr[(ushort)(0x7a0 + (2 * i))]);
                c.call(print);
            }

            c.PowerOff();
        });
        byte[] failure = TestPrograms.Assemble(16, Failure, c =>
        {
            c.@out(0xf4, al);
            c.nop();
        });
        failure.CopyTo(disk, 0x1f8);
        withDisk?.Invoke(disk);
        string text = await RunAsync(From(HardDisk(disk)), change);
        return [.. Word().Matches(text).Select(m => ushort.Parse(m.ValueSpan[1..], NumberStyles.HexNumber, CultureInfo.InvariantCulture))];
    }

    [GeneratedRegex("=[0-9a-f]{4}")]
    private static partial Regex Word();
}
