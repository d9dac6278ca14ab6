using System.Text;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Guests.Kernel;

/// <summary>The beginning and the end of tasks.</summary>
internal sealed class Tasks : KernelPart
{
    private const int InitialX87Control = 0x37f, InitialMxcsr = 0x1f80;
    private const int MxcsrOffset = 24;
    private const int CalleeSavedRegisters = 6;

    /// <summary>The program the shell will wait for, or 0: what Ctrl-C ends. Known from its start, before the shell waits.</summary>
    private readonly ulong _foreground;

    public Tasks(KernelCode kernel)
        : base(kernel)
    {
        _foreground = kernel.Zeroed.Reserve(8);
        ShellCommandLine = kernel.Code.Constants.Reserve(TaskLayout.CommandLineBytes);
        byte[] name = new byte[8];
        Encoding.ASCII.GetBytes("shell", name);
        kernel.Code.Constants.WriteUInt64(ShellCommandLine, BitConverter.ToUInt64(name));
        Create = kernel.Code.Routine("tasks_create");
        Exit = kernel.Code.Routine("tasks_exit");
        Kill = kernel.Code.Routine("tasks_kill");
        KillForeground = kernel.Code.Routine("tasks_kill_foreground");
    }

    private ulong Shell => Kernel.Scheduler.Tasks + TaskLayout.Bytes;

    /// <summary>The shell's command line.</summary>
    public ulong ShellCommandLine { get; }

    /// <summary>RDI: entry, RSI: command line in the kernel, EDX: nobody waits for it. Returns the task's number, or -1.</summary>
    public Routine Create { get; }

    /// <summary>RDI: exit code. Ends the current task.</summary>
    public Routine Exit { get; }

    /// <summary>RDI: a task that is to end when it next leaves the kernel. Changes nothing else.</summary>
    public Routine Kill { get; }

    /// <summary>Ends the program the shell waits for, and its children. Returns 0 if there is none. Changes RCX, RDI.</summary>
    public Routine KillForeground { get; }

    /// <inheritdoc/>
    public override void Emit()
    {
        Assembler a = Kernel.Assembler;
        EmitCreate(a);
        EmitExit(a);
        EmitKill(a);
    }

    /// <summary>
    /// A new task's kernel stack looks as if the task had been interrupted in user mode at its first instruction and
    /// had then called Schedule.
    /// </summary>
    private void EmitCreate(Assembler a)
    {
        ulong tasks = Kernel.Scheduler.Tasks;
        Label next = a.CreateLabel();
        Label found = a.CreateLabel();
        Label background = a.CreateLabel();
        Label fail = a.CreateLabel();
        Label done = a.CreateLabel();
        a.Here(Create);
        a.PushAll(rbx, rbp, r12, r13, r14);
        a.mov(r12, rdi);
        a.mov(r13, rsi);
        a.mov(r14d, edx);
        a.mov(ebp, 1);
        a.Here(ref next);
        a.mov(ebx, ebp);
        a.shl(ebx, 10);
        a.add(rbx, (int)tasks);
        a.cmp(__dword_ptr[rbx + TaskLayout.State], (int)TaskState.Free);
        a.je(found);
        a.inc(ebp);
        a.cmp(ebp, TaskLayout.Count);
        a.jb(next);
        a.Here(ref fail);
        a.mov(rax, -1);
        a.jmp(done);

        a.Here(ref found);
        a.mov(rdi, rbx);
        a.xor(eax, eax);
        a.mov(ecx, TaskLayout.Bytes / 8);
        a.rep.stosq();
        a.call(Kernel.Paging.CreateAddressSpace);
        a.test(rax, rax);
        a.jz(fail);
        a.mov(__qword_ptr[rbx + TaskLayout.Cr3], rax);
        a.mov(__dword_ptr[rbx + TaskLayout.Number], ebp);

        // The command line: into the record and the first page of the user's data.
        a.mov(rsi, r13);
        a.lea(rdi, __[rbx + TaskLayout.CommandLine]);
        a.mov(ecx, TaskLayout.CommandLineBytes / 8);
        a.rep.movsq();
        a.mov(rsi, r13);
        a.lea(rdi, __[rdx + MemoryMap.DirectMap]);
        a.mov(ecx, TaskLayout.CommandLineBytes / 8);
        a.rep.movsq();

        a.mov(__word_ptr[rbx + TaskLayout.FloatingPoint], InitialX87Control);
        a.mov(__dword_ptr[rbx + TaskLayout.FloatingPoint + MxcsrOffset], InitialMxcsr);
        a.lea(eax, __[rbp + 1]);
        a.shl(eax, 14);
        a.mov(rcx, unchecked((long)MemoryMap.KernelStacks));
        a.add(rax, rcx);
        a.mov(__qword_ptr[rbx + TaskLayout.KernelStackTop], rax);
        const int Frame = TrapFrame.Bytes + 8 + (CalleeSavedRegisters * 8);
        a.lea(rdi, __[rax - Frame]);
        a.mov(__qword_ptr[rbx + TaskLayout.KernelRsp], rdi);
        a.mov(rdx, rdi);
        a.xor(eax, eax);
        a.mov(ecx, Frame / 8);
        a.rep.stosq();
        a.lea(rax, __[Kernel.Interrupts.Return.Label]);
        a.mov(__qword_ptr[rdx + (CalleeSavedRegisters * 8)], rax);
        a.lea(rdx, __[rdx + (CalleeSavedRegisters * 8) + 8]);
        a.mov(__qword_ptr[rdx + TrapFrame.Rip], r12);
        a.mov(__qword_ptr[rdx + TrapFrame.Cs], ProcessorTables.UserCode);
        a.mov(__qword_ptr[rdx + TrapFrame.Rflags], (int)(RflagsBits.If | RflagsBits.AlwaysOne));
        a.mov(rax, (long)MemoryMap.UserStackTop);
        a.mov(__qword_ptr[rdx + TrapFrame.Rsp], rax);
        a.mov(__qword_ptr[rdx + TrapFrame.Ss], ProcessorTables.UserData);
        a.mov(__qword_ptr[rdx + TrapFrame.Rdi], (int)MemoryMap.UserData);

        LoadCurrentTask(rax);
        a.mov(__qword_ptr[rbx + TaskLayout.Parent], rax);
        a.mov(__dword_ptr[rbx + TaskLayout.Detached], r14d);
        a.test(r14d, r14d);
        a.jnz(background);
        a.cmp(rax, (int)Shell);
        a.jne(background);
        a.mov(__qword_ptr[_foreground], rbx);
        a.Here(ref background);
        a.mov(__dword_ptr[rbx + TaskLayout.State], (int)TaskState.Ready);
        a.mov(__dword_ptr[Kernel.Scheduler.NeedsSchedule], 1);
        a.mov(eax, ebp);
        a.Here(ref done);
        a.PopAll(rbx, rbp, r12, r13, r14);
        a.ret();
    }

