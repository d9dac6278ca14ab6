using System.Numerics;
using Iced.Intel;
using Ringfence.Processors.FloatingPoint;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.FloatingPoint;

/// <summary>Every operation in every rounding mode, with DAZ and FTZ, against the host's SSE unit: results and flags.</summary>
public sealed unsafe class SoftFloatOnHostTests
{
    private const int Cases = 60_000;

    private delegate ulong Soft<T>(T a, T b, ref FloatContext context);

    [SkippableTheory]
    [InlineData(nameof(Assembler.addss))]
    [InlineData(nameof(Assembler.subss))]
    [InlineData(nameof(Assembler.mulss))]
    [InlineData(nameof(Assembler.divss))]
    [InlineData(nameof(Assembler.sqrtss))]
    [InlineData(nameof(Assembler.minss))]
    [InlineData(nameof(Assembler.maxss))]
    [InlineData(nameof(Assembler.comiss))]
    [InlineData(nameof(Assembler.ucomiss))]
    [InlineData(nameof(Assembler.cvtss2sd))]
    [InlineData(nameof(Assembler.cvtss2si))]
    [InlineData(nameof(Assembler.cvttss2si))]
    [InlineData("cvtss2si64")]
    [InlineData(nameof(Assembler.roundss))]
    public void Binary32_operations_equal_the_hosts_in_result_and_flags(string operation) => Compare<uint>(operation);

    [SkippableTheory]
    [InlineData(nameof(Assembler.addsd))]
    [InlineData(nameof(Assembler.subsd))]
    [InlineData(nameof(Assembler.mulsd))]
    [InlineData(nameof(Assembler.divsd))]
    [InlineData(nameof(Assembler.sqrtsd))]
    [InlineData(nameof(Assembler.minsd))]
    [InlineData(nameof(Assembler.maxsd))]
    [InlineData(nameof(Assembler.comisd))]
    [InlineData(nameof(Assembler.ucomisd))]
    [InlineData(nameof(Assembler.cvtsd2ss))]
    [InlineData(nameof(Assembler.cvtsd2si))]
    [InlineData(nameof(Assembler.cvttsd2si))]
    [InlineData("cvtsd2si64")]
    [InlineData(nameof(Assembler.cvtsi2sd))]
    [InlineData(nameof(Assembler.cvtsi2ss))]
    [InlineData(nameof(Assembler.roundsd))]
    public void Binary64_operations_equal_the_hosts_in_result_and_flags(string operation) => Compare<ulong>(operation);

