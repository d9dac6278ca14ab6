using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Guests.Kernel;

/// <summary>
/// The system call entry and the calls (<see cref="SystemCallNumber"/>). SYSCALL saves RIP in RCX and RFLAGS in R11 and
/// switches no stack (Intel SDM 2B, SYSCALL): the entry does, and builds the same frame as an interrupt.
/// </summary>
internal sealed class SystemCalls(KernelCode kernel) : KernelPart(kernel)
{
    public const int KilledExitCode = 130;
    private const int SystemCallVector = 0x100;
    private const int ShellTask = 1;
    private const int WriteChunk = 128;
    private const int MostMilliseconds = int.MaxValue;
    private static readonly int Count = Enum.GetValues<SystemCallNumber>().Length;
    private readonly ulong _table = kernel.Code.Constants.Reserve(Count * 8);

    /// <summary>The system's counters, as a <see cref="SystemRecord"/>.</summary>
    public ulong Counters { get; } = kernel.Zeroed.Reserve(SystemRecord.Bytes);

    /// <summary>Where SYSCALL goes.</summary>
    public Routine Entry { get; } = kernel.Code.Routine("system_call_entry");

    /// <inheritdoc/>
    public override void Emit()
    {
        Assembler a = Kernel.Assembler;
        EmitEntry(a);
        Call(a, SystemCallNumber.Exit, () => a.call(Kernel.Tasks.Exit));
        Call(a, SystemCallNumber.Write, () => EmitWrite(a));
        Call(a, SystemCallNumber.Read, () => a.jmp(Kernel.Console.Read));
        Call(a, SystemCallNumber.Sleep, () => EmitSleep(a));
        Call(a, SystemCallNumber.Yield, () =>
        {
            a.call(Kernel.Scheduler.Schedule);
            a.xor(eax, eax);
            a.ret();
        });
        Call(a, SystemCallNumber.Uptime, () => a.jmp(Kernel.Clock.Now));
        Call(a, SystemCallNumber.Spawn, () => EmitSpawn(a));
        Call(a, SystemCallNumber.Wait, () => EmitWait(a));
        Call(a, SystemCallNumber.Tasks, () => EmitTasks(a));
        Call(a, SystemCallNumber.Information, () =>
        {
            a.mov(rsi, (long)Counters);
            a.mov(edx, SystemRecord.Bytes);
            a.call(Kernel.UserMemory.CopyOut);
            a.cdqe();
            a.ret();
        });
        Call(a, SystemCallNumber.Preemptions, () =>
        {
            LoadCurrentTask(rax);
            a.mov(rax, __qword_ptr[rax + TaskLayout.Preemptions]);
            a.ret();
        });
        Call(a, SystemCallNumber.Kill, () => EmitKill(a));
        Call(a, SystemCallNumber.Shutdown, () => a.jmp(Kernel.Power.Shutdown));
    }

    private void Call(Assembler a, SystemCallNumber number, Action emit)
    {
        Routine routine = Kernel.Code.Routine("system_call_" + number.ToString().ToLowerInvariant());
        a.Here(routine);
        Kernel.Code.PointTo(Kernel.Code.Constants, _table + ((ulong)number * 8), routine);
        emit();
    }

    /// <summary>
    /// Until SWAPGS and the new RSP nothing may fault or be interrupted: FMASK has cleared IF. SYSRET trusts RCX and R11; they
    /// are those SYSCALL saved, and RCX is canonical because the last page of the lower half is never mapped.
    /// </summary>
    private void EmitEntry(Assembler a)
    {
        Label bad = a.CreateLabel();
        Label leave = a.CreateLabel();
        a.Here(Entry);
        a.swapgs();
        a.mov(__qword_ptr.gs[ProcessorTables.UserRsp], rsp);
        a.mov(rsp, __qword_ptr.gs[ProcessorTables.KernelStackTop]);
        a.push(ProcessorTables.UserData);
        a.push(__qword_ptr.gs[ProcessorTables.UserRsp]);
        a.push(r11);
        a.push(ProcessorTables.UserCode);
        a.push(rcx);
        a.push(0);
        a.push(SystemCallVector);
        a.PushAll(TrapFrame.Registers);
        a.inc(__qword_ptr[Counters + SystemRecord.SystemCalls]);
        a.cmp(eax, Count);
        a.jae(bad);
        a.mov(eax, eax);
        a.call(__qword_ptr[(rax * 8) + (long)_table]);
        a.Here(ref leave);
        a.mov(__qword_ptr[rsp + TrapFrame.Rax], rax);
        a.call(Kernel.Interrupts.BeforeUserMode);
        a.PopAll(TrapFrame.Registers);
        a.mov(rsp, __qword_ptr[rsp + (TrapFrame.Rsp - TrapFrame.Vector)]);
        a.swapgs();
        a.sysretq();
        a.Here(ref bad);
        a.mov(rax, -1);
        a.jmp(leave);
    }

