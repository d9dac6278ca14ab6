using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Iced.Intel;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM. The memory operand may have any alignment.</summary>
internal static unsafe class PackedStrings<TAddressing>
    where TAddressing : struct, IAddressing
{
    private const int ElementMask = 0x40;

    /// <summary>xmm, xmm, imm8.</summary>
    public static Operation* Register(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        Compare(s, op, Xmm.At(s, op->Source));
        return Flow.Next(processor, s, op);
    }

    /// <summary>xmm, m128, imm8.</summary>
    public static Operation* Memory(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        if (!Operand<TAddressing>.TryRead(processor, s, op, out Vector128<byte> b)) return Flow.Fault(s, op);
        Unsafe.WriteUnaligned(s->Transfer, b);
        Compare(s, op, (byte*)s->Transfer);
        return Flow.Next(processor, s, op);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Compare(VcpuState* s, Operation* op, byte* b)
    {
        int control = (byte)op->Immediate;
        byte* a = Xmm.At(s, op->Destination);
        Mnemonic mnemonic = op->IcedCode.Mnemonic();
        ulong lengthA;
        ulong lengthB;
        if (mnemonic is Mnemonic.Pcmpistri or Mnemonic.Pcmpistrm)
        {
            lengthA = PackedStringComparison.ImplicitLength(a, control);
            lengthB = PackedStringComparison.ImplicitLength(b, control);
        }
        else
        {
            bool wide = mnemonic is Mnemonic.Pcmpestri64 or Mnemonic.Pcmpestrm64;
            lengthA = ExplicitLength(s->Gpr[0], wide);
            lengthB = ExplicitLength(s->Gpr[2], wide);
        }

        PackedStringComparison comparison = new(a, b, control, lengthA, lengthB);
        uint result = comparison.Compute();
        if (mnemonic is Mnemonic.Pcmpistri or Mnemonic.Pcmpestri or Mnemonic.Pcmpestri64)
            s->Gpr[1] = Index(result, control, comparison.Count);
        else
            Xmm.Write(s, 0, Mask(result, control, comparison.Count));
        ulong flags = (result != 0 ? RflagsBits.Cf : 0) | (comparison.EndsInB ? RflagsBits.Zf : 0)
            | (comparison.EndsInA ? RflagsBits.Sf : 0) | ((result & 1) != 0 ? RflagsBits.Of : 0);
        StatusFlags.Set(ref *s, flags);
    }

    /// <summary>The magnitude of EAX, EDX, RAX or RDX.</summary>
    private static ulong ExplicitLength(ulong register, bool wide)
    {
        long value = wide ? (long)register : (int)register;
        return value < 0 ? 0UL - (ulong)value : (ulong)value;
    }

    private static ulong Index(uint result, int control, int count)
    {
        if (result == 0) return (ulong)count;
        return (ulong)((control & ElementMask) != 0 ? BitOperations.Log2(result) : BitOperations.TrailingZeroCount(result));
    }

    private static Vector128<byte> Mask(uint result, int control, int count)
    {
        if ((control & ElementMask) == 0) return Vector128.CreateScalar(result).AsByte();
        Vector128<byte> mask = default;
        int width = 16 / count;
        for (int i = 0; i < 16; i++)
            if ((result & (1u << (i / width))) != 0) mask = mask.WithElement(i, (byte)0xff);
        return mask;
    }
}
