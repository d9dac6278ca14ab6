using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>PTEST: ZF if no common bit, CF if the source has no bit the destination lacks; the other status flags become 0.</summary>
internal static unsafe class PackedTest<TAddressing>
    where TAddressing : struct, IAddressing
{
    /// <summary>xmm, xmm.</summary>
    public static Operation* Register(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        Test(s, Xmm.Read(s, op->Destination), Xmm.Read(s, op->Source));
        return Flow.Next(processor, s, op);
    }

    /// <summary>xmm, m128.</summary>
    public static Operation* Memory(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!SimdMemory<TAddressing>.TryReadAligned(processor, s, op, out Vector128<byte> b)) return Flow.Fault(s, op);
        Test(s, Xmm.Read(s, op->Destination), b);
        return Flow.Next(processor, s, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Test(VcpuState* s, Vector128<byte> a, Vector128<byte> b)
    {
        bool zero = (a & b) == Vector128<byte>.Zero;
        bool carry = Vector128.AndNot(b, a) == Vector128<byte>.Zero;
        // As StatusFlags keeps them: 0 is ZF with PF, 1 neither; 100h inverts PF; both high carries are CF without OF.
        s->StatusResult = zero ? 0UL : 1UL;
        s->StatusCarries = (zero ? 0x100UL : 0) | (carry ? 3UL << 62 : 0);
    }
}
