using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Guests.Kernel;

/// <summary>
/// Who runs. Ready tasks take turns; the timer ends a turn after a quantum if another task is ready, and rings earlier if a
/// sleeper is to wake. Task 0 is the idle task: the kernel's own, run when no other is ready; it halts the processor.
/// </summary>
internal sealed class Scheduler(KernelCode kernel) : KernelPart(kernel)
{
    public const int QuantumMicroseconds = 10_000;
    private readonly ulong _lastSwitch = kernel.Zeroed.Reserve(8);

    /// <summary>The records of all tasks; the first one is the idle task's.</summary>
    public ulong Tasks { get; } = kernel.Zeroed.Reserve(TaskLayout.Bytes * TaskLayout.Count, 64);

    /// <summary>Not 0: another task may deserve the processor; looked at before user mode is entered.</summary>
    public ulong NeedsSchedule { get; } = kernel.Zeroed.Reserve(8);

    /// <summary>Not 0 while the timer is the reason for a switch.</summary>
    public ulong IsPreempting { get; } = kernel.Zeroed.Reserve(8);

    /// <summary>The idle task's loop; never returns.</summary>
    public Routine Idle { get; } = kernel.Code.Routine("scheduler_idle");

    /// <summary>Gives the processor to the next task; returns when the caller has it again.</summary>
    public Routine Schedule { get; } = kernel.Code.Routine("scheduler_schedule");

    /// <summary>Makes sleepers ready whose time has come.</summary>
    public Routine WakeSleepers { get; } = kernel.Code.Routine("scheduler_wake_sleepers");

    /// <summary>Makes those ready that wait for input. Changes RAX.</summary>
    public Routine WakeReaders { get; } = kernel.Code.Routine("scheduler_wake_readers");

    public Routine TimerInterrupt { get; } = kernel.Code.Routine("scheduler_timer_interrupt");

    private Routine ArmTimer { get; } = kernel.Code.Routine("scheduler_arm_timer");

    private ulong TasksEnd => Tasks + (TaskLayout.Bytes * TaskLayout.Count);

    /// <inheritdoc/>
    public override void Emit()
    {
        Assembler a = Kernel.Assembler;
        EmitIdle(a);
        EmitSchedule(a);
        EmitWake(a);
        EmitArmTimer(a);

        a.Here(TimerInterrupt);
        a.inc(__qword_ptr[Kernel.SystemCalls.Counters + SystemRecord.TimerInterrupts]);
        a.mov(__dword_ptr[NeedsSchedule], 1);
        a.mov(__dword_ptr[IsPreempting], 1);
        a.ret();
    }

    /// <summary>
    /// STI takes effect after the next instruction, so no interrupt can come between the last look at the tasks and HLT
    /// (Intel SDM 2B, STI).
    /// </summary>
    private void EmitIdle(Assembler a)
    {
        Label again = a.CreateLabel();
        Label haveShell = a.CreateLabel();
        a.Here(Idle);
        a.mov(rbx, (long)Tasks);
        a.mov(__qword_ptr.gs[ProcessorTables.CurrentTask], rbx);
        a.mov(__dword_ptr[rbx + TaskLayout.State], (int)TaskState.Ready);
        a.mov(rax, (long)ProcessorTables.StackTop(0));
        a.mov(__qword_ptr[rbx + TaskLayout.KernelStackTop], rax);
        a.mov(eax, MemoryMap.ToPhysical(Kernel.Processor.PageMap));
        a.mov(__qword_ptr[rbx + TaskLayout.Cr3], rax);
        a.Here(ref again);
        a.cli();
        a.cmp(__dword_ptr[Tasks + TaskLayout.Bytes + TaskLayout.State], (int)TaskState.Free);
        a.jne(haveShell);
        a.mov(rdi, (long)Kernel.ShellAddress);
        a.mov(rsi, (long)Kernel.Tasks.ShellCommandLine);
        a.mov(edx, 1);
        a.call(Kernel.Tasks.Create);
        a.Here(ref haveShell);
        a.call(Schedule);
        a.sti();
        a.hlt();
        a.jmp(again);
    }

