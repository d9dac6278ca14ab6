using Iced.Intel;
using Ringfence.Guests.Kernel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Guests.UserMode;

/// <summary>The shell's own commands.</summary>
internal sealed class ShellCommands : UserPart
{
    private const string HelpText =
        """
        help             this list
        primes N         counts the primes below N by trial division
        pi N             adds up N terms of a series for pi (SSE2)
        sleep S          sleeps S seconds
        demo             two programs share the processor, preempted by the timer
        spin             runs for ever; end it with Ctrl-C
        calls N          makes N system calls and tells what one costs
        pointers         gives the kernel bad pointers; it refuses them
        crash [KIND]     does what a program may not; the system survives
                         KIND: write read null text execute divide opcode privileged
                         port canonical stack interrupt breakpoint step align float x87
        tasks            what runs
        kill N           ends task N
        mem              memory
        uptime           time and counts since the start
        cpuid            what the processor says about itself
        echo TEXT        prints TEXT
        panic            overflows the kernel's stack: #DF, the system halts
        exit N           leaves through the debug exit port with value N
        reboot           resets the machine
        poweroff         turns the machine off
        A program's line may end with & : the shell then does not wait for it.

        """;

    private const int MostTasks = 16;
    private readonly List<(string Name, Action<Assembler> Emit)> _commands;

    public ShellCommands(UserCode user)
        : base(user)
    {
        _commands =
        [
            ("help", _ => Print(HelpText)), ("echo", EmitEcho), ("tasks", EmitTasks), ("ps", EmitTasks), ("kill", EmitKill),
            ("mem", EmitMemory), ("uptime", EmitUptime), ("panic", a => EmitShutdown(a, 3)), ("exit", EmitExit),
            ("reboot", a => EmitShutdown(a, 1)), ("poweroff", EmitPowerOff),
        ];
        All = [.. _commands.Select(command => (command.Name, user.Code.Routine("command_" + command.Name)))];
    }

    /// <summary>Names with handlers; a handler gets its arguments' text in RDI.</summary>
    public (string Name, Routine Handler)[] All { get; }

    /// <inheritdoc/>
    public override void Emit()
    {
        Assembler a = User.Assembler;
        for (int i = 0; i < All.Length; i++)
        {
            a.Here(All[i].Handler);
            a.PushAll(rbx, rbp, r12);
            _commands[i].Emit(a);
            a.PopAll(rbx, rbp, r12);
            a.ret();
        }
    }

    private void EmitEcho(Assembler a)
    {
        a.call(User.Library.PutString);
        Print("\n");
    }

    private void EmitTasks(Assembler a)
    {
        string[] states = ["free", "ready", "sleeping", "reading", "waiting", "finished"];
        ulong names = User.Code.Constants.Reserve(states.Length * 8);
        for (int i = 0; i < states.Length; i++)
            User.Code.Constants.WriteUInt64(names + (ulong)(i * 8), User.Code.Constants.Text(states[i].PadRight(10)));

        Label next = a.CreateLabel();
        Label done = a.CreateLabel();
        a.mov(edi, Shell.Buffer);
        SystemCall(SystemCallNumber.Information);
        a.mov(r12, __qword_ptr[Shell.Buffer + SystemRecord.TscFrequency]);
        Print("task  state     CPU ms  preempted  command\n");
        a.mov(edi, Shell.Buffer);
        a.mov(esi, MostTasks);
        SystemCall(SystemCallNumber.Tasks);
        a.mov(ebp, eax);
        a.mov(ebx, Shell.Buffer);
        a.Here(ref next);
        a.sub(ebp, 1);
        a.jb(done);
        a.mov(edi, __dword_ptr[rbx + TaskRecord.Number]);
        PutColumn(a, 4);
        Print("  ");
        a.mov(edi, __dword_ptr[rbx + TaskRecord.State]);
        a.mov(rdi, __qword_ptr[(rdi * 8) + (long)names]);
        a.call(User.Library.PutString);
        a.mov(rax, __qword_ptr[rbx + TaskRecord.CpuTime]);
        a.mov(ecx, 1000);
        a.mul(rcx);
        a.div(r12);
        a.mov(rdi, rax);
        PutColumn(a, 6);
        a.mov(rdi, __qword_ptr[rbx + TaskRecord.Preemptions]);
        PutColumn(a, 11);
        Print("  ");
        a.lea(rdi, __[rbx + TaskRecord.CommandLine]);
        a.call(User.Library.PutString);
        Print("\n");
        a.add(ebx, TaskRecord.Bytes);
        a.jmp(next);
        a.Here(ref done);
        a.nop();
    }

    private void PutColumn(Assembler a, int width)
    {
        a.mov(esi, width);
        a.mov(edx, ' ');
        a.call(User.Library.PutPadded);
    }

    private void EmitKill(Assembler a)
    {
        Label bad = a.CreateLabel();
        Label done = a.CreateLabel();
        a.call(User.Library.ParseNumber);
        a.test(edx, edx);
        a.jz(bad);
        a.mov(rdi, rax);
        SystemCall(SystemCallNumber.Kill);
        a.test(rax, rax);
        a.jns(done);
        a.Here(ref bad);
        Print("There is no such task to end.\n");
        a.Here(ref done);
        a.nop();
    }

    private void EmitMemory(Assembler a)
    {
        a.mov(edi, Shell.Buffer);
        SystemCall(SystemCallNumber.Information);
        Print("memory ");
        a.mov(rax, __qword_ptr[Shell.Buffer + SystemRecord.Memory]);
        a.shr(rax, 10);
        PrintNumber();
        Print(" KiB, page frames ");
        PutField(a, SystemRecord.Frames);
        Print(", free ");
        PutField(a, SystemRecord.FreeFrames);
        Print(", used ");
        a.mov(rax, __qword_ptr[Shell.Buffer + SystemRecord.Frames]);
        a.sub(rax, __qword_ptr[Shell.Buffer + SystemRecord.FreeFrames]);
        PrintNumber();
        Print("\n");
    }

    private void EmitUptime(Assembler a)
    {
        Print("up ");
        SystemCall(SystemCallNumber.Uptime);
        a.mov(rdi, rax);
        a.call(User.Library.PutSeconds);
        Print(" s\n");
        a.mov(edi, Shell.Buffer);
        SystemCall(SystemCallNumber.Information);
        foreach ((string name, int field) in new[]
        {
            ("timer interrupts    ", SystemRecord.TimerInterrupts), ("\nserial interrupts   ", SystemRecord.SerialInterrupts),
            ("\nsystem calls        ", SystemRecord.SystemCalls), ("\ntask switches       ", SystemRecord.TaskSwitches),
            ("\nfaults of programs  ", SystemRecord.Faults), ("\nTSC frequency       ", SystemRecord.TscFrequency),
            (" Hz\nAPIC timer          ", SystemRecord.ApicFrequency),
        })
        {
            Print(name);
            PutField(a, field);
        }

        Print(" Hz\n");
    }

    private void PutField(Assembler a, int field)
    {
        a.mov(rax, __qword_ptr[Shell.Buffer + field]);
        PrintNumber();
    }

    private void EmitShutdown(Assembler a, int kind)
    {
        a.mov(edi, kind);
        SystemCall(SystemCallNumber.Shutdown);
    }

    private void EmitPowerOff(Assembler a)
    {
        Print("Powering off.\n");
        EmitShutdown(a, 0);
    }

    private void EmitExit(Assembler a)
    {
        a.call(User.Library.ParseNumber);
        a.mov(rsi, rax);
        EmitShutdown(a, 2);
    }
}
