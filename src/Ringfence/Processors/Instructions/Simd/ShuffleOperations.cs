using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>Packing, unpacking, widening and duplicating operations.</summary>
internal static unsafe class ShuffleOperations
{
    /// <summary>PUNPCKLx, UNPCKLPx: interleaves the low halves.</summary>
    internal readonly struct UnpackLow<T> : IPackedOperation
        where T : unmanaged
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b)
        {
            if (sizeof(T) == 8) return Vector128.Create(a.AsUInt64().GetLower(), b.AsUInt64().GetLower()).AsByte();
            if (Sse2.IsSupported)
            {
                if (sizeof(T) == 1) return Sse2.UnpackLow(a, b);
                if (sizeof(T) == 2) return Sse2.UnpackLow(a.AsUInt16(), b.AsUInt16()).AsByte();
                return Sse2.UnpackLow(a.AsUInt32(), b.AsUInt32()).AsByte();
            }

            if (sizeof(T) == 1) return (Vector128.WidenLower(a) | (Vector128.WidenLower(b) << 8)).AsByte();
            if (sizeof(T) == 2) return (Vector128.WidenLower(a.AsUInt16()) | (Vector128.WidenLower(b.AsUInt16()) << 16)).AsByte();
            return (Vector128.WidenLower(a.AsUInt32()) | (Vector128.WidenLower(b.AsUInt32()) << 32)).AsByte();
        }
    }

    /// <summary>PUNPCKHx, UNPCKHPx: interleaves the high halves.</summary>
    internal readonly struct UnpackHigh<T> : IPackedOperation
        where T : unmanaged
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b)
        {
            if (sizeof(T) == 8) return Vector128.Create(a.AsUInt64().GetUpper(), b.AsUInt64().GetUpper()).AsByte();
            if (Sse2.IsSupported)
            {
                if (sizeof(T) == 1) return Sse2.UnpackHigh(a, b);
                if (sizeof(T) == 2) return Sse2.UnpackHigh(a.AsUInt16(), b.AsUInt16()).AsByte();
                return Sse2.UnpackHigh(a.AsUInt32(), b.AsUInt32()).AsByte();
            }

            if (sizeof(T) == 1) return (Vector128.WidenUpper(a) | (Vector128.WidenUpper(b) << 8)).AsByte();
            if (sizeof(T) == 2) return (Vector128.WidenUpper(a.AsUInt16()) | (Vector128.WidenUpper(b.AsUInt16()) << 16)).AsByte();
            return (Vector128.WidenUpper(a.AsUInt32()) | (Vector128.WidenUpper(b.AsUInt32()) << 32)).AsByte();
        }
    }

    /// <summary>The MMX form of an unpack from the high halves: what the 128-bit unpack of the low halves leaves in its high half.</summary>
    internal readonly struct MmxUnpackHigh<T> : IPackedOperation
        where T : unmanaged
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Vector128.CreateScalar(UnpackLow<T>.Apply(a, b).AsUInt64().GetElement(1)).AsByte();
    }

    /// <summary>The MMX form of an operation that packs or combines neighbours: both operands are the halves of the first.</summary>
    internal readonly struct MmxCombined<TOperation> : IPackedOperation
        where TOperation : struct, IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            TOperation.Apply(UnpackLow<ulong>.Apply(a, b), Vector128<byte>.Zero);
    }

    /// <summary>PACKSSWB.</summary>
    internal readonly struct PackSignedWords : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Vector128.NarrowWithSaturation(a.AsInt16(), b.AsInt16()).AsByte();
    }

    /// <summary>PACKSSDW.</summary>
    internal readonly struct PackSignedDoublewords : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Vector128.NarrowWithSaturation(a.AsInt32(), b.AsInt32()).AsByte();
    }

    /// <summary>PACKUSWB: signed words to unsigned bytes.</summary>
    internal readonly struct PackUnsignedWords : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b)
        {
            if (Sse2.IsSupported) return Sse2.PackUnsignedSaturate(a.AsInt16(), b.AsInt16());
            Vector128<short> zero = Vector128<short>.Zero;
            return Vector128.NarrowWithSaturation(Vector128.Max(a.AsInt16(), zero).AsUInt16(), Vector128.Max(b.AsInt16(), zero).AsUInt16());
        }
    }

    /// <summary>PACKUSDW: signed doublewords to unsigned words.</summary>
    internal readonly struct PackUnsignedDoublewords : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b)
        {
            if (Sse41.IsSupported) return Sse41.PackUnsignedSaturate(a.AsInt32(), b.AsInt32()).AsByte();
            Vector128<int> zero = Vector128<int>.Zero;
            return Vector128.NarrowWithSaturation(Vector128.Max(a.AsInt32(), zero).AsUInt32(), Vector128.Max(b.AsInt32(), zero).AsUInt32()).AsByte();
        }
    }

    /// <summary>PSHUFB: bytes of the destination, chosen by the source; bit 7 gives 0.</summary>
    internal readonly struct ShuffleBytes : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b)
        {
            if (Ssse3.IsSupported) return Ssse3.Shuffle(a, b);
            // Vector128.Shuffle gives 0 for every index past 15: keep bit 7, drop bits 4 to 6.
            return Vector128.Shuffle(a, b & Vector128.Create((byte)0x8f));
        }
    }

    /// <summary>PSHUFB on MMX registers.</summary>
    internal readonly struct MmxShuffleBytes : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            ShuffleBytes.Apply(a, b & Vector128.Create((byte)0x87));
    }

    /// <summary>PMOVSXxx and PMOVZXxx by one step or more; the signedness is that of the types.</summary>
    internal readonly struct WidenBytesToWords : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) => Vector128.WidenLower(b).AsByte();
    }

    /// <summary>PMOVZXBD.</summary>
    internal readonly struct WidenBytesToDoublewords : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Vector128.WidenLower(Vector128.WidenLower(b)).AsByte();
    }

    /// <summary>PMOVZXBQ.</summary>
    internal readonly struct WidenBytesToQuadwords : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Vector128.WidenLower(Vector128.WidenLower(Vector128.WidenLower(b))).AsByte();
    }

    /// <summary>PMOVZXWD.</summary>
    internal readonly struct WidenWordsToDoublewords : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) => Vector128.WidenLower(b.AsUInt16()).AsByte();
    }

    /// <summary>PMOVZXWQ.</summary>
    internal readonly struct WidenWordsToQuadwords : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Vector128.WidenLower(Vector128.WidenLower(b.AsUInt16())).AsByte();
    }

    /// <summary>PMOVZXDQ.</summary>
    internal readonly struct WidenDoublewordsToQuadwords : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) => Vector128.WidenLower(b.AsUInt32()).AsByte();
    }

    /// <summary>PMOVSXBW.</summary>
    internal readonly struct ExtendBytesToWords : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) => Vector128.WidenLower(b.AsSByte()).AsByte();
    }

    /// <summary>PMOVSXBD.</summary>
    internal readonly struct ExtendBytesToDoublewords : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Vector128.WidenLower(Vector128.WidenLower(b.AsSByte())).AsByte();
    }

    /// <summary>PMOVSXBQ.</summary>
    internal readonly struct ExtendBytesToQuadwords : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Vector128.WidenLower(Vector128.WidenLower(Vector128.WidenLower(b.AsSByte()))).AsByte();
    }

    /// <summary>PMOVSXWD.</summary>
    internal readonly struct ExtendWordsToDoublewords : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) => Vector128.WidenLower(b.AsInt16()).AsByte();
    }

    /// <summary>PMOVSXWQ.</summary>
    internal readonly struct ExtendWordsToQuadwords : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Vector128.WidenLower(Vector128.WidenLower(b.AsInt16())).AsByte();
    }

    /// <summary>PMOVSXDQ.</summary>
    internal readonly struct ExtendDoublewordsToQuadwords : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) => Vector128.WidenLower(b.AsInt32()).AsByte();
    }

    /// <summary>MOVDDUP.</summary>
    internal readonly struct DuplicateLowQuadword : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) => UnpackLow<ulong>.Apply(b, b);
    }

    /// <summary>MOVSLDUP.</summary>
    internal readonly struct DuplicateEven : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Vector128.Shuffle(b.AsUInt32(), Vector128.Create(0u, 0, 2, 2)).AsByte();
    }

    /// <summary>MOVSHDUP.</summary>
    internal readonly struct DuplicateOdd : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Vector128.Shuffle(b.AsUInt32(), Vector128.Create(1u, 1, 3, 3)).AsByte();
    }

    /// <summary>MOVQ between XMM registers: the high half becomes 0.</summary>
    internal readonly struct MoveLowQuadword : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Vector128.CreateScalar(b.AsUInt64().ToScalar()).AsByte();
    }

    /// <summary>MOVLPS, MOVLPD loads and MOVSD between registers: replaces the low half.</summary>
    internal readonly struct ReplaceLow : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Vector128.Create(b.AsUInt64().GetLower(), a.AsUInt64().GetUpper()).AsByte();
    }

    /// <summary>MOVHLPS: the source's high half replaces the low half.</summary>
    internal readonly struct ReplaceLowByHigh : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Vector128.Create(b.AsUInt64().GetUpper(), a.AsUInt64().GetUpper()).AsByte();
    }

    /// <summary>MOVSS between registers: replaces the low doubleword.</summary>
    internal readonly struct ReplaceLowDoubleword : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) =>
            Sse.IsSupported ? Sse.MoveScalar(a.AsSingle(), b.AsSingle()).AsByte() : a.AsUInt32().WithElement(0, b.AsUInt32().ToScalar()).AsByte();
    }
}
