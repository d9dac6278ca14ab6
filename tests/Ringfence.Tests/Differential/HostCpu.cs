using Iced.Intel;
using Ringfence.Host;
using Ringfence.Tests.Host;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Differential;

/// <summary>
/// Executes single instructions on the host's own processor: a stub saves the runtime's registers, loads a case's, jumps to the
/// instruction and saves everything behind it. Code is mapped twice, writable here and executable there.
/// <para>
/// Faults come as signals. The handler is machine code: when the interrupted instruction lies in our map it notes vector, error code and
/// address, and resumes at the saving part of the stub; otherwise it jumps to the handler it replaced. Where that one wants the
/// interrupted stack and the fault is not one of translated code (whose redirection needs none: the runtime's handler does), it puts it
/// back and lets the fault happen again; <see cref="Run"/> then replaces it anew.
/// It runs on the thread's alternate stack, and every other signal is blocked while the case's RSP is loaded,
/// so that nothing but the instruction touches the case's stack.
/// </para>
/// <para>
/// One instance at a time in a process; used by one thread. Its memory stays when it is disposed of, for the next: other threads
/// may be in the handler.
/// </para>
/// </summary>
internal sealed unsafe class HostCpu : IDisposable
{
    // Offsets in the control block.
    private const uint HostRsp = 0x00;
    private const uint Target = 0x08;
    private const uint BlockedSignals = 0x10;
    private const uint OldSignals = 0x18;
    private const uint ExitKind = 0x20;
    private const uint FaultVector = 0x28;
    private const uint FaultError = 0x30;
    private const uint FaultAddress = 0x38;
    private const uint FaultRip = 0x40;
    private const uint FarTarget = 0x48;
    private const uint LostHandler = 0x50;
    private const uint ReplacedActions = 0x3000;
    private const uint HostFx = 0x400;
    private const uint StackTop = 0xff0;
    private const uint In = 0x1000;
    private const uint Out = 0x2000 + 0x100;

    // Exit kinds.
    private const int FellThrough = 1;
    private const int Branched = 2;
    private const int Faulted = 3;

    // Places in Linux's ucontext: general registers, then RIP, flags, CS, error code, trap number, old mask, CR2.
    private const int ContextRip = 168;
    private const int ContextSegments = 184;
    private const int ContextError = 192;
    private const int ContextTrap = 200;
    private const int ContextFaultAddress = 216;

    private static HostCpu? _parked;

    private static readonly int[] FaultSignals = [4, 5, 7, 8, 11];  // ILL, TRAP, BUS, FPE, SEGV

    private readonly byte* _codeWriter;
    private readonly byte* _base;
    private readonly ulong _handler;
    private readonly ulong _save;
    private readonly delegate* unmanaged<void> _enter;
    private ulong _fallThrough;
    private ulong _branchTarget;
    private bool _disposed;

    private HostCpu(byte* address)
    {
        _base = address;
        const int ReadWrite = NativeMemoryMap.ProtectRead | NativeMemoryMap.ProtectWrite;
        const int ReadExecute = NativeMemoryMap.ProtectRead | NativeMemoryMap.ProtectExecute;
        _codeWriter = MapTwice(TestMap.Code, TestMap.CodeBytes, ReadExecute);
        byte* stubWriter = MapTwice(TestMap.Stub, 0x1000, ReadExecute);
        MapOnce(TestMap.Control, TestMap.ControlBytes, ReadWrite);
        MapOnce(TestMap.Data, 0x2000, ReadWrite);
        MapOnce(TestMap.Edge, 0x2000, ReadWrite);
        MapOnce(TestMap.ReadOnly, 0x1000, NativeMemoryMap.ProtectRead);
        MapOnce(TestMap.Stack, 0x2000, ReadWrite);

        // Present, so that a write to it is a violation of rights and not of presence.
        _ = Volatile.Read(ref _base[TestMap.ReadOnly]);

        (byte[] stub, ulong enter, _save, _handler) = AssembleStub();
        stub.CopyTo(new Span<byte>(stubWriter, 0x1000));
        _enter = (delegate* unmanaged<void>)enter;
        ulong blocked = ulong.MaxValue;
        foreach (int signal in FaultSignals) blocked &= ~(1UL << (signal - 1));
        *(ulong*)(_base + TestMap.Control + BlockedSignals) = blocked;

        // Its handlers stay for good: they must be among those we replace and put back, not the other way around.
        FaultRedirection.Install(FaultBlock.GsOffset);
        InstallHandlers();
    }

