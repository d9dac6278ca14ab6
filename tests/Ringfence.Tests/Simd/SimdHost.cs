using Iced.Intel;
using Ringfence.Tests.FloatingPoint;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Simd;

/// <summary>Runs one instruction on the host's own processor with the state of a <see cref="SimdCase"/>.</summary>
internal static unsafe class SimdHost
{
    public static HostCode Compile(Instruction instruction) => new(a =>
    {
        a.ldmxcsr(__dword_ptr[rdi + SimdCase.Mxcsr]);
        for (int i = 0; i < 4; i++) a.movups(Xmm(i), __xmmword_ptr[rdi + SimdCase.Xmm + (i * 16)]);
        for (int i = 0; i < 4; i++) a.movq(Mmx(i), __qword_ptr[rdi + SimdCase.Mmx + (i * 8)]);
        a.mov(rax, __qword_ptr[rdi + SimdCase.General]);
        a.mov(rcx, __qword_ptr[rdi + SimdCase.General + 8]);
        a.mov(rdx, __qword_ptr[rdi + SimdCase.General + 16]);
        a.AddInstruction(instruction);
        a.pushfq();
        a.pop(r11);
        a.mov(__qword_ptr[rdi + SimdCase.Flags], r11);
        a.stmxcsr(__dword_ptr[rdi + SimdCase.Mxcsr]);
        for (int i = 0; i < 4; i++) a.movups(__xmmword_ptr[rdi + SimdCase.Xmm + (i * 16)], Xmm(i));
        for (int i = 0; i < 4; i++) a.movq(__qword_ptr[rdi + SimdCase.Mmx + (i * 8)], Mmx(i));
        a.mov(__qword_ptr[rdi + SimdCase.General], rax);
        a.mov(__qword_ptr[rdi + SimdCase.General + 8], rcx);
        a.mov(__qword_ptr[rdi + SimdCase.General + 16], rdx);
        a.emms();
        a.push(0x1f80);
        a.ldmxcsr(__dword_ptr[rsp]);
        a.pop(rax);
        a.ret();
    });

    private static AssemblerRegisterXMM Xmm(int number) => number switch { 0 => xmm0, 1 => xmm1, 2 => xmm2, _ => xmm3 };

    private static AssemblerRegisterMM Mmx(int number) => number switch { 0 => mm0, 1 => mm1, 2 => mm2, _ => mm3 };
}
