using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Guests.Kernel;

/// <summary>
/// Exceptions. A user program that causes one is reported and ended; the system goes on. In the kernel only the copy from
/// or to user memory may fault; any other exception there stops the system.
/// </summary>
internal sealed class Faults(KernelCode kernel) : KernelPart(kernel)
{
    public const int ExitCodeBase = 128;
    private const int PageFaultVector = 14;
    private const int ErrorPresent = 1, ErrorWrite = 2, ErrorFetch = 16;

    private static readonly string[] Names =
    [
        "#DE divide error", "#DB debug exception", "NMI", "#BP breakpoint", "#OF overflow", "#BR bound range exceeded",
        "#UD invalid opcode", "#NM device not available", "#DF double fault", "coprocessor segment overrun", "#TS invalid TSS",
        "#NP segment not present", "#SS stack-segment fault", "#GP general protection", "#PF page fault", "vector 15",
        "#MF x87 floating-point error", "#AC alignment check", "#MC machine check", "#XM SIMD floating-point exception",
        "#VE virtualization exception", "#CP control protection exception", "vector 22", "vector 23", "vector 24", "vector 25",
        "vector 26", "vector 27", "vector 28", "vector 29", "vector 30", "vector 31",
    ];

    private readonly ulong _names = kernel.Code.Constants.Reserve(Interrupts.ExceptionCount * 8);

    /// <summary>RDI: trap frame. Returns if the interrupted code can go on.</summary>
    public Routine Handle { get; } = kernel.Code.Routine("fault_handle");

    /// <summary>RDI: trap frame. Reports and halts for ever.</summary>
    public Routine Panic { get; } = kernel.Code.Routine("fault_panic");

    private Routine Report { get; } = kernel.Code.Routine("fault_report");

    /// <inheritdoc/>
    public override void Emit()
    {
        Assembler a = Kernel.Assembler;
        for (int i = 0; i < Names.Length; i++)
            Kernel.Code.Constants.WriteUInt64(_names + (ulong)(i * 8), Kernel.Code.Constants.Text(Names[i]));
        EmitHandle(a);
        EmitReport(a);
    }

    private void EmitHandle(Assembler a)
    {
        Label inKernel = a.CreateLabel();
        Label halt = a.CreateLabel();
        a.Here(Handle);
        a.test(__byte_ptr[rdi + TrapFrame.Cs], 3);
        a.jz(inKernel);
        a.mov(rbx, rdi);
        a.inc(__qword_ptr[Kernel.SystemCalls.Counters + SystemRecord.Faults]);
        Print("\n");
        LoadCurrentTask(rdi);
        a.add(rdi, TaskLayout.CommandLine);
        a.call(Kernel.Console.PutString);
        Print(" (task ");
        LoadCurrentTask(rdi);
        a.mov(edi, __dword_ptr[rdi + TaskLayout.Number]);
        a.call(Kernel.Console.PutDecimal);
        Print(") was stopped: ");
        a.mov(rdi, rbx);
        a.call(Report);
        a.mov(edi, __dword_ptr[rbx + TrapFrame.Vector]);
        a.add(edi, ExitCodeBase);
        a.call(Kernel.Tasks.Exit);

        a.Here(ref inKernel);
        a.cmp(__dword_ptr[rdi + TrapFrame.Vector], PageFaultVector);
        a.jne(Panic);
        a.lea(rax, __[Kernel.UserMemory.CopyInstruction.Label]);
        a.cmp(__qword_ptr[rdi + TrapFrame.Rip], rax);
        a.jne(Panic);
        a.lea(rax, __[Kernel.UserMemory.CopyFailed.Label]);
        a.mov(__qword_ptr[rdi + TrapFrame.Rip], rax);
        a.ret();

        a.Here(Panic);
        a.cli();
        a.mov(rbx, rdi);
        Print("\nkernel panic: ");
        a.mov(rdi, rbx);
        a.call(Report);
        Print("The system is halted.\n");
        a.Here(ref halt);
        a.cli();
        a.hlt();
        a.jmp(halt);
    }

    private void EmitReport(Assembler a)
    {
        Label notPageFault = a.CreateLabel();
        a.Here(Report);
        a.PushAll(rbx);
        a.mov(rbx, rdi);
        a.mov(eax, __dword_ptr[rbx + TrapFrame.Vector]);
        a.mov(rdi, __qword_ptr[(rax * 8) + (long)_names]);
        a.call(Kernel.Console.PutString);
        Print(", vector ");
        a.mov(edi, __dword_ptr[rbx + TrapFrame.Vector]);
        a.call(Kernel.Console.PutDecimal);
        Print(", error code ");
        PrintField(a, TrapFrame.ErrorCode);
        Print("\n");

        a.cmp(__dword_ptr[rbx + TrapFrame.Vector], PageFaultVector);
        a.jne(notPageFault);
        PrintChoice(a, ErrorFetch, "  instruction fetch", "  data access");
        PrintChoice(a, ErrorWrite, " (write)", "");
        Print(" at cr2 ");
        a.mov(rdi, cr2);
        a.call(Kernel.Console.PutHexadecimal);
        PrintChoice(a, ErrorPresent, ": the page does not allow it\n", ": there is no page\n");
        a.Here(ref notPageFault);
        foreach ((string name, int offset) in new[]
        {
            ("  rip ", TrapFrame.Rip), (" cs ", TrapFrame.Cs), (" rsp ", TrapFrame.Rsp), (" ss ", TrapFrame.Ss), (" rflags ", TrapFrame.Rflags),
        })
        {
            Print(name);
            PrintField(a, offset);
        }

        int column = 0;
        foreach ((string name, int offset) in TrapFrame.Names)
        {
            Print((column++ % 5 == 0 ? "\n  " : " ") + name + " ");
            PrintField(a, offset);
        }

        Print("\n");
        a.PopAll(rbx);
        a.ret();
    }

    private void PrintField(Assembler a, int offset)
    {
        a.mov(rdi, __qword_ptr[rbx + offset]);
        a.call(Kernel.Console.PutHexadecimal);
    }

    private void PrintChoice(Assembler a, int errorBit, string set, string clear)
    {
        Label isClear = a.CreateLabel();
        Label done = a.CreateLabel();
        a.test(__byte_ptr[rbx + TrapFrame.ErrorCode], errorBit);
        a.jz(isClear);
        Print(set);
        a.jmp(done);
        a.Here(ref isClear);
        if (clear.Length != 0) Print(clear);
        a.Here(ref done);
        a.nop();
    }
}