    /// <summary>Can this host execute cases?</summary>
    public static bool IsSupported =>
        OperatingSystem.IsLinux() && System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture == System.Runtime.InteropServices.Architecture.X64;

    /// <summary>First address of <see cref="TestMap"/>.</summary>
    public ulong Base => (ulong)_base;

    /// <summary>Maps the memory and installs the signal handlers.</summary>
    public static HostCpu Create()
    {
        if (Interlocked.Exchange(ref _parked, null) is { } parked)
        {
            parked.Revive();
            return parked;
        }

        // The first is free in every run seen, so that addresses, and with them cases, are the same in every run.
        for (nuint address = 0x2000_0000; address < 0x7000_0000; address += 0x100_0000)
            if (HostCalls.TryReserveAt(address, TestMap.Length)) return new HostCpu((byte*)address);
        throw new InvalidOperationException("No room below 2 GiB for the differential test.");
    }

    /// <summary>
    /// Places an instruction. <paramref name="branchTarget"/> is where it may branch to (offset in the code, behind the
    /// instruction and far enough from it for the code that leaves), or 0.
    /// </summary>
    public void SetCode(uint offset, ReadOnlySpan<byte> instruction, uint branchTarget, int bitness)
    {
        new Span<byte>(_codeWriter, (int)TestMap.CodeBytes).Fill(0xcc);
        instruction.CopyTo(new Span<byte>(_codeWriter + offset, instruction.Length));
        uint end = offset + (uint)instruction.Length;
        _fallThrough = Base + end;
        WriteExit(end, FellThrough, bitness);
        _branchTarget = 0;
        if (branchTarget != 0)
        {
            _branchTarget = Base + branchTarget;
            WriteExit(branchTarget, Branched, bitness);
        }

        byte* control = _base + TestMap.Control;
        *(ulong*)(control + Target) = Base + offset;
        *(uint*)(control + FarTarget) = (uint)(Base + offset);
        *(ushort*)(control + FarTarget + 4) = (ushort)(bitness == 64 ? 0x33 : 0x23);
    }

