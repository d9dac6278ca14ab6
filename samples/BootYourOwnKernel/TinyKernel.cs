using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace BootYourOwnKernel;

/// <summary>
/// A kernel of a few dozen instructions: prompts on the first serial port, answers each line in capital letters, keeps the number of
/// letters it has changed in BX, and switches the machine off at an empty line.
/// </summary>
internal static class TinyKernel
{
    /// <summary>Physical address it runs at, that of a boot sector.</summary>
    public const uint Address = 0x7c00;

    private const ushort DataPort = 0x3f8;
    private const ushort StatusPort = 0x3fd;
    private const ushort PowerControlPort = 0x604;
    private const ushort SoftOff = 0x3400;

    /// <summary>Assembles it.</summary>
    public static byte[] Assemble()
    {
        var c = new Assembler(16);
        Label prompt = c.CreateLabel();
        Label wait = c.CreateLabel();
        Label letter = c.CreateLabel();
        Label powerOff = c.CreateLabel();

        c.xor(bx, bx);
        c.Label(ref prompt);
        Print(c, "\r\n> ");
        c.xor(cx, cx);

        c.Label(ref wait);
        c.mov(dx, StatusPort);
        c.@in(al, dx);
        c.test(al, 1);
        c.je(wait);
        c.mov(dx, DataPort);
        c.@in(al, dx);
        c.cmp(al, (byte)'\r');
        c.jne(letter);
        c.jcxz(powerOff);
        c.jmp(prompt);

        c.Label(ref letter);
        c.inc(cx);
        Label print = c.CreateLabel();
        c.cmp(al, (byte)'a');
        c.jb(print);
        c.cmp(al, (byte)'z');
        c.ja(print);
        c.sub(al, 'a' - 'A');
        c.inc(bx);
        c.Label(ref print);
        c.@out(dx, al);
        c.jmp(wait);

        c.Label(ref powerOff);
        Print(c, "bye\r\n");
        c.mov(dx, PowerControlPort);
        c.mov(ax, SoftOff);
        c.@out(dx, ax);
        c.cli();
        c.hlt();

        using var image = new MemoryStream();
        c.Assemble(new StreamCodeWriter(image), Address);
        return image.ToArray();
    }

    private static void Print(Assembler c, string text)
    {
        c.mov(dx, DataPort);
        foreach (char character in text)
        {
            c.mov(al, (byte)character);
            c.@out(dx, al);
        }
    }
}