    /// <summary>Copies in chunks; interrupts are on while a chunk is printed, but no other task gets the processor.</summary>
    private void EmitWrite(Assembler a)
    {
        Label next = a.CreateLabel();
        Label fail = a.CreateLabel();
        Label done = a.CreateLabel();
        a.PushAll(rbx, rbp, r12, r13);
        a.sub(rsp, WriteChunk);
        a.mov(rbx, rdi);
        a.mov(rbp, rsi);
        a.mov(r12, rsi);
        a.Here(ref next);
        a.test(rbp, rbp);
        a.jz(done);
        LoadCurrentTask(rax);
        a.cmp(__dword_ptr[rax + TaskLayout.Killed], 0);
        a.jne(fail);
        a.mov(r13d, WriteChunk);
        a.cmp(rbp, r13);
        a.cmovb(r13, rbp);
        a.mov(rdi, rsp);
        a.mov(rsi, rbx);
        a.mov(rdx, r13);
        a.call(Kernel.UserMemory.CopyIn);
        a.test(eax, eax);
        a.jnz(fail);
        a.mov(rdi, rsp);
        a.mov(rsi, r13);
        a.sti();
        a.call(Kernel.Console.PutText);
        a.cli();
        a.add(rbx, r13);
        a.sub(rbp, r13);
        a.jmp(next);
        a.Here(ref fail);
        a.mov(r12, -1);
        a.Here(ref done);
        a.mov(rax, r12);
        a.add(rsp, WriteChunk);
        a.PopAll(rbx, rbp, r12, r13);
        a.ret();
    }

    private void EmitSleep(Assembler a)
    {
        a.mov(ecx, MostMilliseconds);
        a.cmp(rdi, rcx);
        a.cmova(rdi, rcx);
        a.imul(rdi, rdi, 1000);
        a.call(Kernel.Clock.Now);
        a.add(rax, rdi);
        LoadCurrentTask(rcx);
        a.mov(__qword_ptr[rcx + TaskLayout.WakeTime], rax);
        a.mov(__dword_ptr[rcx + TaskLayout.State], (int)TaskState.Sleeping);
        a.call(Kernel.Scheduler.Schedule);
        a.xor(eax, eax);
        a.ret();
    }

    private void EmitSpawn(Assembler a)
    {
        Label fail = a.CreateLabel();
        Label done = a.CreateLabel();
        a.PushAll(rbx, rbp);
        a.sub(rsp, TaskLayout.CommandLineBytes);
        a.mov(rbx, rdi);
        a.mov(ebp, r10d);
        a.cmp(rsi, TaskLayout.CommandLineBytes);
        a.jae(fail);
        a.mov(r8, rdx);
        a.mov(rdx, rsi);
        a.mov(rdi, rsp);
        a.xor(eax, eax);
        a.mov(ecx, TaskLayout.CommandLineBytes / 8);
        a.rep.stosq();
        a.mov(rdi, rsp);
        a.mov(rsi, r8);
        a.call(Kernel.UserMemory.CopyIn);
        a.test(eax, eax);
        a.jnz(fail);

        // IRETQ to a non-canonical address faults in the kernel: refuse it here.
        a.mov(rax, MemoryMap.UserLimit);
        a.cmp(rbx, rax);
        a.jae(fail);
        a.mov(rdi, rbx);
        a.mov(rsi, rsp);
        a.mov(edx, ebp);
        a.call(Kernel.Tasks.Create);
        a.jmp(done);
        a.Here(ref fail);
        a.mov(rax, -1);
        a.Here(ref done);
        a.add(rsp, TaskLayout.CommandLineBytes);
        a.PopAll(rbx, rbp);
        a.ret();
    }

    /// <summary>EDI: task number. Leaves its record's address in the register, or goes to <paramref name="fail"/>.</summary>
    private void EmitFindTask(Assembler a, AssemblerRegister64 task, Label fail)
    {
        a.cmp(rdi, TaskLayout.Count);
        a.jae(fail);
        a.test(edi, edi);
        a.jz(fail);
        a.mov(task, rdi);
        a.shl(task, 10);
        a.add(task, (int)Kernel.Scheduler.Tasks);
        a.cmp(__dword_ptr[task + TaskLayout.State], (int)TaskState.Free);
        a.je(fail);
    }

