using Iced.Intel;
using Ringfence.Guests.Kernel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Guests.UserMode;

/// <summary>
/// The shell: reads a line, looks up its first word, and runs a command of its own or starts a program and waits for it,
/// unless the line ends with an ampersand.
/// </summary>
internal sealed class Shell(UserCode user) : UserPart(user)
{
    /// <summary>Where the shell keeps its line.</summary>
    public const int Line = (int)MemoryMap.UserData + 0x100;
    private const int MostCharacters = TaskLayout.CommandLineBytes - 1;

    /// <summary>Buffer for what system calls tell.</summary>
    public const int Buffer = (int)MemoryMap.UserData + 0x200;
    private const int Backspace = 8, LineFeed = 10, CarriageReturn = 13, ControlC = 3, ControlU = 0x15, Escape = 27, Delete = 127;
    private const int EntryBytes = 24;

    private readonly Routine _start = user.Code.Routine("shell");
    private readonly Routine _readLine = user.Code.Routine("shell_read_line");
    private readonly Routine _run = user.Code.Routine("shell_run");
    private readonly Routine _startProgram = user.Code.Routine("shell_start_program");

    /// <inheritdoc/>
    public override void Emit()
    {
        Assembler a = User.Assembler;
        Label prompt = a.CreateLabel();
        a.Here(_start);
        EmitBanner(a);
        a.xor(r15d, r15d); // not 0: the last line ended with a carriage return
        a.Here(ref prompt);
        Print(BuiltInGuest.Prompt);
        a.call(_readLine);
        a.test(eax, eax);
        a.jz(prompt);
        a.call(_run);
        a.jmp(prompt);
        EmitReadLine(a);
        EmitRun(a);
        EmitStartProgram(a);
    }

    private void EmitBanner(Assembler a)
    {
        Print("\nRingfence demo guest: a small 64-bit system in ");
        a.mov(edi, Buffer);
        SystemCall(SystemCallNumber.Information);
        a.mov(rax, __qword_ptr[Buffer + SystemRecord.Memory]);
        a.shr(rax, 20);
        PrintNumber();
        Print(" MiB of memory\nType help for the list of commands.\n");
    }

    /// <summary>
    /// Reads a line with echo into <see cref="Line"/>; returns its length in EAX. A carriage return, a line feed, or both
    /// end it. Registers: EBX characters so far, R14 state of an escape sequence, which is ignored.
    /// </summary>
    private void EmitReadLine(Assembler a)
    {
        Label next = a.CreateLabel();
        Label notEscaped = a.CreateLabel();
        Label isCarriageReturn = a.CreateLabel();
        Label lineFeed = a.CreateLabel();
        Label end = a.CreateLabel();
        Label erase = a.CreateLabel();
        Label eraseAll = a.CreateLabel();
        Label eraseNext = a.CreateLabel();
        Label cancel = a.CreateLabel();
        Label escape = a.CreateLabel();
        Label escapeEnds = a.CreateLabel();
        a.Here(_readLine);
        a.push(rbx);
        a.xor(ebx, ebx);
        a.xor(r14d, r14d);
        a.Here(ref next);
        SystemCall(SystemCallNumber.Read);

        // ESC, one character, and for ESC [ everything up to a letter or tilde.
        a.test(r14d, r14d);
        a.jz(notEscaped);
        a.cmp(r14d, 1);
        a.jne(a.F);
        a.cmp(al, (byte)'[');
        a.jne(escapeEnds);
        a.mov(r14d, 2);
        a.jmp(next);
        a.AnonymousLabel();
        a.cmp(al, (byte)'@');
        a.jb(next);
        a.Here(ref escapeEnds);
        a.xor(r14d, r14d);
        a.jmp(next);
        a.Here(ref notEscaped);

        a.mov(edx, r15d);
        a.xor(r15d, r15d);
        foreach ((int character, Label target) in new[]
        {
            (CarriageReturn, isCarriageReturn), (LineFeed, lineFeed), (Backspace, erase), (Delete, erase),
            (ControlU, eraseAll), (ControlC, cancel), (Escape, escape),
        })
        {
            a.cmp(al, (byte)character);
            a.je(target);
        }

        a.cmp(al, (byte)' ');
        a.jb(next);
        a.cmp(al, Delete);
        a.ja(next);
        a.cmp(ebx, MostCharacters);
        a.jae(next);
        a.mov(__byte_ptr[rbx + Line], al);
        a.inc(ebx);
        a.mov(edi, eax);
        a.call(User.Library.PutByte);
        a.jmp(next);

        a.Here(ref escape);
        a.mov(r14d, 1);
        a.jmp(next);
        a.Here(ref erase);
        a.test(ebx, ebx);
        a.jz(next);
        a.dec(ebx);
        Print("\b \b");
        a.jmp(next);
        a.Here(ref eraseAll);
        a.Here(ref eraseNext);
        a.test(ebx, ebx);
        a.jz(next);
        a.dec(ebx);
        Print("\b \b");
        a.jmp(eraseNext);
        a.Here(ref cancel);
        Print("^C");
        a.xor(ebx, ebx);
        a.jmp(end);
        a.Here(ref isCarriageReturn);
        a.mov(r15d, 1);
        a.jmp(end);
        a.Here(ref lineFeed);
        a.test(edx, edx);
        a.jnz(next);
        a.Here(ref end);
        a.mov(__byte_ptr[rbx + Line], 0);
        Print("\n");
        a.mov(eax, ebx);
        a.pop(rbx);
        a.ret();
    }

