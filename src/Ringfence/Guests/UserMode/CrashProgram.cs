using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Guests.UserMode;

/// <summary>The program <c>crash</c>: one way to be stopped by the kernel for each word.</summary>
internal sealed class CrashProgram : UserPart
{
    private const int ExitCodeForNothing = 1;
    private const int MxcsrAllUnmasked = 0;
    private const int X87AllUnmasked = 0x340;
    private const ulong NonCanonical = 0x8000_0000_0000_0000;
    private readonly (string Kind, Action<Assembler> Emit)[] _kinds;

    public CrashProgram(UserCode user)
        : base(user)
    {
        Program = user.Code.Routine("program_crash");
        _kinds =
        [
            ("write", a => a.mov(__byte_ptr[MemoryMap.KernelBase + MemoryMap.DataPhysical], 1)),
            ("read", a => a.mov(al, __byte_ptr[MemoryMap.KernelBase + MemoryMap.DataPhysical])),
            ("null", a => a.mov(eax, __dword_ptr[8])),
            ("text", a => a.mov(__byte_ptr[MemoryMap.UserText], 0xc3)),
            ("execute", EmitExecute),
            ("divide", EmitDivide),
            ("opcode", a => a.ud2()),
            ("privileged", a => a.cli()),
            ("port", a => a.@in(al, 0x60)),
            ("canonical", EmitNonCanonical),
            ("stack", EmitStack),
            ("interrupt", a => a.@int(0x80)),
            ("breakpoint", a => a.int3()),
            ("step", a => EmitFlag(a, RflagsBits.Tf)),
            ("align", EmitAlignment),
            ("float", EmitSimd),
            ("x87", EmitX87),
        ];
    }

    /// <summary>The entry.</summary>
    public Routine Program { get; }

    /// <inheritdoc/>
    public override void Emit()
    {
        Assembler a = User.Assembler;
        Label[] targets = new Label[_kinds.Length];
        Label unknown = a.CreateLabel();
        a.Here(Program);
        a.call(User.Library.NextWord);
        a.mov(rbx, rax);
        for (int i = 0; i < targets.Length; i++) targets[i] = a.CreateLabel();
        a.cmp(__byte_ptr[rbx], ' ');
        a.jb(targets[0]);
        for (int i = 0; i < targets.Length; i++)
        {
            a.mov(rdi, rbx);
            a.mov(esi, Text(_kinds[i].Kind));
            a.call(User.Library.IsWord);
            a.je(targets[i]);
        }

        a.jmp(unknown);
        for (int i = 0; i < targets.Length; i++)
        {
            a.Here(ref targets[i]);
            _kinds[i].Emit(a);
            a.jmp(unknown);
        }

        a.Here(ref unknown);
        Print("Nothing happened: there is no such kind, or the processor does not check it.\n");
        Exit(ExitCodeForNothing);
    }

    /// <summary>The stack's pages are not executable.</summary>
    private static void EmitExecute(Assembler a)
    {
        a.lea(rax, __[rsp - 64]);
        a.mov(__byte_ptr[rax], 0xc3);
        a.call(rax);
    }

    private static void EmitDivide(Assembler a)
    {
        a.xor(ecx, ecx);
        a.xor(edx, edx);
        a.mov(eax, 1);
        a.div(ecx);
    }

    private static void EmitNonCanonical(Assembler a)
    {
        a.mov(rax, NonCanonical);
        a.mov(rax, __qword_ptr[rax]);
    }

    private static void EmitStack(Assembler a)
    {
        a.mov(rsp, NonCanonical);
        a.push(rax);
    }

    private static void EmitFlag(Assembler a, ulong flag)
    {
        a.pushfq();
        a.or(__qword_ptr[rsp], (int)flag);
        a.popfq();
        a.nop();
    }

    private static void EmitAlignment(Assembler a)
    {
        EmitFlag(a, RflagsBits.Ac);
        a.mov(eax, __dword_ptr[rsp - 15]);
    }

    private static void EmitSimd(Assembler a)
    {
        a.mov(__dword_ptr[rsp - 8], MxcsrAllUnmasked);
        a.ldmxcsr(__dword_ptr[rsp - 8]);
        a.mov(eax, 1);
        a.cvtsi2sd(xmm0, eax);
        a.xorps(xmm1, xmm1);
        a.divsd(xmm0, xmm1);
    }

    /// <summary>x87 exceptions wait for the next waiting instruction.</summary>
    private static void EmitX87(Assembler a)
    {
        a.mov(__word_ptr[rsp - 8], X87AllUnmasked);
        a.fldcw(__word_ptr[rsp - 8]);
        a.fld1();
        a.fldz();
        a.fdivp(st1, st0);
        a.wait();
    }
}
