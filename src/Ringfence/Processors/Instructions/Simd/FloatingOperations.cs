using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Ringfence.Processors.FloatingPoint;
using static Ringfence.Processors.Instructions.Simd.FloatingLanes;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>The arithmetic of SSE to SSE3. A sum of normal numbers that is zero is exact; products, quotients and roots may have underflowed.</summary>
internal static unsafe class FloatingOperations
{
    /// <summary>ADDPS and its kin.</summary>
    internal readonly struct Add : IFloatingOperation
    {
        public static bool Rounds => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply<T>(Vector128<byte> a, Vector128<byte> b)
            where T : unmanaged
        {
            if (sizeof(T) == 4) return (a.AsSingle() + b.AsSingle()).AsByte();
            return (a.AsDouble() + b.AsDouble()).AsByte();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<T> Suspects<T>(Vector128<T> a, Vector128<T> b, Vector128<T> result)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> =>
            IsDenormal(a) | IsDenormal(b) | IsSpecial(result) | IsDenormal(result);

        public static T Exact<T>(T a, T b, int element, ref FloatContext context)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => SoftFloat.Add(a, b, ref context);
    }

    /// <summary>SUBPS and its kin.</summary>
    internal readonly struct Subtract : IFloatingOperation
    {
        public static bool Rounds => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply<T>(Vector128<byte> a, Vector128<byte> b)
            where T : unmanaged
        {
            if (sizeof(T) == 4) return (a.AsSingle() - b.AsSingle()).AsByte();
            return (a.AsDouble() - b.AsDouble()).AsByte();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<T> Suspects<T>(Vector128<T> a, Vector128<T> b, Vector128<T> result)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> =>
            IsDenormal(a) | IsDenormal(b) | IsSpecial(result) | IsDenormal(result);

        public static T Exact<T>(T a, T b, int element, ref FloatContext context)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => SoftFloat.Subtract(a, b, ref context);
    }

    /// <summary>MULPS and its kin: a small result is exact only if an operand is zero.</summary>
    internal readonly struct Multiply : IFloatingOperation
    {
        public static bool Rounds => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply<T>(Vector128<byte> a, Vector128<byte> b)
            where T : unmanaged
        {
            if (sizeof(T) == 4) return (a.AsSingle() * b.AsSingle()).AsByte();
            return (a.AsDouble() * b.AsDouble()).AsByte();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<T> Suspects<T>(Vector128<T> a, Vector128<T> b, Vector128<T> result)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> =>
            IsDenormal(a) | IsDenormal(b) | IsSpecial(result) | (IsTiny(result) & IsNotZero(a) & IsNotZero(b));

        public static T Exact<T>(T a, T b, int element, ref FloatContext context)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => SoftFloat.Multiply(a, b, ref context);
    }

    /// <summary>DIVPS and its kin.</summary>
    internal readonly struct Divide : IFloatingOperation
    {
        public static bool Rounds => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply<T>(Vector128<byte> a, Vector128<byte> b)
            where T : unmanaged
        {
            if (sizeof(T) == 4) return (a.AsSingle() / b.AsSingle()).AsByte();
            return (a.AsDouble() / b.AsDouble()).AsByte();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<T> Suspects<T>(Vector128<T> a, Vector128<T> b, Vector128<T> result)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> =>
            IsDenormal(a) | IsDenormal(b) | IsSpecial(result) | (IsTiny(result) & IsNotZero(a));

        public static T Exact<T>(T a, T b, int element, ref FloatContext context)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => SoftFloat.Divide(a, b, ref context);
    }

    /// <summary>SQRTPS and its kin: of the source.</summary>
    internal readonly struct SquareRoot : IFloatingOperation
    {
        public static bool Rounds => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply<T>(Vector128<byte> a, Vector128<byte> b)
            where T : unmanaged
        {
            if (sizeof(T) == 4) return Vector128.Sqrt(b.AsSingle()).AsByte();
            return Vector128.Sqrt(b.AsDouble()).AsByte();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<T> Suspects<T>(Vector128<T> a, Vector128<T> b, Vector128<T> result)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> =>
            IsDenormal(b) | IsSpecial(result);

        public static T Exact<T>(T a, T b, int element, ref FloatContext context)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => SoftFloat.SquareRoot(b, ref context);
    }

    /// <summary>MINPS and its kin: the source unless the destination is less.</summary>
    internal readonly struct Minimum : IFloatingOperation
    {
        public static bool Rounds => false;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply<T>(Vector128<byte> a, Vector128<byte> b)
            where T : unmanaged
        {
            if (sizeof(T) == 4) return Vector128.ConditionalSelect(Vector128.LessThan(a.AsSingle(), b.AsSingle()), a.AsSingle(), b.AsSingle()).AsByte();
            return Vector128.ConditionalSelect(Vector128.LessThan(a.AsDouble(), b.AsDouble()), a.AsDouble(), b.AsDouble()).AsByte();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<T> Suspects<T>(Vector128<T> a, Vector128<T> b, Vector128<T> result)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> =>
            IsDenormal(a) | IsDenormal(b) | IsNan(a) | IsNan(b);

        public static T Exact<T>(T a, T b, int element, ref FloatContext context)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => SoftFloat.Minimum(a, b, ref context);
    }

    /// <summary>MAXPS and its kin: the source unless the destination is greater.</summary>
    internal readonly struct Maximum : IFloatingOperation
    {
        public static bool Rounds => false;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply<T>(Vector128<byte> a, Vector128<byte> b)
            where T : unmanaged
        {
            if (sizeof(T) == 4) return Vector128.ConditionalSelect(Vector128.GreaterThan(a.AsSingle(), b.AsSingle()), a.AsSingle(), b.AsSingle()).AsByte();
            return Vector128.ConditionalSelect(Vector128.GreaterThan(a.AsDouble(), b.AsDouble()), a.AsDouble(), b.AsDouble()).AsByte();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<T> Suspects<T>(Vector128<T> a, Vector128<T> b, Vector128<T> result)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> =>
            IsDenormal(a) | IsDenormal(b) | IsNan(a) | IsNan(b);

        public static T Exact<T>(T a, T b, int element, ref FloatContext context)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => SoftFloat.Maximum(a, b, ref context);
    }

    /// <summary>HADDPS, HADDPD.</summary>
    internal readonly struct HorizontalAdd : IFloatingOperation
    {
        public static bool Rounds => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> First<T>(Vector128<byte> a, Vector128<byte> b)
            where T : unmanaged => Neighbours.Even<T>(a, b);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Second<T>(Vector128<byte> a, Vector128<byte> b)
            where T : unmanaged => Neighbours.Odd<T>(a, b);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply<T>(Vector128<byte> a, Vector128<byte> b)
            where T : unmanaged
        {
            if (sizeof(T) == 4) return (a.AsSingle() + b.AsSingle()).AsByte();
            return (a.AsDouble() + b.AsDouble()).AsByte();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<T> Suspects<T>(Vector128<T> a, Vector128<T> b, Vector128<T> result)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> =>
            IsDenormal(a) | IsDenormal(b) | IsSpecial(result) | IsDenormal(result);

        public static T Exact<T>(T a, T b, int element, ref FloatContext context)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => SoftFloat.Add(a, b, ref context);
    }

    /// <summary>HSUBPS, HSUBPD.</summary>
    internal readonly struct HorizontalSubtract : IFloatingOperation
    {
        public static bool Rounds => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> First<T>(Vector128<byte> a, Vector128<byte> b)
            where T : unmanaged => Neighbours.Even<T>(a, b);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Second<T>(Vector128<byte> a, Vector128<byte> b)
            where T : unmanaged => Neighbours.Odd<T>(a, b);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply<T>(Vector128<byte> a, Vector128<byte> b)
            where T : unmanaged
        {
            if (sizeof(T) == 4) return (a.AsSingle() - b.AsSingle()).AsByte();
            return (a.AsDouble() - b.AsDouble()).AsByte();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<T> Suspects<T>(Vector128<T> a, Vector128<T> b, Vector128<T> result)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> =>
            IsDenormal(a) | IsDenormal(b) | IsSpecial(result) | IsDenormal(result);

        public static T Exact<T>(T a, T b, int element, ref FloatContext context)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => SoftFloat.Subtract(a, b, ref context);
    }

    /// <summary>ADDSUBPS, ADDSUBPD: even elements are subtracted.</summary>
    internal readonly struct AddSubtract : IFloatingOperation
    {
        public static bool Rounds => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply<T>(Vector128<byte> a, Vector128<byte> b)
            where T : unmanaged
        {
            if (sizeof(T) == 4) return (a.AsSingle() + (b.AsUInt32() ^ Vector128.Create(0x8000_0000u, 0, 0x8000_0000u, 0)).AsSingle()).AsByte();
            return (a.AsDouble() + (b.AsUInt64() ^ Vector128.Create(1UL << 63, 0)).AsDouble()).AsByte();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<T> Suspects<T>(Vector128<T> a, Vector128<T> b, Vector128<T> result)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> =>
            IsDenormal(a) | IsDenormal(b) | IsSpecial(result) | IsDenormal(result);

        public static T Exact<T>(T a, T b, int element, ref FloatContext context)
            where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> =>
                (element & 1) == 0 ? SoftFloat.Subtract(a, b, ref context) : SoftFloat.Add(a, b, ref context);
    }
}
