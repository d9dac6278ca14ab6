using System.Text;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Guests.UserMode;

/// <summary>
/// The program <c>demo</c> starts two tasks that never give up the processor by themselves: each prints its letter again and
/// again and computes in between. Only the timer makes the letters alternate. Each keeps its letter in all SSE registers
/// and on the x87 stack meanwhile and looks at them at the end.
/// </summary>
internal sealed class DemoProgram(UserCode user) : UserPart(user)
{
    private const int Letters = 40;
    private const int MicrosecondsBetween = 2000;
    private const int LetterOffset = 8;
    private const int Work = 500;
    private const int SseRegisters = 16;

    public Routine Program { get; } = user.Code.Routine("program_demo");

    private Routine Letter { get; } = user.Code.Routine("program_letter");

    /// <inheritdoc/>
    public override void Emit()
    {
        Assembler a = User.Assembler;
        Label failed = a.CreateLabel();
        a.Here(Program);
        Print("Two programs, preempted by the timer:\n");
        Spawn(a, "letter: A", failed);
        a.mov(ebx, eax);
        Spawn(a, "letter: B", failed);
        a.mov(ebp, eax);
        a.mov(edi, ebx);
        SystemCall(SystemCallNumber.Wait);
        a.mov(ebx, eax);
        a.mov(edi, ebp);
        SystemCall(SystemCallNumber.Wait);
        a.or(ebx, eax);
        a.jnz(failed);
        Print("\n");
        Exit(0);
        a.Here(ref failed);
        Print("\nfailed\n");
        Exit(1);
        EmitLetter(a);
    }

    private void Spawn(Assembler a, string commandLine, Label failed)
    {
        a.lea(rdi, __[Letter.Label]);
        a.mov(esi, Encoding.ASCII.GetByteCount(commandLine));
        a.mov(edx, Text(commandLine));
        a.xor(r10d, r10d);
        SystemCall(SystemCallNumber.Spawn);
        a.test(rax, rax);
        a.js(failed);
    }

    private void EmitLetter(Assembler a)
    {
        Label next = a.CreateLabel();
        Label busy = a.CreateLabel();
        Label work = a.CreateLabel();
        Label lost = a.CreateLabel();
        a.Here(Letter);
        a.movzx(ebx, __byte_ptr[rdi + LetterOffset]);
        AssemblerRegisterXMM[] registers = [.. Enumerable.Range(0, SseRegisters).Select(i => new AssemblerRegisterXMM(Register.XMM0 + i))];
        for (int i = 0; i < registers.Length; i++)
        {
            a.lea(eax, __[(rbx * 8) + i]);
            a.movd(registers[i], eax);
            a.pshufd(registers[i], registers[i], 0);
        }

        a.mov(__dword_ptr[rsp - 8], ebx);
        a.fild(__dword_ptr[rsp - 8]);

        a.mov(ebp, Letters);
        a.Here(ref next);
        a.mov(edi, ebx);
        a.call(User.Library.PutByte);
        SystemCall(SystemCallNumber.Uptime);
        a.lea(r12, __[rax + MicrosecondsBetween]);
        a.Here(ref busy);
        a.mov(ecx, Work);
        a.Here(ref work);
        a.imul(rdx, rdx, 25214903);
        a.dec(ecx);
        a.jnz(work);
        SystemCall(SystemCallNumber.Uptime);
        a.cmp(rax, r12);
        a.jb(busy);
        a.dec(ebp);
        a.jnz(next);

        a.fistp(__dword_ptr[rsp - 8]);
        a.cmp(__dword_ptr[rsp - 8], ebx);
        a.jne(lost);
        for (int i = 0; i < registers.Length; i++)
        {
            a.lea(eax, __[(rbx * 8) + i]);
            a.movd(ecx, registers[i]);
            a.cmp(eax, ecx);
            a.jne(lost);
            a.pshufd(registers[i], registers[i], 0xff);
            a.movd(ecx, registers[i]);
            a.cmp(eax, ecx);
            a.jne(lost);
        }

        Print("\n[");
        a.mov(edi, ebx);
        a.call(User.Library.PutByte);
        Print(": preempted ");
        SystemCall(SystemCallNumber.Preemptions);
        PrintNumber();
        Print(" times, SSE and x87 registers kept]");
        Exit(0);
        a.Here(ref lost);
        Print("\n[registers lost]");
        Exit(1);
    }
}
