using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>The packed conversions (Intel SDM 1 4.8.4, 11.4.1.6).</summary>
internal static unsafe class PackedConversions
{
    /// <summary>CVTDQ2PD: exact, so it is a plain packed operation.</summary>
    internal readonly struct Int32ToDouble : IPackedOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> a, Vector128<byte> b) => Sse2.IsSupported
            ? Sse2.ConvertToVector128Double(b.AsInt32()).AsByte()
            : Vector128.Create((double)b.AsInt32().GetElement(0), b.AsInt32().GetElement(1)).AsByte();
    }

    /// <summary>CVTDQ2PS.</summary>
    internal readonly struct Int32ToSingle : IPackedConversion
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> source) => Vector128.ConvertToSingle(source.AsInt32()).AsByte();

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool IsFast(VcpuState* s, Vector128<byte> source, Vector128<byte> result)
        {
            Vector128<int> limit = Vector128.Create(1 << 24);
            return FloatingLanes.IsDefault(s)
                || !Vector128.GreaterThanAny((source.AsInt32() + limit).AsUInt32(), Vector128.Create(1u << 25));
        }

        public static Vector128<byte> Exact(Vector128<byte> source, ref FloatContext context)
        {
            Vector128<uint> result = default;
            for (int i = 0; i < 4; i++)
                result = result.WithElement(i, SoftFloat.FromInteger<uint>(source.AsInt32().GetElement(i), ref context));
            return result.AsByte();
        }
    }

    /// <summary>CVTPS2DQ, CVTTPS2DQ; their low halves are CVTPS2PI, CVTTPS2PI.</summary>
    internal readonly struct SingleToInt32<TRounding> : IPackedConversion
        where TRounding : struct, IFloatRounding
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> source)
        {
            Vector128<float> value = source.AsSingle();
            return Vector128.ConvertToInt32Native(TRounding.Truncates ? value : Vector128.Round(value)).AsByte();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool IsFast(VcpuState* s, Vector128<byte> source, Vector128<byte> result)
        {
            // Magnitudes below 2^30 stay in range however they are rounded.
            Vector128<uint> magnitude = FloatingLanes.Magnitude<uint>(source);
            if (Vector128.GreaterThanAny(magnitude.AsInt32(), Vector128.Create(0x4e80_0000))) return false;
            return FloatingLanes.IsDefault(s) || Vector128.EqualsAll(Vector128.ConvertToSingle(result.AsInt32()), source.AsSingle());
        }

        public static Vector128<byte> Exact(Vector128<byte> source, ref FloatContext context)
        {
            Vector128<int> result = default;
            FloatRounding rounding = TRounding.Of(in context);
            for (int i = 0; i < 4; i++)
                result = result.WithElement(i, SoftFloat.ToInt32(source.AsUInt32().GetElement(i), rounding, ref context));
            return result.AsByte();
        }
    }

    /// <summary>CVTPS2PI, CVTTPS2PI: two elements only, so that the others raise nothing.</summary>
    internal readonly struct SinglesToMmx<TRounding> : IPackedConversion
        where TRounding : struct, IFloatRounding
    {
        public static Vector128<byte> Apply(Vector128<byte> source) => default;

        public static bool IsFast(VcpuState* s, Vector128<byte> source, Vector128<byte> result) => false;

        public static Vector128<byte> Exact(Vector128<byte> source, ref FloatContext context)
        {
            FloatRounding rounding = TRounding.Of(in context);
            int low = SoftFloat.ToInt32(source.AsUInt32().GetElement(0), rounding, ref context);
            int high = SoftFloat.ToInt32(source.AsUInt32().GetElement(1), rounding, ref context);
            return Vector128.Create(low, high, 0, 0).AsByte();
        }
    }

    /// <summary>CVTPD2DQ, CVTTPD2DQ, CVTPD2PI, CVTTPD2PI.</summary>
    internal readonly struct DoubleToInt32<TRounding> : IPackedConversion
        where TRounding : struct, IFloatRounding
    {
        public static Vector128<byte> Apply(Vector128<byte> source) => default;

        public static bool IsFast(VcpuState* s, Vector128<byte> source, Vector128<byte> result) => false;

        public static Vector128<byte> Exact(Vector128<byte> source, ref FloatContext context)
        {
            FloatRounding rounding = TRounding.Of(in context);
            int low = SoftFloat.ToInt32(source.AsUInt64().GetElement(0), rounding, ref context);
            int high = SoftFloat.ToInt32(source.AsUInt64().GetElement(1), rounding, ref context);
            return Vector128.Create(low, high, 0, 0).AsByte();
        }
    }

    /// <summary>CVTPS2PD.</summary>
    internal readonly struct SingleToDouble : IPackedConversion
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> source) => Vector128.WidenLower(source.AsSingle()).AsByte();

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool IsFast(VcpuState* s, Vector128<byte> source, Vector128<byte> result)
        {
            Vector128<uint> magnitude = FloatingLanes.Magnitude<uint>(source);
            Vector128<uint> suspects = FloatingLanes.IsDenormal(magnitude) | FloatingLanes.IsNan(magnitude);
            return (suspects.ExtractMostSignificantBits() & 3) == 0;
        }

        public static Vector128<byte> Exact(Vector128<byte> source, ref FloatContext context)
        {
            ulong low = SoftFloat.Widen(source.AsUInt32().GetElement(0), ref context);
            ulong high = SoftFloat.Widen(source.AsUInt32().GetElement(1), ref context);
            return Vector128.Create(low, high).AsByte();
        }
    }

    /// <summary>CVTPD2PS.</summary>
    internal readonly struct DoubleToSingle : IPackedConversion
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Apply(Vector128<byte> source) =>
            Vector128.Narrow(source.AsDouble(), Vector128<double>.Zero).AsByte();

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool IsFast(VcpuState* s, Vector128<byte> source, Vector128<byte> result)
        {
            Vector128<uint> magnitude = FloatingLanes.Magnitude<uint>(result);
            Vector128<uint> suspects = FloatingLanes.IsSpecial(magnitude) | FloatingLanes.IsTiny(magnitude);
            return FloatingLanes.IsDefault(s) && (suspects.ExtractMostSignificantBits() & 3) == 0;
        }

        public static Vector128<byte> Exact(Vector128<byte> source, ref FloatContext context)
        {
            uint low = SoftFloat.Narrow(source.AsUInt64().GetElement(0), ref context);
            uint high = SoftFloat.Narrow(source.AsUInt64().GetElement(1), ref context);
            return Vector128.Create(low, high, 0, 0).AsByte();
        }
    }
}