    /// <summary>Executes the instruction once.</summary>
    public void Run(in CpuImage before, out CpuImage after)
    {
        byte* control = _base + TestMap.Control;
        if (*(int*)(control + LostHandler) != 0) InstallHandlers();
        fixed (CpuImage* image = &before)
        {
            Buffer.MemoryCopy(image, control + In, sizeof(CpuImage) - TestMap.WindowBytes, sizeof(CpuImage) - TestMap.WindowBytes);
            foreach ((uint start, int length, int imageOffset) in TestMap.Windows)
                Buffer.MemoryCopy(image->Memory + imageOffset, _base + start, length, length);
        }

        _enter();

        fixed (CpuImage* image = &after)
        {
            Buffer.MemoryCopy(control + Out, image, sizeof(CpuImage) - TestMap.WindowBytes, sizeof(CpuImage) - TestMap.WindowBytes);
            foreach ((uint start, int length, int imageOffset) in TestMap.Windows)
                Buffer.MemoryCopy(_base + start, image->Memory + imageOffset, length, length);
            image->Vector = CpuImage.NoFault;
            image->ErrorCode = image->FaultAddress = 0;
            switch (*(int*)(control + ExitKind))
            {
                case FellThrough:
                    image->Rip = _fallThrough;
                    break;
                case Branched:
                    image->Rip = _branchTarget;
                    break;
                default:
                    image->Rip = *(ulong*)(control + FaultRip);
                    image->Vector = *(long*)(control + FaultVector);
                    image->ErrorCode = *(ulong*)(control + FaultError);
                    if (image->Vector == 14) image->FaultAddress = *(ulong*)(control + FaultAddress);
                    break;
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        foreach (int signal in FaultSignals) HostCalls.SetSignalAction(signal, (SignalAction*)ReplacedAction(signal), null);
        _parked = this;
    }

    /// <summary>Begins again with the memory of a new instance.</summary>
    private void Revive()
    {
        _disposed = false;
        new Span<byte>(_base + TestMap.Data, 0x2000).Clear();
        new Span<byte>(_base + TestMap.Edge, 0x2000).Clear();
        new Span<byte>(_base + TestMap.Stack, 0x2000).Clear();
        InstallHandlers();
    }

    private byte* MapTwice(uint offset, uint length, int protection)
    {
        int file = NativeMemoryMap.CreateFile("differential", length);
        NativeMemoryMap.MapFile(_base + offset, length, protection, file, 0);
        byte* writer = NativeMemoryMap.MapFile(null, length, NativeMemoryMap.ProtectRead | NativeMemoryMap.ProtectWrite, file, 0);
        NativeMemoryMap.CloseFile(file);
        return writer;
    }

    private void MapOnce(uint offset, uint length, int protection)
    {
        int file = NativeMemoryMap.CreateFile("differential", length);
        NativeMemoryMap.MapFile(_base + offset, length, protection, file, 0);
        NativeMemoryMap.CloseFile(file);
    }

    /// <summary>mov dword [exit kind], kind; jump to the saving part (far, from 32-bit code).</summary>
    private void WriteExit(uint offset, int kind, int bitness)
    {
        Assembler a = new(bitness);
        uint control = (uint)Base + TestMap.Control;
        a.mov(__dword_ptr[control + ExitKind], kind);
        if (bitness == 64) a.jmp(_save);
        else a.AddInstruction(Instruction.CreateBranch(Code.Jmp_ptr1632, 0x33, (uint)_save));
        MemoryStream stream = new();
        a.Assemble(new StreamCodeWriter(stream), Base + offset);
        byte[] bytes = stream.ToArray();
        bytes.CopyTo(new Span<byte>(_codeWriter + offset, bytes.Length));
    }

    private (byte[] Bytes, ulong Enter, ulong Save, ulong Handler) AssembleStub()
    {
        ulong control = Base + TestMap.Control;
        ulong start = Base + TestMap.Stub;
        Assembler a = new(64);
        Label save = a.CreateLabel();
        Label handler = a.CreateLabel();
        Label chain = a.CreateLabel();
        Label restore = a.CreateLabel();
        Label given = a.CreateLabel();
        Label compatibility = a.CreateLabel();
        AssemblerRegister64[] general = [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15];
        uint fx = (uint)System.Runtime.InteropServices.Marshal.OffsetOf<CpuImage>(nameof(CpuImage.Fx));
        uint flags = (uint)System.Runtime.InteropServices.Marshal.OffsetOf<CpuImage>(nameof(CpuImage.Rflags));

        a.push(rbx);
        a.push(rbp);
        a.push(r12);
        a.push(r13);
        a.push(r14);
        a.push(r15);
        SetSignalMask(BlockedSignals, OldSignals);
        a.mov(__qword_ptr[control + HostRsp], rsp);
        a.mov(__dword_ptr[control + ExitKind], Faulted);
        a.fxsave64(__[control + HostFx]);
        a.fxrstor64(__[control + In + fx]);
        a.mov(rsp, control + StackTop);
        a.cmp(__word_ptr[control + FarTarget + 4], 0x33);
        a.jne(compatibility);
        a.push(__qword_ptr[control + In + flags]);
        a.popfq();
        for (int i = 0; i < 16; i++) a.mov(general[i], __qword_ptr[control + In + (uint)(i * 8)]);
        a.jmp(__qword_ptr[control + Target]);

        // Compatibility mode uses DS and ES, which are null in 64-bit processes.
        a.Label(ref compatibility);
        a.mov(eax, 0x2b);
        a.mov(ds, eax);
        a.mov(es, eax);
        a.push(__qword_ptr[control + In + flags]);
        a.popfq();
        for (int i = 0; i < 16; i++) a.mov(general[i], __qword_ptr[control + In + (uint)(i * 8)]);
        a.jmp(__fword_ptr[control + FarTarget]);

        a.Label(ref save);
        for (int i = 0; i < 16; i++) a.mov(__qword_ptr[control + Out + (uint)(i * 8)], general[i]);
        a.mov(rsp, control + StackTop);
        a.pushfq();
        a.pop(__qword_ptr[control + Out + flags]);
        a.push(2);
        a.popfq();
        a.fxsave64(__[control + Out + fx]);
        a.fxrstor64(__[control + HostFx]);
        a.xor(eax, eax);
        a.mov(ds, eax);
        a.mov(es, eax);
        a.mov(rsp, __qword_ptr[control + HostRsp]);
        SetSignalMask(OldSignals, 0);
        a.pop(r15);
        a.pop(r14);
        a.pop(r13);
        a.pop(r12);
        a.pop(rbp);
        a.pop(rbx);
        a.ret();

        // void handler(int signal, siginfo_t *, ucontext_t *)
        a.Label(ref handler);
        a.mov(rax, __qword_ptr[rdx + ContextRip]);
        a.lea(rcx, __[rax - (int)Base]);
        a.cmp(rcx, (int)TestMap.Length);
        a.jae(chain);
        a.mov(__qword_ptr[control + FaultRip], rax);
        a.mov(rax, __qword_ptr[rdx + ContextTrap]);
        a.mov(__qword_ptr[control + FaultVector], rax);
        a.mov(rax, __qword_ptr[rdx + ContextError]);
        a.mov(__qword_ptr[control + FaultError], rax);
        a.mov(rax, __qword_ptr[rdx + ContextFaultAddress]);
        a.mov(__qword_ptr[control + FaultAddress], rax);
        a.lea(rax, __[save]);
        a.mov(__qword_ptr[rdx + ContextRip], rax);
        a.mov(__word_ptr[rdx + ContextSegments], 0x33);
        a.ret();
        a.Label(ref chain);
        a.mov(eax, edi);
        a.shl(eax, 5);
        a.add(rax, (int)(control + ReplacedActions));
        a.mov(r8, __qword_ptr[rdx + ContextRip]);
        a.mov(rcx, (ulong)ExecutableMemory.ArenaStart);
        a.sub(r8, rcx);
        a.mov(rcx, (ulong)ExecutableMemory.ArenaLength);
        a.cmp(r8, rcx);
        a.jb(given);
        a.test(__dword_ptr[rax + 8], SignalAction.OnStack);
        a.je(restore);
        a.Label(ref given);
        a.jmp(__qword_ptr[rax]);
        a.Label(ref restore);
        a.mov(__dword_ptr[control + LostHandler], 1);
        a.mov(rsi, rax);
        a.mov(eax, 13);
        a.xor(edx, edx);
        a.mov(r10d, 8);
        a.syscall();
        a.ret();

        MemoryStream stream = new();
        AssemblerResult result = a.Assemble(new StreamCodeWriter(stream), start, BlockEncoderOptions.ReturnNewInstructionOffsets);
        return (stream.ToArray(), start, result.GetLabelRIP(save), result.GetLabelRIP(handler));

        // rt_sigprocmask(SIG_SETMASK, new, old, 8)
        void SetSignalMask(uint newMask, uint oldMask)
        {
            a.mov(eax, 14);
            a.mov(edi, 2);
            a.mov(esi, (uint)control + newMask);
            a.mov(edx, oldMask == 0 ? 0 : (uint)control + oldMask);
            a.mov(r10d, 8);
            a.syscall();
        }
    }

    private void InstallHandlers()
    {
        byte* control = _base + TestMap.Control;
        *(int*)(control + LostHandler) = 0;
        foreach (int signal in FaultSignals)
        {
            SignalAction current;
            HostCalls.SetSignalAction(signal, null, &current);
            if ((ulong)current.Handler == _handler) continue;
            *(SignalAction*)ReplacedAction(signal) = current;
            SignalAction action = current;
            action.Handler = (void*)_handler;
            action.Flags |= SignalAction.SigInfo | SignalAction.OnStack;
            HostCalls.SetSignalAction(signal, &action, null);
        }
    }

    private byte* ReplacedAction(int signal) => _base + TestMap.Control + ReplacedActions + (signal * 32);
}
