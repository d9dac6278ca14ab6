using System.Text;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Firmware.Bios;

/// <summary>
/// The ROM: 64 KiB that answer at F0000h and below 4 GiB. Its lower half is left to the tables (<see cref="LowMemory.Tables"/>), then come the fonts and the
/// code. Code is what services in C# cannot be: the ways in and out of them, and interrupts that call other interrupts.
/// </summary>
internal sealed class BiosImage
{
    /// <summary>Bytes of the ROM.</summary>
    public const int Length = 0x1_0000;

    /// <summary>Its segment.</summary>
    public const ushort Segment = 0xf000;

    /// <summary>Its address below 1 MiB.</summary>
    public const ulong Address = 0xf_0000;

    /// <summary>End of the tables' part.</summary>
    public const ushort TablesEnd = 0x8000;

    /// <summary>Offset of the font of 8 by 16 points.</summary>
    public const ushort Font16 = 0x8000;

    /// <summary>Offset of the font of 8 by 14 points.</summary>
    public const ushort Font14 = 0x9000;

    /// <summary>Offset of the upper half of the font of 8 by 8 points.</summary>
    public const ushort Font8Upper = 0xa000;

    /// <summary>Offset of the lower half of the font of 8 by 8 points, where programs have always found it.</summary>
    public const ushort Font8 = 0xfa6e;

    /// <summary>Offset of the diskette parameter table, where programs have always found it.</summary>
    public const ushort DisketteParameters = 0xefc7;

    /// <summary>Offset of the system configuration table (INT 15h function C0h).</summary>
    public const ushort ConfigurationTable = 0xe6f5;

    /// <summary>Offset of the table of what the video functions can do (INT 10h function 1Bh).</summary>
    public const ushort VideoAbilities = 0xa400;

    private const ushort Code = 0xc000;
    private const ushort PowerOnEntry = 0xe05b;
    private const ushort ReturnEntry = 0xff53;
    private const ushort ResetVector = 0xfff0;

    private static readonly Lazy<BiosImage> Shared = new(() => new BiosImage());

    private readonly byte[] _bytes = new byte[Length];
    private readonly Dictionary<int, ushort> _vectors = [];

    private BiosImage()
    {
        _bytes.AsSpan().Fill(0xff);
        BiosFont.Tall.CopyTo(_bytes.AsSpan(Font16));
        BiosFont.Medium.CopyTo(_bytes.AsSpan(Font14));
        BiosFont.Small[..1024].CopyTo(_bytes.AsSpan(Font8));
        BiosFont.Small[1024..].CopyTo(_bytes.AsSpan(Font8Upper));
        DisketteTable.CopyTo(_bytes.AsSpan(DisketteParameters));
        Configuration.CopyTo(_bytes.AsSpan(ConfigurationTable));
        Abilities.CopyTo(_bytes.AsSpan(VideoAbilities));
        Assemble();
        _bytes[ReturnEntry] = 0xcf;
        Encoding.ASCII.GetBytes("11/21/26", _bytes.AsSpan(0xfff5));
        _bytes[0xfffe] = 0xfc;
    }

    /// <summary>The image; the same for every machine.</summary>
    public static BiosImage Instance => Shared.Value;

    /// <summary>The ROM's bytes.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes;

    /// <summary>Offset of an interrupt's handler.</summary>
    public ushort Vector(int interrupt) => _vectors.GetValueOrDefault(interrupt, ReturnEntry);

    // Diskette parameter table of a 1.44 MB drive (INT 1Eh).
    private static ReadOnlySpan<byte> DisketteTable => [0xaf, 0x02, 0x25, 0x02, 18, 0x1b, 0xff, 0x6c, 0xf6, 0x0f, 0x08];

    // Modes 0 to 7 and 0Dh to 13h; 200, 350 and 400 lines; eight character blocks, two at a time; all functions but light pen and save.
    private static ReadOnlySpan<byte> Abilities => [0xff, 0xe0, 0x0f, 0, 0, 0, 0, 7, 2, 8, 0xe7, 0x0c, 0, 0, 0, 0];

    // System configuration table: model FCh, second 8259, real-time clock, INT 15h function 4Fh, extended data area.
    private static ReadOnlySpan<byte> Configuration => [8, 0, 0xfc, 0, 1, 0x74, 0x40, 0, 0, 0];

