using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Guests.Kernel;

/// <summary>
/// The only place where the kernel touches user memory: a pointer is a user's if all its bytes lie below
/// <see cref="MemoryMap.UserLimit"/>; pages that are not there or not writable make the copy fail. With SMAP the access is
/// allowed by RFLAGS.AC, only here (Intel SDM 3A 4.6.1).
/// </summary>
internal sealed class UserMemory(KernelCode kernel) : KernelPart(kernel)
{
    /// <summary>Not 0 if the processor has SMAP.</summary>
    public ulong HasSmap { get; } = kernel.Zeroed.Reserve(8);

    /// <summary>RDI: kernel's destination, RSI: user's source, RDX: bytes. Returns 0 or -1 in EAX.</summary>
    public Routine CopyIn { get; } = kernel.Code.Routine("user_copy_in");

    /// <summary>RDI: user's destination, RSI: kernel's source, RDX: bytes. Returns 0 or -1 in EAX.</summary>
    public Routine CopyOut { get; } = kernel.Code.Routine("user_copy_out");

    /// <summary>The instruction that may fault.</summary>
    public Routine CopyInstruction { get; } = kernel.Code.Routine("user_copy_instruction");

    /// <summary>Where it goes on then.</summary>
    public Routine CopyFailed { get; } = kernel.Code.Routine("user_copy_failed");

    /// <summary>Emits CLAC, which processors without SMAP do not know.</summary>
    public void EmitForbidAccess(Assembler a)
    {
        Label noSmap = a.CreateLabel();
        a.cmp(__byte_ptr[HasSmap], 0);
        a.je(noSmap);
        a.clac();
        a.Here(ref noSmap);
        a.nop();
    }

    /// <inheritdoc/>
    public override void Emit()
    {
        Assembler a = Kernel.Assembler;
        Label check = a.CreateLabel();
        Label bad = a.CreateLabel();
        Label noSmap = a.CreateLabel();
        Label done = a.CreateLabel();
        a.Here(CopyIn);
        a.mov(rax, rsi);
        a.jmp(check);
        a.Here(CopyOut);
        a.mov(rax, rdi);
        a.Here(ref check);
        a.mov(rcx, MemoryMap.UserLimit);
        a.cmp(rdx, rcx);
        a.ja(bad);
        a.cmp(rax, rcx);
        a.ja(bad);
        a.add(rax, rdx);
        a.cmp(rax, rcx);
        a.ja(bad);
        a.mov(rcx, rdx);
        a.cmp(__byte_ptr[HasSmap], 0);
        a.je(noSmap);
        a.stac();
        a.Here(ref noSmap);
        a.xor(eax, eax);
        a.Here(CopyInstruction);
        a.rep.movsb();
        a.jmp(done);
        a.Here(CopyFailed);
        a.mov(eax, -1);
        a.Here(ref done);
        EmitForbidAccess(a);
        a.ret();
        a.Here(ref bad);
        a.mov(eax, -1);
        a.ret();
    }
}
