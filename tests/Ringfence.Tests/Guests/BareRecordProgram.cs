using Iced.Intel;
using Ringfence.Tests.Machines;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Guests;

/// <summary><see cref="RecordProgram"/> without a system: it drives the first IDE disk by programmed I/O (ATA/ATAPI-6: WRITE SECTORS, FLUSH CACHE).</summary>
internal sealed class BareRecordProgram(char name, uint firstVersion, uint seed) : RecordProgram(name, firstVersion, seed)
{
    private const int SectorBytes = 512;
    private const ushort DataPort = 0x1f0, CountPort = 0x1f2, DevicePort = 0x1f6, CommandPort = 0x1f7;
    private const byte WriteSectors = 0x30, FlushCache = 0xe7;
    private const byte Error = 0x01, DataRequest = 0x08, Busy = 0x80;

    protected override void Open(Assembler c, Label failed) => c.mov(esp, StackEnd);

    protected override void Write(Assembler c, Label failed)
    {
        Label sector = c.CreateLabel("sector");
        c.mov(ecx, eax);
        c.imul(ecx, ecx, Layout.SlotBytes / SectorBytes);
        c.mov(dx, CountPort);
        c.mov(al, (byte)(Layout.RecordBytes / SectorBytes));
        c.@out(dx, al);
        for (int i = 0; i < 3; i++)
        {
            c.inc(dx);
            c.mov(al, cl);
            c.@out(dx, al);
            c.shr(ecx, 8);
        }

        const byte LogicalBlocks = 0xe0;
        c.mov(dx, DevicePort);
        c.mov(al, cl);
        c.or(al, LogicalBlocks);
        c.@out(dx, al);
        Command(c, WriteSectors);
        c.mov(esi, Buffer);
        c.mov(edi, Layout.RecordBytes / SectorBytes);
        c.Label(ref sector);
        Await(c, failed);
        c.test(al, DataRequest);
        c.jz(failed);
        c.mov(dx, DataPort);
        c.mov(ecx, SectorBytes / 2);
        c.rep.outsw();
        c.dec(edi);
        c.jnz(sector);
        Await(c, failed);
    }

    protected override void Flush(Assembler c, Label failed)
    {
        Command(c, FlushCache);
        Await(c, failed);
    }

    protected override void Print(Assembler c)
    {
        c.mov(esi, Line);
        c.mov(dx, TestPrograms.Com1);
        c.rep.outsb();
    }

    private static void Command(Assembler c, byte command)
    {
        c.mov(dx, CommandPort);
        c.mov(al, command);
        c.@out(dx, al);
    }

    /// <summary>Waits until the disk is not busy; its status is in AL then.</summary>
    private static void Await(Assembler c, Label failed)
    {
        Label again = c.CreateLabel("again");
        c.mov(dx, CommandPort);
        c.Label(ref again);
        c.@in(al, dx);
        c.test(al, Busy);
        c.jnz(again);
        c.test(al, Error);
        c.jnz(failed);
    }
}