    private void Assemble()
    {
        var c = new Assembler(16);
        Dictionary<int, Label> entries = [];
        Label Place(string name)
        {
            Label label = c.CreateLabel(name);
            c.Label(ref label);
            return label;
        }

        // The way into every service. Interrupts are off.
        Label ask = c.CreateLabel("ask"), halt = c.CreateLabel("halt");
        Label common = Place("common");
        c.push(ds);
        c.push(es);
        c.push(fs);
        c.push(gs);
        c.pushad();
        c.cld();
        c.Label(ref ask);
        c.xor(eax, eax);
        c.mov(ax, ss);
        c.shl(eax, 4);
        c.movzx(ecx, sp);
        c.add(eax, ecx);
        c.mov(dx, FirmwareServices.Port);
        c.@out(dx, eax);
        c.mov(bp, sp);
        c.cmp(__byte_ptr[bp + ServiceFrame.AnswerOffset], (byte)ServiceAnswer.Halt);
        c.je(halt);
        Label leave = c.CreateLabel("leave");
        c.jb(leave);
        c.sti();
        c.pause();
        c.cli();
        c.jmp(ask);
        c.Label(ref halt);
        c.sti();
        c.hlt();
        c.cli();
        c.jmp(ask);
        c.Label(ref leave);
        c.popad();
        c.pop(gs);
        c.pop(fs);
        c.pop(es);
        c.pop(ds);
        c.add(sp, 4);
        c.iret();

        Label Service(ushort number, string name)
        {
            Label label = Place(name);
            c.push(0);
            c.push((short)number);
            c.jmp(common);
            return label;
        }

        foreach (int interrupt in (int[])[0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x1a, 0x40])
            entries[interrupt] = Service((ushort)interrupt, $"int{interrupt:x2}");
        Label keyboardByte = Service(FirmwareService.KeyboardByte, "keyboardByte");
        Label mouseByte = Service(FirmwareService.MouseByte, "mouseByte");
        Label bootService = Service(0x19, "boot");
        Label nextService = Service(0x18, "bootNext");
        Label powerOnService = Service(FirmwareService.PowerOn, "powerOnService");

        // Systems are started on a stack below where they are loaded.
        void OnFreshStack(Label service)
        {
            c.cli();
            c.xor(ax, ax);
            c.mov(ss, ax);
            c.mov(sp, 0x7c00);
            c.pushf();
            c.push(cs);
            c.call(service);
        }

        entries[0x19] = Place("int19");
        OnFreshStack(bootService);
        entries[0x18] = Place("int18");
        OnFreshStack(nextService);
        Label powerOn = Place("powerOn");
        OnFreshStack(powerOnService);
        c.sti();
        c.@int(0x19);

        AssembleTimer(c, entries, Place);
        AssembleKeyboard(c, entries, keyboardByte, Place);
        AssembleMouse(c, entries, mouseByte, Place);
        AssembleOthers(c, entries, Place);

        using MemoryStream stream = new();
        AssemblerResult result = c.Assemble(new StreamCodeWriter(stream), Code, BlockEncoderOptions.ReturnNewInstructionOffsets);
        byte[] code = stream.ToArray();
        if (Code + code.Length > PowerOnEntry) throw new InvalidOperationException("The firmware's code does not fit.");
        code.CopyTo(_bytes, Code);
        foreach ((int interrupt, Label label) in entries) _vectors[interrupt] = (ushort)result.GetLabelRIP(in label);
        JumpAt(PowerOnEntry, (ushort)result.GetLabelRIP(in powerOn));
        _bytes[ResetVector] = 0xea;
        BitConverter.TryWriteBytes(_bytes.AsSpan(ResetVector + 1), PowerOnEntry);
        BitConverter.TryWriteBytes(_bytes.AsSpan(ResetVector + 3), Segment);
        foreach ((ushort place, int interrupt) in KnownPlaces) JumpAt(place, _vectors[interrupt]);
    }

    // Where the first PCs' BIOS had its handlers, which some programs jump to.
    private static (ushort Place, int Interrupt)[] KnownPlaces =>
    [
        (0xe3fe, 0x13), (0xe6f2, 0x19), (0xe739, 0x14), (0xe82e, 0x16), (0xe987, 0x09), (0xec59, 0x40), (0xefd2, 0x17), (0xf065, 0x10),
        (0xf841, 0x12), (0xf84d, 0x11), (0xf859, 0x15), (0xfe6e, 0x1a), (0xfea5, 0x08),
    ];

    private void JumpAt(ushort place, ushort target)
    {
        _bytes[place] = 0xe9;
        BitConverter.TryWriteBytes(_bytes.AsSpan(place + 1), (ushort)(target - place - 3));
    }

    private static void AssembleTimer(Assembler c, Dictionary<int, Label> entries, Func<string, Label> place)
    {
        Label sameDay = c.CreateLabel("sameDay");
        entries[0x08] = place("int08");
        c.push(ds);
        c.push(ax);
        c.mov(ax, 0x40);
        c.mov(ds, ax);
        c.inc(__dword_ptr[(ushort)(BiosData.Ticks - 0x400)]);
        c.cmp(__dword_ptr[(ushort)(BiosData.Ticks - 0x400)], BiosData.TicksOfADay);
        c.jb(sameDay);
        c.mov(__dword_ptr[(ushort)(BiosData.Ticks - 0x400)], 0);
        c.inc(__byte_ptr[(ushort)(BiosData.MidnightPassed - 0x400)]);
        c.Label(ref sameDay);
        c.@int(0x1c);
        c.mov(al, 0x20);
        c.@out(0x20, al);
        c.pop(ax);
        c.pop(ds);
        c.iret();
    }

