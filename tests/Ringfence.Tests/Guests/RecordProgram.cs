using Iced.Intel;
using Ringfence.Tests.Firmware;
using Ringfence.Tests.Machines;
using Ringfence.Tests.Storage;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Guests;

/// <summary>
/// A guest's program that writes records to a disk for ever: one to four to random slots, a flush, and only when that has ended a line for each,
/// "name slot version", the numbers in eight hexadecimal digits. Versions count up. A disk that fails makes it print "failed".
/// </summary>
/// <param name="name">The letter that its lines begin with.</param>
/// <param name="firstVersion">Version of the first record.</param>
/// <param name="seed">Chooses the slots.</param>
internal abstract class RecordProgram(char name, uint firstVersion, uint seed)
{
    /// <summary>Where the records lie: scattered over a large disk, so that every write needs other tables.</summary>
    public static readonly RecordLayout Layout = new(Slots: 1 << 14, SlotBytes: 64 << 10, RecordBytes: 4 << 10);

    /// <summary>Room behind the slots that is written and given back all the time.</summary>
    public const int ChurnBytes = 16 << 20;

    /// <summary>Bytes of the disk.</summary>
    public static readonly long DiskBytes = Layout.End + ChurnBytes;

    /// <summary>Bytes of a line.</summary>
    protected const int LineBytes = 20;

    protected const uint Line = Data, Buffer = Data + 0x1000, StackEnd = Data + 0x8000;
    private const uint Base = 0x10_0000, Code = Base + 0x1000, Data = Base + 0x4000;
    private const uint Version = Data + 0x20, State = Data + 0x24, Left = Data + 0x28, Count = Data + 0x2c, Index = Data + 0x30, List = Data + 0x40;

    /// <summary>The program: an ELF file for Linux's int 80h and for Multiboot alike, 32 bits.</summary>
    public byte[] Assemble()
    {
        byte[] code = TestPrograms.Assemble(32, Code, Emit);
        byte[] image = new byte[Code - Base + code.Length];
        SampleImages.Put32(image, 0, 0x464c_457f);
        (image[4], image[5], image[6]) = (1, 1, 1);
        SampleImages.Put16(image, 16, 2);
        SampleImages.Put16(image, 18, 3);
        SampleImages.Put32(image, 20, 1);
        SampleImages.Put32(image, 24, Code);
        SampleImages.Put32(image, 28, 52);
        SampleImages.Put16(image, 40, 52);
        SampleImages.Put16(image, 42, 32);
        SampleImages.Put16(image, 44, 1);

        // PT_LOAD of the whole file, readable, writable and executable.
        uint[] header = [1, 0, Base, Base, (uint)image.Length, StackEnd - Base, 7, 0x1000];
        for (int i = 0; i < header.Length; i++) SampleImages.Put32(image, 52 + (4 * i), header[i]);
        SampleImages.PutMultibootHeader(image, 0x100, 0);
        code.CopyTo(image, (int)(Code - Base));
        return image;
    }

    /// <summary>Makes the disk ready.</summary>
    protected abstract void Open(Assembler c, Label failed);

    /// <summary>Writes <see cref="Buffer"/> to the slot in EAX; random bits are in ESI.</summary>
    protected abstract void Write(Assembler c, Label failed);

    /// <summary>Returns when everything that was written is safe.</summary>
    protected abstract void Flush(Assembler c, Label failed);

    /// <summary>Prints ECX bytes from <see cref="Line"/>.</summary>
    protected abstract void Print(Assembler c);

    private void Emit(Assembler c)
    {
        Label failed = c.CreateLabel("failed"), random = c.CreateLabel("random"), digits = c.CreateLabel("digits");
        Label batch = c.CreateLabel("batch"), next = c.CreateLabel("next"), fill = c.CreateLabel("fill"), line = c.CreateLabel("line");
        c.mov(__dword_ptr[Version], firstVersion);
        c.mov(__dword_ptr[State], seed | 1);
        Open(c, failed);

        c.Label(ref batch);
        c.call(random);
        c.and(eax, 3);
        c.inc(eax);
        c.mov(__dword_ptr[Left], eax);
        c.mov(__dword_ptr[Count], 0);

        c.Label(ref next);
        c.call(random);
        c.mov(esi, eax);
        c.shr(eax, 8);
        c.and(eax, Layout.Slots - 1);
        c.mov(ecx, __dword_ptr[Count]);
        c.inc(__dword_ptr[Count]);
        c.mov(edx, __dword_ptr[Version]);
        c.inc(__dword_ptr[Version]);
        c.mov(__dword_ptr[(ecx * 8) + List], eax);
        c.mov(__dword_ptr[(ecx * 8) + List + 4], edx);
        c.mov(edi, Buffer);
        c.mov(ecx, Layout.RecordBytes / 8);
        c.Label(ref fill);
        c.mov(__dword_ptr[edi], eax);
        c.mov(__dword_ptr[edi + 4], edx);
        c.add(edi, 8);
        c.dec(ecx);
        c.jnz(fill);
        Write(c, failed);
        c.dec(__dword_ptr[Left]);
        c.jnz(next);
        Flush(c, failed);

        c.mov(__dword_ptr[Index], 0);
        c.Label(ref line);
        c.mov(ecx, __dword_ptr[Index]);
        c.mov(esi, __dword_ptr[(ecx * 8) + List]);
        c.mov(edx, __dword_ptr[(ecx * 8) + List + 4]);
        c.mov(edi, Line);
        c.mov(eax, name | (' ' << 8));
        c.stosw();
        c.xchg(edx, esi);
        c.call(digits);
        c.mov(al, (byte)' ');
        c.stosb();
        c.mov(edx, esi);
        c.call(digits);
        c.mov(al, (byte)'\n');
        c.stosb();
        c.mov(ecx, LineBytes);
        Print(c);
        c.inc(__dword_ptr[Index]);
        c.mov(eax, __dword_ptr[Index]);
        c.cmp(eax, __dword_ptr[Count]);
        c.jb(line);
        c.jmp(batch);

        c.Label(ref failed);
        c.mov(__dword_ptr[Line], BitConverter.ToUInt32("fail"u8));
        c.mov(__dword_ptr[Line + 4], BitConverter.ToUInt32("ed \n"u8));
        c.mov(ecx, 8);
        Print(c);
        c.jmp(failed);

        // Marsaglia's xorshift: the next number, in EAX. Changes EDX.
        c.Label(ref random);
        c.mov(eax, __dword_ptr[State]);
        foreach ((bool left, byte by) in ((bool, byte)[])[(true, 13), (false, 17), (true, 5)])
        {
            c.mov(edx, eax);
            if (left) c.shl(edx, by);
            else c.shr(edx, by);
            c.xor(eax, edx);
        }

        c.mov(__dword_ptr[State], eax);
        c.ret();

        // EDX as digits to EDI.
        Label digit = c.CreateLabel("digit");
        c.Label(ref digits);
        c.mov(ecx, 8);
        c.Label(ref digit);
        c.rol(edx, 4);
        c.mov(al, dl);
        c.ToHexDigit();
        c.stosb();
        c.dec(ecx);
        c.jnz(digit);
        c.ret();
    }
}
