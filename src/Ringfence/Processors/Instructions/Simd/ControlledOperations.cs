using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>The operations controlled by an immediate.</summary>
internal static unsafe class ControlledOperations
{
    /// <summary>PSHUFD.</summary>
    internal readonly struct ShuffleDoublewords : IControlledOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(VcpuState* s, byte* a, byte* b, int immediate)
        {
            if (Avx2.IsSupported)
            {
                Vector128<uint> control = Avx2.ShiftRightLogicalVariable(Vector128.Create((uint)immediate), Vector128.Create(0u, 2, 4, 6));
                return Avx.PermuteVar(*(Vector128<float>*)b, control.AsInt32()).AsByte();
            }

            uint* x = (uint*)b;
            return Vector128.Create(x[immediate & 3], x[(immediate >> 2) & 3], x[(immediate >> 4) & 3], x[immediate >> 6]).AsByte();
        }
    }

    /// <summary>PSHUFLW; its low half is PSHUFW.</summary>
    internal readonly struct ShuffleLowWords : IControlledOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(VcpuState* s, byte* a, byte* b, int immediate) =>
            Vector128.Create(Shuffle((ushort*)b, immediate), *((ulong*)b + 1)).AsByte();

        /// <summary>Four words of four.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static ulong Shuffle(ushort* words, int control) =>
            words[control & 3] | ((ulong)words[(control >> 2) & 3] << 16) | ((ulong)words[(control >> 4) & 3] << 32)
            | ((ulong)words[control >> 6] << 48);
    }

    /// <summary>PSHUFHW.</summary>
    internal readonly struct ShuffleHighWords : IControlledOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(VcpuState* s, byte* a, byte* b, int immediate) =>
            Vector128.Create(*(ulong*)b, ShuffleLowWords.Shuffle((ushort*)b + 4, immediate)).AsByte();
    }

    /// <summary>PSHUFW.</summary>
    internal readonly struct MmxShuffleWords : IControlledOperation
    {
        public static Vector128<byte> Apply(VcpuState* s, byte* a, byte* b, int immediate) =>
            Vector128.CreateScalar(ShuffleLowWords.Shuffle((ushort*)b, immediate)).AsByte();
    }

    /// <summary>SHUFPS: two elements of the destination, two of the source.</summary>
    internal readonly struct ShuffleSingles : IControlledOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(VcpuState* s, byte* a, byte* b, int immediate)
        {
            uint* x = (uint*)a;
            uint* y = (uint*)b;
            return Vector128.Create(x[immediate & 3], x[(immediate >> 2) & 3], y[(immediate >> 4) & 3], y[immediate >> 6]).AsByte();
        }
    }

    /// <summary>SHUFPD.</summary>
    internal readonly struct ShuffleDoubles : IControlledOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(VcpuState* s, byte* a, byte* b, int immediate) =>
            Vector128.Create(((ulong*)a)[immediate & 1], ((ulong*)b)[(immediate >> 1) & 1]).AsByte();
    }

    /// <summary>PSLLDQ: the destination operand shifted left by bytes.</summary>
    internal readonly struct ShiftLeftBytes : IControlledOperation
    {
        public static Vector128<byte> Apply(VcpuState* s, byte* a, byte* b, int immediate)
        {
            if (immediate > 15) return Vector128<byte>.Zero;
            UInt128 value = new UInt128(*((ulong*)a + 1), *(ulong*)a) << (immediate * 8);
            return Vector128.Create((ulong)value, (ulong)(value >> 64)).AsByte();
        }
    }

    /// <summary>PSRLDQ.</summary>
    internal readonly struct ShiftRightBytes : IControlledOperation
    {
        public static Vector128<byte> Apply(VcpuState* s, byte* a, byte* b, int immediate)
        {
            if (immediate > 15) return Vector128<byte>.Zero;
            UInt128 value = new UInt128(*((ulong*)a + 1), *(ulong*)a) >> (immediate * 8);
            return Vector128.Create((ulong)value, (ulong)(value >> 64)).AsByte();
        }
    }

    /// <summary>PALIGNR: destination above source, shifted right by bytes.</summary>
    internal readonly struct AlignRight : IControlledOperation
    {
        public static Vector128<byte> Apply(VcpuState* s, byte* a, byte* b, int immediate)
        {
            if (immediate > 31) return Vector128<byte>.Zero;
            byte* window = (byte*)s->Transfer;
            Unsafe.WriteUnaligned(window, Unsafe.ReadUnaligned<Vector128<byte>>(b));
            Unsafe.WriteUnaligned(window + 16, Unsafe.ReadUnaligned<Vector128<byte>>(a));
            Unsafe.WriteUnaligned(window + 32, Vector128<byte>.Zero);
            return Unsafe.ReadUnaligned<Vector128<byte>>(window + immediate);
        }
    }

    /// <summary>PALIGNR on MMX registers.</summary>
    internal readonly struct MmxAlignRight : IControlledOperation
    {
        public static Vector128<byte> Apply(VcpuState* s, byte* a, byte* b, int immediate)
        {
            if (immediate > 15) return Vector128<byte>.Zero;
            return Vector128.CreateScalar((ulong)(new UInt128(*(ulong*)a, *(ulong*)b) >> (immediate * 8))).AsByte();
        }
    }

    /// <summary>BLENDPS, BLENDPD, PBLENDW: immediate bit i takes element i of the source.</summary>
    internal readonly struct Blend<T> : IControlledOperation
        where T : unmanaged
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(VcpuState* s, byte* a, byte* b, int immediate)
        {
            Vector128<byte> x = Unsafe.ReadUnaligned<Vector128<byte>>(a);
            Vector128<byte> y = Unsafe.ReadUnaligned<Vector128<byte>>(b);
            return Vector128.ConditionalSelect(Mask(immediate), y, x);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector128<byte> Mask(int immediate)
        {
            if (sizeof(T) == 8)
            {
                Vector128<ulong> bits = Vector128.Create(1UL, 2);
                return Vector128.Equals(Vector128.Create((ulong)immediate) & bits, bits).AsByte();
            }

            if (sizeof(T) == 4)
            {
                Vector128<uint> bits = Vector128.Create(1u, 2, 4, 8);
                return Vector128.Equals(Vector128.Create((uint)immediate) & bits, bits).AsByte();
            }

            Vector128<ushort> words = Vector128.Create((ushort)1, 2, 4, 8, 16, 32, 64, 128);
            return Vector128.Equals(Vector128.Create((ushort)immediate) & words, words).AsByte();
        }
    }

    /// <summary>INSERTPS from a register: bits 7:6 choose the source element.</summary>
    internal readonly struct InsertSingle : IControlledOperation
    {
        public static Vector128<byte> Apply(VcpuState* s, byte* a, byte* b, int immediate) =>
            Insert(a, ((uint*)b)[immediate >> 6], immediate);

        /// <summary>Bits 5:4 choose where the element goes, bits 3:0 what becomes 0.</summary>
        public static Vector128<byte> Insert(byte* a, uint element, int immediate)
        {
            Vector128<uint> indices = Vector128.Create(0u, 1, 2, 3);
            Vector128<uint> here = Vector128.Equals(indices, Vector128.Create((uint)(immediate >> 4) & 3));
            Vector128<uint> bits = Vector128.Create(1u, 2, 4, 8);
            Vector128<uint> zero = Vector128.Equals(Vector128.Create((uint)immediate) & bits, bits);
            Vector128<uint> value = Vector128.ConditionalSelect(here, Vector128.Create(element), Unsafe.ReadUnaligned<Vector128<uint>>(a));
            return Vector128.AndNot(value, zero).AsByte();
        }
    }

    /// <summary>INSERTPS from memory: the element is the operand.</summary>
    internal readonly struct InsertSingleFromMemory : IControlledOperation
    {
        public static Vector128<byte> Apply(VcpuState* s, byte* a, byte* b, int immediate) =>
            InsertSingle.Insert(a, *(uint*)b, immediate);
    }

    /// <summary>MPSADBW: eight sums of absolute differences of four bytes (Intel SDM 2B).</summary>
    internal readonly struct MultipleSums : IControlledOperation
    {
        public static Vector128<byte> Apply(VcpuState* s, byte* a, byte* b, int immediate)
        {
            byte* block = b + ((immediate & 3) * 4);
            byte* window = a + (((immediate >> 2) & 1) * 4);
            ulong low = 0;
            ulong high = 0;
            for (int i = 0; i < 8; i++)
            {
                ulong sum = 0;
                for (int j = 0; j < 4; j++) sum += (ulong)Math.Abs(window[i + j] - block[j]);
                if (i < 4) low |= sum << (i * 16);
                else high |= sum << ((i - 4) * 16);
            }

            return Vector128.Create(low, high).AsByte();
        }
    }

    /// <summary>PBLENDVB: bit 7 of each byte of XMM0 takes the source's byte.</summary>
    internal readonly struct VariableBlend<T> : IControlledOperation
        where T : unmanaged
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(VcpuState* s, byte* a, byte* b, int immediate)
        {
            Vector128<byte> x = Unsafe.ReadUnaligned<Vector128<byte>>(a);
            Vector128<byte> y = Unsafe.ReadUnaligned<Vector128<byte>>(b);
            Vector128<byte> control = Xmm.Read(s, 0);
            Vector128<byte> mask = sizeof(T) == 8 ? Vector128.LessThan(control.AsInt64(), Vector128<long>.Zero).AsByte()
                : sizeof(T) == 4 ? Vector128.LessThan(control.AsInt32(), Vector128<int>.Zero).AsByte()
                : Vector128.LessThan(control.AsSByte(), Vector128<sbyte>.Zero).AsByte();
            return Vector128.ConditionalSelect(mask, y, x);
        }
    }
}
