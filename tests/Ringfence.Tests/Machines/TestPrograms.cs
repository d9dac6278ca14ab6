using Iced.Intel;
using Ringfence.Machines;
using Ringfence.Processors.Exits;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Machines;

/// <summary>Small guests, assembled where they are needed.</summary>
internal static class TestPrograms
{
    public const ushort Com1 = 0x3f8;

    /// <summary>Long enough for a loaded host; no test waits for it unless it fails.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>Assembles code for an address.</summary>
    public static byte[] Assemble(int bits, ulong address, Action<Assembler> program)
    {
        var assembler = new Assembler(bits);
        program(assembler);
        using var stream = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(stream), address);
        return stream.ToArray();
    }

    /// <summary>A real-mode program at 7C00h.</summary>
    public static RawBoot RealMode(Action<Assembler> program) => new() { Image = Assemble(16, RawBoot.BootSectorAddress, program) };

    /// <summary>A program in flat 32-bit protected mode, paging off.</summary>
    public static RawBoot ProtectedMode(Action<Assembler> program)
    {
        const ushort Gdt = 0x7d00;
        const ushort Entry = 0x7e00;
        byte[] image = new byte[0x200];
        byte[] stub = Assemble(16, RawBoot.BootSectorAddress, c =>
        {
            c.lgdt(__[Gdt + 0x20]);
            c.mov(eax, cr0);
            c.or(eax, 1);
            c.mov(cr0, eax);
            c.mov(ax, 0x10);
            c.mov(ds, ax);
            c.mov(es, ax);
            c.mov(ss, ax);
            c.mov(esp, 0x7000);

            // jmp 8:Entry with a 32-bit offset
            c.db(0x66, 0xea);
            c.dd(Entry);
            c.dw(8);
        });
        stub.CopyTo(image, 0);
        Span<byte> gdt = image.AsSpan(Gdt - (int)RawBoot.BootSectorAddress);
        BitConverter.TryWriteBytes(gdt[8..], 0x00cf_9b00_0000_ffffUL);
        BitConverter.TryWriteBytes(gdt[16..], 0x00cf_9300_0000_ffffUL);
        BitConverter.TryWriteBytes(gdt[0x20..], (ushort)0x17);
        BitConverter.TryWriteBytes(gdt[0x22..], (uint)Gdt);
        return new RawBoot { Image = (byte[])[.. image, .. Assemble(32, Entry, program)] };
    }

    /// <summary>Prints a text on COM1. Changes AL and DX.</summary>
    public static void Print(this Assembler c, string text)
    {
        c.mov(dx, Com1);
        foreach (char character in text)
        {
            c.mov(al, (byte)character);
            c.@out(dx, al);
        }
    }

    /// <summary>Waits for a byte from COM1 (16550 LSR bit 0) and takes it to AL. Changes DX.</summary>
    public static void Receive(this Assembler c)
    {
        Label wait = c.CreateLabel();
        c.mov(dx, Com1 + 5);
        c.Label(ref wait);
        c.@in(al, dx);
        c.test(al, 1);
        c.jz(wait);
        c.mov(dx, Com1);
        c.@in(al, dx);
    }

    /// <summary>Makes the low four bits of AL a hexadecimal digit. Changes the flags.</summary>
    public static void ToHexDigit(this Assembler c)
    {
        Label done = c.CreateLabel();
        c.and(al, 15);
        c.add(al, (byte)'0');
        c.cmp(al, (byte)'9');
        c.jbe(done);
        c.add(al, 'a' - '9' - 1);
        c.Label(ref done);
        c.nop();
    }

    /// <summary>Switches the machine off: SLP_EN with the type of S5 into PM1a_CNT.</summary>
    public static void PowerOff(this Assembler c)
    {
        c.mov(dx, 0x604);
        c.mov(ax, 0x3400);
        c.@out(dx, ax);
        c.Forever();
    }

    /// <summary>Masks all 8259 inputs. Changes AL.</summary>
    public static void MaskInterruptControllers(this Assembler c)
    {
        c.mov(al, 0xff);
        c.@out(0x21, al);
        c.@out(0xa1, al);
    }

    /// <summary>Spins.</summary>
    public static void Forever(this Assembler c)
    {
        c.AnonymousLabel();
        c.nop();
        c.jmp(c.@B);
    }

    /// <summary>Spins and says so at the port of power-on self-tests, which <see cref="Knocks"/> counts.</summary>
    public static void KnockForever(this Assembler c)
    {
        c.AnonymousLabel();
        c.@out(0x80, al);
        c.jmp(c.@B);
    }

    /// <summary>How often a program with no other ports has come round in <see cref="KnockForever"/>; also while the machine runs.</summary>
    public static long Knocks(this VirtualMachine machine) => machine.Statistics.Exits.GetValueOrDefault(ExitReason.PortIo);

    /// <summary>Waits until a program has come round a number of times more in <see cref="KnockForever"/>.</summary>
    public static void WaitForKnocks(this VirtualMachine machine, int more = 100)
    {
        long enough = machine.Knocks() + more;
        SpinWait.SpinUntil(() => machine.Knocks() >= enough, Patience).ShouldBeTrue("the guest makes no progress");
    }

    /// <summary>A machine with the current engine.</summary>
    public static VirtualMachine Create(BootSource boot, Func<MachineOptions, MachineOptions>? change = null)
    {
        var options = new MachineOptions { Boot = boot, MemoryBytes = 2 << 20, Engine = Engines.CurrentKind };
        return VirtualMachine.Create(change is null ? options : change(options));
    }

    public static VirtualMachine Start(BootSource boot, Func<MachineOptions, MachineOptions>? change = null)
    {
        VirtualMachine machine = Create(boot, change);
        machine.Start();
        return machine;
    }
}
