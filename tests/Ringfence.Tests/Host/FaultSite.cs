using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Host;

/// <summary>
/// Emitted code that loads a whole register state from the thread's <see cref="FaultBlock"/>, runs one instruction that
/// faults, and stores at the place where it resumes what the registers are there.
/// </summary>
internal sealed class FaultSite : IDisposable
{
    public const int GeneralRegisters = 16;
    public const int StackPointer = 4;

    // Words of the block.
    public const int RegistersBefore = 0;
    public const int RegistersAfter = 16;
    public const int FlagsBefore = 32;
    public const int FlagsAfter = 33;
    public const int ControlBefore = 34;
    public const int ControlAfter = 35;
    public const int VectorsBefore = 40;
    private const int SavedStackPointer = 36;
    private const int SavedControl = 37;

    private static readonly AssemblerRegister64[] General = [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15];
    private static readonly AssemblerRegister64[] Preserved = [rbx, rbp, r12, r13, r14, r15];
    private static readonly AssemblerRegisterXMM[] Xmm =
        [xmm0, xmm1, xmm2, xmm3, xmm4, xmm5, xmm6, xmm7, xmm8, xmm9, xmm10, xmm11, xmm12, xmm13, xmm14, xmm15];

    private static readonly AssemblerRegisterYMM[] Ymm =
        [ymm0, ymm1, ymm2, ymm3, ymm4, ymm5, ymm6, ymm7, ymm8, ymm9, ymm10, ymm11, ymm12, ymm13, ymm14, ymm15];

    private readonly EmittedCode _code;
    private Label _site;
    private Label _resume;

    public FaultSite(Action<Assembler> fault) => _code = new EmittedCode(assembler => Emit(assembler, fault));

    /// <summary>Words of a vector register that are compared.</summary>
    public static int VectorWords { get; } = System.Runtime.Intrinsics.X86.Avx.IsSupported ? 4 : 2;

    public static int VectorsAfter => VectorsBefore + (Xmm.Length * VectorWords);

    public static int VectorRegisterWords => Xmm.Length * VectorWords;

    /// <summary>Address of the instruction that faults.</summary>
    public ulong Address => _code.AddressOf(_site);

    /// <summary>Runs the code on a thread of its own.</summary>
    public unsafe void Run(FaultBlock block)
    {
        block.Fault->Resume = _code.AddressOf(_resume);
        block.Run(() => _code.Call());
    }

    public void Dispose() => _code.Dispose();

    private void Emit(Assembler assembler, Action<Assembler> fault)
    {
        _site = assembler.CreateLabel();
        _resume = assembler.CreateLabel();
        foreach (AssemblerRegister64 register in Preserved) assembler.push(register);
        assembler.mov(Word(SavedStackPointer), rsp);
        assembler.stmxcsr(Half(SavedControl));
        assembler.ldmxcsr(Half(ControlBefore));
        for (int i = 0; i < Xmm.Length; i++)
        {
            if (VectorWords == 4) assembler.vmovdqu(Ymm[i], Vector(VectorsBefore, i));
            else assembler.movdqu(Xmm[i], Vector(VectorsBefore, i));
        }

        assembler.push(Word(FlagsBefore));
        assembler.popfq();
        for (int i = 0; i < GeneralRegisters; i++)
            if (i != StackPointer) assembler.mov(General[i], Word(RegistersBefore + i));
        assembler.mov(Word(RegistersBefore + StackPointer), rsp);

        assembler.Label(ref _site);
        fault(assembler);
        assembler.int3();

        assembler.Label(ref _resume);
        for (int i = 0; i < GeneralRegisters; i++) assembler.mov(Word(RegistersAfter + i), General[i]);
        assembler.mov(rsp, Word(SavedStackPointer));
        assembler.pushfq();
        assembler.pop(Word(FlagsAfter));
        assembler.cld();
        for (int i = 0; i < Xmm.Length; i++)
        {
            if (VectorWords == 4) assembler.vmovdqu(Vector(VectorsAfter, i), Ymm[i]);
            else assembler.movdqu(Vector(VectorsAfter, i), Xmm[i]);
        }

        if (VectorWords == 4) assembler.vzeroupper();
        assembler.stmxcsr(Half(ControlAfter));
        assembler.ldmxcsr(Half(SavedControl));
        foreach (AssemblerRegister64 register in Preserved.Reverse()) assembler.pop(register);
        assembler.ret();
    }

    private static AssemblerMemoryOperand Word(int word) => __qword_ptr.gs[FaultBlock.Offset(word)];

    private static AssemblerMemoryOperand Half(int word) => __dword_ptr.gs[FaultBlock.Offset(word)];

    private static AssemblerMemoryOperand Vector(int word, int register) => __.gs[FaultBlock.Offset(word + (register * VectorWords))];
}