    private static void AssembleKeyboard(Assembler c, Dictionary<int, Label> entries, Label keyboardByte, Func<string, Label> place)
    {
        Label end = c.CreateLabel("keyboardEnd"), print = c.CreateLabel("printScreen"), finish = c.CreateLabel("keyboardFinish");
        entries[0x09] = place("int09");
        c.push(ax);
        c.@in(al, 0x60);
        c.mov(ah, 0x4f);
        c.stc();
        c.@int(0x15);
        c.jnc(end);
        c.pushf();
        c.push(cs);
        c.call(keyboardByte);
        c.cmp(al, 0x05);
        c.je(print);
        c.cmp(al, 0x1b);
        c.jne(end);
        c.mov(al, 0x20);
        c.@out(0x20, al);
        c.@int(0x1b);
        c.jmp(finish);
        c.Label(ref print);
        c.mov(al, 0x20);
        c.@out(0x20, al);
        c.@int(0x05);
        c.jmp(finish);
        c.Label(ref end);
        c.mov(al, 0x20);
        c.@out(0x20, al);
        c.Label(ref finish);
        c.pop(ax);
        c.iret();
    }

    private static void AssembleMouse(Assembler c, Dictionary<int, Label> entries, Label mouseByte, Func<string, Label> place)
    {
        Label end = c.CreateLabel("mouseEnd"), finish = c.CreateLabel("mouseFinish");
        entries[0x74] = place("int74");
        c.push(ax);
        c.@in(al, 0x64);
        c.and(al, 0x21);
        c.cmp(al, 0x21);
        c.jne(end);
        c.@in(al, 0x60);
        c.pushf();
        c.push(cs);
        c.call(mouseByte);
        c.cmp(al, 1);
        c.jne(end);
        c.mov(al, 0x20);
        c.@out(0xa0, al);
        c.@out(0x20, al);
        c.push(ds);
        c.push(es);
        c.pushad();
        c.mov(ax, 0x40);
        c.mov(ds, ax);
        c.mov(ds, __word_ptr[(ushort)(BiosData.ExtensionSegment - 0x400)]);
        c.push(__word_ptr[BiosData.MouseArguments]);
        c.push(__word_ptr[BiosData.MouseArguments + 2]);
        c.push(__word_ptr[BiosData.MouseArguments + 4]);
        c.push(0);

        // call far [MouseHandler]
        c.db(0xff, 0x1e);
        c.dw(BiosData.MouseHandler);
        c.add(sp, 8);
        c.popad();
        c.pop(es);
        c.pop(ds);
        c.jmp(finish);
        c.Label(ref end);
        c.mov(al, 0x20);
        c.@out(0xa0, al);
        c.@out(0x20, al);
        c.Label(ref finish);
        c.pop(ax);
        c.iret();
    }

    private static void AssembleOthers(Assembler c, Dictionary<int, Label> entries, Func<string, Label> place)
    {
        Label master = place("master");
        c.push(ax);
        c.mov(al, 0x20);
        c.@out(0x20, al);
        c.pop(ax);
        c.iret();
        for (int interrupt = 0x0b; interrupt <= 0x0f; interrupt++) entries[interrupt] = master;
        entries[0x0a] = master;

        entries[0x0e] = place("floppy");
        c.push(ax);
        c.push(ds);
        c.mov(ax, 0x40);
        c.mov(ds, ax);
        c.or(__byte_ptr[(ushort)(BiosData.FloppyCalibration - 0x400)], 0x80);
        c.pop(ds);
        c.mov(al, 0x20);
        c.@out(0x20, al);
        c.pop(ax);
        c.iret();

        Label slave = place("slave");
        c.push(ax);
        c.mov(al, 0x20);
        c.@out(0xa0, al);
        c.@out(0x20, al);
        c.pop(ax);
        c.iret();
        foreach (int interrupt in (int[])[0x71, 0x72, 0x73, 0x76, 0x77]) entries[interrupt] = slave;

        Label noAlarm = c.CreateLabel("noAlarm");
        entries[0x70] = place("clock");
        c.push(ax);
        c.mov(al, 0x0c);
        c.@out(0x70, al);
        c.@in(al, 0x71);
        c.test(al, 0x20);
        c.mov(al, 0x20);
        c.@out(0xa0, al);
        c.@out(0x20, al);
        c.jz(noAlarm);
        c.@int(0x4a);
        c.Label(ref noAlarm);
        c.pop(ax);
        c.iret();

        entries[0x75] = place("coprocessor");
        c.push(ax);
        c.xor(al, al);
        c.@out(0xf0, al);
        c.mov(al, 0x20);
        c.@out(0xa0, al);
        c.@out(0x20, al);
        c.pop(ax);
        c.@int(0x02);
        c.iret();
    }
}
