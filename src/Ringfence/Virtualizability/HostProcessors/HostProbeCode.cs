using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Virtualizability.HostProcessors;

/// <summary>
/// The machine code of the child process. It installs its signal handler and its seccomp filter, writes an answer of zeros to say that it
/// is ready, and then for ever:
/// <list type="number">
/// <item>reads a request and the three areas from its standard input;</item>
/// <item>starts a timer of processor time, which ends an endless loop as SIGPROF;</item>
/// <item>loads segment registers, flags and general registers, and jumps far to the code under test, in 64-bit or in compatibility mode;</item>
/// <item>in the signal handler, which always runs in 64-bit mode, copies what the kernel saved, puts its own segments and stack back,
/// and writes the answer to its standard output. It never returns from the signal.</item>
/// </list>
/// It ends when its standard input ends, when a pipe breaks, and on signals that a process sent: those are no observation.
/// </summary>
internal sealed class HostProbeCode
{
    /// <summary>read.</summary>
    public const uint Read = 0;

    /// <summary>write.</summary>
    public const uint Write = 1;

    /// <summary>setitimer.</summary>
    public const uint SetTimer = 38;

    /// <summary>exit_group.</summary>
    public const uint ExitGroup = 231;

    private const uint RtSigaction = 13;
    private const uint RtSigprocmask = 14;
    private const uint SigAltStack = 131;
    private const uint Prctl = 157;
    private const uint SetLimit = 160;

    private const uint SetMask = 2, NoNewPrivileges = 38, SetSeccomp = 22, FilterMode = 2, CoreFile = 4, ProcessorTimer = 2;

    // ucontext_t: uc_mcontext begins with the general registers.
    private const int ContextRegistersInContext = 40;

    private readonly Assembler _assembler = new(64);
    private readonly HostProbeLayout _layout;
    private Label _answer;
    private Label _exit;
    private Label _handler;
    private Label _readAll;
    private Label _writeAll;
    private Label _next;

    private HostProbeCode(HostProbeLayout layout)
    {
        _layout = layout;
        _answer = _assembler.CreateLabel();
        _exit = _assembler.CreateLabel();
        _handler = _assembler.CreateLabel();
        _readAll = _assembler.CreateLabel();
        _writeAll = _assembler.CreateLabel();
        _next = _assembler.CreateLabel();
    }

    /// <summary>The signals that the handler takes: SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGPROF, SIGSYS.</summary>
    public static ReadOnlySpan<byte> Signals => [4, 5, 7, 8, 11, 27, 31];

    /// <summary>Assembles it. The first instruction is the entry point.</summary>
    /// <param name="layout">Where the areas lie.</param>
    /// <param name="address">Linear address of the first instruction.</param>
    /// <param name="handler">Linear address of the signal handler.</param>
    public static byte[] Assemble(HostProbeLayout layout, ulong address, out ulong handler)
    {
        var code = new HostProbeCode(layout);
        code.Start();
        code.Serve();
        code.Handle();
        code.Transfer(ref code._readAll, Read, 0);
        code.Transfer(ref code._writeAll, Write, 1);
        code.Exit();
        var bytes = new MemoryStream();
        AssemblerResult result = code._assembler.Assemble(new StreamCodeWriter(bytes), address, BlockEncoderOptions.ReturnNewInstructionOffsets);
        handler = result.GetLabelRIP(code._handler);
        return bytes.ToArray();
    }

    private static AssemblerMemoryOperand Word(int offset) => __qword_ptr[(ulong)HostProbeRecords.AddressOf(offset)];

    private void Start()
    {
        Assembler a = _assembler;
        a.mov(esp, HostProbeLayout.ProbeStacks + HostProbeLayout.ProbeStackBytes);
        Call(RtSigprocmask, SetMask, HostProbeRecords.AddressOf(HostProbeRecords.Zeros), 0, 8);
        Call(SigAltStack, HostProbeRecords.AddressOf(HostProbeRecords.SignalStack), 0);
        foreach (byte signal in Signals) Call(RtSigaction, signal, HostProbeRecords.AddressOf(HostProbeRecords.SignalAction), 0, 8);
        Call(SetLimit, CoreFile, HostProbeRecords.AddressOf(HostProbeRecords.Zeros));
        Call(Prctl, NoNewPrivileges, 1, 0, 0, 0);

        // From here on only what the filter allows.
        Call(Prctl, SetSeccomp, FilterMode, HostProbeRecords.AddressOf(HostProbeRecords.FilterProgram));
        a.jmp(_answer);
    }