    private void EmitWait(Assembler a)
    {
        Label again = a.CreateLabel();
        Label finished = a.CreateLabel();
        Label fail = a.CreateLabel();
        Label done = a.CreateLabel();
        a.PushAll(rbx, rbp);
        LoadCurrentTask(rbp);
        EmitFindTask(a, rbx, fail);
        a.cmp(__qword_ptr[rbx + TaskLayout.Parent], rbp);
        a.jne(fail);
        a.cmp(__dword_ptr[rbx + TaskLayout.Detached], 0);
        a.jne(fail);
        a.Here(ref again);
        a.cmp(__dword_ptr[rbx + TaskLayout.State], (int)TaskState.Finished);
        a.je(finished);
        a.cmp(__dword_ptr[rbp + TaskLayout.Killed], 0);
        a.jne(fail);
        a.mov(__qword_ptr[rbp + TaskLayout.WaitingFor], rbx);
        a.mov(__dword_ptr[rbp + TaskLayout.State], (int)TaskState.WaitingForTask);
        a.call(Kernel.Scheduler.Schedule);
        a.jmp(again);
        a.Here(ref finished);
        a.mov(__dword_ptr[rbx + TaskLayout.State], (int)TaskState.Free);
        a.mov(eax, __dword_ptr[rbx + TaskLayout.ExitCode]);
        a.jmp(done);
        a.Here(ref fail);
        a.mov(rax, -1);
        a.Here(ref done);
        a.PopAll(rbx, rbp);
        a.ret();
    }

    private void EmitTasks(Assembler a)
    {
        Label stop = a.CreateLabel();
        Label fail = a.CreateLabel();
        Label done = a.CreateLabel();
        a.PushAll(rbx, rbp, r12, r13);
        a.sub(rsp, TaskRecord.Bytes);
        a.mov(rbx, rdi);
        a.mov(rbp, rsi);
        a.xor(r12d, r12d);
        Kernel.Scheduler.ForEachTask(a, r13, skip =>
        {
            a.cmp(__dword_ptr[r13 + TaskLayout.State], (int)TaskState.Free);
            a.je(skip);
            a.cmp(r12, rbp);
            a.jae(stop);
            a.mov(eax, __dword_ptr[r13 + TaskLayout.Number]);
            a.mov(__dword_ptr[rsp + TaskRecord.Number], eax);
            a.mov(eax, __dword_ptr[r13 + TaskLayout.State]);
            a.mov(__dword_ptr[rsp + TaskRecord.State], eax);
            a.mov(rax, __qword_ptr[r13 + TaskLayout.CpuTime]);
            a.mov(__qword_ptr[rsp + TaskRecord.CpuTime], rax);
            a.mov(rax, __qword_ptr[r13 + TaskLayout.Preemptions]);
            a.mov(__qword_ptr[rsp + TaskRecord.Preemptions], rax);
            a.lea(rsi, __[r13 + TaskLayout.CommandLine]);
            a.lea(rdi, __[rsp + TaskRecord.CommandLine]);
            a.mov(ecx, TaskRecord.CommandLineBytes / 8);
            a.rep.movsq();
            a.mov(__byte_ptr[rsp + TaskRecord.CommandLine + TaskRecord.CommandLineBytes - 1], 0);
            a.mov(rdi, rbx);
            a.mov(rsi, rsp);
            a.mov(edx, TaskRecord.Bytes);
            a.call(Kernel.UserMemory.CopyOut);
            a.test(eax, eax);
            a.jnz(fail);
            a.add(rbx, TaskRecord.Bytes);
            a.inc(r12);
        });
        a.Here(ref stop);
        a.mov(rax, r12);
        a.jmp(done);
        a.Here(ref fail);
        a.mov(rax, -1);
        a.Here(ref done);
        a.add(rsp, TaskRecord.Bytes);
        a.PopAll(rbx, rbp, r12, r13);
        a.ret();
    }

    private void EmitKill(Assembler a)
    {
        Label fail = a.CreateLabel();
        a.cmp(rdi, ShellTask);
        a.je(fail);
        EmitFindTask(a, rcx, fail);
        a.mov(rdi, rcx);
        a.call(Kernel.Tasks.Kill);
        a.xor(eax, eax);
        a.ret();
        a.Here(ref fail);
        a.mov(rax, -1);
        a.ret();
    }
}