    private void EmitExit(Assembler a)
    {
        Label inBackground = a.CreateLabel();
        Label finished = a.CreateLabel();
        Label leave = a.CreateLabel();
        a.Here(Exit);
        LoadCurrentTask(rbx);
        a.mov(__qword_ptr[rbx + TaskLayout.ExitCode], rdi);
        a.xor(eax, eax);
        a.cmp(__qword_ptr[_foreground], rbx);
        a.jne(inBackground);
        a.mov(__qword_ptr[_foreground], rax);
        a.Here(ref inBackground);
        a.mov(eax, MemoryMap.ToPhysical(Kernel.Processor.PageMap));
        a.mov(cr3, rax);
        a.mov(rdi, __qword_ptr[rbx + TaskLayout.Cr3]);
        a.mov(__qword_ptr[rbx + TaskLayout.Cr3], rax);
        a.call(Kernel.Paging.DestroyAddressSpace);

        // Nobody is left to ask for the children's exit codes.
        Kernel.Scheduler.ForEachTask(a, rcx, skip =>
        {
            a.cmp(__qword_ptr[rcx + TaskLayout.Parent], rbx);
            a.jne(skip);
            a.mov(__dword_ptr[rcx + TaskLayout.Detached], 1);
            a.cmp(__dword_ptr[rcx + TaskLayout.State], (int)TaskState.Finished);
            a.jne(skip);
            a.mov(__dword_ptr[rcx + TaskLayout.State], (int)TaskState.Free);
        });
        a.cmp(__dword_ptr[rbx + TaskLayout.Detached], 0);
        a.je(finished);
        a.mov(__dword_ptr[rbx + TaskLayout.State], (int)TaskState.Free);
        a.jmp(leave);
        a.Here(ref finished);
        a.mov(__dword_ptr[rbx + TaskLayout.State], (int)TaskState.Finished);
        a.mov(rcx, __qword_ptr[rbx + TaskLayout.Parent]);
        a.cmp(__dword_ptr[rcx + TaskLayout.State], (int)TaskState.WaitingForTask);
        a.jne(leave);
        a.cmp(__qword_ptr[rcx + TaskLayout.WaitingFor], rbx);
        a.jne(leave);
        a.mov(__dword_ptr[rcx + TaskLayout.State], (int)TaskState.Ready);
        a.Here(ref leave);
        a.call(Kernel.Scheduler.Schedule);
        a.ud2(); // a task that ended is never chosen again
    }

    private void EmitKill(Assembler a)
    {
        Label notBlocked = a.CreateLabel();
        Label none = a.CreateLabel();
        a.Here(Kill);
        a.mov(__dword_ptr[rdi + TaskLayout.Killed], 1);
        a.mov(__dword_ptr[Kernel.Scheduler.NeedsSchedule], 1);
        a.cmp(__dword_ptr[rdi + TaskLayout.State], (int)TaskState.Sleeping);
        a.jb(notBlocked);
        a.cmp(__dword_ptr[rdi + TaskLayout.State], (int)TaskState.WaitingForTask);
        a.ja(notBlocked);
        a.mov(__dword_ptr[rdi + TaskLayout.State], (int)TaskState.Ready);
        a.Here(ref notBlocked);
        a.ret();

        a.Here(KillForeground);
        a.mov(rax, __qword_ptr[_foreground]);
        a.test(rax, rax);
        a.jz(none);
        a.mov(rdi, rax);
        a.call(Kill);
        Kernel.Scheduler.ForEachTask(a, rdi, skip =>
        {
            a.cmp(__qword_ptr[rdi + TaskLayout.Parent], rax);
            a.jne(skip);
            a.call(Kill);
        });
        a.mov(eax, 1);
        a.Here(ref none);
        a.ret();
    }
}