    private void Serve()
    {
        Assembler a = _assembler;
        a.Label(ref _next);
        TransferAll(_readAll, HostProbeRecords.AddressOf(HostProbeRecords.Request), HostProbeRecords.RequestBytes);
        TransferAll(_readAll, _layout.Code, HostProbeLayout.AreaBytes);
        TransferAll(_readAll, _layout.Data, HostProbeLayout.AreaBytes);
        TransferAll(_readAll, _layout.Stack, HostProbeLayout.AreaBytes);
        Call(SetTimer, ProcessorTimer, HostProbeRecords.AddressOf(HostProbeRecords.TimerOn), 0);

        // A flat segment first: AMD's processors keep the base when a null selector is loaded.
        a.mov(eax, HostCase.FlatDataSelector);
        a.mov(fs, eax);
        a.mov(gs, eax);
        a.mov(fs, Word(HostProbeRecords.Fs));
        a.mov(gs, Word(HostProbeRecords.Gs));
        a.mov(ds, Word(HostProbeRecords.Ds));
        a.mov(es, Word(HostProbeRecords.Es));
        a.push(Word(HostProbeRecords.Flags));
        a.popfq();
        ReadOnlySpan<AssemblerRegister64> registers = [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15];
        for (int i = 0; i < registers.Length; i++) a.mov(registers[i], Word(HostProbeRecords.GeneralRegisters + (i * 8)));
        a.jmp(__fword_ptr[(ulong)HostProbeRecords.AddressOf(HostProbeRecords.Entry)]);
    }

    private void Handle()
    {
        // The signal in EDI, siginfo_t in RSI, ucontext_t in RDX. Alignment checks may be on, and the segments anything.
        Assembler a = _assembler;
        a.Label(ref _handler);
        a.push(2);
        a.popfq();
        a.cmp(__dword_ptr[rsi + HostProbeRecords.SignalCode], 0);
        a.jle(_exit);
        ReadOnlySpan<AssemblerRegisterSegment> segments = [ds, es, fs, gs];
        for (int i = 0; i < segments.Length; i++)
        {
            a.mov(eax, segments[i]);
            a.mov(Word(HostProbeRecords.Answer + HostProbeRecords.AnswerSegments + (i * 8)), rax);
        }

        a.mov(edi, HostProbeRecords.AddressOf(HostProbeRecords.Answer));
        a.mov(ecx, HostProbeRecords.SignalInformationBytes / 8);
        a.rep.movsq();
        a.lea(rsi, __[rdx + ContextRegistersInContext]);
        a.mov(ecx, HostProbeRecords.ContextWords);
        a.rep.movsq();
        a.xor(eax, eax);
        foreach (AssemblerRegisterSegment segment in segments) a.mov(segment, eax);
        a.mov(esp, HostProbeLayout.ProbeStacks + HostProbeLayout.ProbeStackBytes);
        Call(SetTimer, ProcessorTimer, HostProbeRecords.AddressOf(HostProbeRecords.Zeros), 0);

        a.Label(ref _answer);
        TransferAll(_writeAll, HostProbeRecords.AddressOf(HostProbeRecords.Answer), HostProbeRecords.AnswerBytes);
        TransferAll(_writeAll, _layout.Data, HostProbeLayout.AreaBytes);
        TransferAll(_writeAll, _layout.Stack, HostProbeLayout.AreaBytes);
        a.jmp(_next);
    }

    /// <summary>Reads or writes all of EDX bytes at RSI.</summary>
    private void Transfer(ref Label routine, uint systemCall, uint descriptor)
    {
        Assembler a = _assembler;
        a.Label(ref routine);
        a.mov(eax, systemCall);
        a.mov(edi, descriptor);
        a.syscall();
        a.test(rax, rax);
        a.jle(_exit);
        a.add(rsi, rax);
        a.sub(rdx, rax);
        a.jne(routine);
        a.ret();
    }

    private void Exit()
    {
        Assembler a = _assembler;
        a.Label(ref _exit);
        a.mov(eax, ExitGroup);
        a.xor(edi, edi);
        a.syscall();
        a.ud2();
    }

    private void TransferAll(Label routine, uint address, uint bytes)
    {
        _assembler.mov(esi, address);
        _assembler.mov(edx, bytes);
        _assembler.call(routine);
    }

    private void Call(uint number, params ReadOnlySpan<uint> arguments)
    {
        // System calls take their fourth argument in R10.
        ReadOnlySpan<AssemblerRegister32> registers = [edi, esi, edx, r10d, r8d];
        for (int i = 0; i < arguments.Length; i++) _assembler.mov(registers[i], arguments[i]);
        _assembler.mov(eax, number);
        _assembler.syscall();
        _assembler.test(rax, rax);
        _assembler.js(_exit);
    }
}