    /// <summary>Calls the handler of the command, or says that there is none. Handlers get their arguments' text in RDI.</summary>
    private void EmitRun(Assembler a)
    {
        (string Name, Routine Handler)[] own = [.. User.Commands.All, ("cpuid", User.CpuidCommand.Command)];
        (string Name, Routine Handler)[] programs = [.. User.Programs.All, ("crash", User.Crash.Program), ("demo", User.Demo.Program), ("both", User.Demo.Program)];
        DataSection constants = User.Code.Constants;
        int count = own.Length + programs.Length;
        ulong table = constants.Reserve(count * EntryBytes);
        for (int i = 0; i < count; i++)
        {
            bool isOwn = i < own.Length;
            (string name, Routine handler) = isOwn ? own[i] : programs[i - own.Length];
            ulong entry = table + (ulong)(i * EntryBytes);
            constants.WriteUInt64(entry, constants.Text(name));
            User.Code.PointTo(constants, entry + 8, handler);
            constants.WriteUInt64(entry + 16, isOwn ? 0UL : 1);
        }

        Label skipSpaces = a.CreateLabel();
        Label next = a.CreateLabel();
        Label found = a.CreateLabel();
        Label done = a.CreateLabel();
        Label text = a.CreateLabel();
        a.Here(_run);
        a.PushAll(rbx, rbp, r12);
        a.mov(ebp, Line);
        a.Here(ref skipSpaces);
        a.cmp(__byte_ptr[rbp], ' ');
        a.jb(done);
        a.jne(text);
        a.inc(rbp);
        a.jmp(skipSpaces);
        a.Here(ref text);
        a.mov(ebx, (uint)table);
        a.mov(r12d, count);
        a.Here(ref next);
        a.mov(rdi, rbp);
        a.mov(rsi, __qword_ptr[rbx]);
        a.call(User.Library.IsWord);
        a.je(found);
        a.add(ebx, EntryBytes);
        a.dec(r12d);
        a.jnz(next);
        Print("Unknown command: ");
        a.mov(rdi, rbp);
        a.call(User.Library.PutString);
        Print("\nType help for the list of commands.\n");
        a.jmp(done);

        a.Here(ref found);
        Label program = a.CreateLabel();
        a.cmp(__dword_ptr[rbx + 16], 0);
        a.jne(program);
        a.mov(rdi, rbp);
        a.call(User.Library.NextWord);
        a.mov(rdi, rax);
        a.call(__qword_ptr[rbx + 8]);
        a.jmp(done);
        a.Here(ref program);
        a.mov(rdi, __qword_ptr[rbx + 8]);
        a.mov(rsi, rbp);
        a.call(_startProgram);
        a.Here(ref done);
        a.PopAll(rbx, rbp, r12);
        a.ret();
    }

    /// <summary>RDI: entry, RSI: command line.</summary>
    private void EmitStartProgram(Assembler a)
    {
        Label length = a.CreateLabel();
        Label trim = a.CreateLabel();
        Label foreground = a.CreateLabel();
        Label spawn = a.CreateLabel();
        Label background = a.CreateLabel();
        Label failed = a.CreateLabel();
        Label done = a.CreateLabel();
        a.Here(_startProgram);
        a.PushAll(rbx, rbp);
        a.mov(rdx, rsi);
        a.xor(esi, esi);
        a.Here(ref length);
        a.inc(rsi);
        a.cmp(__byte_ptr[rdx + rsi], 0);
        a.jne(length);
        a.xor(r10d, r10d);
        a.Here(ref trim);
        a.cmp(__byte_ptr[rdx + rsi - 1], ' ');
        a.jne(foreground);
        a.dec(rsi);
        a.jmp(trim);
        a.Here(ref foreground);
        a.cmp(__byte_ptr[rdx + rsi - 1], '&');
        a.jne(spawn);
        a.dec(rsi);
        a.mov(r10d, 1);
        a.Here(ref spawn);
        a.mov(ebp, r10d);
        SystemCall(SystemCallNumber.Spawn);
        a.test(rax, rax);
        a.js(failed);
        a.mov(ebx, eax);
        a.test(ebp, ebp);
        a.jnz(background);
        a.mov(edi, eax);
        SystemCall(SystemCallNumber.Wait);
        a.mov(ebx, eax);
        a.test(eax, eax);
        a.jz(done);
        Print("Exit code ");
        a.mov(eax, ebx);
        PrintNumber();
        Print("\n");
        a.jmp(done);
        a.Here(ref background);
        Print("Task ");
        a.mov(eax, ebx);
        PrintNumber();
        Print(" started\n");
        a.jmp(done);
        a.Here(ref failed);
        Print("The program cannot be started: too many tasks or too little memory.\n");
        a.Here(ref done);
        a.PopAll(rbx, rbp);
        a.ret();
    }
}
