using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Guests;

/// <summary>
/// <see cref="RecordProgram"/> for Linux: pwrite to a block device and fsync. Some writes are followed by one to the room behind the slots, others by a hole
/// there, which gives clusters back.
/// </summary>
internal sealed class LinuxRecordProgram(char name, string device, uint firstVersion, uint seed) : RecordProgram(name, firstVersion, seed)
{
    private const int WriteCall = 4, OpenCall = 5, FsyncCall = 118, YieldCall = 158, PwriteCall = 181, FallocateCall = 324;
    private const int ReadWrite = 2;
    private const int ChunkBytes = 64 << 10;

    protected override void Open(Assembler c, Label failed)
    {
        Label again = c.CreateLabel("again");
        byte[] path = new byte[12];
        System.Text.Encoding.ASCII.GetBytes(device, path);
        for (int i = 0; i < path.Length; i += 4) c.mov(__dword_ptr[Line + i], BitConverter.ToUInt32(path, i));
        c.Label(ref again);
        Call(c, YieldCall);
        c.mov(ebx, Line);
        c.mov(ecx, ReadWrite);
        c.xor(edx, edx);
        Call(c, OpenCall);
        c.test(eax, eax);

        // Its driver may still be looking for it.
        c.js(again);
        c.mov(ebx, eax);
    }

    // EBX is the device's descriptor all the time.
    protected override void Write(Assembler c, Label failed)
    {
        Label hole = c.CreateLabel("hole"), done = c.CreateLabel("done");
        c.push(esi);
        c.imul(esi, eax, Layout.SlotBytes);
        PwriteBuffer(c, failed);
        c.pop(esi);

        // One in four goes to the room behind: a chunk is written or given back.
        c.test(esi, 6);
        c.jnz(done);
        c.mov(edi, esi);
        c.shr(edi, 3);
        c.and(edi, (ChurnBytes / ChunkBytes) - 1);
        c.imul(edi, edi, ChunkBytes);
        c.add(edi, (int)Layout.End);
        c.test(esi, 1);
        c.jnz(hole);
        c.mov(esi, edi);
        PwriteBuffer(c, failed);
        c.jmp(done);

        c.Label(ref hole);
        const int KeepSize = 1, PunchHole = 2;
        c.mov(edx, edi);
        c.mov(ecx, KeepSize | PunchHole);
        c.xor(esi, esi);
        c.mov(edi, ChunkBytes);
        c.xor(ebp, ebp);
        Call(c, FallocateCall);
        c.test(eax, eax);
        c.jnz(failed);
        c.Label(ref done);
        c.nop();
    }

    protected override void Flush(Assembler c, Label failed)
    {
        Call(c, FsyncCall);
        c.test(eax, eax);
        c.jnz(failed);
    }

    protected override void Print(Assembler c)
    {
        const int StandardOutput = 1;
        c.push(ebx);
        c.mov(edx, ecx);
        c.mov(ecx, Line);
        c.mov(ebx, StandardOutput);
        Call(c, WriteCall);
        c.pop(ebx);
    }

    private static void Call(Assembler c, int number)
    {
        c.mov(eax, number);
        c.@int(0x80);
    }

    /// <summary>Writes <see cref="RecordProgram.Buffer"/> to the offset in ESI.</summary>
    private static void PwriteBuffer(Assembler c, Label failed)
    {
        c.mov(ecx, Buffer);
        c.mov(edx, Layout.RecordBytes);
        c.xor(edi, edi);
        Call(c, PwriteCall);
        c.cmp(eax, Layout.RecordBytes);
        c.jne(failed);
    }
}