    private static void Compare<T>(string operation)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        Skip.IfNot(HostCode.IsSupported, "needs an x86-64 Linux host");
        (Action<Assembler> emit, Soft<T> soft) = Operation<T>(operation);
        using var code = new HostCode(assembler =>
        {
            assembler.ldmxcsr(__dword_ptr[rdi]);
            assembler.movups(xmm0, __xmmword_ptr[rdi + 16]);
            assembler.movups(xmm1, __xmmword_ptr[rdi + 32]);
            assembler.xor(eax, eax);
            emit(assembler);
            assembler.stmxcsr(__dword_ptr[rdi]);
            assembler.ldmxcsr(__dword_ptr[rdi + 4]);
            assembler.ret();
        });
        var random = new Random(20260801);
        ulong* frame = stackalloc ulong[6];
        ulong resultMask = ulong.MaxValue;
        if (operation is "addss" or "subss" or "mulss" or "divss" or "sqrtss" or "minss" or "maxss" or "roundss" or "cvtsd2ss" or "cvtsi2ss") resultMask = uint.MaxValue;
        for (int i = 0; i < Cases; i++)
        {
            T a = FloatSamples.Next<T>(random);
            T b = random.Next(8) == 0 ? a : FloatSamples.Next<T>(random);
            uint mxcsr = 0x1f80u | ((uint)random.Next(4) << 13) | (random.Next(4) == 0 ? 0x40u : 0) | (random.Next(4) == 0 ? 0x8000u : 0);
            frame[0] = mxcsr | (0x1f80UL << 32);
            frame[2] = ulong.CreateTruncating(a);
            frame[4] = ulong.CreateTruncating(b);
            ulong expected = code.Call(frame) & resultMask;
            FloatContext context = FloatContext.FromMxcsr(mxcsr);
            ulong actual = soft(a, b, ref context) & resultMask;
            if (actual != expected || (uint)context.Flags != ((uint)frame[0] & 63))
            {
                Assert.Fail($"{operation} {a:x} {b:x} mxcsr {mxcsr:x}: host {expected:x} flags {frame[0] & 63:x}, soft {actual:x} flags {context.Flags:x}");
            }
        }
    }

    private static (Action<Assembler> Emit, Soft<T> Soft) Operation<T>(string name)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        static Action<Assembler> Sse(Action<Assembler> operation) => assembler =>
        {
            operation(assembler);
            assembler.movq(rax, xmm0);
        };
        static Action<Assembler> Flags(Action<Assembler> operation) => assembler =>
        {
            operation(assembler);
            assembler.pushfq();
            assembler.pop(rax);
            assembler.and(eax, 0x45);
        };
        static ulong Relation(FloatRelation relation) => relation switch
        {
            FloatRelation.Less => 1,
            FloatRelation.Equal => 0x40,
            FloatRelation.Greater => 0,
            _ => 0x45,
        };
        static ulong Value(T value) => ulong.CreateTruncating(value);
        return name switch
        {
            "addss" => (Sse(c => c.addss(xmm0, xmm1)), (T a, T b, ref FloatContext x) => Value(SoftFloat.Add(a, b, ref x))),
            "subss" => (Sse(c => c.subss(xmm0, xmm1)), (T a, T b, ref FloatContext x) => Value(SoftFloat.Subtract(a, b, ref x))),
            "mulss" => (Sse(c => c.mulss(xmm0, xmm1)), (T a, T b, ref FloatContext x) => Value(SoftFloat.Multiply(a, b, ref x))),
            "divss" => (Sse(c => c.divss(xmm0, xmm1)), (T a, T b, ref FloatContext x) => Value(SoftFloat.Divide(a, b, ref x))),
            "sqrtss" => (Sse(c => c.sqrtss(xmm0, xmm1)), (T _, T b, ref FloatContext x) => Value(SoftFloat.SquareRoot(b, ref x))),
            "minss" => (Sse(c => c.minss(xmm0, xmm1)), (T a, T b, ref FloatContext x) => Value(SoftFloat.Minimum(a, b, ref x))),
            "maxss" => (Sse(c => c.maxss(xmm0, xmm1)), (T a, T b, ref FloatContext x) => Value(SoftFloat.Maximum(a, b, ref x))),
            "comiss" => (Flags(c => c.comiss(xmm0, xmm1)), (T a, T b, ref FloatContext x) => Relation(SoftFloat.Compare(a, b, true, ref x))),
            "ucomiss" => (Flags(c => c.ucomiss(xmm0, xmm1)), (T a, T b, ref FloatContext x) => Relation(SoftFloat.Compare(a, b, false, ref x))),
            "cvtss2sd" => (Sse(c => c.cvtss2sd(xmm0, xmm1)), (T _, T b, ref FloatContext x) => SoftFloat.Widen(uint.CreateTruncating(b), ref x)),
            "cvtss2si" => (c => c.cvtss2si(eax, xmm1), (T _, T b, ref FloatContext x) => (uint)SoftFloat.ToInt32(b, x.Rounding, ref x)),
            "cvttss2si" => (c => c.cvttss2si(eax, xmm1), (T _, T b, ref FloatContext x) => (uint)SoftFloat.ToInt32(b, FloatRounding.Zero, ref x)),
            "cvtss2si64" => (c => c.cvtss2si(rax, xmm1), (T _, T b, ref FloatContext x) => (ulong)SoftFloat.ToInt64(b, x.Rounding, ref x)),
            "roundss" => (Sse(c => c.roundss(xmm0, xmm1, 4)), (T _, T b, ref FloatContext x) => Value(SoftFloat.RoundToIntegral(b, x.Rounding, false, ref x))),
            "addsd" => (Sse(c => c.addsd(xmm0, xmm1)), (T a, T b, ref FloatContext x) => Value(SoftFloat.Add(a, b, ref x))),
            "subsd" => (Sse(c => c.subsd(xmm0, xmm1)), (T a, T b, ref FloatContext x) => Value(SoftFloat.Subtract(a, b, ref x))),
            "mulsd" => (Sse(c => c.mulsd(xmm0, xmm1)), (T a, T b, ref FloatContext x) => Value(SoftFloat.Multiply(a, b, ref x))),
            "divsd" => (Sse(c => c.divsd(xmm0, xmm1)), (T a, T b, ref FloatContext x) => Value(SoftFloat.Divide(a, b, ref x))),
            "sqrtsd" => (Sse(c => c.sqrtsd(xmm0, xmm1)), (T _, T b, ref FloatContext x) => Value(SoftFloat.SquareRoot(b, ref x))),
            "minsd" => (Sse(c => c.minsd(xmm0, xmm1)), (T a, T b, ref FloatContext x) => Value(SoftFloat.Minimum(a, b, ref x))),
            "maxsd" => (Sse(c => c.maxsd(xmm0, xmm1)), (T a, T b, ref FloatContext x) => Value(SoftFloat.Maximum(a, b, ref x))),
            "comisd" => (Flags(c => c.comisd(xmm0, xmm1)), (T a, T b, ref FloatContext x) => Relation(SoftFloat.Compare(a, b, true, ref x))),
            "ucomisd" => (Flags(c => c.ucomisd(xmm0, xmm1)), (T a, T b, ref FloatContext x) => Relation(SoftFloat.Compare(a, b, false, ref x))),
            "cvtsd2ss" => (Sse(c => c.cvtsd2ss(xmm0, xmm1)), (T _, T b, ref FloatContext x) => SoftFloat.Narrow(ulong.CreateTruncating(b), ref x)),
            "cvtsd2si" => (c => c.cvtsd2si(eax, xmm1), (T _, T b, ref FloatContext x) => (uint)SoftFloat.ToInt32(b, x.Rounding, ref x)),
            "cvttsd2si" => (c => c.cvttsd2si(eax, xmm1), (T _, T b, ref FloatContext x) => (uint)SoftFloat.ToInt32(b, FloatRounding.Zero, ref x)),
            "cvtsd2si64" => (c => c.cvtsd2si(rax, xmm1), (T _, T b, ref FloatContext x) => (ulong)SoftFloat.ToInt64(b, x.Rounding, ref x)),
            "cvtsi2sd" => (Sse(c => c.cvtsi2sd(xmm0, __qword_ptr[rdi + 32])), (T _, T b, ref FloatContext x) => SoftFloat.FromInteger<ulong>(long.CreateTruncating(b), ref x)),
            "cvtsi2ss" => (Sse(c => c.cvtsi2ss(xmm0, __qword_ptr[rdi + 32])), (T _, T b, ref FloatContext x) => SoftFloat.FromInteger<uint>(long.CreateTruncating(b), ref x)),
            "roundsd" => (Sse(c => c.roundsd(xmm0, xmm1, 4)), (T _, T b, ref FloatContext x) => Value(SoftFloat.RoundToIntegral(b, x.Rounding, false, ref x))),
            _ => throw new ArgumentOutOfRangeException(nameof(name), name, "unknown operation"),
        };
    }
}
