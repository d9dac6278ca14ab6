using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>The packed integer operations that are alike for MMX and SSE. T is the element type.</summary>
internal static class PackedOperations
{
    /// <summary>Moves: the source.</summary>
    internal readonly struct Move : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) => b;
    }

    /// <summary>PAND, ANDPS, ANDPD.</summary>
    internal readonly struct And : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) => a & b;
    }

    /// <summary>PANDN and its kin: the destination operand is inverted.</summary>
    internal readonly struct AndNot : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) => Vector128.AndNot(b, a);
    }

    /// <summary>POR and its kin.</summary>
    internal readonly struct Or : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) => a | b;
    }

    /// <summary>PXOR and its kin.</summary>
    internal readonly struct Xor : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) => a ^ b;
    }

    /// <summary>PADDx.</summary>
    internal readonly struct Add<T> : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) => (a.As<byte, T>() + b.As<byte, T>()).AsByte();
    }

    /// <summary>PSUBx.</summary>
    internal readonly struct Subtract<T> : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) => (a.As<byte, T>() - b.As<byte, T>()).AsByte();
    }

    /// <summary>PADDSx, PADDUSx.</summary>
    internal readonly struct AddSaturated<T> : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Vector128.AddSaturate(a.As<byte, T>(), b.As<byte, T>()).AsByte();
    }

    /// <summary>PSUBSx, PSUBUSx.</summary>
    internal readonly struct SubtractSaturated<T> : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Vector128.SubtractSaturate(a.As<byte, T>(), b.As<byte, T>()).AsByte();
    }

    /// <summary>PCMPEQx.</summary>
    internal readonly struct Equal<T> : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Vector128.Equals(a.As<byte, T>(), b.As<byte, T>()).AsByte();
    }

    /// <summary>PCMPGTx.</summary>
    internal readonly struct Greater<T> : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Vector128.GreaterThan(a.As<byte, T>(), b.As<byte, T>()).AsByte();
    }

    /// <summary>PMINx.</summary>
    internal readonly struct Minimum<T> : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Vector128.Min(a.As<byte, T>(), b.As<byte, T>()).AsByte();
    }

    /// <summary>PMAXx.</summary>
    internal readonly struct Maximum<T> : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Vector128.Max(a.As<byte, T>(), b.As<byte, T>()).AsByte();
    }

    /// <summary>PAVGx: unsigned, rounded up.</summary>
    internal readonly struct Average<T> : IPackedOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b)
        {
            // (a | b) - ((a ^ b) >> 1) is the average rounded up, without overflow.
            Vector128<T> x = a.As<byte, T>();
            Vector128<T> y = b.As<byte, T>();
            return ((x | y) - ((x ^ y) >>> 1)).AsByte();
        }
    }

    /// <summary>PABSx.</summary>
    internal readonly struct Absolute<T> : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) => Vector128.Abs(b.As<byte, T>()).AsByte();
    }

    /// <summary>PSIGNx.</summary>
    internal readonly struct Sign<T> : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b)
        {
            Vector128<T> x = a.As<byte, T>();
            Vector128<T> y = b.As<byte, T>();
            Vector128<T> negative = Vector128.LessThan(y, Vector128<T>.Zero);
            Vector128<T> zero = Vector128.Equals(y, Vector128<T>.Zero);
            return Vector128.AndNot((x ^ negative) - negative, zero).AsByte();
        }
    }

    /// <summary>PMULLW, PMULLD: low halves of the products.</summary>
    internal readonly struct MultiplyLow<T> : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) => (a.As<byte, T>() * b.As<byte, T>()).AsByte();
    }

    /// <summary>PMULHW: high halves of signed products.</summary>
    internal readonly struct MultiplyHigh : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b)
        {
            if (Sse2.IsSupported) return Sse2.MultiplyHigh(a.AsInt16(), b.AsInt16()).AsByte();
            return Vector128.Narrow(
                (Vector128.WidenLower(a.AsInt16()) * Vector128.WidenLower(b.AsInt16())) >> 16,
                (Vector128.WidenUpper(a.AsInt16()) * Vector128.WidenUpper(b.AsInt16())) >> 16).AsByte();
        }
    }

    /// <summary>PMULHUW: high halves of unsigned products.</summary>
    internal readonly struct MultiplyHighUnsigned : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b)
        {
            if (Sse2.IsSupported) return Sse2.MultiplyHigh(a.AsUInt16(), b.AsUInt16()).AsByte();
            return Vector128.Narrow(
                (Vector128.WidenLower(a.AsUInt16()) * Vector128.WidenLower(b.AsUInt16())) >>> 16,
                (Vector128.WidenUpper(a.AsUInt16()) * Vector128.WidenUpper(b.AsUInt16())) >>> 16).AsByte();
        }
    }

    /// <summary>PMULHRSW: high halves, rounded and scaled.</summary>
    internal readonly struct MultiplyHighRounded : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b)
        {
            if (Ssse3.IsSupported) return Ssse3.MultiplyHighRoundScale(a.AsInt16(), b.AsInt16()).AsByte();
            Vector128<int> half = Vector128.Create(0x4000);
            return Vector128.Narrow(
                ((Vector128.WidenLower(a.AsInt16()) * Vector128.WidenLower(b.AsInt16())) + half) >> 15,
                ((Vector128.WidenUpper(a.AsInt16()) * Vector128.WidenUpper(b.AsInt16())) + half) >> 15).AsByte();
        }
    }

    /// <summary>PMULUDQ: products of the even unsigned doublewords.</summary>
    internal readonly struct MultiplyEvenUnsigned : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b)
        {
            if (Sse2.IsSupported) return Sse2.Multiply(a.AsUInt32(), b.AsUInt32()).AsByte();
            Vector128<ulong> low = Vector128.Create(0xffff_ffffUL);
            return ((a.AsUInt64() & low) * (b.AsUInt64() & low)).AsByte();
        }
    }

    /// <summary>PMULDQ: products of the even signed doublewords.</summary>
    internal readonly struct MultiplyEven : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b)
        {
            if (Sse41.IsSupported) return Sse41.Multiply(a.AsInt32(), b.AsInt32()).AsByte();
            return (((a.AsInt64() << 32) >> 32) * ((b.AsInt64() << 32) >> 32)).AsByte();
        }
    }

    /// <summary>PMADDWD: sums of neighbouring products.</summary>
    internal readonly struct MultiplyAdd : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b)
        {
            if (Sse2.IsSupported) return Sse2.MultiplyAddAdjacent(a.AsInt16(), b.AsInt16()).AsByte();
            Vector128<int> even = ((a.AsInt32() << 16) >> 16) * ((b.AsInt32() << 16) >> 16);
            return (even + ((a.AsInt32() >> 16) * (b.AsInt32() >> 16))).AsByte();
        }
    }

    /// <summary>PMADDUBSW: unsigned destination bytes by signed source bytes, neighbouring products added with saturation.</summary>
    internal readonly struct MultiplyAddBytes : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b)
        {
            if (Ssse3.IsSupported) return Ssse3.MultiplyAddAdjacent(a, b.AsSByte()).AsByte();
            Vector128<short> even = (a.AsUInt16() & Vector128.Create((ushort)0xff)).AsInt16() * ((b.AsInt16() << 8) >> 8);
            Vector128<short> odd = (a.AsUInt16() >>> 8).AsInt16() * (b.AsInt16() >> 8);
            return Vector128.AddSaturate(even, odd).AsByte();
        }
    }

    /// <summary>PSADBW: sums of absolute differences of each 8 bytes.</summary>
    internal readonly struct SumAbsoluteDifferences : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b)
        {
            if (Sse2.IsSupported) return Sse2.SumAbsoluteDifferences(a, b).AsByte();
            Vector128<byte> difference = Vector128.Max(a, b) - Vector128.Min(a, b);
            return Vector128.Create((ulong)Sum(difference.AsUInt64().GetElement(0)), Sum(difference.AsUInt64().GetElement(1))).AsByte();
        }

        private static uint Sum(ulong bytes)
        {
            uint sum = 0;
            for (; bytes != 0; bytes >>= 8) sum += (byte)bytes;
            return sum;
        }
    }

    /// <summary>PHMINPOSUW: the least unsigned word and its index.</summary>
    internal readonly struct HorizontalMinimum : IPackedOperation
    {
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b)
        {
            if (Sse41.IsSupported) return Sse41.MinHorizontal(b.AsUInt16()).AsByte();
            int index = 0;
            for (int i = 1; i < 8; i++)
                if (b.AsUInt16().GetElement(i) < b.AsUInt16().GetElement(index)) index = i;
            return Vector128.CreateScalar(b.AsUInt16().GetElement(index) | ((uint)index << 16)).AsByte();
        }
    }

    /// <summary>PHADDW, PHADDD: sums of neighbours, the destination's first.</summary>
    internal readonly struct HorizontalAdd<T> : IPackedOperation
        where T : unmanaged
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            (Neighbours.Even<T>(a, b).As<byte, T>() + Neighbours.Odd<T>(a, b).As<byte, T>()).AsByte();
    }

    /// <summary>PHSUBW, PHSUBD.</summary>
    internal readonly struct HorizontalSubtract<T> : IPackedOperation
        where T : unmanaged
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            (Neighbours.Even<T>(a, b).As<byte, T>() - Neighbours.Odd<T>(a, b).As<byte, T>()).AsByte();
    }

    /// <summary>PHADDSW.</summary>
    internal readonly struct HorizontalAddSaturated : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Vector128.AddSaturate(Neighbours.Even<short>(a, b).AsInt16(), Neighbours.Odd<short>(a, b).AsInt16()).AsByte();
    }

    /// <summary>PHSUBSW.</summary>
    internal readonly struct HorizontalSubtractSaturated : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Vector128.SubtractSaturate(Neighbours.Even<short>(a, b).AsInt16(), Neighbours.Odd<short>(a, b).AsInt16()).AsByte();
    }

    /// <summary>PSLLx: counts of the element's width and more give 0.</summary>
    internal readonly struct ShiftLeft<T> : IShiftOperation, IPackedOperation
        where T : unmanaged
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static unsafe Vector128<byte> Apply(Vector128<byte> value, Vector128<byte> count)
        {
            if (Sse2.IsSupported)
            {
                if (sizeof(T) == 2) return Sse2.ShiftLeftLogical(value.AsUInt16(), count.AsUInt16()).AsByte();
                if (sizeof(T) == 4) return Sse2.ShiftLeftLogical(value.AsUInt32(), count.AsUInt32()).AsByte();
                return Sse2.ShiftLeftLogical(value.AsUInt64(), count.AsUInt64()).AsByte();
            }

            ulong bits = count.AsUInt64().ToScalar();
            return bits >= (ulong)sizeof(T) * 8 ? Vector128<byte>.Zero : (value.As<byte, T>() << (int)bits).AsByte();
        }
    }

    /// <summary>PSRLx.</summary>
    internal readonly struct ShiftRight<T> : IShiftOperation, IPackedOperation
        where T : unmanaged
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static unsafe Vector128<byte> Apply(Vector128<byte> value, Vector128<byte> count)
        {
            if (Sse2.IsSupported)
            {
                if (sizeof(T) == 2) return Sse2.ShiftRightLogical(value.AsUInt16(), count.AsUInt16()).AsByte();
                if (sizeof(T) == 4) return Sse2.ShiftRightLogical(value.AsUInt32(), count.AsUInt32()).AsByte();
                return Sse2.ShiftRightLogical(value.AsUInt64(), count.AsUInt64()).AsByte();
            }

            ulong bits = count.AsUInt64().ToScalar();
            return bits >= (ulong)sizeof(T) * 8 ? Vector128<byte>.Zero : (value.As<byte, T>() >>> (int)bits).AsByte();
        }
    }

    /// <summary>PSRAx: counts past the width fill with the sign.</summary>
    internal readonly struct ShiftRightArithmetic<T> : IShiftOperation, IPackedOperation
        where T : unmanaged
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static unsafe Vector128<byte> Apply(Vector128<byte> value, Vector128<byte> count)
        {
            if (Sse2.IsSupported)
            {
                if (sizeof(T) == 2) return Sse2.ShiftRightArithmetic(value.AsInt16(), count.AsInt16()).AsByte();
                return Sse2.ShiftRightArithmetic(value.AsInt32(), count.AsInt32()).AsByte();
            }

            int bits = (int)Math.Min(count.AsUInt64().ToScalar(), ((ulong)sizeof(T) * 8) - 1);
            return (value.As<byte, T>() >> bits).AsByte();
        }
    }
}
