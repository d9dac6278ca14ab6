using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Guests.UserMode;

/// <summary>What several programs need: printing, and reading numbers from a command line.</summary>
internal sealed class UserLibrary(UserCode user) : UserPart(user)
{
    /// <summary>DIL: a byte to print.</summary>
    public Routine PutByte { get; } = user.Code.Routine("put_byte");

    /// <summary>RDI: a text that ends with a zero.</summary>
    public Routine PutString { get; } = user.Code.Routine("put_string");

    /// <summary>RDI: a number.</summary>
    public Routine PutDecimal { get; } = user.Code.Routine("put_decimal");

    /// <summary>RDI: a number, ESI: digits at least, filled with the character in DL.</summary>
    public Routine PutPadded { get; } = user.Code.Routine("put_padded");

    /// <summary>RDI: microseconds, printed as seconds with three decimals.</summary>
    public Routine PutSeconds { get; } = user.Code.Routine("put_seconds");

    /// <summary>RDI: text. Returns in RAX where its next word starts: after the first word and spaces.</summary>
    public Routine NextWord { get; } = user.Code.Routine("next_word");

    /// <summary>RDI: text. Returns the number there in RAX, what follows it in RDI, and in EDX how many digits it has.</summary>
    public Routine ParseNumber { get; } = user.Code.Routine("parse_number");

    /// <summary>RDI, RSI: texts. Sets ZF if the first word of the first is the second.</summary>
    public Routine IsWord { get; } = user.Code.Routine("is_word");

    /// <inheritdoc/>
    public override void Emit()
    {
        Assembler a = User.Assembler;
        EmitText(a);
        EmitNumbers(a);
        EmitParsing(a);
    }

    private void EmitText(Assembler a)
    {
        a.Here(PutByte);
        a.push(rdi);
        a.mov(rdi, rsp);
        a.mov(esi, 1);
        SystemCall(SystemCallNumber.Write);
        a.pop(rdi);
        a.ret();

        Label next = a.CreateLabel();
        Label end = a.CreateLabel();
        a.Here(PutString);
        a.xor(esi, esi);
        a.Here(ref next);
        a.cmp(__byte_ptr[rdi + rsi], 0);
        a.je(end);
        a.inc(rsi);
        a.jmp(next);
        a.Here(ref end);
        SystemCall(SystemCallNumber.Write);
        a.ret();
    }

    private void EmitNumbers(Assembler a)
    {
        Label digit = a.CreateLabel();
        Label pad = a.CreateLabel();
        Label show = a.CreateLabel();
        a.Here(PutDecimal);
        a.mov(esi, 1);
        a.Here(PutPadded);
        a.push(rbp);
        a.mov(rbp, rsp);
        a.sub(rsp, 64);
        a.mov(r8d, edx);
        a.mov(rax, rdi);
        a.mov(rdi, rbp);
        a.mov(ecx, 10);
        a.Here(ref digit);
        a.xor(edx, edx);
        a.div(rcx);
        a.add(edx, '0');
        a.dec(rdi);
        a.mov(__byte_ptr[rdi], dl);
        a.dec(esi);
        a.test(rax, rax);
        a.jnz(digit);
        a.Here(ref pad);
        a.test(esi, esi);
        a.jle(show);
        a.dec(rdi);
        a.mov(__byte_ptr[rdi], r8b);
        a.dec(esi);
        a.jmp(pad);
        a.Here(ref show);
        a.mov(rsi, rbp);
        a.sub(rsi, rdi);
        SystemCall(SystemCallNumber.Write);
        a.mov(rsp, rbp);
        a.pop(rbp);
        a.ret();

        a.Here(PutSeconds);
        a.push(rbx);
        a.mov(rax, rdi);
        a.xor(edx, edx);
        a.mov(ecx, 1000);
        a.div(rcx);
        a.xor(edx, edx);
        a.div(rcx);
        a.mov(ebx, edx);
        PrintNumber();
        a.mov(edi, '.');
        a.call(PutByte);
        a.mov(edi, ebx);
        a.mov(esi, 3);
        a.mov(edx, '0');
        a.call(PutPadded);
        a.pop(rbx);
        a.ret();
    }

    private void EmitParsing(Assembler a)
    {
        Label word = a.CreateLabel();
        Label space = a.CreateLabel();
        Label afterSpace = a.CreateLabel();
        Label found = a.CreateLabel();
        a.Here(NextWord);
        a.mov(rax, rdi);
        a.Here(ref word);
        a.cmp(__byte_ptr[rax], ' ');
        a.jb(found);
        a.je(space);
        a.inc(rax);
        a.jmp(word);
        a.Here(ref space);
        a.cmp(__byte_ptr[rax], ' ');
        a.jne(afterSpace);
        a.inc(rax);
        a.jmp(space);
        a.Here(ref afterSpace);
        a.nop();
        a.Here(ref found);
        a.ret();

        Label digit = a.CreateLabel();
        Label end = a.CreateLabel();
        a.Here(ParseNumber);
        a.xor(eax, eax);
        a.xor(edx, edx);
        a.Here(ref digit);
        a.movzx(ecx, __byte_ptr[rdi]);
        a.sub(ecx, '0');
        a.cmp(ecx, 9);
        a.ja(end);
        a.imul(rax, rax, 10);
        a.add(rax, rcx);
        a.inc(edx);
        a.inc(rdi);
        a.jmp(digit);
        a.Here(ref end);
        a.ret();

        Label compare = a.CreateLabel();
        Label ended = a.CreateLabel();
        Label same = a.CreateLabel();
        Label different = a.CreateLabel();
        a.Here(IsWord);
        a.Here(ref compare);
        a.mov(al, __byte_ptr[rsi]);
        a.test(al, al);
        a.jz(ended);
        a.cmp(al, __byte_ptr[rdi]);
        a.jne(different);
        a.inc(rdi);
        a.inc(rsi);
        a.jmp(compare);
        a.Here(ref ended);
        a.cmp(__byte_ptr[rdi], 0);
        a.je(same);
        a.cmp(__byte_ptr[rdi], ' ');
        a.Here(ref same);
        a.nop();
        a.Here(ref different);
        a.ret();
    }
}
