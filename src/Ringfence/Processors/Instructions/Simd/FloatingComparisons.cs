using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Ringfence.Processors.FloatingPoint;
using static Ringfence.Processors.Instructions.Simd.FloatingLanes;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>CMPPS and its kin: the predicates 0 to 7 of imm8 (Intel SDM 2A, CMPPD). Fast without NaNs.</summary>
internal static unsafe class FloatingComparisons
{
    /// <summary>0, EQ.</summary>
    internal readonly struct Equal : IFloatingOperation
    {
        public static bool Rounds => false;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply<T>(Vector128<byte> a, Vector128<byte> b)
            where T : unmanaged
        {
            if (sizeof(T) == 4) return Vector128.Equals(a.AsSingle(), b.AsSingle()).AsByte();
            return Vector128.Equals(a.AsDouble(), b.AsDouble()).AsByte();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<T> Suspects<T>(Vector128<T> a, Vector128<T> b, Vector128<T> result)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> =>
            IsDenormal(a) | IsDenormal(b) | IsNan(a) | IsNan(b);

        public static T Exact<T>(T a, T b, int element, ref FloatContext context)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> =>
                Mask<T>(SoftFloat.Compare(a, b, false, ref context) == FloatRelation.Equal);
    }

    /// <summary>1, LT: signals for quiet NaNs.</summary>
    internal readonly struct LessThan : IFloatingOperation
    {
        public static bool Rounds => false;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply<T>(Vector128<byte> a, Vector128<byte> b)
            where T : unmanaged
        {
            if (sizeof(T) == 4) return Vector128.LessThan(a.AsSingle(), b.AsSingle()).AsByte();
            return Vector128.LessThan(a.AsDouble(), b.AsDouble()).AsByte();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<T> Suspects<T>(Vector128<T> a, Vector128<T> b, Vector128<T> result)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> =>
            IsDenormal(a) | IsDenormal(b) | IsNan(a) | IsNan(b);

        public static T Exact<T>(T a, T b, int element, ref FloatContext context)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> =>
                Mask<T>(SoftFloat.Compare(a, b, true, ref context) == FloatRelation.Less);
    }

    /// <summary>2, LE: signals.</summary>
    internal readonly struct LessThanOrEqual : IFloatingOperation
    {
        public static bool Rounds => false;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply<T>(Vector128<byte> a, Vector128<byte> b)
            where T : unmanaged
        {
            if (sizeof(T) == 4) return Vector128.LessThanOrEqual(a.AsSingle(), b.AsSingle()).AsByte();
            return Vector128.LessThanOrEqual(a.AsDouble(), b.AsDouble()).AsByte();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<T> Suspects<T>(Vector128<T> a, Vector128<T> b, Vector128<T> result)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> =>
            IsDenormal(a) | IsDenormal(b) | IsNan(a) | IsNan(b);

        public static T Exact<T>(T a, T b, int element, ref FloatContext context)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> =>
                Mask<T>(SoftFloat.Compare(a, b, true, ref context) is FloatRelation.Less or FloatRelation.Equal);
    }

    /// <summary>3, UNORD.</summary>
    internal readonly struct Unordered : IFloatingOperation
    {
        public static bool Rounds => false;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply<T>(Vector128<byte> a, Vector128<byte> b)
            where T : unmanaged => Vector128<byte>.Zero;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<T> Suspects<T>(Vector128<T> a, Vector128<T> b, Vector128<T> result)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> =>
            IsDenormal(a) | IsDenormal(b) | IsNan(a) | IsNan(b);

        public static T Exact<T>(T a, T b, int element, ref FloatContext context)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> =>
                Mask<T>(SoftFloat.Compare(a, b, false, ref context) == FloatRelation.Unordered);
    }

    /// <summary>4 to 7, NEQ, NLT, NLE and ORD: the opposites of 0 to 3, NaNs included, with the same signals.</summary>
    internal readonly struct Opposite<TPredicate> : IFloatingOperation
        where TPredicate : struct, IFloatingOperation
    {
        public static bool Rounds => false;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply<T>(Vector128<byte> a, Vector128<byte> b)
            where T : unmanaged => ~TPredicate.Apply<T>(a, b);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<T> Suspects<T>(Vector128<T> a, Vector128<T> b, Vector128<T> result)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => TPredicate.Suspects(a, b, result);

        public static T Exact<T>(T a, T b, int element, ref FloatContext context)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => ~TPredicate.Exact(a, b, element, ref context);
    }

    private static T Mask<T>(bool condition)
        where T : unmanaged, IBinaryInteger<T> => condition ? ~T.Zero : T.Zero;
}
