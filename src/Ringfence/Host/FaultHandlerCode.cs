using System.Runtime.InteropServices;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Host;

/// <summary>
/// The machine code of a signal handler: <c>void handler(int signal, siginfo_t *, ucontext_t *)</c> for Linux x86-64. It
/// is not managed code because it must not care which thread it runs on, on which stack, and what the runtime is doing.
/// </summary>
/// <remarks>
/// In this order:
/// <list type="number">
/// <item>The processor raised the signal (si_code is positive) inside the arena: the fault goes into the thread's
/// <see cref="HostFault"/>, the interrupted context gets its <see cref="HostFault.Resume"/> as RIP, and the handler
/// returns. Nothing else of the context changes.</item>
/// <item>There was a handler before: it gets the same arguments on the same stack, and returns for us.</item>
/// <item>There was none: the default action comes back, and the instruction faults again. If the signal was sent (no
/// instruction will raise it again) it is sent once more, or forgotten if signals were ignored.</item>
/// </list>
/// Only registers that a function may change are used, no stack, no flags that anyone reads, and no vector registers.
/// </remarks>
internal static class FaultHandlerCode
{
    /// <summary>No handler is longer.</summary>
    public const int MaximumLength = 256;

    // siginfo_t
    private const int CodeInInformation = 8;
    private const int AddressInInformation = 16;

    // ucontext_t: uc_mcontext lies at 40, and its 17th word is REG_RIP.
    private const int InstructionPointerInContext = 40 + (16 * 8);

    private const int RtSigaction = 13;
    private const int GetProcessId = 39;
    private const int GetThreadId = 186;
    private const int SendToThread = 234;
    private const int KernelActionWords = 4;
    private const int KernelMaskBytes = 8;

    /// <summary>The handler's code.</summary>
    /// <param name="address">Where it will run.</param>
    /// <param name="arenaStart">First address of the code whose faults are redirected.</param>
    /// <param name="arenaLength">Its bytes.</param>
    /// <param name="gsOffset">Where <see cref="HostFault"/> lies from the GS base.</param>
    /// <param name="previous"><see cref="SignalAction.Handler"/> of the action it replaces.</param>
    public static byte[] Assemble(nuint address, nuint arenaStart, nuint arenaLength, int gsOffset, nint previous)
    {
        // System V: the signal in EDI, siginfo_t in RSI, ucontext_t in RDX.
        var assembler = new Assembler(64);
        Label others = assembler.CreateLabel();
        assembler.mov(rax, __[rdx + InstructionPointerInContext]);
        assembler.mov(rcx, (ulong)arenaStart);
        assembler.mov(r8, rax);
        assembler.sub(r8, rcx);
        assembler.mov(rcx, (ulong)arenaLength);
        assembler.cmp(r8, rcx);
        assembler.jae(others);
        assembler.cmp(__dword_ptr[rsi + CodeInInformation], 0);
        assembler.jle(others);

        assembler.mov(Field(nameof(HostFault.InstructionPointer)), rax);
        assembler.mov(rax, __[rsi + AddressInInformation]);
        assembler.mov(Field(nameof(HostFault.Address)), rax);
        assembler.mov(eax, edi);
        assembler.mov(Field(nameof(HostFault.Signal)), rax);
        assembler.mov(rax, Field(nameof(HostFault.Resume)));
        assembler.mov(__[rdx + InstructionPointerInContext], rax);
        assembler.ret();

        assembler.Label(ref others);
        if (previous is SignalAction.Default or SignalAction.Ignore)
        {
            FallBack(assembler, previous == SignalAction.Ignore);
        }
        else
        {
            assembler.mov(rax, (ulong)previous);
            assembler.jmp(rax);
        }

        var bytes = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(bytes), address);
        return bytes.ToArray();

        AssemblerMemoryOperand Field(string name) => __qword_ptr.gs[(long)gsOffset + Marshal.OffsetOf<HostFault>(name)];
    }

    private static void FallBack(Assembler assembler, bool ignored)
    {
        Label done = assembler.CreateLabel();
        Label defaultAction = assembler.CreateLabel();

        assembler.mov(r8d, __dword_ptr[rsi + CodeInInformation]);
        if (ignored)
        {
            // The kernel lets nobody ignore what the processor raises: it is the default action there, too.
            assembler.test(r8d, r8d);
            assembler.jle(done);
        }

        // rt_sigaction(signal, default, null, 8). System calls change RAX, RCX and R11.
        assembler.lea(rsi, __[defaultAction]);
        assembler.xor(edx, edx);
        assembler.mov(r10d, KernelMaskBytes);
        assembler.mov(eax, RtSigaction);
        assembler.syscall();
        if (!ignored)
        {
            // tgkill(getpid(), gettid(), signal): the signal is blocked until we return.
            assembler.test(r8d, r8d);
            assembler.jg(done);
            assembler.mov(edx, edi);
            assembler.mov(eax, GetProcessId);
            assembler.syscall();
            assembler.mov(edi, eax);
            assembler.mov(eax, GetThreadId);
            assembler.syscall();
            assembler.mov(esi, eax);
            assembler.mov(eax, SendToThread);
            assembler.syscall();
        }

        assembler.Label(ref done);
        assembler.ret();
        assembler.Label(ref defaultAction);
        for (int i = 0; i < KernelActionWords; i++) assembler.dq(0UL);
    }
}
