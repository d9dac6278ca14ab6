using System.Numerics;
using System.Runtime.CompilerServices;
using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>COMISS, COMISD, UCOMISS, UCOMISD: compare the lowest elements into ZF, PF and CF; OF, SF and AF become 0.</summary>
internal static unsafe class FloatingCompareFlags<T, TAddressing>
    where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    where TAddressing : struct, IAddressing
{
    // As StatusFlags keeps them: result 0 is ZF with PF, 1 is neither; the high carries are CF without OF; 100h inverts PF.
    private const ulong Carries = 3UL << 62;
    private const ulong InvertParity = 0x100;

    /// <summary>xmm, xmm.</summary>
    public static Operation* Register(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        T a = *(T*)Xmm.At(s, op->Destination);
        T b = *(T*)Xmm.At(s, op->Source);
        if (!IsOrdinary(a) || !IsOrdinary(b)) return Exact(processor, s, op, b);
        Compare(s, a, b);
        return Flow.Next(processor, s, op);
    }

    /// <summary>xmm, m32 or m64.</summary>
    public static Operation* Memory(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!Operand<TAddressing>.TryRead(processor, s, op, out T b)) return Flow.Fault(s, op);
        T a = *(T*)Xmm.At(s, op->Destination);
        if (!IsOrdinary(a) || !IsOrdinary(b)) return Exact(processor, s, op, b);
        Compare(s, a, b);
        return Flow.Next(processor, s, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Compare(VcpuState* s, T a, T b)
    {
        bool less = sizeof(T) == 4 ? Single(a) < Single(b) : Double(a) < Double(b);
        bool equal = sizeof(T) == 4 ? Single(a) == Single(b) : Double(a) == Double(b);
        s->StatusResult = equal ? 0UL : 1UL;
        s->StatusCarries = equal ? InvertParity : less ? Carries : 0;
    }

    /// <summary>Zero, or normal and finite: no exception can arise.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsOrdinary(T value)
    {
        if (sizeof(T) == 4)
        {
            uint magnitude = uint.CreateTruncating(value) << 1;
            return magnitude - 0x0100_0000u < 0xfe00_0000u || magnitude == 0;
        }

        ulong wide = ulong.CreateTruncating(value) << 1;
        return wide - 0x0020_0000_0000_0000UL < 0xffc0_0000_0000_0000UL || wide == 0;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Operation* Exact(Processor processor, VcpuState* s, Operation* op, T b)
    {
        bool signaling = op->IcedCode is Iced.Intel.Code.Comiss_xmm_xmmm32 or Iced.Intel.Code.Comisd_xmm_xmmm64;
        FloatContext context = FloatContext.FromMxcsr(s->Mxcsr);
        FloatRelation relation = SoftFloat.Compare(*(T*)Xmm.At(s, op->Destination), b, signaling, ref context);
        if (!FloatingLanes.TryFinish(s, in context)) return SimdAccess.FloatingPointFault(processor, s, op);
        s->StatusResult = relation is FloatRelation.Equal or FloatRelation.Unordered ? 0UL : 1UL;
        s->StatusCarries = relation switch
        {
            FloatRelation.Equal => InvertParity,
            FloatRelation.Greater => 0,
            _ => Carries,
        };
        return Flow.Next(processor, s, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Single(T value) => BitConverter.UInt32BitsToSingle(uint.CreateTruncating(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static double Double(T value) => BitConverter.UInt64BitsToDouble(ulong.CreateTruncating(value));
}
