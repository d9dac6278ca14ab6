using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Execution.Translation;

/// <summary>
/// The way into translated code and out of it, in two variants: with and without the guest's XMM registers in the host's.
/// Leaving: the site is pushed, and control goes to <see cref="ExitHost"/> or <see cref="ExitSaved"/>, depending on where the status flags are.
/// </summary>
internal sealed unsafe class CommonCode
{
    /// <summary>Site number of a failed look-up.</summary>
    public const int LookUpSite = 0;

    /// <summary>Site number of a host fault.</summary>
    public const int FaultSite = -1;

    private static readonly AssemblerRegister64[] Mapped = [rax, rcx, rdx, rbx, r12, rbp, rsi, rdi, r8, r9, r10, r11];

    public CommonCode(CodeStream stream, bool simd)
    {
        Enter = Emit(stream, c => EmitEnter(c, simd));
        int saved = Emit(stream, c => EmitExit(c, simd));
        ExitSaved = saved;
        ExitHost = Emit(stream, EmitSave, saved);
        LookUpFailed = Emit(
            stream,
            c =>
            {
                c.mov(__qword_ptr.gs[StateOffsets.Target], r15);
                c.push(LookUpSite);
            },
            saved);
        EnterTarget = Emit(
            stream,
            c =>
            {
                c.mov(r15, __qword_ptr.gs[StateOffsets.Target]);
                c.movzx(r14d, r15w);
                c.mov(r13, __qword_ptr.gs[StateOffsets.JumpTable]);
                c.jmp(__qword_ptr[r13 + (r14 * 8)]);
            });
        HostFault = Emit(
            stream,
            c =>
            {
                c.mov(r14, rax);
                c.lahf();
                c.seto(al);
                c.mov(__word_ptr.gs[StateOffsets.FaultFlags], ax);
                c.mov(rax, r14);
                c.mov(__qword_ptr.gs[StateOffsets.FaultScratch(0)], r13);
                c.mov(__qword_ptr.gs[StateOffsets.FaultScratch(1)], r15);
                c.push(FaultSite);
            },
            saved);
    }

    /// <summary>Function <c>void enter(void* target)</c>: loads the guest's registers and jumps to the target.</summary>
    public int Enter { get; }

    /// <summary>Leaves with the status flags in the host's.</summary>
    public int ExitHost { get; }

    /// <summary>Leaves with the status flags in the state.</summary>
    public int ExitSaved { get; }

    /// <summary>Leaves because no fragment is known for the address in R15.</summary>
    public int LookUpFailed { get; }

    /// <summary>What <see cref="Enter"/> can jump to: the fragment of the guest address in the state, found through the jump table.</summary>
    public int EnterTarget { get; }

    /// <summary>Where the host's fault handler continues.</summary>
    public int HostFault { get; }

    private static int Emit(CodeStream stream, Action<Assembler> code, int jump = -1)
    {
        stream.Align();
        int start = stream.Offset;
        stream.Write(HostCode.Assemble(code));
        if (jump >= 0) stream.WriteBranch([0xe9, 0, 0, 0, 0], jump);
        return start;
    }

    private static void EmitSave(Assembler c)
    {
        c.mov(r14, rax);
        c.lahf();
        c.seto(al);
        c.mov(__word_ptr.gs[StateOffsets.Flags], ax);
        c.mov(rax, r14);
    }

    private static void EmitEnter(Assembler c, bool simd)
    {
        c.push(rbx);
        c.push(rbp);
        c.push(r12);
        c.push(r13);
        c.push(r14);
        c.push(r15);
        c.sub(rsp, 8);
        c.mov(__qword_ptr.gs[StateOffsets.EntryPoint], rdi);
        if (simd)
        {
            c.ldmxcsr(__dword_ptr.gs[StateOffsets.Mxcsr]);
            for (int i = 0; i < 16; i++) c.movups(new AssemblerRegisterXMM(Register.XMM0 + i), __xmmword_ptr.gs[StateOffsets.Xmm(i)]);
        }

        c.movzx(eax, __word_ptr.gs[StateOffsets.Flags]);
        c.add(al, 127);
        c.sahf();
        for (int i = 0; i < Mapped.Length; i++) c.mov(Mapped[i], __qword_ptr.gs[StateOffsets.Gpr(i)]);
        c.jmp(__qword_ptr.gs[StateOffsets.EntryPoint]);
    }

    private static void EmitExit(Assembler c, bool simd)
    {
        for (int i = 0; i < Mapped.Length; i++) c.mov(__qword_ptr.gs[StateOffsets.Gpr(i)], Mapped[i]);
        c.mov(__qword_ptr.gs[StateOffsets.Address], r15);
        c.pop(rax);
        c.mov(__qword_ptr.gs[StateOffsets.ExitSite], rax);
        if (simd)
        {
            for (int i = 0; i < 16; i++) c.movups(__xmmword_ptr.gs[StateOffsets.Xmm(i)], new AssemblerRegisterXMM(Register.XMM0 + i));
            c.stmxcsr(__dword_ptr.gs[StateOffsets.Mxcsr]);
            c.ldmxcsr(__dword_ptr.gs[StateOffsets.HostMxcsr]);
        }

        c.add(rsp, 8);
        c.pop(r15);
        c.pop(r14);
        c.pop(r13);
        c.pop(r12);
        c.pop(rbp);
        c.pop(rbx);
        c.ret();
    }
}