    private void EmitSchedule(Assembler a)
    {
        Label next = a.CreateLabel();
        Label inRange = a.CreateLabel();
        Label found = a.CreateLabel();
        Label voluntary = a.CreateLabel();
        Label sameSpace = a.CreateLabel();
        Label done = a.CreateLabel();
        a.Here(Schedule);
        a.PushAll(rbx, rbp, r12, r13, r14, r15);
        LoadCurrentTask(rbx);
        a.call(WakeSleepers);
        a.mov(__dword_ptr[NeedsSchedule], 0);
        a.rdtsc();
        a.shl(rdx, 32);
        a.or(rax, rdx);
        a.mov(rcx, rax);
        a.xchg(__qword_ptr[_lastSwitch], rcx);
        a.sub(rax, rcx);
        a.add(__qword_ptr[rbx + TaskLayout.CpuTime], rax);

        a.mov(rbp, rbx);
        a.mov(ecx, TaskLayout.Count - 1);
        a.Here(ref next);
        a.add(rbp, TaskLayout.Bytes);
        a.cmp(rbp, (int)TasksEnd);
        a.jb(inRange);
        a.mov(rbp, (long)(Tasks + TaskLayout.Bytes));
        a.Here(ref inRange);
        a.cmp(__dword_ptr[rbp + TaskLayout.State], (int)TaskState.Ready);
        a.je(found);
        a.dec(ecx);
        a.jnz(next);
        a.mov(rbp, (long)Tasks);
        a.Here(ref found);
        a.call(ArmTimer);
        a.xor(ecx, ecx);
        a.xchg(__dword_ptr[IsPreempting], ecx);
        a.cmp(rbp, rbx);
        a.je(done);

        a.test(ecx, ecx);
        a.jz(voluntary);
        a.inc(__qword_ptr[rbx + TaskLayout.Preemptions]);
        a.Here(ref voluntary);
        a.inc(__qword_ptr[Kernel.SystemCalls.Counters + SystemRecord.TaskSwitches]);
        a.fxsave64(__[rbx + TaskLayout.FloatingPoint]);
        a.mov(__qword_ptr[rbx + TaskLayout.KernelRsp], rsp);
        a.mov(rsp, __qword_ptr[rbp + TaskLayout.KernelRsp]);
        a.mov(__qword_ptr.gs[ProcessorTables.CurrentTask], rbp);
        a.mov(rax, __qword_ptr[rbp + TaskLayout.KernelStackTop]);
        a.mov(__qword_ptr.gs[ProcessorTables.KernelStackTop], rax);
        a.mov(__qword_ptr[Kernel.Processor.Tss + 4], rax); // RSP0: where interrupts of user mode go
        a.mov(rax, __qword_ptr[rbp + TaskLayout.Cr3]);
        a.mov(rcx, cr3);
        a.cmp(rax, rcx);
        a.je(sameSpace);
        a.mov(cr3, rax);
        a.Here(ref sameSpace);
        a.fxrstor64(__[rbp + TaskLayout.FloatingPoint]);
        a.Here(ref done);
        a.PopAll(rbx, rbp, r12, r13, r14, r15);
        a.ret();
    }

    private void EmitWake(Assembler a)
    {
        a.Here(WakeSleepers);
        a.call(Kernel.Clock.Now);
        ForEachTask(a, rcx, skip =>
        {
            a.cmp(__dword_ptr[rcx + TaskLayout.State], (int)TaskState.Sleeping);
            a.jne(skip);
            a.cmp(rax, __qword_ptr[rcx + TaskLayout.WakeTime]);
            a.jb(skip);
            a.mov(__dword_ptr[rcx + TaskLayout.State], (int)TaskState.Ready);
        });
        a.ret();

        a.Here(WakeReaders);
        ForEachTask(a, rax, skip =>
        {
            a.cmp(__dword_ptr[rax + TaskLayout.State], (int)TaskState.WaitingForInput);
            a.jne(skip);
            a.mov(__dword_ptr[rax + TaskLayout.State], (int)TaskState.Ready);
            a.mov(__dword_ptr[NeedsSchedule], 1);
        });
        a.ret();
    }

    /// <summary>RBP: the task that runs next.</summary>
    private void EmitArmTimer(Assembler a)
    {
        Label arm = a.CreateLabel();
        a.Here(ArmTimer);
        a.call(Kernel.Clock.Now);
        a.mov(rdi, -1);
        ForEachTask(a, rcx, skip =>
        {
            Label ready = a.CreateLabel();
            a.cmp(__dword_ptr[rcx + TaskLayout.State], (int)TaskState.Ready);
            a.je(ready);
            a.cmp(__dword_ptr[rcx + TaskLayout.State], (int)TaskState.Sleeping);
            a.jne(skip);
            a.mov(rdx, __qword_ptr[rcx + TaskLayout.WakeTime]);
            a.cmp(rdx, rdi);
            a.cmovb(rdi, rdx);
            a.jmp(skip);
            a.Here(ref ready);
            a.cmp(rcx, rbp);
            a.je(skip);
            a.lea(rdx, __[rax + QuantumMicroseconds]);
            a.cmp(rdx, rdi);
            a.cmovb(rdi, rdx);
        });
        a.cmp(rdi, -1);
        a.je(arm);
        a.sub(rdi, rax);
        a.jae(arm);
        a.xor(edi, edi);
        a.Here(ref arm);
        a.jmp(Kernel.Clock.Arm);
    }

    /// <summary>Emits a loop over all tasks but the idle one.</summary>
    /// <param name="a">Assembler.</param>
    /// <param name="task">Register with the task's address.</param>
    /// <param name="body">Emits the body; gets the label that goes on with the next task.</param>
    public void ForEachTask(Assembler a, AssemblerRegister64 task, Action<Label> body)
    {
        Label next = a.CreateLabel();
        Label skip = a.CreateLabel();
        a.mov(task, (long)(Tasks + TaskLayout.Bytes));
        a.Here(ref next);
        body(skip);
        a.Here(ref skip);
        a.add(task, TaskLayout.Bytes);
        a.cmp(task, (int)TasksEnd);
        a.jb(next);
    }
}
