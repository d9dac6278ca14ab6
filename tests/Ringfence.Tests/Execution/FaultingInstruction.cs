using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.ExecutionTests;

/// <summary>An instruction that completes or faults depending on RDI, and what its fault is.</summary>
/// <param name="Emit">Assembles it.</param>
/// <param name="Vector">The vector.</param>
/// <param name="ErrorCode">The error code.</param>
/// <param name="Good">RDI with which it completes.</param>
/// <param name="Bad">RDI with which it faults.</param>
internal sealed record FaultingInstruction(Action<Assembler> Emit, ExceptionVector Vector, uint? ErrorCode, ulong Good, ulong Bad)
{
    /// <summary>An address in a page that is not mapped.</summary>
    public const uint Missing = SmallPages.Window + 0x230;

    /// <summary>An address that has no meaning.</summary>
    public const ulong NonCanonical = 0x0000_8000_0000_0000;

    /// <summary>An address that is mapped, writable and aligned to 64.</summary>
    public const uint Mapped = TestMachine.Data + 0x400;

    /// <summary>The instructions. None leaves the block, and none changes RCX, R8, R13, R14 or R15.</summary>
    public static Dictionary<string, FaultingInstruction> All { get; } = new()
    {
        ["mov load 8"] = Read(a => a.mov(al, __[rdi])),
        ["mov load 16"] = Read(a => a.mov(ax, __[rdi])),
        ["mov load 32"] = Read(a => a.mov(eax, __[rdi])),
        ["mov load 64"] = Read(a => a.mov(rax, __[rdi])),
        ["mov load over its base"] = Read(a => a.mov(rdi, __[rdi])) with { Good = TestMachine.Data },
        ["movzx"] = Read(a => a.movzx(eax, __byte_ptr[rdi])),
        ["movsxd"] = Read(a => a.movsxd(rax, __dword_ptr[rdi])),
        ["cmov not taken"] = Read(a => a.cmovb(rax, __[rdi])),
        ["mov store 8"] = Write(a => a.mov(__[rdi], al)),
        ["mov store 16"] = Write(a => a.mov(__[rdi], ax)),
        ["mov store 32"] = Write(a => a.mov(__[rdi], eax)),
        ["mov store 64"] = Write(a => a.mov(__[rdi], rax)),
        ["mov store immediate"] = Write(a => a.mov(__qword_ptr[rdi], -5)),
        ["setc"] = Write(a => a.setc(__byte_ptr[rdi])),
        ["add load"] = Read(a => a.add(rax, __[rdi])),
        ["adc load"] = Read(a => a.adc(eax, __[rdi])),
        ["xor load"] = Read(a => a.xor(rax, __[rdi])),
        ["cmp"] = Read(a => a.cmp(__[rdi], rax)),
        ["test"] = Read(a => a.test(__qword_ptr[rdi], 0x7f)),
        ["imul load"] = Read(a => a.imul(rax, __[rdi])),
        ["add store"] = Write(a => a.add(__[rdi], rax)),
        ["sbb store"] = Write(a => a.sbb(__[rdi], rax)),
        ["and store immediate"] = Write(a => a.and(__dword_ptr[rdi], 0x55)),
        ["lock or"] = Write(a => a.@lock.or(__[rdi], rax)),
        ["inc"] = Write(a => a.inc(__dword_ptr[rdi])),
        ["dec 8"] = Write(a => a.dec(__byte_ptr[rdi])),
        ["neg"] = Write(a => a.neg(__qword_ptr[rdi])),
        ["not"] = Write(a => a.not(__qword_ptr[rdi])),
        ["shl"] = Write(a => a.shl(__qword_ptr[rdi], 3)),
        ["rol by cl"] = Write(a => a.rol(__dword_ptr[rdi], cl)),
        ["shld"] = Write(a => a.shld(__[rdi], rax, 4)),
        ["xchg"] = Write(a => a.xchg(__[rdi], rax)),
        ["lock xadd"] = Write(a => a.@lock.xadd(__[rdi], rax)),
        ["cmpxchg"] = Write(a => a.cmpxchg(__[rdi], rdx)),
        ["lock cmpxchg16b"] = Write(a => a.@lock.cmpxchg16b(__xmmword_ptr[rdi])),
        ["bt"] = Read(a => a.bt(__qword_ptr[rdi], 5)),
        ["lock bts"] = Write(a => a.@lock.bts(__qword_ptr[rdi], 5)),
        ["push memory"] = Read(a => a.push(__qword_ptr[rdi])),
        ["pop memory"] = Write(a => a.pop(__qword_ptr[rdi])),
        ["stosd"] = Write(a => a.stosd()),
        ["scasb"] = Read(a => a.scasb()),
        ["mul"] = Read(a => a.mul(__qword_ptr[rdi])),
        ["div of memory"] = Read(a => a.div(__dword_ptr[rdi])) with { Good = TestMachine.Data },
        ["div by zero"] = new(a => a.div(edi), ExceptionVector.DivideError, null, 3, 0),
        ["div overflow"] = new(a => a.div(dil), ExceptionVector.DivideError, null, 0xff, 1),
        ["idiv by zero"] = new(a => a.idiv(rdi), ExceptionVector.DivideError, null, 3, 0),
        ["movaps load"] = Aligned(a => a.movaps(xmm1, __[rdi])),
        ["movaps store"] = Aligned(a => a.movaps(__[rdi], xmm1)),
        ["movdqa load"] = Aligned(a => a.movdqa(xmm1, __[rdi])),
        ["movntdq"] = Aligned(a => a.movntdq(__[rdi], xmm1)),
        ["paddd misaligned"] = Aligned(a => a.paddd(xmm1, __[rdi])),
        ["mulps misaligned"] = Aligned(a => a.mulps(xmm1, __[rdi])),
        ["movups load"] = Read(a => a.movups(xmm1, __[rdi])),
        ["movups store"] = Write(a => a.movups(__[rdi], xmm1)),
        ["movq load"] = Read(a => a.movq(xmm1, __qword_ptr[rdi])),
        ["movss store"] = Write(a => a.movss(__dword_ptr[rdi], xmm1)),
        ["cvtsi2sd"] = Read(a => a.cvtsi2sd(xmm1, __dword_ptr[rdi])),
        ["fld"] = Read(a => { a.fninit(); a.fld(__qword_ptr[rdi]); }),
        ["fnstcw"] = Write(a => a.fnstcw(__word_ptr[rdi])),
        ["fxsave"] = Write(a => a.fxsave(__[rdi])),
        ["ldmxcsr"] = Read(a => a.ldmxcsr(__dword_ptr[rdi])) with { Good = TestMachine.Data + 0x10 },
        ["non-canonical load"] = Read(a => a.mov(rax, __[rdi])) with { Vector = ExceptionVector.GeneralProtection, Bad = NonCanonical },
        ["non-canonical store"] = Write(a => a.mov(__[rdi], rax)) with { Vector = ExceptionVector.GeneralProtection, ErrorCode = 0, Bad = NonCanonical - 4 },
    };

    /// <summary>Is <see cref="Bad"/> what CR2 shows?</summary>
    public bool SetsCr2 => Vector == ExceptionVector.PageFault;

    /// <summary>What the operands in memory must hold.</summary>
    public static void Prepare(TestMachine machine)
    {
        machine.Write64(TestMachine.Data, TestMachine.Data);
        machine.Write32(TestMachine.Data + 0x10, 0x1f80);
        for (uint i = 0; i < 0x400; i += 8) machine.Write64(Mapped + i, 0);
    }

    private static FaultingInstruction Read(Action<Assembler> emit) => new(emit, ExceptionVector.PageFault, 0, Mapped, Missing);

    private static FaultingInstruction Write(Action<Assembler> emit) => new(emit, ExceptionVector.PageFault, 2, Mapped, Missing);

    private static FaultingInstruction Aligned(Action<Assembler> emit) => new(emit, ExceptionVector.GeneralProtection, 0, Mapped, Mapped + 8);
}
